//! Identifies one process beyond doubt: by its pidfd, or by its start time where the system has no pidfds.
//!
//! A process is checked again after its pidfd was opened and before it is signalled, so that a reused pid is never hit.
//! Nothing here may block.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::time::Duration;

use async_io::{Async, Timer};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, kill_process, pidfd_open, pidfd_send_signal};

use super::procfs;

/// Pause between two checks of a process without a pidfd.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Pid and start time, which no other process of this boot shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    /// Its pid, which may be reused.
    pub pid: i32,
    /// When it started, in clock ticks since the boot.
    pub start_ticks: i64,
}

/// A process that can be waited for.
pub(super) struct Member {
    identity: Identity,
    pidfd: Option<Async<OwnedFd>>,
}

impl Identity {
    /// Whether it is alive and still the same process. False where it cannot be read: it may be another by now.
    pub(super) fn lives(self) -> bool {
        procfs::stat(self.pid).is_some_and(|stat| self.is_of(stat))
    }

    /// Whether it is dead or its pid was reused. False where it cannot be read, as without descriptors: it may be alive.
    fn is_gone(self, seen: io::Result<Option<procfs::Stat>>) -> bool {
        seen.is_ok_and(|stat| !stat.is_some_and(|stat| self.is_of(stat)))
    }

    fn is_of(self, stat: procfs::Stat) -> bool {
        !stat.is_dead && stat.start_ticks == self.start_ticks
    }

    /// Sends it these signals, unless it is gone.
    pub(super) fn signal(self, signals: &[Signal]) {
        let Some(pid) = Pid::from_raw(self.pid) else { return };
        let pidfd = are_there().then(|| pidfd_open(pid, PidfdFlags::empty()).ok()).flatten();
        if !self.lives() {
            return;
        }
        for &signal in signals {
            // Without a pidfd it is checked and signalled by its pid. That fails when it is gone meanwhile, or not ours to
            // signal (a setuid program); nothing can be done about either.
            let by_pidfd = pidfd.as_ref().is_some_and(|pidfd| pidfd_send_signal(pidfd, signal).is_ok());
            if !by_pidfd && self.lives() {
                let _ = kill_process(pid, signal);
            }
        }
    }
}

impl Member {
    /// Opens it, then checks that what was opened is this process. `None` when it is gone.
    pub(super) fn open(identity: Identity) -> Option<Member> {
        Member::of(identity, open(Pid::from_raw(identity.pid)?))
    }

    /// A live process that could not be opened, for lack of descriptors, is polled as on a system without pidfds.
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

/// The pidfd of a process; `None` where the system has no pidfds.
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

    use async_io::block_on;
    use futures_lite::future::poll_once;

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
