//! What is left of a run after the end of its leader and of its session: it is told, and ended where the submit said so.
//!
//! Without a cgroup it is found by its environment, which is not enough to kill it for unasked: a command may have started a
//! service that is meant to stay. The daemon does not make itself the heir of such processes (a subreaper): it would not
//! know from which of its runs one comes, and programs look at their parent's number to see whether theirs has gone.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_lite::future;
use log::Level;
use rustix::process::Signal;
use serde_json::json;

use super::context::Context;
use super::graces::AFTERMATH;
use super::session;
use crate::event::Kind;
use crate::process::{Identity, procfs};
use crate::run::{Left, Options, RunId};
use crate::store::FaultLog;
use crate::timer::within;

/// Environments that are read (about 12 µs each) before other tasks get their turn.
const READ_AT_ONCE: usize = 32;
/// What was started with the leader, as the rest of a pipeline, ends within this time after it.
const ENDING: Duration = Duration::from_millis(50);
/// Processes that are named, at most.
const NAMED_MAX: usize = 50;

/// The signal that asks what is left to end, where the submit said that it is to.
pub(super) fn end_by(options: &Options) -> Option<Signal> {
    (options.left == Left::Kill).then(|| session::signal_of(options.stop_signal))
}

/// Searches for what carries the run's mark, and reports it. `also` are known to be left. Where they are to be ended, they are
/// asked by this signal, and killed after a moment.
pub(super) async fn tell(context: &Context, run: RunId, also: &[Identity], end_by: Option<Signal>) {
    let instance = context.environment.instance();
    let mut found = also.to_vec();
    for (count, pid) in procfs::pids().enumerate() {
        found.extend(session::tagged(pid, run, instance));
        if count % READ_AT_ONCE == READ_AT_ONCE - 1 {
            future::yield_now().await;
        }
    }
    found.retain(|identity| identity.lives());
    let left: BTreeMap<i32, String> = found.iter().map(|left| (left.pid, procfs::name(left.pid))).collect();
    if left.is_empty() {
        return;
    }
    let mut ended = false;
    if let Some(signal) = end_by {
        session::terminate(&found, signal);
        let _ = within(AFTERMATH, session::gone(&found)).await;
        let look = || procfs::pids().filter_map(|pid| session::tagged(pid, run, instance)).collect();
        ended = session::kill(run, look).await.is_empty();
    }
    report(context, run, left, ended).await;
}

/// Reports those of these that live on. What ends anyway is given a moment for it.
pub(super) async fn tell_of(context: &Context, run: RunId, left: &[Identity]) {
    if left.is_empty() {
        return;
    }
    let _ = within(ENDING, session::gone(left)).await;
    let left: BTreeMap<i32, String> =
        left.iter().filter(|left| left.lives()).map(|left| (left.pid, procfs::name(left.pid))).collect();
    if !left.is_empty() {
        report(context, run, left, false).await;
    }
}

/// In the log, and by an event of the run.
async fn report(context: &Context, run: RunId, left: BTreeMap<i32, String>, ended: bool) {
    let count = left.len();
    let (pids, names): (Vec<i32>, Vec<String>) = left.into_iter().take(NAMED_MAX).unzip();
    let named: Vec<String> = pids.iter().zip(&names).map(|(pid, name)| format!("{pid} ({name})")).collect();
    let (named, more) = (named.join(", "), count - pids.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    match ended {
        true => log::info!("run {run}: ended with it: {named}{more}"),
        false => log::warn!("run {run}: still running after the end of the run: {named}{more}"),
    }
    let data = json!({"pids": pids, "names": names, "count": count, "ended": ended});
    if let Err(error) = context.store.append(run, vec![(Kind::LeftBehind, data.to_string())]).await {
        FaultLog::new(Level::Error)
            .failed(&error, format_args!("run {run}: what it left behind could not be recorded"));
    }
}
