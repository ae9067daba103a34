//! `drain`: has the daemon start nothing more, and waits for what runs.
//!
//! Giving up waiting, by Ctrl-C or `--timeout`, takes nothing back.

use std::time::{Duration, Instant};

use hyper::Method;
use hyper::body::Bytes;

use super::context::{Context, one_value};
use crate::cli::args::DrainOptions;
use crate::cli::print;
use crate::cli::view::{RunView, read};
use crate::client::connection::{ANSWER_S, Ask};
use crate::client::failure::Failure;
use crate::wire::{DrainBody, RunsPage};

/// One question waits at most so long, in seconds; then it is asked again.
const WAIT_S: u64 = 60;
/// How many of the runs that are waited for are named.
const NAMED: usize = 5;
/// Something still runs, and the time that was given is up.
const TOO_LONG: u8 = 1;

/// Does what the words say.
pub async fn drain(context: &Context, options: DrainOptions) -> Result<u8, Failure> {
    if options.undo {
        context.daemon.ask(&Ask::new(Method::DELETE, "/v1/drain")).await?;
        print::note("runs are started again");
        return Ok(0);
    }
    let until = options.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds.unsigned_abs()));
    let mut body = context.daemon.ask(&Ask::new(Method::PUT, "/v1/drain")).await?;
    let mut drain: DrainBody = read(&body)?;
    if drain.running > 0 && !options.no_wait {
        tell_who_runs(context, drain.running).await;
        body = wait(context, body, until).await?;
        drain = read(&body)?;
    }
    if context.json {
        print::answer_json(one_value(&body)?)?;
    } else {
        print::answer(&standing(&drain))?;
    }
    let taken_back = !drain.draining;
    let gave_up = drain.running > 0 && !options.no_wait;
    Ok(if taken_back || gave_up { TOO_LONG } else { 0 })
}

/// Until nothing runs, somebody takes the drain back, or the time is up.
async fn wait(context: &Context, mut body: Bytes, until: Option<Instant>) -> Result<Bytes, Failure> {
    loop {
        let drain: DrainBody = read(&body)?;
        let left_s = until.map_or(WAIT_S, |until| until.saturating_duration_since(Instant::now()).as_secs());
        if drain.running == 0 || !drain.draining || (until.is_some() && left_s == 0) {
            return Ok(body);
        }
        let wait_s = left_s.min(WAIT_S);
        let path = format!("/v1/drain?wait_s={wait_s}");
        body = context.daemon.ask(&Ask { answer_s: wait_s + ANSWER_S, ..Ask::get(path) }).await?;
    }
}

/// Who is at a terminal wants to know what takes so long; that it cannot be told is no failure.
async fn tell_who_runs(context: &Context, running: i64) {
    let path = format!("/v1/runs?status=running&limit={NAMED}");
    let Ok(body) = context.daemon.ask(&Ask::get(path)).await else { return };
    let Ok(page) = read::<RunsPage>(&body) else { return };
    let named = page.runs.iter().filter_map(|run| Some(read::<RunView>(run.get().as_bytes()).ok()?.id.to_string()));
    let named: Vec<String> = named.collect();
    let more = if running > named.len() as i64 { ", …" } else { "" };
    let runs = if running == 1 { "run" } else { "runs" };
    print::note(&format!("nothing more is started; waiting for {runs} {}{more}", named.join(", ")));
}

fn standing(drain: &DrainBody) -> String {
    let runs = |count: i64| if count == 1 { "1 run".to_owned() } else { format!("{count} runs") };
    let waiting = match drain.queued {
        0 => "nothing waits".to_owned(),
        1 => "1 run waits".to_owned(),
        queued => format!("{queued} runs wait"),
    };
    match (drain.draining, drain.running) {
        (false, _) => "the drain was taken back by somebody".to_owned(),
        (true, 0) => format!("drained: nothing runs, {waiting}"),
        (true, running) => format!("nothing more is started; {} still going, {waiting}", runs(running)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_it_stands_is_told_in_words() {
        let text = |draining, running, queued| standing(&DrainBody { draining, running, queued });
        assert_eq!(text(true, 0, 0), "drained: nothing runs, nothing waits");
        assert_eq!(text(true, 0, 3), "drained: nothing runs, 3 runs wait");
        assert_eq!(text(true, 1, 1), "nothing more is started; 1 run still going, 1 run waits");
        assert_eq!(text(false, 0, 0), "the drain was taken back by somebody");
    }
}
