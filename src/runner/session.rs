//! Finds, terminates and kills the processes of an attempt: all of its session, whatever groups they have made.
//!
//! A session id is not reused while its leader is unreaped or any process is left in it. Processes are searched for only when
//! the end of the attempt was requested: an ordinary exit leaves background processes alone.

use std::time::{Duration, Instant};

use async_io::Timer;
use rustix::process::{Pid, Signal};

use super::graces::KILL_PATIENCE;
use super::member::{Identity, Member};
use super::procfs;
use crate::run::RunId;
use crate::system;
use crate::timer::within;

/// Processes that are waited for at once; the others are searched for again afterwards.
const HELD_MAX: usize = 64;
/// Pause between two searches for processes that were forked while their session was being killed.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Every live process of these sessions, with its session id.
pub(super) fn members_of(sessions: &[Pid]) -> impl Iterator<Item = (i32, Identity, procfs::Stat)> {
    procfs::pids().filter_map(move |pid| {
        let is_in = |session: i32| sessions.iter().any(|wanted| wanted.as_raw_nonzero().get() == session);
        if !is_in(system::session_and_group(pid).0) {
            return None;
        }
        let stat = procfs::stat(pid).filter(|stat| !stat.is_dead && is_in(stat.session))?;
        Some((stat.session, Identity { pid, start_ticks: stat.start_ticks }, stat))
    })
}

/// The live processes of a session.
pub(super) fn members(session: Pid) -> Vec<Identity> {
    members_of(&[session]).map(|(_, identity, _)| identity).collect()
}

/// Sends each of them SIGTERM, and SIGCONT in case it is stopped.
pub(super) fn terminate(who: &[Identity]) {
    for identity in who {
        identity.signal(&[Signal::TERM, Signal::CONT]);
    }
}

/// Waits until they are gone; of many, until the first ones are.
pub(super) async fn gone(who: &[Identity]) {
    let held: Vec<Member> = who.iter().filter_map(|&identity| Member::open(identity)).take(HELD_MAX).collect();
    for member in &held {
        member.gone().await;
    }
}

/// Sends SIGKILL until a search finds no process, or [`KILL_PATIENCE`] is over; returns the processes that are left then.
///
/// A search is faster than a fork, so that processes that fork meanwhile are found in the end.
pub(super) async fn kill(run: RunId, mut look: impl FnMut() -> Vec<Identity>) -> Vec<Identity> {
    let patience_up = Instant::now() + KILL_PATIENCE;
    loop {
        let left = look();
        // Nobody is seen either where nobody can look.
        if left.is_empty() && procfs::can_be_read() {
            return left;
        }
        if Instant::now() >= patience_up {
            log::error!("run {run}: {} processes outlive SIGKILL; it is settled without them", left.len());
            return left;
        }
        left.iter().for_each(|identity| identity.signal(&[Signal::KILL]));
        if left.is_empty() {
            Timer::after(LOOK_AGAIN).await;
        } else {
            let _ = within(LOOK_AGAIN, gone(&left)).await;
        }
    }
}

/// The process, if it is alive and its environment names this run of this database, whatever session it is in.
pub(super) fn tagged(pid: i32, run: RunId, instance: &str) -> Option<Identity> {
    let is_own = i32::try_from(std::process::id()) == Ok(pid);
    if is_own || tag(&procfs::environment(pid), instance) != Some(run) {
        return None;
    }
    let stat = procfs::stat(pid).filter(|stat| !stat.is_dead)?;
    Some(Identity { pid, start_ticks: stat.start_ticks })
}

/// The run that an environment names, if it names this database as well.
pub(super) fn tag(environment: &[u8], instance: &str) -> Option<RunId> {
    let value = |key: &str| {
        let entries = environment.split(|&byte| byte == 0);
        entries.filter_map(|entry| entry.strip_prefix(key.as_bytes())).next_back()
    };
    if value("RUNABOUT_INSTANCE=")? != instance.as_bytes() {
        return None;
    }
    std::str::from_utf8(value("RUNABOUT_RUN_ID=")?).ok()?.parse().ok().map(RunId)
}
