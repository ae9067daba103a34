//! Notifies the service manager, and takes over the listening sockets that it has bound.
//!
//! Without a service manager every notification does nothing. Sockets are recognised by their type, never by name or order.

use std::net::TcpListener;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use rustix::net::sockopt::{socket_acceptconn, socket_domain, socket_type};
use rustix::net::{AddressFamily, SocketType};
use rustix::time::{ClockId, clock_gettime};
use sd_notify::NotifyState;

use crate::system;

/// Time for a stop beyond the grace of the commands: settling them, ending streams, the last checkpoint.
const STOP_BEYOND_GRACE: Duration = Duration::from_secs(20);

/// The listening sockets that the service manager has bound (sd_listen_fds(3)).
#[derive(Debug, Default)]
pub struct InheritedSockets {
    /// Serves in place of `listen`.
    pub tcp: Option<TcpListener>,
    /// Serves in place of `[access] socket`.
    pub unix: Option<UnixListener>,
}

impl InheritedSockets {
    /// Takes the sockets over; to be called once, before anything else could own their descriptors.
    ///
    /// # Errors
    /// When there is one that the daemon cannot serve; the text is for people.
    pub fn take() -> Result<InheritedSockets, String> {
        let handed = system::handed_descriptors().map_err(|error| format!("LISTEN_FDS: {error}"))?;
        let mut inherited = InheritedSockets::default();
        for fd in handed {
            let number = fd.as_raw_fd();
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

/// The directory that the service manager keeps for what lasts from one daemon to the next: the first of its paths.
pub fn runtime_directory() -> Option<PathBuf> {
    let all = std::env::var_os("RUNTIME_DIRECTORY")?;
    std::env::split_paths(&all).next().filter(|path| path.is_absolute())
}

/// Notifies that the daemon serves.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Notifies that the daemon stops, and asks for as long as commands may take: the unit's own timeout may be shorter than the
/// configured grace.
pub fn stopping(grace: Duration) {
    let within = u32::try_from((grace + STOP_BEYOND_GRACE).as_micros()).unwrap_or(u32::MAX);
    let status = "stopping: waiting for commands to end";
    notify(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(within), NotifyState::Status(status)]);
}

/// Notifies that files are being reloaded; [`ready`] ends that.
pub fn reloading() {
    let now = clock_gettime(ClockId::Monotonic);
    let now_us = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
    notify(&[NotifyState::Reloading, NotifyState::MonotonicUsec(now_us)]);
}

/// How often to call [`alive`]: half of the watchdog's limit; `None` without a watchdog.
pub fn watchdog_interval() -> Option<Duration> {
    let limit = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero())?;
    // A limit that nobody could keep must not become a loop.
    Some((limit / 2).max(Duration::from_millis(1)))
}

/// Notifies the watchdog that the daemon works.
pub fn alive() {
    notify(&[NotifyState::Watchdog]);
}

fn notify(what: &[NotifyState<'_>]) {
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
