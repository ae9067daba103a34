//! What every attempt has in common, whatever executes it: requests to end it, its time limit, its grace, its output.
//!
//! Knows neither pipes nor processes: see `execution`.

use std::time::{Duration, Instant};

use async_io::Timer;
use futures_lite::future;
use log::Level;

use super::context::Context;
use super::execution::{Execution, Outlet, Pieces};
use super::graces::{AFTERMATH, Graces, KILL_PATIENCE};
use super::running::Switch;
use super::settle::PATIENCE;
use crate::run::{Ask, Exit, Left, RunId};
use crate::timer::{until, within};

/// Time after which output of an ended command that still waits is committed by itself.
pub(super) const FLUSH_AFTER: Duration = Duration::from_secs(1);
/// Time after which a command's process is recorded, before any of its output. A shorter command is recorded together with
/// its end, which saves a commit. If the daemon dies before that, the process is found by its environment.
pub(super) const RECORD_DELAY: Duration = Duration::from_millis(10);

/// Passes a started command's output on until its end; returns who requested that, if anybody.
pub(super) async fn supervise(
    execution: &impl Execution,
    pieces: &mut impl Pieces,
    outlet: &mut Outlet,
    switch: &Switch,
    graces: Graces,
    deadline: Option<Instant>,
    left: Left,
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
        } else if left == Left::Kill {
            execution.terminate(None);
            execution.sweep(Instant::now() + AFTERMATH).await;
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
    execution.terminate(Some(asked));
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
        let run = switch.run();
        if switch.remote().is_detached() {
            // Nothing was killed yet, and the run is not settled before the keeper says how it ended.
            log::warn!("the command of run {run} is ended once its keeper answers");
        } else {
            log::error!("the command of run {run} outlives SIGKILL; its run is settled without it");
        }
    }
    Some((asked, Instant::now()))
}

/// Resources are lacking, which is temporary: the attempt is tried again.
pub(super) fn postponed(context: &Context, run: RunId, why: String) -> Exit {
    let (pause, is_first) = context.shortage.note();
    // Of those that fail together the first speaks for all.
    let level = if is_first { Level::Warn } else { Level::Debug };
    log::log!(level, "run {run} cannot be started yet: {why}; it is tried again in {} ms", pause.as_millis());
    Exit::Postponed { why, retry_ms: i64::try_from(pause.as_millis()).unwrap_or(i64::MAX) }
}
