//! Waits for the end of one process: by its pidfd, or by its start time where the system has no pidfds.
//!
//! What was opened is checked to be this process, so that a reused pid is never waited for. Nothing here may block.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use async_io::{Async, Timer};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::process::{Identity, pidfds_are_there, procfs};

/// Pause between two checks of a process without a pidfd.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A process that can be waited for.
pub(super) struct Member {
    identity: Identity,
    pidfd: Option<Async<OwnedFd>>,
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
    if !pidfds_are_there() {
        return Ok(None);
    }
    Ok(Some(Async::new_nonblocking(pidfd_open(pid, PidfdFlags::empty())?)?))
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
