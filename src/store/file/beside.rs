//! The database's file as those use it who are not the daemon: looked at, copied, made ready to take another's place.
//!
//! What is looked at is opened to be read alone. A file is changed only by the functions that say so, and those are for
//! copies and for databases that no daemon has.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags, named_params};

use crate::dir::{Dir, FileAt};
use crate::event::HighWater;
use crate::numbers::{EventId, RunId};
use crate::store::file::error::OpenError;
use crate::store::file::migrate::APPLICATION_ID;
use crate::store::file::{by_descriptor, instance};
use crate::store::sql;

/// One thread has a connection, whatever it is for.
const READ: OpenFlags = OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);
const READ_WRITE: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// Pages of one step of a copy: 1 MiB. After each, whoever else needs the medium has as long as it took.
const STEP_PAGES: i32 = 256;
/// … but the copy goes on after this.
const PAUSE_MAX: Duration = Duration::from_millis(50);
/// How long another process may keep a lock that is in the way.
const BUSY: Duration = Duration::from_secs(5);
/// Steps of SQLite's machine between two looks at the clock.
const CLOCK_STEPS: i32 = 10_000;
/// What is wrong is told up to so many times.
const FAULTS_MAX: usize = 10;

/// A database, opened to be read: one moment of it, however long that takes.
pub struct ReadOnlyDatabase {
    conn: Connection,
    /// As long as that is open, its files are opened by this.
    _dir: Option<Arc<Dir>>,
    /// How many migrations it has seen.
    pub schema: i64,
}

/// What a database holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its name.
    pub instance: String,
    /// Runs that are there.
    pub runs: i64,
    /// Those of them that wait.
    pub queued: i64,
    /// Sessions that are there, expired ones too.
    pub sessions: i64,
    /// The highest run id that was ever given out.
    pub last_run: RunId,
    /// The highest event id that was ever given out.
    pub last_event: EventId,
    /// When the newest event was, in milliseconds since 1970.
    pub last_at: Option<i64>,
}

/// Its file's measures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measures {
    /// Bytes of a page.
    pub page_bytes: i64,
    /// Pages there are.
    pub pages: i64,
    /// Pages of them that nothing is in.
    pub free_pages: i64,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing.
    Sound,
    /// These, as SQLite words them.
    Damaged(Vec<String>),
    /// Nothing in the time that it had.
    Unfinished,
}

/// Why there is no copy.
#[derive(Debug)]
pub enum CopyError {
    /// It was not to go on.
    Stopped,
    /// SQLite or the file system said no.
    Failed(OpenError),
}

impl From<rusqlite::Error> for CopyError {
    fn from(error: rusqlite::Error) -> CopyError {
        CopyError::Failed(error.into())
    }
}

/// What a copy is given before it takes a database's place.
#[derive(Clone, Copy, Debug, Default)]
pub struct Anew {
    /// Run ids up to this were given out.
    pub run: RunId,
    /// Event ids up to this were given out.
    pub event: EventId,
    /// Whether sessions go.
    pub no_sessions: bool,
    /// Whether all queues are paused.
    pub pause: bool,
}

impl ReadOnlyDatabase {
    /// Opens a database to be read: one of ours, not newer than this binary, in whose directory nobody has replaced a file
    /// by a link, a pipe or a file of somebody else's.
    ///
    /// `still` promises that nobody writes it meanwhile: then not even a lock is taken, and no file comes to be beside it.
    ///
    /// # Errors
    /// When the file is not ours, is newer than this binary, or cannot be opened.
    pub fn open(file: &FileAt, still: bool) -> Result<ReadOnlyDatabase, OpenError> {
        by_descriptor::check(file)?;
        by_descriptor::know(&file.dir);
        let flags = READ | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let conn = match still {
            true => Connection::open_with_flags(immutable(&file.real_path()), flags | OpenFlags::SQLITE_OPEN_URI)?,
            false => by_descriptor::open(file, flags)?,
        };
        ReadOnlyDatabase::begin(conn, Some(file.dir.clone()))
    }

    /// Opens a file that somebody has named, whosever it is: one that nobody writes meanwhile, beside which nothing is looked
    /// for.
    ///
    /// # Errors
    /// As [`ReadOnlyDatabase::open`].
    pub fn open_named(path: &Path) -> Result<ReadOnlyDatabase, OpenError> {
        by_descriptor::replace_calls();
        ReadOnlyDatabase::begin(Connection::open_with_flags(immutable(path), READ | OpenFlags::SQLITE_OPEN_URI)?, None)
    }

    fn begin(conn: Connection, dir: Option<Arc<Dir>>) -> Result<ReadOnlyDatabase, OpenError> {
        conn.busy_timeout(BUSY)?;
        conn.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; BEGIN")?;
        let pragma = |name: &str| conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
        // The first read decides which moment it is.
        let (application, schema) = (pragma("application_id")?, pragma("user_version")?);
        let known = sql::MIGRATIONS.len() as i64;
        if application != APPLICATION_ID || schema < 1 {
            return Err(OpenError::Foreign);
        }
        if schema > known {
            return Err(OpenError::Newer { found: schema, known });
        }
        Ok(ReadOnlyDatabase { conn, _dir: dir, schema })
    }

    /// What it holds.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn summary(&self) -> Result<Summary, OpenError> {
        Ok(self.conn.query_row(sql::UPKEEP_SUMMARY, [], |row| {
            Ok(Summary {
                instance: row.get("instance")?,
                runs: row.get("runs")?,
                queued: row.get("queued")?,
                sessions: row.get("sessions")?,
                last_run: row.get("last_run")?,
                last_event: row.get("last_event")?,
                last_at: row.get("last_at")?,
            })
        })?)
    }

    /// How far it has come, by a few looks into its indexes.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(in crate::store) fn reached(&self) -> Result<HighWater, OpenError> {
        let newest = |statement: &str| self.conn.query_row(statement, [], |row| row.get::<_, Option<i64>>(0));
        let removed =
            |key: &str| self.conn.query_row(sql::META_GET, named_params! {":key": key}, |row| row.get::<_, i64>(0));
        let instance = self.conn.query_row(sql::META_GET, named_params! {":key": "instance"}, |row| row.get(0))?;
        let run = newest(sql::RUNS_MAX_ID)?.unwrap_or(0).max(removed("removed_run_id")?);
        let event = newest(sql::EVENTS_MAX_ID)?.unwrap_or(0).max(removed("removed_event_id")?);
        Ok(HighWater { instance, run: RunId(run), event: EventId(event) })
    }

    /// Its file's measures.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn measures(&self) -> Result<Measures, OpenError> {
        let pragma = |name: &str| self.conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
        Ok(Measures {
            page_bytes: pragma("page_size")?,
            pages: pragma("page_count")?,
            free_pages: pragma("freelist_count")?,
        })
    }

    /// Looks for damage: in its structure, or with `full` in its indexes too; for as long as `limit` says.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn check(&self, full: bool, limit: Option<Duration>) -> Result<Health, OpenError> {
        let until = limit.map(|limit| Instant::now() + limit);
        let is_over = move || until.is_some_and(|until| Instant::now() >= until);
        self.conn.progress_handler(CLOCK_STEPS, Some(is_over))?;
        let check = if full { "integrity_check" } else { "quick_check" };
        let found = self.conn.prepare(&format!("PRAGMA {check}({FAULTS_MAX})")).and_then(|mut statement| {
            let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
            rows.collect::<rusqlite::Result<Vec<String>>>()
        });
        self.conn.progress_handler(0, None::<fn() -> bool>)?;
        match found {
            Ok(found) if found == ["ok"] => Ok(Health::Sound),
            Ok(found) => Ok(Health::Damaged(found)),
            Err(error) => match error.sqlite_error_code() {
                Some(ErrorCode::OperationInterrupted) => Ok(Health::Unfinished),
                Some(ErrorCode::DatabaseCorrupt) => Ok(Health::Damaged(vec![error.to_string()])),
                _ => Err(error.into()),
            },
        }
    }

    /// Copies it into an empty file, in steps, while others write; `goes_on` is asked before each.
    ///
    /// The copy needs no other file beside it. It is not on the medium before somebody syncs it.
    ///
    /// # Errors
    /// Where it was stopped, or a file cannot be read or written.
    pub fn copy_to(&self, file: &FileAt, goes_on: impl Fn() -> bool) -> Result<(), CopyError> {
        let mut copy = open_copy(file)?;
        // Until it is whole it is worth nothing: no journal, no sync.
        copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")?;
        {
            // This connection's transaction keeps to its moment, so that no write of others makes it start again.
            let backup = Backup::new(&self.conn, &mut copy)?;
            loop {
                if !goes_on() {
                    return Err(CopyError::Stopped);
                }
                let started = Instant::now();
                if backup.step(STEP_PAGES)? == StepResult::Done {
                    break;
                }
                std::thread::sleep(started.elapsed().min(PAUSE_MAX));
            }
        }
        copy.close().map_err(|(_, error)| error)?;
        // It was copied as one that has a log. Without, it can be read from where nothing can be written.
        let copy = open_copy(file)?;
        let mode: String = copy.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
        copy.close().map_err(|(_, error)| error)?;
        if mode == "delete" { Ok(()) } else { Err(OpenError::Failed(format!("its journal_mode stays {mode}")).into()) }
    }
}

impl From<OpenError> for CopyError {
    fn from(error: OpenError) -> CopyError {
        CopyError::Failed(error)
    }
}

/// Gives a copy a new name and what else it needs to take a database's place; answers the name. Changes the file.
///
/// # Errors
/// Where it cannot be written.
pub fn make_anew(file: &FileAt, anew: &Anew) -> Result<String, OpenError> {
    let mut copy = open_copy(file)?;
    let name = instance::begin_anew(&mut copy, anew.run, anew.event)?;
    copy.execute(sql::UPKEEP_FORGET_ENROLLMENT, named_params! {})?;
    if anew.no_sessions {
        copy.execute(sql::UPKEEP_FORGET_SESSIONS, named_params! {})?;
    }
    if anew.pause {
        copy.execute(sql::UPKEEP_PAUSE_QUEUES, named_params! {})?;
    }
    copy.close().map_err(|(_, error)| error)?;
    Ok(name)
}

/// Has a database that nobody uses take its log in, so that its file is all of it. Changes the file.
///
/// # Errors
/// Where that cannot be done: it is damaged, or not all of it is there.
pub fn fold_log(file: &FileAt) -> Result<(), OpenError> {
    by_descriptor::check(file)?;
    let conn = by_descriptor::open(file, READ_WRITE)?;
    conn.busy_timeout(BUSY)?;
    let busy: i64 = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    conn.close().map_err(|(_, error)| error)?;
    if busy == 0 { Ok(()) } else { Err(OpenError::Failed("another process reads it".to_owned())) }
}

/// A file that this process made and nobody else knows.
fn open_copy(file: &FileAt) -> rusqlite::Result<Connection> {
    let copy = by_descriptor::open(file, READ_WRITE)?;
    // Alone with it, SQLite needs no shared memory, which not every file system has.
    copy.execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA trusted_schema = OFF")?;
    Ok(copy)
}

/// `path` as a URI that promises that the file does not change.
fn immutable(path: &Path) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' => uri.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            // Writing to a String cannot fail.
            byte => _ = write!(uri, "%{byte:02x}"),
        }
    }
    uri + "?immutable=1"
}
