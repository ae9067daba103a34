//! The service manager's side of the daemon: what it is told, and the listening sockets that it hands over.
//!
//! Where nobody listens nothing is said, and nothing is looked at twice. It must never take a socket for something
//! else than it is, and never decide what the daemon does.
#![allow(unsafe_code)]

use std::net::TcpListener;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use rustix::net::sockopt::{socket_acceptconn, socket_domain, socket_type};
use rustix::net::{AddressFamily, SocketType};
use rustix::time::{ClockId, clock_gettime};
use sd_notify::NotifyState;

/// What stopping takes beyond the grace that commands have: settling them, ending streams, the last checkpoint.
const STOP_BEYOND_GRACE: Duration = Duration::from_secs(20);

/// The sockets that were bound for us (sd_listen_fds(3)), told apart by what they are and not by name or order.
#[derive(Debug, Default)]
pub struct InheritedSockets {
    /// In place of `listen`.
    pub tcp: Option<TcpListener>,
    /// In place of `[access] socket`.
    pub unix: Option<UnixListener>,
}

impl InheritedSockets {
    /// Takes what was handed over to this process; to be called once, before anything else could own these numbers.
    ///
    /// # Errors
    /// Something that the daemon does not serve, for people.
    pub fn take() -> Result<InheritedSockets, String> {
        let numbers = sd_notify::listen_fds().map_err(|error| format!("LISTEN_FDS: {error}"))?;
        let mut inherited = InheritedSockets::default();
        for number in numbers {
            // SAFETY: sd_listen_fds(3) gives the descriptors of these numbers to the process whose id is in LISTEN_PID,
            // which `listen_fds` has checked, as it has that they are open; nobody else in here has taken them.
            let fd = unsafe { OwnedFd::from_raw_fd(number) };
            inherited.put(fd).map_err(|why| format!("the service manager handed over descriptor {number}, {why}"))?;
        }
        Ok(inherited)
    }

    fn put(&mut self, fd: OwnedFd) -> Result<(), String> {
        let is_listening = socket_type(&fd) == Ok(SocketType::STREAM) && socket_acceptconn(&fd) == Ok(true);
        if !is_listening {
            return Err("which is not a listening stream socket; its unit needs ListenStream= and Accept=no".into());
        }
        let taken = match socket_domain(&fd).map_err(|error| error.to_string())? {
            AddressFamily::INET | AddressFamily::INET6 => self.tcp.replace(TcpListener::from(fd)).is_some(),
            AddressFamily::UNIX => self.unix.replace(UnixListener::from(fd)).is_some(),
            other => return Err(format!("a socket of the address family {}, which is not served", other.as_raw())),
        };
        if taken {
            Err("a second socket of its kind; one for TCP and one Unix socket can be served".into())
        } else {
            Ok(())
        }
    }
}

/// The daemon serves.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The daemon is on its way out, which takes as long as commands may take. The unit's own timeout may be shorter than the
/// configured grace and would cut it off.
pub fn stopping(grace: Duration) {
    let within = u32::try_from((grace + STOP_BEYOND_GRACE).as_micros()).unwrap_or(u32::MAX);
    let status = "stopping: waiting for commands to end";
    tell(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(within), NotifyState::Status(status)]);
}

/// What can be read again is read again; [`ready`] says when that is over.
pub fn reloading() {
    let now = clock_gettime(ClockId::Monotonic);
    let now_us = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
    tell(&[NotifyState::Reloading, NotifyState::MonotonicUsec(now_us)]);
}

/// How often the service manager wants to hear [`alive`]: half of what it waits for; `None` where it does not wait.
pub fn watchdog_interval() -> Option<Duration> {
    let limit = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero())?;
    // A limit that nobody could keep must not become a loop.
    Some((limit / 2).max(Duration::from_millis(1)))
}

/// The daemon lives.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

fn tell(what: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(what) {
        log::warn!("the service manager cannot be told {what:?}: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_told_apart_by_what_they_are() {
        let tcp = || OwnedFd::from(TcpListener::bind("127.0.0.1:0").expect("bound"));
        let mut inherited = InheritedSockets::default();
        inherited.put(tcp()).expect("a TCP socket");
        assert!(inherited.put(tcp()).expect_err("one is enough").contains("second"));
        let (connected, _other) = std::os::unix::net::UnixStream::pair().expect("a pair");
        assert!(inherited.put(connected.into()).expect_err("not listening").contains("Accept=no"));
        let file = std::fs::File::open("/dev/null").expect("opened");
        assert!(inherited.put(file.into()).expect_err("no socket").contains("ListenStream="));
        assert!(inherited.tcp.is_some() && inherited.unix.is_none());
    }
}
