//! Makes and locks the state directory, and records in its lock file which process holds it.
//!
//! The lock file is never deleted: a process that waits on a deleted file would hold a lock that no other sees. Its first
//! line names the holder. Its second is the highest ids that the database had given out when the line was last written, so
//! that an older copy that is put in the database's place is recognised. A third is there after an orderly stop: the
//! database's log cannot say so, since it stays where another process has the database open.
//!
//! Whoever may write the directory may replace the lock file. Where nobody else may open the directory, it is locked as
//! well; that lock does not depend on the file.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, fchmod, flock};
use rustix::io::Errno;

use crate::cow;
use crate::dir::{Dir, FileAt};
use crate::event::HighWater;
use crate::state_dir::{DATABASE, SOCKET_PATH_BYTES_MAX, socket_path};

/// The lock file's name in the state directory.
const LOCK: &str = "runabout.lock";
/// The third line, after an orderly stop.
const CLOSED: &str = "closed";
/// Bytes of the lock file that are read: more than its lines can have, however long the path in the first one is.
const LOCK_BYTES_MAX: usize = 16_384;
/// How often a lock that is taken is tried again: [`held_by`] takes it for a moment to look.
const LOOKS: u32 = 10;
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// Why the state directory cannot be used.
#[derive(Debug)]
pub enum StateLockError {
    /// The directory, or the lock file in it, cannot be made or opened.
    Io(PathBuf, io::Error),
    /// Another daemon holds the directory; with that daemon's description of itself.
    Held(PathBuf, String),
    /// The socket's path is longer than the system allows.
    SocketPathTooLong(PathBuf),
}

impl fmt::Display for StateLockError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StateLockError::Io(path, error) => write!(out, "{}: {error}", path.display()),
            StateLockError::Held(dir, who) => write!(out, "{} is held by another daemon: {who}", dir.display()),
            StateLockError::SocketPathTooLong(path) => write!(
                out,
                "the socket's path {} has {} bytes and the system takes {SOCKET_PATH_BYTES_MAX}: \
                 choose a shorter --state-dir, or set [access] socket",
                path.display(),
                path.as_os_str().len()
            ),
        }
    }
}

impl Error for StateLockError {}

/// The locked state directory. The lock is released when this and all clones of its [`LockFile`] are dropped, or the
/// process ends.
#[derive(Debug)]
pub struct StateLock {
    dir: Arc<Dir>,
    file: Arc<LockFile>,
}

/// The lock file that this process holds, and its content.
#[derive(Debug)]
pub struct LockFile {
    /// Its descriptor holds the lock on the directory itself.
    dir: Arc<Dir>,
    file: File,
    lines: Mutex<Lines>,
}

#[derive(Debug)]
struct Lines {
    who: String,
    remembered: Option<HighWater>,
    /// The last stop was orderly, and no daemon has opened the database since.
    is_closed: bool,
}

impl StateLock {
    /// Opens the directory, or makes it with mode 0700, and locks it.
    ///
    /// # Errors
    /// When another daemon holds it, or it cannot be made, opened or locked.
    pub fn open(dir: &Path) -> Result<StateLock, StateLockError> {
        let found = Dir::open_or_make(dir).map_err(|error| StateLockError::Io(dir.to_path_buf(), error))?;
        StateLock::lock_dir(Arc::new(found))
    }

    /// Like [`StateLock::open`], for a daemon, which uses no directory of another user.
    ///
    /// # Errors
    /// As [`StateLock::open`], and when the directory belongs neither to this user nor to root.
    pub fn open_own(dir: &Path) -> Result<StateLock, StateLockError> {
        let failed = |error| StateLockError::Io(dir.to_path_buf(), error);
        let found = Dir::open_or_make(dir).map_err(failed)?;
        found.must_be_ours().map_err(failed)?;
        StateLock::lock_dir(Arc::new(found))
    }

    fn lock_dir(dir: Arc<Dir>) -> Result<StateLock, StateLockError> {
        let mode = dir.mode().map_err(|error| StateLockError::Io(dir.path().to_path_buf(), error))?;
        // One user alone may be let through, by an access list.
        if mode & 0o001 != 0 || mode & 0o010 != 0 && !dir.has_access_list() {
            log::warn!("others can enter the state directory {} (mode {mode:04o}): chmod 700 it", dir.path().display());
        }
        // Before anything is made in it.
        let in_place = cow::switch_off(&dir);
        let file = LockFile::take(&dir)?;
        if let Err(error) = in_place.and_then(|()| cow::renew_index(&dir.file(DATABASE))) {
            let shown = dir.path().display();
            log::warn!("{shown}: copy-on-write stays on, and a full disk may end the daemon: {error}");
        }
        Ok(StateLock { dir, file: Arc::new(file) })
    }

    /// Records who holds the directory as `pid 4711, WHAT`, which a second daemon shows in its error.
    ///
    /// # Errors
    /// When the lock file cannot be written.
    pub fn announce(&self, what: &str) -> io::Result<()> {
        self.file.change(|lines| lines.who = format!("pid {}, {}", std::process::id(), what.replace('\n', " ")))
    }

    /// The lock file, for those who record the database's state in it.
    pub fn lock_file(&self) -> Arc<LockFile> {
        self.file.clone()
    }

    /// The directory.
    pub fn dir(&self) -> &Arc<Dir> {
        &self.dir
    }

    /// The database's file.
    pub fn database(&self) -> FileAt {
        self.dir.file(DATABASE)
    }

    /// The path of the Unix socket: the configured one, else the default in the directory.
    ///
    /// # Errors
    /// When the path is longer than the system allows.
    pub fn socket(&self, configured: Option<&Path>) -> Result<PathBuf, StateLockError> {
        socket_in(self.dir.path(), configured)
    }
}

/// The path of the Unix socket of a daemon with this state directory.
///
/// # Errors
/// When the path is longer than the system allows.
pub fn socket_in(state_dir: &Path, configured: Option<&Path>) -> Result<PathBuf, StateLockError> {
    let path = configured.map_or_else(|| socket_path(state_dir), Path::to_path_buf);
    if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX { Err(StateLockError::SocketPathTooLong(path)) } else { Ok(path) }
}

impl LockFile {
    fn take(dir: &Arc<Dir>) -> Result<LockFile, StateLockError> {
        let path = dir.path().join(LOCK);
        let failed = |error| StateLockError::Io(path.clone(), error);
        let held = |file: &File| StateLockError::Held(dir.path().to_path_buf(), holder(file));
        let file = dir.write(LOCK).map_err(failed)?;
        // Where others may open the directory, they may lock it too, and would keep every daemon out.
        if dir.mode().map_err(failed)? & 0o066 == 0 {
            // Not every file system locks directories; then the file's lock is all there is.
            if let Err(Errno::WOULDBLOCK) = lock_patiently(dir) {
                return Err(held(&file));
            }
        }
        match lock_patiently(&file) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(held(&file)),
            Err(error) => return Err(failed(error.into())),
        }
        fchmod(&file, Mode::from_raw_mode(0o600)).map_err(|error| failed(error.into()))?;
        let found = text(&file);
        let remembered = found.lines().nth(1).and_then(HighWater::parse);
        let is_closed = says_closed(&found);
        let lines = Lines { who: String::new(), remembered, is_closed };
        let lock = LockFile { dir: dir.clone(), file, lines: Mutex::new(lines) };
        match lock.change(|lines| lines.who = format!("pid {}, starting", std::process::id())) {
            // It is held all the same, and what has to be read can be; some file systems write nothing in place.
            Err(error) if is_for_want_of_room(&error) => log::warn!("{}: {error}", path.display()),
            other => other.map_err(failed)?,
        }
        Ok(lock)
    }

    /// Gives the lock file to the directory's owner.
    ///
    /// # Errors
    /// When its owner cannot be changed.
    pub fn give(&self) -> io::Result<()> {
        self.dir.give(&self.file)
    }

    /// The highest ids that were last recorded, by this daemon or an earlier one.
    pub fn remembered(&self) -> Option<HighWater> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).remembered.clone()
    }

    /// Records that the database is about to be opened; returns whether the last stop was orderly.
    pub fn note_opened(&self) -> bool {
        let mut was_closed = false;
        if let Err(error) = self.change(|lines| was_closed = std::mem::take(&mut lines.is_closed)) {
            log::debug!("that the database is opened cannot be written down: {error}");
        }
        was_closed
    }

    /// Records an orderly stop.
    pub fn note_closed(&self) {
        if let Err(error) = self.change(|lines| lines.is_closed = true) {
            log::debug!("that the database was closed cannot be written down: {error}");
        }
    }

    /// Records the highest ids that the database has given out. If that fails the older record stays, which is a lower
    /// bound.
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
        // The lines are told apart by their order, and without ids there was no database to close.
        let closed = if lines.is_closed && !remembered.is_empty() { format!("{CLOSED}\n") } else { String::new() };
        let text = format!("{}\n{remembered}{closed}", lines.who);
        // Written in place and then cut: this needs no room on a full disk, and a crash leaves the lines whole.
        self.file.write_all_at(text.as_bytes(), 0)?;
        self.file.set_len(text.len() as u64)
    }
}

fn lock_patiently(what: &impl AsFd) -> Result<(), Errno> {
    let mut looks = 0;
    loop {
        match flock(what, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if looks < LOOKS => {
                looks += 1;
                std::thread::sleep(LOOK_PAUSE);
            }
            done => return done,
        }
    }
}

/// The holder of a state directory, as it describes itself; `None` when nobody holds it.
///
/// # Errors
/// When this user may not open the lock file, or it is not a regular file.
pub fn held_by(dir: &Dir) -> io::Result<Option<String>> {
    let is_held = |what: BorrowedFd<'_>| match flock(what, FlockOperation::NonBlockingLockShared) {
        Ok(()) => flock(what, FlockOperation::Unlock).map(|()| false),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error),
    };
    // Where the directory cannot be locked, nobody holds it by that.
    let dir_is_held = is_held(dir.as_fd()).unwrap_or(false);
    let lock = match dir.read(LOCK) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !dir_is_held => return Ok(None),
        Err(error) if dir_is_held => return Ok(Some(format!("a daemon whose {LOCK} is not to be seen: {error}"))),
        lock => lock?,
    };
    match (is_held(lock.as_fd())?, dir_is_held) {
        (true, _) => Ok(Some(holder(&lock))),
        (false, true) => Ok(Some(format!("a daemon whose {LOCK} somebody has replaced"))),
        (false, false) => Ok(None),
    }
}

/// Whether the last stop was orderly; `false` when the lock file cannot be read.
pub fn was_closed(dir: &Dir) -> bool {
    dir.read(LOCK).is_ok_and(|lock| says_closed(&text(&lock)))
}

fn says_closed(text: &str) -> bool {
    text.lines().nth(2) == Some(CLOSED)
}

fn is_for_want_of_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn text(lock: &File) -> String {
    let mut bytes = vec![0; LOCK_BYTES_MAX];
    let read = lock.read_at(&mut bytes, 0).unwrap_or(0);
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

/// The first line of the lock file, for people.
fn holder(lock: &File) -> String {
    match text(lock).lines().next().map(str::trim) {
        Some(who) if !who.is_empty() => who.escape_debug().to_string(),
        _ => "it has not said who it is yet".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::numbers::{EventId, RunId};

    fn fresh(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("runabout-state-lock-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        dir
    }

    #[test]
    fn a_second_daemon_is_told_who_holds_it() {
        let dir = fresh("held");
        let state = StateLock::open(&dir.join("deep/er")).expect("open");
        state.announce("listening on http://127.0.0.1:1").expect("announced");
        let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o7777;
        let path = dir.join("deep/er");
        assert_eq!((mode(&path), mode(&path.join("runabout.lock"))), (0o700, 0o600));
        let error = StateLock::open(&dir.join("deep/er")).expect_err("held").to_string();
        assert!(error.contains(&format!("pid {}, listening on http://127.0.0.1:1", std::process::id())), "{error}");
        let reached = HighWater { instance: "abcdefghijkl".to_owned(), run: RunId(7), event: EventId(42) };
        state.lock_file().remember(&reached);
        let looked = || held_by(&Dir::open(&path).expect("there"));
        assert_eq!(looked().ok().flatten().map(|who| who.contains("listening on")), Some(true));
        drop(state);
        assert_eq!(looked().ok(), Some(None));
        let again = StateLock::open(&dir.join("deep/er")).expect("free again");
        again.announce("here").expect("announced");
        assert_eq!(again.lock_file().remembered(), Some(reached));
        std::fs::remove_dir_all(dir).expect("removed");
    }

    #[test]
    fn a_lock_file_that_was_replaced_lets_nobody_in() {
        let dir = fresh("replaced");
        let state = StateLock::open(&dir).expect("open");
        state.announce("here").expect("announced");
        for replace in [|path: &Path| std::fs::write(path, "pid 1, nobody").expect("written"), |_: &Path| {}] {
            std::fs::remove_file(dir.join(LOCK)).expect("removed");
            replace(&dir.join(LOCK));
            let who = held_by(&Dir::open(&dir).expect("there")).expect("seen").expect("held");
            assert!(who.contains("a daemon whose runabout.lock"), "{who}");
            assert!(matches!(StateLock::open(&dir), Err(StateLockError::Held(..))));
        }
        drop(state);
        assert!(StateLock::open(&dir).is_ok());
        std::fs::remove_dir_all(dir).expect("removed");
    }

    #[test]
    fn a_long_socket_path_is_an_error_that_says_so() {
        let dir = fresh("long");
        let state = StateLock::open(&dir.join("x".repeat(120))).expect("open");
        let error = state.socket(None).expect_err("too long").to_string();
        assert!(error.contains("107"), "{error}");
        assert!(state.socket(Some(Path::new("/run/r.sock"))).is_ok());
        std::fs::remove_dir_all(dir).expect("removed");
    }
}
