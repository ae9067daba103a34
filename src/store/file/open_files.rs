//! Notices when the open files were deleted, moved, replaced or overwritten, or their disk was unmounted: the daemon
//! would go on to acknowledge writes that nobody would find.
//!
//! It compares names and times, and reads. The only change it makes is to rename a log that SQLite would take for
//! another database's.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::fs::{Mode, OFlags, open};

use crate::clock::UnixMs;
use crate::event::HighWater;
use crate::store::file::beside::{Health, ReadOnlyDatabase};
use crate::store::file::connect::Sharing;
use crate::store::file::error::OpenError;

/// How long one check of the files counts for further commits.
const LOOK_AGE: Duration = Duration::from_secs(1);
/// Pause before a file is read again: another process may be moving its log into it.
const SETTLE: Duration = Duration::from_millis(100);
/// How long a file that seems to be another database is checked for damage.
const CHECK_MAX: Duration = Duration::from_secs(1);

/// The open files, and what is known of them.
pub struct OpenFiles {
    files: Vec<(PathBuf, FileId)>,
    /// Time and size of the database's file when this process last wrote or read it.
    written: Option<Written>,
    /// Highest ids in the file then, without its log; `None` where that cannot be read, as before the first
    /// checkpoint.
    holds: Option<HighWater>,
    /// How much of the log was in the file then.
    moved: Option<Moved>,
    looked: Instant,
    is_lost: bool,
}

type FileId = (u64, u64);
type Written = (i64, i64, u64);
/// Identity of the log (the counter and salts of its header), and how many of its pages are in the file.
type Moved = ([u8; 12], i64);

impl OpenFiles {
    /// Remembers the files of a database that was just opened.
    pub fn of(conn: &Connection, database: &Path, sharing: Sharing) -> OpenFiles {
        let suffixes: &[&str] = if sharing == Sharing::All { &["", "-wal", "-shm"] } else { &["", "-wal"] };
        let named = suffixes.iter().map(|suffix| {
            let mut path = database.as_os_str().to_owned();
            path.push(suffix);
            PathBuf::from(path)
        });
        let files = named.filter_map(|path| id(&path).ok().map(|id| (path, id))).collect();
        OpenFiles {
            files,
            written: written(database),
            holds: reached(database).ok(),
            moved: moved(conn, database),
            looked: Instant::now(),
            is_lost: false,
        }
    }

    /// Remembers that this process wrote the file; `whole` are its highest ids where all of the log is in it.
    pub fn was_written(&mut self, conn: &Connection, database: &Path, whole: Option<HighWater>) {
        self.written = written(database);
        self.holds = whole.or_else(|| reached(database).ok());
        self.moved = moved(conn, database);
    }

    /// Whether the database's file is in its place and only names of its log are missing: then the open log may be
    /// moved into the file.
    pub fn lacks_log_alone(&self, database: &Path) -> bool {
        let mut found = self.files.iter().map(|(path, opened)| id(path).map(|found| found == *opened));
        found.next().is_some_and(|found| found.unwrap_or(false))
            && found.all(|found| found.unwrap_or_else(|error| error.kind() == io::ErrorKind::NotFound))
            && self.written == written(database)
    }

    /// Whether the last check found that the files are not in their place.
    pub fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Whether the last check is too old to rely on.
    pub fn is_due(&self) -> bool {
        self.is_lost || self.looked.elapsed() >= LOOK_AGE
    }

    /// Checks that the open files are in their place. Logs when they no longer are, and when they are again.
    pub fn look(&mut self, conn: &Connection, database: &Path, instance: &str) {
        let wrong = self.wrong(conn, database, instance);
        self.looked = Instant::now();
        match (std::mem::replace(&mut self.is_lost, wrong.is_some()), wrong) {
            (false, Some(wrong)) => log::error!(
                "{wrong}: nothing more is written, since nobody would find it. Reads go on, output stays in the \
                 commands' pipes. Put the files back, and it goes on by itself; or restart the daemon, to go on \
                 with what is there now"
            ),
            (true, None) => log::info!("the database's files are back in their place: it goes on"),
            _ => {}
        }
    }

    /// Renames the log where it would be taken for the log of a file that is not ours.
    pub fn set_log_aside(&self, database: &Path) {
        let is_named = |(path, opened): &&(PathBuf, FileId)| id(path).is_ok_and(|found| found == *opened);
        let mut files = self.files.iter();
        if files.next().as_ref().is_some_and(is_named) && self.written == written(database) {
            return;
        }
        let time: String = UnixMs::now().to_string().chars().filter(char::is_ascii_alphanumeric).collect();
        for (path, _) in files.filter(is_named) {
            let mut aside = path.as_os_str().to_owned();
            aside.push(format!(".of-lost-{time}"));
            match std::fs::rename(path, &aside) {
                Ok(()) => log::warn!("the lost database's log is kept as {}", Path::new(&aside).display()),
                Err(error) => log::error!("{}: {error}", path.display()),
            }
        }
    }

    /// What is wrong with the files, in words.
    fn wrong(&mut self, conn: &Connection, database: &Path, instance: &str) -> Option<String> {
        for (path, opened) in &self.files {
            match id(path) {
                Ok(found) if found == *opened => {}
                Ok(_) => return Some(format!("{} is another file than the one that was opened", path.display())),
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    return Some(format!("{} is gone", path.display()));
                }
                // What cannot be seen is no reason to refuse.
                Err(_) => {}
            }
        }
        if self.written == written(database) {
            return None;
        }
        // Another process moved the log into it, as it may, or wrote something else over it.
        for _ in 0..2 {
            let (written, moved) = (written(database), moved(conn, database));
            if !self.is_another(database, instance, moved) {
                (self.written, self.moved, self.holds) = (written, moved, reached(database).ok());
                return None;
            }
            std::thread::sleep(SETTLE);
        }
        Some(format!("{} was overwritten with something else", database.display()))
    }

    /// Whether the file is certainly another database, or none. A file in which a checkpoint was interrupted does not
    /// count: the log still holds everything.
    fn is_another(&self, database: &Path, instance: &str, moved: Option<Moved>) -> bool {
        let found = match reached(database) {
            Ok(found) => found,
            Err(OpenError::Foreign) => {
                return self.holds.is_some() || written(database).is_none_or(|(.., size)| size == 0);
            }
            Err(_) => return false,
        };
        let was_left_alone = moved.is_some() && moved == self.moved;
        let is_other = found.instance != instance
            || self.holds.as_ref().is_some_and(|holds| found.is_behind(holds))
            || (was_left_alone && self.holds.as_ref() != Some(&found));
        is_other
            && ReadOnlyDatabase::open_named(database)
                .and_then(|file| file.check(false, Some(CHECK_MAX)))
                .is_ok_and(|health| !matches!(health, Health::Damaged(_)))
    }
}

/// Reads the highest ids in the file, without its log.
fn reached(database: &Path) -> Result<HighWater, OpenError> {
    ReadOnlyDatabase::open_named(database).and_then(|file| file.reached())
}

/// Reads the identity of the log; `None` where the log is empty.
fn moved(conn: &Connection, database: &Path) -> Option<Moved> {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let mut counts = [0; 12];
    // SQLite's file format, 4.1: the checkpoint's number and the two salts. No lock of SQLite's is on this file, so that
    // it may be closed again.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    File::from(open(log, flags, Mode::empty()).ok()?).read_exact_at(&mut counts, 12).ok()?;
    // It moves nothing; it only counts.
    let pages = conn.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(2)).ok()?;
    Some((counts, pages))
}

fn id(path: &Path) -> io::Result<FileId> {
    std::fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

fn written(path: &Path) -> Option<Written> {
    std::fs::symlink_metadata(path).ok().map(|file| (file.mtime(), file.mtime_nsec(), file.size()))
}
