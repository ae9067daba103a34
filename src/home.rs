//! The state directory as one daemon holds it: made, locked, and with a word on who holds it.
//!
//! The lock file is never deleted: whoever waits on a deleted one would hold a lock that nobody else sees.

use std::error::Error;
use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock, statvfs};

use crate::state_dir::{SOCKET_PATH_BYTES_MAX, socket_path};

/// Why the state directory cannot be used.
#[derive(Debug)]
pub enum HomeError {
    /// It, or the lock in it, cannot be made or opened.
    Io(PathBuf, io::Error),
    /// Another daemon has it: the directory, and what that one says of itself.
    Held(PathBuf, String),
    /// The socket's path is longer than the system takes.
    SocketPathTooLong(PathBuf),
}

impl fmt::Display for HomeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HomeError::Io(path, error) => write!(out, "{}: {error}", path.display()),
            HomeError::Held(dir, who) => write!(out, "{} is held by another daemon: {who}", dir.display()),
            HomeError::SocketPathTooLong(path) => write!(
                out,
                "the socket's path {} has {} bytes and the system takes {SOCKET_PATH_BYTES_MAX}: \
                 choose a shorter --state-dir, or set [access] socket",
                path.display(),
                path.as_os_str().len()
            ),
        }
    }
}

impl Error for HomeError {}

/// The locked state directory. The lock is let go when this is dropped, or when the process dies.
#[derive(Debug)]
pub struct Home {
    dir: PathBuf,
    lock: File,
}

impl Home {
    /// Makes the directory where it is missing, with mode 0700, and locks it.
    ///
    /// # Errors
    /// Another daemon holds it, or it cannot be made, opened or locked.
    pub fn open(dir: &Path) -> Result<Home, HomeError> {
        let dir = std::path::absolute(dir).map_err(|error| HomeError::Io(dir.to_path_buf(), error))?;
        let failed = |error| HomeError::Io(dir.clone(), error);
        let is_new = !dir.exists();
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(failed)?;
        if is_new {
            // mkdir takes the umask off the mode, which may leave less than the owner needs.
            std::fs::set_permissions(&dir, Permissions::from_mode(0o700)).map_err(failed)?;
        }
        let mode = std::fs::metadata(&dir).map_err(failed)?.permissions().mode();
        if mode & 0o011 != 0 {
            log::warn!(
                "others can enter the state directory {} (mode {:04o}): chmod 700 it",
                dir.display(),
                mode & 0o7777
            );
        }
        let path = dir.join("runabout.lock");
        let failed = |error| HomeError::Io(path.clone(), error);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(HomeError::Held(dir, holder(&mut lock))),
            Err(error) => return Err(failed(error.into())),
        }
        lock.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
        let mut home = Home { dir, lock };
        home.announce("starting").map_err(|error| HomeError::Io(path.clone(), error))?;
        Ok(home)
    }

    /// Writes down who holds the directory, for the one who comes second: `pid 4711, WHAT`.
    ///
    /// # Errors
    /// Where the lock file cannot be written.
    pub fn announce(&mut self, what: &str) -> io::Result<()> {
        self.lock.set_len(0)?;
        self.lock.seek(SeekFrom::Start(0))?;
        self.lock.write_all(format!("pid {}, {what}\n", std::process::id()).as_bytes())
    }

    /// The directory, as an absolute path.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The database's file.
    pub fn database(&self) -> PathBuf {
        self.dir.join("runabout.db")
    }

    /// The size of the file system that the directory is on; without end where it cannot be asked.
    pub fn file_system_bytes(&self) -> u64 {
        statvfs(&self.dir).map_or(u64::MAX, |vfs| vfs.f_blocks.saturating_mul(vfs.f_frsize))
    }

    /// Where the Unix socket goes: what the configuration says, else the place in the directory.
    ///
    /// # Errors
    /// Where the path is longer than the system takes.
    pub fn socket(&self, configured: Option<&Path>) -> Result<PathBuf, HomeError> {
        let path = configured.map_or_else(|| socket_path(&self.dir), Path::to_path_buf);
        if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX { Err(HomeError::SocketPathTooLong(path)) } else { Ok(path) }
    }
}

/// What the holder wrote; best effort, for people.
fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    let read = lock.take(1_024).read_to_string(&mut text);
    match (read, text.trim()) {
        (Ok(_), who) if !who.is_empty() => who.escape_debug().to_string(),
        _ => "it has not said who it is yet".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("runabout-home-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        dir
    }

    #[test]
    fn a_second_daemon_is_told_who_holds_it() {
        let dir = fresh("held");
        let mut home = Home::open(&dir.join("deep/er")).expect("open");
        home.announce("listening on http://127.0.0.1:1").expect("announced");
        let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o7777;
        assert_eq!((mode(home.dir()), mode(&home.dir().join("runabout.lock"))), (0o700, 0o600));
        let error = Home::open(&dir.join("deep/er")).expect_err("held").to_string();
        assert!(error.contains(&format!("pid {}, listening on http://127.0.0.1:1", std::process::id())), "{error}");
        drop(home);
        Home::open(&dir.join("deep/er")).expect("free again");
        std::fs::remove_dir_all(dir).expect("removed");
    }

    #[test]
    fn a_long_socket_path_is_an_error_that_says_so() {
        let dir = fresh("long");
        let home = Home::open(&dir.join("x".repeat(120))).expect("open");
        let error = home.socket(None).expect_err("too long").to_string();
        assert!(error.contains("107"), "{error}");
        assert!(home.socket(Some(Path::new("/run/r.sock"))).is_ok());
        std::fs::remove_dir_all(dir).expect("removed");
    }
}
