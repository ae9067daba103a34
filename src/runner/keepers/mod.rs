//! Where keepers are, and how one is started: by the service manager, in a unit of its own, or by this process.

mod link;

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use async_io::Async;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Pid, geteuid};
use serde::{Deserialize, Serialize};

use crate::credentials::Credentials;
use crate::dir::Dir;
use crate::keep::COMMAND;
use crate::keep::frame::Frame;
use crate::keep::place::{DIRECTORY, END, UNFINISHED, path_in};
use crate::keep::protocol::Hello;
use crate::process::{Identity, procfs, start_again};
use crate::text::json;
use crate::timer::within;
pub(super) use link::Link;

/// The service manager's socket, in the runtime directory: whoever connects gets a keeper.
const SOCKET: &str = "keep.sock";
/// How long a keeper may take to answer.
pub(super) const ANSWER: Duration = Duration::from_secs(5);
/// How long a new one may take: the service manager may have a whole unit to start, on a slow card.
const START: Duration = Duration::from_secs(30);

/// What tells a keeper from every other process, and where it is found; stored with its run before it may start anything.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KeeperMark {
    pub pid: i32,
    pub start_ticks: i64,
    pub boot_id: String,
    /// The directory of its socket.
    pub directory: String,
}

impl KeeperMark {
    pub(super) fn to_text(&self) -> String {
        // Its keys are texts, and its numbers JSON's.
        json(self).unwrap_or_default()
    }

    pub(super) fn parse(text: &str) -> Option<KeeperMark> {
        serde_json::from_str(text).ok()
    }

    /// Whether its process is gone. False where that cannot be found out.
    pub(super) fn is_gone(&self) -> bool {
        let identity = Identity { pid: self.pid, start_ticks: self.start_ticks };
        self.boot_id != procfs::boot_id() || identity.is_gone(procfs::try_stat(self.pid))
    }
}

/// The directory of keepers.
#[derive(Debug)]
pub struct Keepers {
    directory: Dir,
    /// The runtime directory, where the service manager may have a socket.
    runtime: Option<Dir>,
}

impl Keepers {
    /// Opens the directory, in the runtime directory where there is one, else in the state directory.
    ///
    /// # Errors
    /// Why there can be no keepers, for people.
    pub fn open(state: &Dir, runtime: Option<&std::path::Path>) -> Result<Keepers, String> {
        if !procfs::is_there() {
            return Err("a run cannot survive the daemon without /proc".to_owned());
        }
        let runtime = runtime.map(|path| {
            let opened = Dir::open(path).and_then(|dir| dir.must_be_ours().map(|()| dir));
            opened.map_err(|error| format!("the runtime directory {}: {error}", path.display()))
        });
        let runtime = runtime.transpose()?;
        let above = runtime.as_ref().unwrap_or(state);
        let failed = |error| format!("{}: {error}", above.path().join(DIRECTORY).display());
        let directory = above.private(DIRECTORY).map_err(failed)?;
        Ok(Keepers { directory, runtime })
    }

    /// Its path, for the next daemon.
    pub(super) fn path(&self) -> String {
        self.directory.path().display().to_string()
    }

    /// The names in it.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        self.directory.names()
    }

    /// Starts a keeper; where it is a child of this process, its pid comes along.
    ///
    /// # Errors
    /// Why there is none. Then nothing was started.
    pub(super) async fn start(self: &Arc<Keepers>, hello: &Hello) -> io::Result<(Link, Option<Pid>)> {
        let (stream, child) = match self.of_service_manager().await? {
            Some(stream) => (stream, None),
            None => {
                let (ours, theirs) = UnixStream::pair()?;
                let name = format!("{}.{}", hello.run, hello.attempt);
                let child = start_again(&[COMMAND, &name], theirs.as_fd())?;
                (Async::new(ours)?, Some(child))
            }
        };
        let link = async {
            let mut bytes = Vec::new();
            Frame::Hello(hello.clone()).encode(&mut bytes);
            send_with(&stream, &bytes, self.directory.as_fd())?;
            Link::welcomed(stream, hello).await
        };
        match within(START, link).await.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into())) {
            Ok(link) => Ok((link, child)),
            Err(error) => {
                child.into_iter().for_each(crate::runner::children::leave_unreaped);
                Err(error)
            }
        }
    }

    /// Whether the service manager starts them, each in a unit of its own.
    pub fn have_units(&self) -> bool {
        self.runtime.as_ref().is_some_and(|runtime| runtime.look(SOCKET).is_ok_and(|found| found.is_some()))
    }

    /// A connection to a keeper that the service manager starts; `None` where it has no socket for that.
    async fn of_service_manager(&self) -> io::Result<Option<Async<UnixStream>>> {
        let Some(runtime) = &self.runtime else { return Ok(None) };
        if runtime.look(SOCKET)?.is_none() {
            return Ok(None);
        }
        let connected = Async::<UnixStream>::connect(path_in(runtime.as_fd(), SOCKET)?);
        let stream = within(ANSWER, connected).await.ok_or(io::ErrorKind::TimedOut)?;
        match stream {
            Ok(stream) => {
                must_be_trusted(&stream)?;
                Ok(Some(stream))
            }
            // A socket whose unit was stopped: nobody listens.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Connects to a keeper that is there.
    ///
    /// # Errors
    /// Where none answers in time, or another than is asked for.
    pub(super) async fn connect(&self, hello: &Hello) -> io::Result<Link> {
        let path = path_in(self.directory.as_fd(), &hello.name)?;
        let linked = async {
            let stream = Async::<UnixStream>::connect(path).await?;
            must_be_trusted(&stream)?;
            let mut bytes = Vec::new();
            Frame::Hello(hello.clone()).encode(&mut bytes);
            // It is small, and the first.
            rustix::io::write(&stream, &bytes)?;
            Link::welcomed(stream, hello).await
        };
        within(ANSWER, linked).await.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
    }

    /// What a keeper left that is gone.
    pub(super) fn rest(&self, name: &str) -> io::Result<Option<File>> {
        match self.directory.read(&format!("{name}{END}")) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes all that a keeper left.
    pub(super) fn forget(&self, name: &str) {
        for suffix in ["", END, &format!("{END}{UNFINISHED}")] {
            let name = format!("{name}{suffix}");
            if let Err(error) = self.directory.remove(&name) {
                log::warn!("{}: {error}", self.directory.path().join(name).display());
            }
        }
    }
}

/// The directory of one keeper: this daemon's own, or that of a daemon which was started in another way.
#[derive(Debug)]
pub(super) struct Whereabouts {
    path: String,
    opened: Option<Arc<Keepers>>,
}

impl Whereabouts {
    /// By what a daemon has written down of a keeper.
    pub(super) fn of(mark: &KeeperMark, own: Option<&Arc<Keepers>>) -> Whereabouts {
        let opened = own.filter(|own| own.path() == mark.directory).cloned();
        Whereabouts { path: mark.directory.clone(), opened }
    }

    /// Opens it where it is not open yet.
    ///
    /// # Errors
    /// Why that cannot be done now. It says nothing of the keeper.
    pub(super) fn open(&mut self) -> io::Result<Arc<Keepers>> {
        if let Some(opened) = &self.opened {
            return Ok(opened.clone());
        }
        let directory = Dir::open(self.path.as_ref())?;
        directory.must_be_ours()?;
        Ok(self.opened.insert(Arc::new(Keepers { directory, runtime: None })).clone())
    }
}

fn send_with(stream: &Async<UnixStream>, bytes: &[u8], descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    // It is small, and the first: a socket has room for it.
    sendmsg(stream, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Checks that whoever listens is root or this process's own user.
fn must_be_trusted(stream: &Async<UnixStream>) -> io::Result<()> {
    let uid = Credentials::of_peer(stream)?.uid;
    if [0, geteuid().as_raw()].contains(&uid) {
        Ok(())
    } else {
        Err(io::Error::other(format!("uid {uid} listens there")))
    }
}
