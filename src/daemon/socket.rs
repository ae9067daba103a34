//! Makes the Unix socket again when its file vanishes, as when a cleaner of old files removes it.
//!
//! It costs nothing until something is removed from the directory. It never removes what others put in the socket's place,
//! and never makes the directory.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_io::{Async, Timer};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use crate::http::server::{SocketFile, UnixAgain, bind_unix};

/// The pause before another try when another program's socket is in the way, or the directory is missing.
const RETRY: Duration = Duration::from_secs(1);

/// The daemon's own socket.
#[derive(Clone)]
pub(super) struct OwnSocket {
    file: Arc<Mutex<SocketFile>>,
    path: PathBuf,
    group: Option<u32>,
}

impl OwnSocket {
    /// Describes the socket that was just made.
    pub fn new(file: SocketFile, path: PathBuf, group: Option<u32>) -> OwnSocket {
        OwnSocket { file: Arc::new(Mutex::new(file)), path, group }
    }

    /// Makes it again whenever it has vanished, and gives it to the acceptor.
    pub async fn keep(self, again: UnixAgain) {
        let Some(dir) = self.path.parent() else { return };
        let told = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        let told = match told.map_err(io::Error::from).and_then(Async::new) {
            Ok(told) => told,
            Err(error) => return log::warn!("whether the socket vanishes cannot be told: {error}"),
        };
        let mut is_told = false;
        loop {
            // Watched before it is looked at; a directory that came back is another one.
            let is_watched = watch(&told, dir).is_ok();
            if self.is_there() {
                is_told = false;
            } else {
                match bind_unix(&self.path, self.group) {
                    Ok((listener, file)) => {
                        log::warn!("the socket {} had vanished and was made again", self.path.display());
                        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = file;
                        is_told = false;
                        if again.send(listener).await.is_err() {
                            return;
                        }
                        continue;
                    }
                    Err(error) if !is_told => {
                        log::error!("the socket {} has vanished, nobody can connect: {error}", self.path.display());
                        is_told = true;
                    }
                    Err(_) => {}
                }
            }
            if is_told || !is_watched {
                Timer::after(RETRY).await;
            } else if told.readable().await.is_err() {
                return;
            }
            drain(told.get_ref());
        }
    }

    fn is_there(&self) -> bool {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).is_there()
    }

    /// Removes it, unless another socket has its place by now.
    pub fn remove(&self) {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).remove();
    }
}

fn watch(told: &Async<OwnedFd>, dir: &Path) -> rustix::io::Result<()> {
    let gone = WatchFlags::DELETE | WatchFlags::MOVED_FROM | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
    inotify::add_watch(told, dir, gone | WatchFlags::ONLYDIR).map(drop)
}

/// Drains the notifications: it only matters that something was removed.
fn drain(told: &OwnedFd) {
    let mut buffer = [0; 4_096];
    while matches!(rustix::io::read(told, &mut buffer), Err(Errno::INTR) | Ok(1..)) {}
}
