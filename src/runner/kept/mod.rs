//! Attempts whose commands outlive the daemon: each has a keeper (see `keep`), which this is the daemon's side of.
//!
//! A keeper is started, is written down, and only then told what to start. What it sends is stored, then acknowledged. When the
//! daemon goes it says nothing; the next one finds the keeper, or what that left, and reads on where it had stored. A
//! keeper that is silent is waited for, whatever it takes; one whose process is gone without a word was killed, and its
//! command is ended as any other that a dead daemon left.

mod adopt;
mod execution;
mod feed;
mod follow;
mod pieces;

use log::Level;

pub use adopt::{clear, over, take_over};
use feed::Feed;
use follow::follow;
use pieces::KeptPieces;

use super::artifacts;
use super::context::Context;
use super::execution::Outlet;
use super::keepers::{ANSWER, KeeperMark, Link, Whereabouts};
use super::running::Switch;
use super::session;
use super::settle::{End, settle};
use super::supervise::postponed;
use crate::inputs::Input;
use crate::keep::frame::Frame;
use crate::keep::place::name_of;
use crate::keep::protocol::{Cgroup, Exec, Hello, VERSION, WITH_CGROUPS};
use crate::run::{Exit, Left, Measured};
use crate::run_tokens::RunToken;
use crate::store::{Claimed, FaultLog, LeftRun};
use crate::timer::within;

/// Executes a claimed attempt of a run that survives the daemon, and settles it, unless the daemon goes first.
pub(super) async fn attempt(context: &Context, claimed: &Claimed, switch: Switch, input: Input, outlet: &mut Outlet) {
    let (run, attempt) = (claimed.run, claimed.attempt);
    match start(context, claimed, &switch, input).await {
        Ok((pieces, token)) => {
            let left = LeftRun {
                run,
                attempt,
                process: None,
                cancel_requested: false,
                options: claimed.options.clone(),
                kept: None,
            };
            follow(context, left, switch, pieces, Some(token), outlet).await;
        }
        Err(exit) => {
            artifacts::keep(context, &switch, run).await;
            let (asked, measured) = (switch.asked_now(), Measured::default());
            let end = End { run, attempt, process: None, asked, exit, measured };
            settle(&context.store, &switch, end).await;
        }
    }
}

/// Starts a keeper, writes it down, and tells it what to start.
async fn start(
    context: &Context,
    claimed: &Claimed,
    switch: &Switch,
    input: Input,
) -> Result<(KeptPieces, RunToken), Exit> {
    let run = claimed.run;
    if switch.asked_now().is_some() {
        return Err(Exit::Unknown);
    }
    let keepers = context.keepers.clone().map_err(|why| Exit::SpawnFailed(why.to_string()))?;
    let token = context.tokens.issue(run);
    let token = token.map_err(|error| Exit::SpawnFailed(format!("no random numbers: {error}")))?;
    let instance = context.environment.instance();
    let hello = Hello {
        version: VERSION,
        instance: instance.to_owned(),
        run: run.0,
        attempt: claimed.attempt,
        name: name_of(instance, run, claimed.attempt),
    };
    // All that goes wrong until it is told what to start leaves nothing behind.
    let started = keepers.start(&hello).await;
    let (mut link, child) = started.map_err(|error| postponed(context, run, format!("it has no keeper ({error})")))?;
    let cgroup = cgroup_of(context, claimed, &link, child.is_some()).map_err(Exit::SpawnFailed)?;
    let mark = KeeperMark {
        pid: link.welcome.pid,
        start_ticks: link.welcome.start_ticks,
        boot_id: context.environment.boot_id().to_owned(),
        directory: keepers.path(),
    };
    if let Err(error) = context.store.record_keeper(run, claimed.attempt, mark.to_text()).await {
        let log = FaultLog::new(Level::Error);
        log.failed(&error, format_args!("the keeper of run {run} cannot be recorded, and starts nothing"));
        return Err(postponed(context, run, "its keeper cannot be recorded".to_owned()));
    }
    if switch.asked_now().is_some() {
        return Err(Exit::Unknown);
    }
    context.shortage.is_over();
    let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let exec = Exec {
        command: context.environment.describe(claimed, &token),
        token: Some(token.reveal().to_owned()),
        timeout_ms: claimed.timeout_s.and_then(|s| u64::try_from(s).ok()).map(|s| s.saturating_mul(1_000)),
        grace_ms: ms(context.graces.kill),
        stop_signal: session::signal_of(claimed.options.stop_signal).as_raw(),
        ends_left: claimed.options.left == Left::Kill,
        cgroup,
    };
    context.groups.leave_to_keeper(run, claimed.attempt);
    let place = Whereabouts::of(&mark, Some(&keepers));
    link.send(&Frame::Exec(Box::new(exec)));
    link.send(&Frame::Resume(0));
    // A daemon that goes now leaves a keeper that knows what to start. One that is gone is found out by who follows it.
    let _ = within(ANSWER, link.written()).await;
    Ok((KeptPieces::new(place, hello, mark, Some(link), child, Feed::new(claimed.stdin.clone(), input)), token))
}

/// The cgroup that the keeper is to make. A queue or the configuration may have limited the run since it was submitted.
///
/// # Errors
/// Why its limits cannot be enforced, for people.
fn cgroup_of(context: &Context, claimed: &Claimed, link: &Link, is_ours: bool) -> Result<Option<Cgroup>, String> {
    let cgroup = context.groups.of_keeper(is_ours, &claimed.options.limits)?;
    if link.welcome.version < WITH_CGROUPS && cgroup.as_ref().is_some_and(|cgroup| !cgroup.limits.is_none()) {
        return Err("its keeper is of an earlier version, which knows no limits".to_owned());
    }
    Ok(cgroup)
}
