//! One live process that cannot be mistaken for another: by its pidfd, or where the system has none, by its start.
//!
//! What is opened is looked at again before it is signalled: a pid that was given out anew is never hit. Nobody here
//! may block.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::time::Duration;

use async_io::{Async, Timer};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, kill_process, pidfd_open, pidfd_send_signal};

use super::procfs;

/// Between two looks at a process that has no pidfd.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A process that was seen, by what no other has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    /// Its number, which may be given out again.
    pub pid: i32,
    /// When it started, in ticks since the boot.
    pub start_ticks: i64,
}

/// A process that is held.
pub(super) struct Member {
    identity: Identity,
    pidfd: Option<Async<OwnedFd>>,
}

impl Identity {
    /// Whether it lives, and is still the one that was seen. What cannot be looked at may be another by now.
    pub(super) fn lives(self) -> bool {
        procfs::stat(self.pid).is_some_and(|stat| self.is_of(stat))
    }

    /// Whether it is dead, or its number another's. What cannot be looked at, as without descriptors, may still live.
    fn is_gone(self, seen: io::Result<Option<procfs::Stat>>) -> bool {
        seen.is_ok_and(|stat| !stat.is_some_and(|stat| self.is_of(stat)))
    }

    fn is_of(self, stat: procfs::Stat) -> bool {
        !stat.is_dead && stat.start_ticks == self.start_ticks
    }

    /// Signals it, unless it is gone.
    pub(super) fn signal(self, signals: &[Signal]) {
        let Some(pid) = Pid::from_raw(self.pid) else { return };
        let pidfd = are_there().then(|| pidfd_open(pid, PidfdFlags::empty()).ok()).flatten();
        if !self.lives() {
            return;
        }
        for &signal in signals {
            // What cannot be signalled by pidfd is looked at and signalled by its number. Gone meanwhile, or not ours to
            // signal (a setuid program): there is no more to be done about either.
            let by_pidfd = pidfd.as_ref().is_some_and(|pidfd| pidfd_send_signal(pidfd, signal).is_ok());
            if !by_pidfd && self.lives() {
                let _ = kill_process(pid, signal);
            }
        }
    }
}

impl Member {
    /// Opens first, looks then: what is found is what was opened. `None` where it is gone.
    pub(super) fn open(identity: Identity) -> Option<Member> {
        Member::of(identity, open(Pid::from_raw(identity.pid)?))
    }

    /// What lives and could not be opened, for want of descriptors, is waited for as where there are no pidfds.
    fn of(identity: Identity, opened: io::Result<Option<Async<OwnedFd>>>) -> Option<Member> {
        let is_gone = identity.is_gone(procfs::try_stat(identity.pid));
        (!is_gone).then(|| Member { identity, pidfd: opened.unwrap_or_default() })
    }

    /// Waits until it is dead.
    pub(super) async fn gone(&self) {
        match &self.pidfd {
            Some(pidfd) => has_exited(pidfd).await,
            None => {
                while !self.identity.is_gone(procfs::try_stat(self.identity.pid)) {
                    Timer::after(LOOK_AGAIN).await;
                }
            }
        }
    }
}

/// The pidfd of a process; `None` where the system has none.
pub(super) fn open(pid: Pid) -> io::Result<Option<Async<OwnedFd>>> {
    if !are_there() {
        return Ok(None);
    }
    Ok(Some(Async::new_nonblocking(pidfd_open(pid, PidfdFlags::empty())?)?))
}

/// Whether the system has pidfds: Linux before 5.3 has none, and a container's filter may refuse them.
pub fn are_there() -> bool {
    static ARE_THERE: OnceLock<bool> = OnceLock::new();
    *ARE_THERE.get_or_init(|| match pidfd_open(getpid(), PidfdFlags::empty()) {
        Ok(_) => true,
        Err(Errno::NOSYS | Errno::PERM) => false,
        // Not for good: there are no descriptors left, or no memory.
        Err(_) => true,
    })
}

/// Waits until the process of a pidfd is dead, be it a child or not.
pub(super) async fn has_exited(pidfd: &Async<OwnedFd>) {
    while let Err(error) = pidfd.readable().await {
        log::error!("cannot wait for a process: {error}");
        Timer::after(Duration::from_secs(1)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use futures_lite::future::{block_on, poll_once};

    use super::*;

    fn no_descriptors() -> io::Error {
        io::Error::from_raw_os_error(libc::EMFILE)
    }

    #[test]
    fn what_cannot_be_opened_is_not_taken_for_gone() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep");
        let pid = i32::try_from(child.id()).expect("a pid");
        let identity = Identity { pid, start_ticks: procfs::stat(pid).expect("it lives").start_ticks };
        let member = Member::of(identity, Err(no_descriptors())).expect("it lives");
        assert!(block_on(poll_once(member.gone())).is_none(), "it is waited for");
        assert!(!identity.is_gone(Err(no_descriptors())), "nobody could look");
        child.kill().expect("ours");
        block_on(member.gone());
        child.wait().expect("ours");
        assert!(Member::open(identity).is_none());
    }
}
