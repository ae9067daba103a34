//! Executes a claimed attempt, from its start to its settled end: requests to end it, its time limit, its grace.
//!
//! Knows neither pipes nor processes (see `execution`), and starts nothing whose claim is not on the medium.

use std::time::{Duration, Instant};

use async_io::Timer;
use futures_lite::future;
use log::Level;
use rustix::process::Signal;

use super::child::{Child, Unstarted};
use super::context::Context;
use super::execution::{Execution, Outlet, Pieces};
use super::graces::{AFTERMATH, Graces, KILL_PATIENCE};
use super::left_behind;
use super::running::Switch;
use super::settle::{End, PATIENCE, settle};
use crate::run::{Ask, Exit, RunId};
use crate::store::{Claimed, FaultLog, ProcessMark};
use crate::timer::{until, within};

/// Time after which output of an ended command that still waits is committed by itself.
const FLUSH_AFTER: Duration = Duration::from_secs(1);
/// Time after which a command's process is recorded, before any of its output. A shorter command is recorded together with
/// its end, which saves a commit. If the daemon dies before that, the process is found by its environment.
const RECORD_DELAY: Duration = Duration::from_millis(10);

/// Executes a claimed attempt and settles it. Dropping the future leaves the command running.
///
/// It counts as running from this call on, not from the first poll: a shutdown that has seen the
/// last claim misses none, and a stop that follows the start finds it.
pub(super) fn attempt(context: Context, claimed: Claimed) -> impl Future<Output = ()> + Send {
    let switch = context.running.register(claimed.run);
    async move {
        // Until the end is written, which takes along what no commit took.
        let mut outlet = Outlet::new(context.store.backlog().open(claimed.run));
        let end = execute(&context, &claimed, &switch, &mut outlet).await;
        settle(&context.store, &switch, end).await;
    }
}

/// Starts the command and waits for its end, unless the end was requested before.
async fn execute(context: &Context, claimed: &Claimed, switch: &Switch, outlet: &mut Outlet) -> End {
    let (run, attempt) = (claimed.run, claimed.attempt);
    let unstarted = |asked, exit| End { run, attempt, process: None, asked, exit };
    if let Some(asked) = switch.asked_now() {
        return unstarted(Some(asked), Exit::Unknown);
    }
    let deadline = claimed.timeout_s.and_then(deadline_after);
    let token = match context.tokens.issue(run) {
        Ok(token) => token,
        Err(error) => return unstarted(None, Exit::SpawnFailed(format!("no random numbers: {error}"))),
    };
    let (child, pipes) = match Child::spawn(&context.environment, claimed, &token) {
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

/// Resources are lacking, which is temporary: the attempt is tried again.
fn postponed(context: &Context, run: RunId, why: String) -> Exit {
    let (pause, is_first) = context.shortage.note();
    // Of those that fail together the first speaks for all.
    let level = if is_first { Level::Warn } else { Level::Debug };
    log::log!(level, "run {run} cannot be started yet: {why}; it is tried again in {} ms", pause.as_millis());
    Exit::Postponed { why, retry_ms: i64::try_from(pause.as_millis()).unwrap_or(i64::MAX) }
}

/// Records a started command, passes its output on, and returns how it ended.
async fn follow_to_its_end(
    context: &Context,
    claimed: &Claimed,
    switch: &Switch,
    deadline: Option<Instant>,
    execution: impl Execution,
    pieces: impl Pieces,
    outlet: &mut Outlet,
) -> End {
    let (run, attempt) = (claimed.run, claimed.attempt);
    switch.set_session(execution.session());
    let process = record_if_long(context, claimed, &execution).await;
    let supervised = supervise(&execution, pieces, outlet, switch, context.graces, deadline);
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
    if asked.is_some() {
        left_behind::report(context, run, &[]).await;
    }
    // Before its pid can be another's.
    switch.set_session(None);
    let exit = match execution.exit() {
        Exit::Signal(signal) if asked.is_none() && signal == Signal::KILL.as_raw() && context.oom.take() => Exit::Oom,
        exit => exit,
    };
    End { run, attempt, process, asked, exit }
}

/// Records a command that runs for more than [`RECORD_DELAY`]. Returns what is still to be recorded together with its end:
/// it was shorter, or the store could not take it.
async fn record_if_long(context: &Context, claimed: &Claimed, execution: &impl Execution) -> Option<ProcessMark> {
    let mark = execution.mark();
    if within(RECORD_DELAY, execution.exited()).await.is_some() {
        return Some(mark);
    }
    let run = claimed.run;
    let error = context.store.record_process(run, claimed.attempt, mark.clone()).await.err()?;
    FaultLog::new(Level::Error).failed(&error, format_args!("the process of run {run} could not be recorded yet"));
    Some(mark)
}

/// Passes a started command's output on until its end; returns who requested that, if anybody.
pub(super) async fn supervise(
    execution: &impl Execution,
    mut pieces: impl Pieces,
    outlet: &mut Outlet,
    switch: &Switch,
    graces: Graces,
    deadline: Option<Instant>,
) -> Option<Ask> {
    let gone = {
        let pumped = async {
            pieces.pump(outlet).await;
            future::pending().await
        };
        future::or(until_gone(execution, switch, graces, deadline), pumped).await
    };
    let swept = async {
        // Whoever is left of it, until nobody is or its time is up.
        if let Some((_, kill_at)) = gone {
            execution.sweep(kill_at).await;
        }
    };
    // What the store cannot take is lost with the daemon, or a full disk would keep it from ever ending.
    let given_up = async {
        switch.expedited().await;
        Timer::after(PATIENCE).await;
    };
    let drained = future::or(pieces.drain(outlet, Instant::now() + AFTERMATH), given_up);
    future::zip(drained, swept).await;
    gone.map(|(asked, _)| asked)
}

/// Waits for the leader's end, and brings it about on request: then returns who requested it, and when the processes that
/// are left are to be killed.
async fn until_gone(
    execution: &impl Execution,
    switch: &Switch,
    graces: Graces,
    deadline: Option<Instant>,
) -> Option<(Ask, Instant)> {
    let asked = async { Some(switch.asked().await) };
    let exited = async {
        execution.exited().await;
        switch.close()
    };
    // Requests first: the sender of the deciding one was told so.
    let asked = until(deadline, future::or(asked, exited)).await.unwrap_or_else(|| {
        switch.ask(Ask::Timeout);
        switch.asked_now()
    })?;
    execution.terminate();
    let grace = if asked == Ask::Shutdown { graces.shutdown } else { graces.kill };
    let grace_up = Instant::now().checked_add(grace);
    let expedited = async {
        switch.expedited().await;
        Timer::after(graces.shutdown).await;
        false
    };
    let dead = async {
        execution.exited().await;
        true
    };
    let hurried = async {
        switch.hurried().await;
        false
    };
    let is_dead = until(grace_up, future::or(dead, future::or(expedited, hurried))).await;
    let sweep_at = Instant::now() + AFTERMATH;
    if is_dead == Some(true) {
        return Some((asked, grace_up.map_or(sweep_at, |up| up.min(sweep_at))));
    }
    execution.kill();
    if within(KILL_PATIENCE, execution.exited()).await.is_none() {
        log::error!("the command of run {} outlives SIGKILL; its run is settled without it", switch.run());
    }
    Some((asked, Instant::now()))
}

/// `None` when it is beyond what a clock can count.
fn deadline_after(seconds: i64) -> Option<Instant> {
    Instant::now().checked_add(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

#[cfg(test)]
#[path = "attempt_tests.rs"]
pub(super) mod tests;
