//! `ls`, `show` and `logs`.

use std::collections::BTreeMap;
use std::io::Write as _;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::DeliverPolicy;
use serde_json::{Value, json};

use super::events::{Stored, each};
use super::{boxes, instance_of, print, printable};
use crate::args::{List, Logs};
use crate::hub::EVENTS_PREFIX;
use crate::told::{Refusal, say};

/// What a run's events of the last hours tell of it.
#[derive(Default)]
struct Told {
    status: String,
    at: String,
    data: Value,
}

/// The newest runs, the newest last.
pub async fn list(context: &Context, list: &List) -> Result<(), Refusal> {
    let of_box = match &list.at {
        Some(named) => instance_of(context, named).await?,
        None => "*".to_owned(),
    };
    let kinds = ["queued", "started", "finished"];
    let subjects = kinds.map(|kind| format!("{EVENTS_PREFIX}.{of_box}.*.{kind}")).to_vec();
    let since = i128::from(jiff::Timestamp::now().as_second() - i64::from(list.hours) * 3600);
    let start_time = async_nats::datetime::from_nanos(since * 1_000_000_000);
    let start_time = start_time.map_err(|error| Refusal::Usage(format!("--hours: {error}")))?;
    let mut runs: BTreeMap<(String, i64), Told> = BTreeMap::new();
    let mut order: Vec<(String, i64)> = Vec::new();
    each(context, subjects, DeliverPolicy::ByStartTime { start_time }, false, |stored| {
        let event = read(&stored)?;
        let key = (stored.instance, event["run"].as_i64().unwrap_or_default());
        let kind = event["kind"].as_str().unwrap_or_default();
        let status = match kind {
            "started" => "running",
            "finished" => event["data"]["status"].as_str().unwrap_or("finished"),
            other => other,
        };
        let at = event["at"].as_str().unwrap_or_default().to_owned();
        let told = Told { status: status.to_owned(), at, data: event["data"].clone() };
        if runs.insert(key.clone(), told).is_none() {
            order.push(key);
        }
        Ok(true)
    })
    .await?;
    let names: BTreeMap<String, String> = boxes(context)
        .await?
        .into_iter()
        .map(|one| (one.instance, one.told["name"].as_str().unwrap_or_default().to_owned()))
        .collect();
    let newest = order.iter().skip(order.len().saturating_sub(list.limit as usize));
    let shown: Vec<Value> = newest
        .map(|key| {
            let told = &runs[key];
            json!({ "instance": key.0, "box": names.get(&key.0), "run": key.1, "status": told.status, "at": told.at,
                    "name": told.data["name"], "tags": told.data["tags"], "exit_code": told.data["exit_code"] })
        })
        .collect();
    if list.json {
        return print(&Value::Array(shown).to_string());
    }
    for run in &shown {
        let text = |name: &str| printable(run[name].as_str().unwrap_or("-"));
        let (name, of) = (text("name"), text("box"));
        let id = format!("{}/{}", text("instance"), run["run"]);
        print(&format!("{id:<20} {of:<14} {:<11} {} {name}", text("status"), text("at")))?;
    }
    Ok(())
}

/// Everything that is known of a run but its output: its events, one a line.
pub async fn show(context: &Context, run: &str) -> Result<(), Refusal> {
    let (instance, run) = run_of(context, run).await?;
    let mut seen = false;
    each(context, vec![format!("{EVENTS_PREFIX}.{instance}.{run}.*")], DeliverPolicy::All, false, |stored| {
        seen = true;
        if read(&stored)?["kind"] != "output" {
            print(&String::from_utf8_lossy(&stored.body))?;
        }
        Ok(true)
    })
    .await?;
    if seen { Ok(()) } else { Err(Refusal::No(format!("the hub knows no run {run} of {instance}"))) }
}

/// A run's events after a cursor: what it printed, or with `--json` each event on a line.
pub async fn logs(context: &Context, logs: &Logs) -> Result<(), Refusal> {
    let (instance, run) = run_of(context, &logs.run).await?;
    let after = after(&logs.after, &instance)?;
    let (mut printed, mut seen) = (false, false);
    let subjects = vec![format!("{EVENTS_PREFIX}.{instance}.{run}.*")];
    each(context, subjects, DeliverPolicy::All, logs.follow, |stored| {
        let event = read(&stored)?;
        seen = true;
        let kind = event["kind"].as_str().unwrap_or_default();
        if event["seq"].as_i64().unwrap_or_default() > after {
            if logs.json {
                print(&String::from_utf8_lossy(&stored.body))?;
            } else if kind == "output" {
                printed = true;
                output(&event["data"])?;
            }
        }
        Ok(kind != "finished")
    })
    .await?;
    if !seen {
        return Err(Refusal::No(format!("the hub knows no run {run} of {instance}")));
    }
    if !printed && !logs.json {
        say("the hub has no output of this run: its box sends that with --output alone; --json shows its events");
    }
    Ok(())
}

fn output(data: &Value) -> Result<(), Refusal> {
    use base64::Engine as _;
    let bytes = match (data["text"].as_str(), data["base64"].as_str()) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(text)) => base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default(),
        (None, None) => Vec::new(),
    };
    let written = match data["stream"].as_str() {
        Some("stderr") => std::io::stderr().lock().write_all(&bytes),
        _ => {
            let mut out = std::io::stdout().lock();
            out.write_all(&bytes).and_then(|()| out.flush())
        }
    };
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => other.map_err(|error| Refusal::No(format!("standard output: {error}"))),
    }
}

fn read(stored: &Stored) -> Result<Value, Refusal> {
    serde_json::from_slice(&stored.body).map_err(|error| Refusal::No(format!("an event that cannot be read: {error}")))
}

/// The cursor in the form in which the box gives it, too.
fn after(cursor: &str, instance: &str) -> Result<i64, Refusal> {
    let wrong = || Refusal::Usage(format!("--after {cursor}: a seq or {instance}-SEQ is wanted"));
    let seq = cursor.strip_prefix(instance).and_then(|rest| rest.strip_prefix('-')).unwrap_or(cursor);
    seq.parse().ok().filter(|seq| *seq >= 0).ok_or_else(wrong)
}

async fn run_of(context: &Context, named: &str) -> Result<(String, i64), Refusal> {
    let wrong = || Refusal::Usage(format!("{named}: BOX/RUN is wanted, such as k3v9x2m7q0tz/42"));
    let (of, run) = named.rsplit_once('/').ok_or_else(wrong)?;
    let run = run.parse().map_err(|_| wrong())?;
    Ok((instance_of(context, of).await?, run))
}
