//! `show`: everything about one run.

use serde::Deserialize;
use serde_json::Value;

use super::context::{Context, one_value};
use crate::cli::args::Id;
use crate::cli::duration;
use crate::cli::print::{self, Paint};
use crate::cli::view::{RunView, limits_text, read, usage_text};
use crate::client::connection::Ask;
use crate::client::failure::Failure;
use crate::clock::UnixMs;
use crate::run::{Cause, OnInterrupt, WaitsFor};
use crate::text::printable;
use crate::wire::Word;

/// Prints it, line by line or as one object.
pub async fn show(context: &Context, id: Id) -> Result<u8, Failure> {
    let number = context.number(id).await?;
    let body = context.daemon.ask(&Ask::get(format!("/v1/runs/{number}"))).await?;
    if context.json {
        print::answer_json(one_value(&body)?)?;
    } else {
        let run: RunView = read(&body)?;
        let tries = if run.attempt > 1 { attempts(context, number).await } else { Vec::new() };
        print::answer(&(lines(&run, Paint::new(), UnixMs::now()) + &tries.concat()))?;
    }
    Ok(0)
}

/// Events that one look at the attempts reads: as many as there can be attempts, three times.
const EVENTS_MAX: usize = 1_000;

#[derive(Deserialize)]
struct EventsOfAttempts {
    events: Vec<EventOfAttempt>,
}

#[derive(Deserialize)]
struct EventOfAttempt {
    kind: String,
    at: String,
    data: Value,
}

/// How each attempt before the last ended, for those who may read it.
async fn attempts(context: &Context, number: i64) -> Vec<String> {
    let path = format!("/v1/events?runs={number}&kinds=started,attempt_ended&after=0&limit={EVENTS_MAX}");
    let body = context.daemon.ask(&Ask::get(path)).await;
    let Ok(EventsOfAttempts { events }) = body.and_then(|body| read(&body)) else { return Vec::new() };
    let (mut started, mut told) = (None, Vec::new());
    for EventOfAttempt { kind, at, data } in &events {
        if kind == "started" {
            started = UnixMs::parse(at);
            continue;
        }
        let how = match (data["exit_code"].as_i64(), data["signal"].as_i64(), data["reason"].as_str()) {
            (Some(code), ..) => format!("exit code {code}"),
            (_, Some(signal), _) => format!("signal {signal}"),
            (None, None, reason) => printable(reason.unwrap_or("it ended")).into_owned(),
        };
        let took = started.zip(UnixMs::parse(at)).map(|(from, to)| duration::show_ms(to.0 - from.0));
        let after = took.map(|took| format!(" after {took}")).unwrap_or_default();
        let nth = data["attempt"].as_i64().unwrap_or_default();
        told.push(line(&format!("attempt {nth}"), &format!("{how}{after} (runabout logs --attempt {nth} {number})")));
    }
    told
}

fn lines(run: &RunView, paint: Paint, now: UnixMs) -> String {
    let text = |text: Option<&str>| text.map(|text| printable(text).into_owned());
    let number = |number: &Option<i64>| number.map(|number| number.to_string());
    let joined = |list: &[String]| (!list.is_empty()).then(|| printable(&list.join(", ")).into_owned());
    let progress = run.progress.as_ref().map(|_| printable(&run.progress_value().to_string()).into_owned());
    let word = |word: String| printable(&word).into_owned();
    let env_keys: Vec<String> = run.env_keys.iter().map(|name| name.clone().into_owned()).collect();
    let what = if run.script.is_some() { "script" } else { "command" };
    let lines = [
        ("run", Some(run.id.to_string())),
        ("name", text(run.name.as_deref())),
        ("status", Some(paint.paint(&printable(&run.standing()), run.colour()))),
        ("waits", run.why_it_waits().map(word)),
        ("reason", run.reason.as_ref().map(|reason| word(reason.to_string()))),
        ("exit code", number(&run.exit_code)),
        ("signal", number(&run.signal)),
        ("error", text(run.error.as_deref())),
        (what, Some(printable(&run.what()).into_owned())),
        ("directory", text(run.cwd.as_deref())),
        ("variables", joined(&env_keys)),
        ("queue", Some(printable(&run.queue).into_owned())),
        ("priority", (run.priority != 0).then(|| run.priority.to_string())),
        ("tags", joined(&run.tags)),
        ("time limit", run.timeout_s.map(|timeout_s| duration::show_ms(timeout_s.saturating_mul(1_000)))),
        (
            "on interrupt",
            (run.on_interrupt != Word::Known(OnInterrupt::Fail)).then(|| word(run.on_interrupt.to_string())),
        ),
        ("keep", run.keep.then(|| "yes".to_owned())),
        ("key", text(run.key.as_deref())),
        ("needed by run", joined(&run.needed_by.iter().map(ToString::to_string).collect::<Vec<_>>())),
        ("comes from", (run.cause != Word::Known(Cause::Submit)).then(|| word(run.cause.to_string()))),
        ("job", text(run.job.as_deref())),
        ("due at", text(run.scheduled_for.as_deref())),
        ("missed", number(&run.missed)),
        ("repeats run", run.retry_of.map(|run| run.to_string())),
        ("attempt", (run.attempt > 1).then(|| run.attempt.to_string())),
        ("process", number(&run.pid)),
        ("waits for", waits_for(run)),
        ("stopped", stopped(&run.stopped_pids)),
        ("not heard of", text(run.detached_since.as_deref()).map(|since| format!("since {since}; it is left alone"))),
        ("progress", progress),
        ("submitted", Some(printable(&run.created_at).into_owned())),
        ("not before", text(run.not_before.as_deref())),
        ("started", text(run.started_at.as_deref())),
        ("cancel asked", text(run.cancel_requested_at.as_deref())),
        ("ended", text(run.ended_at.as_deref())),
        ("took", run.took(now)),
        ("used", run.usage.as_deref().map(usage_text)),
        ("output", Some(format!("{} bytes", run.output_bytes))),
        ("artifacts", (run.artifacts > 0).then(|| format!("{} ({} bytes)", run.artifacts, run.artifact_bytes))),
        ("events", Some(run.last_seq.to_string())),
    ];
    let shown = lines.iter().filter_map(|(name, value)| value.as_ref().map(|value| line(name, value)));
    shown.chain(options(run)).collect()
}

fn line(name: &str, value: &str) -> String {
    format!("{name:<13} {value}\n")
}

/// What else its submit said, by the names of the wire.
fn options(run: &RunView) -> Vec<String> {
    let Ok(Value::Object(options)) = serde_json::to_value(&run.options) else { return Vec::new() };
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let shown = |name: &str, value: &Value| match name {
        "limits" => limits_text(&run.options.limits),
        _ => shown(value),
    };
    options.iter().map(|(name, value)| line(&name.replace('_', " "), &printable(&shown(name, value)))).collect()
}

/// What it waits for beside what holds it back, and how that ends.
fn waits_for(run: &RunView) -> Option<String> {
    let told = |what: &Word<WaitsFor>| match (what, run.behind) {
        (Word::Known(WaitsFor::Drain), _) => "the end of the drain (runabout drain --undo)".to_owned(),
        (Word::Known(WaitsFor::Pause), _) => {
            let queue = printable(&run.queue);
            format!("its queue, which is paused (runabout queue {queue} --resume)")
        }
        (Word::Known(WaitsFor::Slot), Some(behind)) => format!("a slot of its queue, behind run {behind}"),
        (Word::Known(WaitsFor::Slot), None) => "a slot of its queue".to_owned(),
        (Word::Other(other), _) => printable(other).into_owned(),
    };
    let all: Vec<String> = run.waits_for.iter().map(told).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// Which processes are stopped, and how they go on.
fn stopped(pids: &[i32]) -> Option<String> {
    let pids = pids.iter().map(i32::to_string).collect::<Vec<_>>().join(" ");
    (!pids.is_empty()).then(|| format!("{pids} (until `kill -CONT {pids}`)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_there_is_is_shown() {
        let run: RunView = serde_json::from_str(
            r#"{"id":42,"status":"queued","queue":"default","command":["a\u001b[2J"],"created_at":"x","priority":0}"#,
        )
        .expect("a run");
        let text = lines(&run, Paint::default(), UnixMs(0));
        assert!(text.contains("command       'a\\x1b[2J'\n") && !text.contains("exit code"), "{text}");
    }
}
