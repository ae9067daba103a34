//! Waits for the daemon's children by SIGCHLD, and reaps those that no attempt owns.
//!
//! Each SIGCHLD wakes it, so it runs only where it must: on a system without pidfds, and where the daemon inherits processes
//! whose parents died (PID 1 of a container, a subreaper).

use std::sync::{Mutex, MutexGuard, PoisonError};

use event_listener::Event;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions, child_subreaper, getpid, waitid, waitpid};

use crate::process::{pidfds_are_there, procfs};
use crate::run::{Exit, Usage};
use crate::signals::RepeatedSignal;
use crate::system;

/// Notified when a child may have ended; one for the process, as SIGCHLD is.
static ENDED: Event = Event::new();
/// Children whose attempts were settled before they died; reaped later.
static UNREAPED: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Whether [`watch`] is needed here.
pub fn are_to_be_watched() -> bool {
    !pidfds_are_there() || is_heir()
}

/// Passes every SIGCHLD on, and reaps children that no attempt owns; `is_owned` says which are owned.
pub async fn watch(mut signal: RepeatedSignal, is_owned: impl Fn(Pid) -> bool) {
    loop {
        ENDED.notify(usize::MAX);
        if is_heir() {
            reap_strangers(&is_owned);
        }
        signal.next().await;
    }
}

/// Waits until a child is dead; it stays unreaped.
pub(super) async fn ended(pid: Pid) {
    let peek = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    loop {
        let listener = ENDED.listen();
        if !matches!(waitid(WaitId::Pid(pid), peek), Ok(None)) {
            return;
        }
        listener.await;
    }
}

/// Whether SIGKILL was the end of a dead child, which stays unreaped.
pub(super) fn was_killed(pid: Pid) -> bool {
    let peek = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let seen = waitid(WaitId::Pid(pid), peek);
    seen.is_ok_and(|seen| seen.is_some_and(|status| status.terminating_signal() == Some(Signal::KILL.as_raw())))
}

/// Reaps a child and returns how it ended and what it used; `None` when it is not dead.
pub(super) fn reap(pid: Pid) -> Option<(Exit, Option<Usage>)> {
    match system::reap(pid.as_raw_nonzero().get()) {
        Ok(Some(reaped)) => {
            let exit = match (reaped.code, reaped.signal) {
                (Some(code), _) => Exit::Code(code),
                (None, Some(signal)) => Exit::Signal(signal),
                (None, None) => Exit::Unknown,
            };
            let memory_peak_bytes = Some(reaped.memory_peak_bytes);
            Some((exit, Some(Usage { user_ms: reaped.user_ms, system_ms: reaped.system_ms, memory_peak_bytes })))
        }
        Ok(None) => None,
        Err(error) => {
            log::error!("process {pid:?} was reaped by somebody else: {error}");
            Some((Exit::Unknown, None))
        }
    }
}

/// Keeps a child that did not die in time, to be reaped later.
pub(super) fn leave_unreaped(child: Pid) {
    unreaped().push(child);
}

/// Reaps the kept children that have died meanwhile.
pub(super) fn reap_left() {
    unreaped().retain(|&child| reap(child).is_none());
}

fn unreaped() -> MutexGuard<'static, Vec<Pid>> {
    UNREAPED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether processes whose parents died become children of the daemon.
fn is_heir() -> bool {
    getpid().is_init() || child_subreaper().is_ok_and(|subreaper| subreaper.is_some())
}

/// Reaps dead children that no attempt owns, so that their pids are free again.
fn reap_strangers(is_owned: &impl Fn(Pid) -> bool) {
    let strangers =
        procfs::pids().filter_map(Pid::from_raw).filter(|&pid| !is_owned(pid) && !unreaped().contains(&pid));
    for pid in strangers {
        // Not our child, or alive.
        let _ = waitpid(Some(pid), WaitOptions::NOHANG);
    }
}
