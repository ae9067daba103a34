//! The state directory as one daemon holds it: made, locked, and with a word on who holds it.
//!
//! The lock file is never deleted: whoever waits on a deleted one would hold a lock that nobody else sees. Its first line
//! says who holds it; its second, how far the database had come when that was last written down, which is not with every
//! commit. So a copy of an older database that somebody puts in its place is found out.

use std::error::Error;
use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::event::HighWater;
use crate::state_dir::{SOCKET_PATH_BYTES_MAX, database_path, socket_path};

/// In the state directory.
const LOCK: &str = "runabout.lock";
/// Both lines of the lock file fit, however long a path in the first one is.
const LOCK_BYTES_MAX: usize = 16_384;
/// A lock that is only looked at, by [`held_by`], is free again before these looks are over.
const LOOKS: u32 = 10;
const LOOK_PAUSE: Duration = Duration::from_millis(20);

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

/// The locked state directory. The lock is let go when this and all its [`Lock`]s are dropped, or the process dies.
#[derive(Debug)]
pub struct Home {
    dir: PathBuf,
    lock: Arc<Lock>,
}

/// The lock file that this process holds, and what stands in it.
#[derive(Debug)]
pub struct Lock {
    file: File,
    lines: Mutex<Lines>,
}

#[derive(Debug)]
struct Lines {
    who: String,
    remembered: Option<HighWater>,
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
        let lock = Lock::take(&dir)?;
        Ok(Home { dir, lock: Arc::new(lock) })
    }

    /// Writes down who holds the directory, for the one who comes second: `pid 4711, WHAT`.
    ///
    /// # Errors
    /// Where the lock file cannot be written.
    pub fn announce(&self, what: &str) -> io::Result<()> {
        self.lock.change(|lines| lines.who = format!("pid {}, {}", std::process::id(), what.replace('\n', " ")))
    }

    /// The lock, for those who write down how far the database has come.
    pub fn lock(&self) -> Arc<Lock> {
        self.lock.clone()
    }

    /// The directory, as an absolute path.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The database's file.
    pub fn database(&self) -> PathBuf {
        database_path(&self.dir)
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

impl Lock {
    fn take(dir: &Path) -> Result<Lock, HomeError> {
        let path = dir.join(LOCK);
        let failed = |error| HomeError::Io(path.clone(), error);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        let mut looks = 0;
        while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            looks += 1;
            match error {
                rustix::io::Errno::WOULDBLOCK if looks < LOOKS => std::thread::sleep(LOOK_PAUSE),
                rustix::io::Errno::WOULDBLOCK => return Err(HomeError::Held(dir.to_path_buf(), holder(&file))),
                error => return Err(failed(error.into())),
            }
        }
        file.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
        let remembered = text(&file).lines().nth(1).and_then(HighWater::parse);
        let lock = Lock { file, lines: Mutex::new(Lines { who: String::new(), remembered }) };
        match lock.change(|lines| lines.who = format!("pid {}, starting", std::process::id())) {
            // It is held all the same, and what has to be read can be; some file systems write nothing in place.
            Err(error) if is_for_want_of_room(&error) => log::warn!("{}: {error}", path.display()),
            other => other.map_err(failed)?,
        }
        Ok(lock)
    }

    /// How far the database had come when that was last written down, by whomever.
    pub fn remembered(&self) -> Option<HighWater> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).remembered.clone()
    }

    /// Writes down how far the database has come. It is no harm when it is lost: what stands there is a lower bound.
    pub fn remember(&self, reached: &HighWater) {
        if self.remembered().as_ref() == Some(reached) {
            return;
        }
        if let Err(error) = self.change(|lines| lines.remembered = Some(reached.clone())) {
            log::debug!("how far the database has come cannot be written down: {error}");
        }
    }

    fn change(&self, change: impl FnOnce(&mut Lines)) -> io::Result<()> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut lines);
        let remembered = lines.remembered.as_ref().map_or_else(String::new, |reached| format!("{reached}\n"));
        let text = format!("{}\n{remembered}", lines.who);
        // One write over what is there, then the rest goes: a full disk has room for it, and a crash leaves it whole.
        self.file.write_all_at(text.as_bytes(), 0)?;
        self.file.set_len(text.len() as u64)
    }
}

/// Who holds a state directory, in the holder's words; `None` when nobody does.
///
/// # Errors
/// Where that cannot be seen: it belongs to somebody else.
pub fn held_by(dir: &Path) -> io::Result<Option<String>> {
    let lock = match File::open(dir.join(LOCK)) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match flock(&lock, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(None),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(Some(holder(&lock))),
        Err(error) => Err(error.into()),
    }
}

fn is_for_want_of_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn text(lock: &File) -> String {
    let mut bytes = vec![0; LOCK_BYTES_MAX];
    let read = lock.read_at(&mut bytes, 0).unwrap_or(0);
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

/// What the holder wrote; best effort, for people.
fn holder(lock: &File) -> String {
    match text(lock).lines().next().map(str::trim) {
        Some(who) if !who.is_empty() => who.escape_debug().to_string(),
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
        let home = Home::open(&dir.join("deep/er")).expect("open");
        home.announce("listening on http://127.0.0.1:1").expect("announced");
        let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o7777;
        assert_eq!((mode(home.dir()), mode(&home.dir().join("runabout.lock"))), (0o700, 0o600));
        let error = Home::open(&dir.join("deep/er")).expect_err("held").to_string();
        assert!(error.contains(&format!("pid {}, listening on http://127.0.0.1:1", std::process::id())), "{error}");
        let reached = HighWater { instance: "abcdefghijkl".to_owned(), run: 7, event: 42 };
        home.lock().remember(&reached);
        assert_eq!(held_by(home.dir()).ok().flatten().map(|who| who.contains("listening on")), Some(true));
        drop(home);
        assert_eq!(held_by(&dir.join("deep/er")).ok(), Some(None));
        let again = Home::open(&dir.join("deep/er")).expect("free again");
        again.announce("here").expect("announced");
        assert_eq!(again.lock().remembered(), Some(reached));
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
