//! Identifies one process beyond doubt, and signals it and no other.
//!
//! A process is checked again after its pidfd was opened and before it is signalled, so that a reused pid is never hit.

use std::io;
use std::sync::OnceLock;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, kill_process, pidfd_open, pidfd_send_signal};

use super::procfs;

/// Pid and start time, which no other process of this boot shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Its pid, which may be reused.
    pub pid: i32,
    /// When it started, in clock ticks since the boot.
    pub start_ticks: i64,
}

impl Identity {
    /// Whether it is alive and still the same process. False where it cannot be read: it may be another by now.
    pub fn lives(self) -> bool {
        procfs::stat(self.pid).is_some_and(|stat| self.is_of(stat))
    }

    /// Whether it is dead or its pid was reused, by what was read of the pid. False where it cannot be read, as without
    /// descriptors: it may be alive.
    pub fn is_gone(self, seen: io::Result<Option<procfs::Stat>>) -> bool {
        seen.is_ok_and(|stat| !stat.is_some_and(|stat| self.is_of(stat)))
    }

    fn is_of(self, stat: procfs::Stat) -> bool {
        !stat.is_dead && stat.start_ticks == self.start_ticks
    }

    /// Sends it these signals, unless it is gone.
    pub fn signal(self, signals: &[Signal]) {
        let Some(pid) = Pid::from_raw(self.pid) else { return };
        let pidfd = pidfds_are_there().then(|| pidfd_open(pid, PidfdFlags::empty()).ok()).flatten();
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

/// Whether the system has pidfds: Linux before 5.3 has none, and a container's filter may refuse them.
pub fn pidfds_are_there() -> bool {
    static ARE_THERE: OnceLock<bool> = OnceLock::new();
    *ARE_THERE.get_or_init(|| match pidfd_open(getpid(), PidfdFlags::empty()) {
        Ok(_) => true,
        Err(Errno::NOSYS | Errno::PERM) => false,
        // Not for good: there are no descriptors left, or no memory.
        Err(_) => true,
    })
}
