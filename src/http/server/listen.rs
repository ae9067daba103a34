//! Opens the listeners: TCP, and the Unix socket, to which nobody can connect before its mode is set.
//!
//! Never replaces a socket at which another program answers.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use async_channel::{Receiver, Sender};
use async_io::Async;
use rustix::fs::{AtFlags, FileType, Gid, Mode, Stat, chownat, fchmod, fstat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with};
use rustix::process::geteuid;

use super::tls::Tls;
use crate::dir::{FileAt, chmod_by};

/// Connections that wait to be accepted; the kernel's own limit is lower where it is.
const BACKLOG: i32 = 1_024;

/// The sockets that are listened on.
pub struct Listeners {
    /// TCP, unless there is none.
    pub tcp: Option<Async<TcpListener>>,
    /// TLS on TCP, where it is spoken.
    pub tls: Option<Arc<Tls>>,
    /// The Unix socket.
    pub unix: Async<UnixListener>,
    /// Listeners that replace it when its file has vanished.
    pub unix_again: Receiver<Async<UnixListener>>,
}

/// Hands a new listener of the Unix socket to the accept loop.
pub type UnixAgain = Sender<Async<UnixListener>>;

/// The file of the Unix socket.
#[derive(Debug)]
pub struct SocketFile {
    at: FileAt,
    device: u64,
    inode: u64,
}

impl SocketFile {
    /// Whether the file is still there and still the same.
    pub fn is_there(&self) -> bool {
        // By its path, as clients look for it: also the directory may have gone.
        let there = std::fs::symlink_metadata(self.at.path());
        there.is_ok_and(|meta| (meta.dev(), meta.ino()) == (self.device, self.inode))
    }

    /// Removes the file, unless it is another one by now.
    pub fn remove(&self) {
        let FileAt { dir, name } = &self.at;
        let there = dir.look(name);
        let is_ours = there.is_ok_and(|there| there.is_some_and(|stat| id(&stat) == (self.device, self.inode)));
        let removed = if is_ours { dir.remove(name) } else { Ok(()) };
        if let Err(error) = removed {
            log::warn!("the socket {} stays: {error}", self.at.path().display());
        }
    }
}

fn id(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// Listens on a TCP address; port 0 picks one, which `local_addr` tells.
///
/// # Errors
/// Where the address is taken, or is not this machine's.
pub fn bind_tcp(address: SocketAddr) -> io::Result<Async<TcpListener>> {
    take_tcp(TcpListener::bind(address)?)
}

/// Listens on a TCP socket that is bound already.
///
/// # Errors
/// Where the system does not accept it as a socket.
pub fn take_tcp(listener: TcpListener) -> io::Result<Async<TcpListener>> {
    // The standard library's backlog is 128: too short for a thousand clients that come back at once.
    listen(&listener, BACKLOG)?;
    Async::new(listener)
}

/// Listens on a Unix socket with mode 0600, or 0660 for `group`; only while the state directory's lock is held.
///
/// Its directory may be one that others write: what has its name is changed by a descriptor, and only where it is a socket
/// of this user's.
///
/// # Errors
/// Where something else is there, or another program answers at it.
pub fn bind_unix(path: &Path, group: Option<u32>) -> io::Result<(Async<UnixListener>, SocketFile)> {
    let at = FileAt::named(path)?;
    remove_stale(&at, path)?;
    let mode = if group.is_some() { 0o660 } else { 0o600 };
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // The file gets the socket's mode less the umask, so that it never has more; the umask may have left it less.
    fchmod(&socket, Mode::from_raw_mode(mode))?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    let held = at.dir.hold(&at.name)?;
    let stat = fstat(&held)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket || stat.st_uid != geteuid().as_raw() {
        return Err(io::Error::other("somebody has put something else there in this moment"));
    }
    let (device, inode) = id(&stat);
    let file = SocketFile { at, device, inode };
    let ready = give(&held, group).and_then(|()| {
        if fstat(&held)?.st_mode & 0o7777 != mode {
            chmod_by(&held, mode)?;
        }
        listen(&socket, BACKLOG)?;
        Async::new(UnixListener::from(socket))
    });
    match ready {
        Ok(listener) => Ok((listener, file)),
        Err(error) => {
            // A socket that nobody will answer at would only puzzle clients.
            file.remove();
            Err(error)
        }
    }
}

/// Opens the socket's file to a group.
fn give(held: &OwnedFd, group: Option<u32>) -> io::Result<()> {
    let Some(gid) = group else { return Ok(()) };
    chownat(held, "", None, Some(Gid::from_raw(gid)), AtFlags::EMPTY_PATH).map_err(|error| {
        let why = format!(
            "access.socket_group: it cannot be given to group {gid}, of which the daemon's user is no member: {error}"
        );
        io::Error::new(io::Error::from(error).kind(), why)
    })
}

/// Removes the socket that a dead daemon left.
fn remove_stale(at: &FileAt, path: &Path) -> io::Result<()> {
    let Some(stat) = at.dir.look(&at.name)? else { return Ok(()) };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        let why = "there is something else of this name, which is no socket";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
    }
    // Not to wait: whoever listens and takes nobody would keep every start waiting.
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let asking = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match connect(&asking, &SocketAddrUnix::new(path)?) {
        Err(Errno::CONNREFUSED) => at.dir.remove(&at.name),
        Err(Errno::NOENT) => Ok(()),
        Err(Errno::AGAIN | Errno::INPROGRESS) | Ok(()) => {
            Err(io::Error::new(io::ErrorKind::AddrInUse, "another program answers at this socket"))
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_socket_has_its_mode_and_a_stale_one_is_replaced() {
        let dir = std::env::temp_dir().join(format!("runabout-listen-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let path = dir.join("s");
        let (listener, file) = bind_unix(&path, None).expect("bound");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o7777, 0o600);
        assert_eq!(bind_unix(&path, None).map(|_| ()).map_err(|error| error.kind()), Err(io::ErrorKind::AddrInUse));
        drop(listener);
        let (stale, _) = bind_unix(&path, None).expect("bound where a dead daemon left one");
        drop(stale);
        file.remove();
        let (again, second) = bind_unix(&path, Some(rustix::process::getegid().as_raw())).expect("bound again");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o7777, 0o660);
        second.remove();
        assert!(!path.exists());
        drop(again);
        std::fs::write(&path, "data").expect("a file");
        assert_eq!(bind_unix(&path, None).map(|_| ()).map_err(|error| error.kind()), Err(io::ErrorKind::AlreadyExists));
        std::fs::remove_dir_all(dir).expect("removed");
    }
}
