//! Notices when the system's data of zones is replaced, as by an update of tzdata. It costs nothing until then.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use async_io::{Async, Timer};
use futures_lite::FutureExt as _;
use rustix::fs::inotify;
use rustix::io::Errno;

/// Where a system keeps its data of zones.
const ZONES: &str = "/usr/share/zoneinfo";
/// An update replaces some hundred files; it is over when none was replaced for so long.
const QUIET: Duration = Duration::from_secs(3);

/// The replacements of the system's data of zones, as they happen.
pub struct ZoneChanges(Async<OwnedFd>);

impl ZoneChanges {
    /// Watches from now on.
    ///
    /// # Errors
    /// When the system has no such data, or cannot notify of a change.
    pub fn watch() -> io::Result<ZoneChanges> {
        let notices = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let replaced = inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::CLOSE_WRITE | inotify::WatchFlags::DELETE;
        inotify::add_watch(&notices, ZONES, replaced | inotify::WatchFlags::ONLYDIR)?;
        Ok(ZoneChanges(Async::new(notices)?))
    }

    /// Waits for the next replacement, until it is over.
    ///
    /// # Errors
    /// When the system cannot notify of one any more.
    pub async fn next(&mut self) -> io::Result<()> {
        self.notice().await?;
        loop {
            let over = async {
                Timer::after(QUIET).await;
                Ok(true)
            };
            if async { self.notice().await.map(|()| false) }.or(over).await? {
                return Ok(());
            }
        }
    }

    async fn notice(&self) -> io::Result<()> {
        loop {
            self.0.readable().await?;
            match rustix::io::read(&self.0, &mut [0; 4_096]) {
                Ok(_) => return Ok(()),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
