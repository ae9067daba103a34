//! Executes a claimed attempt, from its start to its settled end: requests to end it, its time limit, its grace.
//!
//! Knows neither pipes nor processes (see `execution`), and starts nothing whose claim is not on the medium.

use std::io;
use std::time::{Duration, Instant};

use async_io::Timer;
use futures_lite::future;
use log::Level;
use rustix::process::Signal;

use super::artifacts;
use super::child::Child;
use super::context::Context;
use super::execution::{Ended, Execution, Outlet, Pieces};
use super::running::Switch;
use super::settle::{End, settle};
use super::supervise::{FLUSH_AFTER, RECORD_DELAY, postponed, supervise};
use super::unstarted::Unstarted;
use super::{kept, left_behind};
use crate::inputs::Input;
use crate::run::{Exit, Measured};
use crate::store::{Claimed, FaultLog, ProcessMark};
use crate::timer::mostly_within;

/// Executes a claimed attempt and settles it. Dropping the future leaves the command running.
///
/// It counts as running from this call on, not from the first poll: a shutdown that has seen the
/// last claim misses none, and a stop that follows the start finds it.
pub(super) fn attempt(context: Context, claimed: Claimed) -> impl Future<Output = ()> + Send {
    let switch = context.running.register(claimed.run);
    // From here on, so that a daemon that stops while its keeper starts does not take it along.
    switch.set_survives(claimed.options.survives());
    let input = context.inputs.open(claimed.run, claimed.options.stdin.is_some(), claimed.options.pty);
    async move {
        // Until the end is written, which takes along what no commit took.
        let mut outlet = Outlet::new(context.store.backlog().open(claimed.run));
        let lasts = claimed.options.survives();
        let end = match context.artifacts.begin(claimed.run, lasts) {
            Ok(artifacts_dir) => {
                let claimed = Claimed { artifacts_dir, ..claimed };
                if lasts {
                    // In a box: few runs do, and all would have its size.
                    return Box::pin(kept::attempt(&context, &claimed, switch, input, &mut outlet)).await;
                }
                execute(&context, &claimed, &switch, input, &mut outlet).await
            }
            Err(error) => not_begun(&context, &claimed, &switch, &error),
        };
        artifacts::keep(&context, &switch, end.run).await;
        settle(&context.store, &switch, end).await;
    }
}

/// Starts the command and waits for its end, unless the end was requested before.
async fn execute(context: &Context, claimed: &Claimed, switch: &Switch, input: Input, outlet: &mut Outlet) -> End {
    let (run, attempt) = (claimed.run, claimed.attempt);
    let unstarted = |asked, exit| End { run, attempt, process: None, asked, exit, measured: Measured::default() };
    if let Some(asked) = switch.asked_now() {
        return unstarted(Some(asked), Exit::Unknown);
    }
    let deadline = claimed.timeout_s.and_then(deadline_after);
    let token = match context.tokens.issue(run) {
        Ok(token) => token,
        Err(error) => return unstarted(None, Exit::SpawnFailed(format!("no random numbers: {error}"))),
    };
    let (child, pipes) = match Child::spawn(&context.environment, &context.groups, claimed, &token, input) {
        Ok(started) => started,
        Err(Unstarted { why, is_shortage: false }) => return unstarted(None, Exit::SpawnFailed(why)),
        Err(Unstarted { why, is_shortage: true }) => {
            return unstarted(switch.asked_now(), postponed(context, run, why));
        }
    };
    context.shortage.is_over();
    // The token ends here, before the end of the run is recorded.
    follow_to_its_end(context, claimed, switch, deadline, child, pipes, outlet).await
}

/// There is no directory for the files of an attempt, for lack of space most likely: it is tried again.
fn not_begun(context: &Context, claimed: &Claimed, switch: &Switch, error: &io::Error) -> End {
    let (run, attempt) = (claimed.run, claimed.attempt);
    let exit = postponed(context, run, format!("the directory for its artifacts cannot be made: {error}"));
    End { run, attempt, process: None, asked: switch.asked_now(), exit, measured: Measured::default() }
}

/// Records a started command, passes its output on, and returns how it ended.
async fn follow_to_its_end(
    context: &Context,
    claimed: &Claimed,
    switch: &Switch,
    deadline: Option<Instant>,
    execution: impl Execution,
    mut pieces: impl Pieces,
    outlet: &mut Outlet,
) -> End {
    let (run, attempt) = (claimed.run, claimed.attempt);
    switch.set_session(execution.session());
    let process = record_if_long(context, claimed, &execution).await;
    let left = claimed.options.left;
    let supervised = supervise(&execution, &mut pieces, outlet, switch, context.graces, deadline, left);
    // Where output waits for room, what an ended command left in its pipes must not: only its end can make some.
    let flushed = async {
        execution.exited().await;
        loop {
            Timer::after(FLUSH_AFTER).await;
            // Tried again; the store says why.
            let _ = context.store.flush_run(run).await;
        }
    };
    let asked = future::or(supervised, flushed).await;
    let (end_left_by, left) = (left_behind::end_by(&claimed.options), execution.left());
    if asked.is_some() || end_left_by.is_some() {
        left_behind::tell(context, run, &left.unwrap_or_default(), end_left_by).await;
    } else if let Some(left) = left {
        left_behind::tell_of(context, run, &left).await;
    }
    // Before its pid can be another's.
    switch.set_session(None);
    let ended = execution.exit();
    let exit = match ended.exit {
        Exit::Signal(signal) if asked.is_none() && signal == Signal::KILL.as_raw() && context.was_out_of_memory() => {
            Exit::Oom
        }
        ref exit => exit.clone(),
    };
    let ended = Ended { exit: exit.clone(), ..ended };
    End { run, attempt, process, asked, exit, measured: context.measured(asked, ended) }
}

/// Records a command that runs for more than [`RECORD_DELAY`]. Returns what is still to be recorded together with its end:
/// it was shorter, or the store could not take it.
async fn record_if_long(context: &Context, claimed: &Claimed, execution: &impl Execution) -> Option<ProcessMark> {
    let mark = execution.mark();
    if mostly_within(RECORD_DELAY, execution.exited()).await.is_some() {
        return Some(mark);
    }
    let run = claimed.run;
    let error = context.store.record_process(run, claimed.attempt, mark.clone()).await.err()?;
    FaultLog::new(Level::Error).failed(&error, format_args!("the process of run {run} could not be recorded yet"));
    Some(mark)
}

/// `None` when it is beyond what a clock can count.
fn deadline_after(seconds: i64) -> Option<Instant> {
    Instant::now().checked_add(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

#[cfg(test)]
#[path = "attempt_tests.rs"]
pub(super) mod tests;
