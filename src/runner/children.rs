//! The daemon's children, its own and those that it inherits: how one ended, and who of them is nobody's.
//!
//! Only where it must, because each SIGCHLD wakes it: where there are no pidfds, and where it is the one who inherits
//! processes whose parents died (PID 1 of a container, a subreaper).

use std::sync::{Mutex, MutexGuard, PoisonError};

use event_listener::Event;
use rustix::process::{
    Pid, WaitId, WaitIdOptions, WaitIdStatus, WaitOptions, child_subreaper, getpid, waitid, waitpid,
};

use super::{member, procfs};
use crate::run::Exit;
use crate::signals::RepeatedSignal;

/// Rung when a child may have ended; one for the process, as SIGCHLD is.
static ENDED: Event = Event::new();
/// Were settled before they died: reaped when they have.
static UNREAPED: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Whether [`watch`] is needed here.
pub fn are_to_be_watched() -> bool {
    !member::are_there() || is_heir()
}

/// Tells of every SIGCHLD, and reaps who is nobody's; `is_owned` says whether a child is an attempt's own.
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

/// Says how a child ended, and frees its pid; `None` when it is not dead.
pub(super) fn reap(pid: Pid) -> Option<Exit> {
    match waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
        Ok(Some(status)) => Some(exit_of(&status)),
        Ok(None) => None,
        Err(error) => {
            log::error!("process {pid:?} was reaped by somebody else: {error}");
            Some(Exit::Unknown)
        }
    }
}

/// Takes over a child that did not die in time, to be reaped later.
pub(super) fn leave_unreaped(child: Pid) {
    unreaped().push(child);
}

/// Reaps those of them that have died meanwhile.
pub(super) fn reap_left() {
    unreaped().retain(|&child| reap(child).is_none());
}

fn unreaped() -> MutexGuard<'static, Vec<Pid>> {
    UNREAPED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn exit_of(status: &WaitIdStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unknown,
    }
}

/// Whether processes whose parents died become ours.
fn is_heir() -> bool {
    getpid().is_init() || child_subreaper().is_ok_and(|subreaper| subreaper.is_some())
}

/// An attempt's own process is left for the attempt; who else is dead is asked for, so that its number is free again.
fn reap_strangers(is_owned: &impl Fn(Pid) -> bool) {
    let strangers =
        procfs::pids().filter_map(Pid::from_raw).filter(|&pid| !is_owned(pid) && !unreaped().contains(&pid));
    for pid in strangers {
        // Not our child, or alive.
        let _ = waitpid(Some(pid), WaitOptions::NOHANG);
    }
}
