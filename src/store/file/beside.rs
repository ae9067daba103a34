//! Opens a database read-only beside the daemon, and prepares copies of one. Refuses foreign files and newer schemas.
//!
//! Only the functions that say so change a file, and they are for copies and for databases that no daemon has open.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags, named_params};

use crate::clock::UnixMs;
use crate::dir::{Dir, FileAt};
use crate::event::HighWater;
use crate::numbers::{EventId, RunId};
use crate::run::Status;
use crate::store::file::error::OpenError;
use crate::store::file::migrate::APPLICATION_ID;
use crate::store::file::{by_descriptor, instance};
use crate::store::sql;

/// Each connection belongs to one thread.
const READ: OpenFlags = OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);
const READ_WRITE: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// Pages of one step of a copy: 1 MiB. After each step the copy pauses for as long as the step took.
const STEP_PAGES: i32 = 256;
/// The longest pause between two steps of a copy.
const PAUSE_MAX: Duration = Duration::from_millis(50);
/// How long another process's lock is waited for.
const BUSY: Duration = Duration::from_secs(5);
/// Instructions of SQLite's virtual machine between two looks at the clock.
const CLOCK_STEPS: i32 = 10_000;
/// Most faults that one check reports.
const FAULTS_MAX: usize = 10;

/// A database opened read-only. All reads see the snapshot of the first one.
pub struct ReadOnlyDatabase {
    pub(in crate::store::file) conn: Connection,
    /// Keeps the directory's descriptor open, by which SQLite opens its files.
    _dir: Option<Arc<Dir>>,
    /// Version of its schema: the number of migrations that were applied.
    pub schema: i64,
}

/// What a database holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Name of the database, by which its readers know it.
    pub instance: String,
    /// Number of runs.
    pub runs: i64,
    /// Number of queued runs.
    pub queued: i64,
    /// Number of sessions, expired ones included.
    pub sessions: i64,
    /// The highest run id that was ever given out.
    pub last_run: RunId,
    /// The highest event id that was ever given out.
    pub last_event: EventId,
    /// Time of the newest event, in milliseconds since 1970.
    pub last_at: Option<i64>,
}

/// Size of the database's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measures {
    /// Size of a page in bytes.
    pub page_bytes: i64,
    /// Number of pages.
    pub pages: i64,
    /// Number of pages that are free for reuse.
    pub free_pages: i64,
}

/// A job, as the doctor looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSeen {
    /// Its name.
    pub name: String,
    /// What it is, as JSON.
    pub definition: String,
    /// When it was made.
    pub created_at: UnixMs,
    /// When it was last changed.
    pub changed_at: UnixMs,
    /// When it is due next.
    pub next_at: Option<UnixMs>,
    /// Whether any of its times was ever written down.
    pub has_fired: bool,
}

/// How a run of a job has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEnd {
    /// The run.
    pub run: RunId,
    /// How.
    pub status: Status,
    /// When.
    pub ended_at: UnixMs,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// No fault.
    Sound,
    /// Faults, as SQLite words them.
    Damaged(Vec<String>),
    /// No fault was found before the time was over.
    Unfinished,
}

/// Why a copy was not made.
#[derive(Debug)]
pub enum CopyError {
    /// The caller stopped it.
    Stopped,
    /// SQLite or the file system failed.
    Failed(OpenError),
}

impl From<rusqlite::Error> for CopyError {
    fn from(error: rusqlite::Error) -> CopyError {
        CopyError::Failed(error.into())
    }
}

/// What is changed in a copy before it takes the place of a database.
#[derive(Clone, Copy, Debug, Default)]
pub struct Anew {
    /// Run ids up to this were given out.
    pub run: RunId,
    /// Event ids up to this were given out.
    pub event: EventId,
    /// Whether all sessions are removed.
    pub no_sessions: bool,
    /// Whether all queues are paused and all hooks disabled.
    pub pause: bool,
}

impl ReadOnlyDatabase {
    /// Opens a database read-only. Refuses a directory in which somebody has replaced a file by a link, a pipe or a
    /// file of another user.
    ///
    /// `still` promises that nobody writes the database meanwhile: then no lock is taken and no file is created beside
    /// it.
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

    /// Opens a file that the user named, whoever owns it. Nobody may write it meanwhile; its write-ahead log is
    /// ignored.
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

    /// Counts what the database holds.
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

    /// How many artifacts runs have left, and their bytes. They lie beside the database.
    ///
    /// # Errors
    /// Where they cannot be counted.
    pub fn artifacts(&self) -> Result<(i64, i64), OpenError> {
        if self.schema < sql::ARTIFACTS_SINCE {
            return Ok((0, 0));
        }
        Ok(self.conn.query_row(sql::UPKEEP_ARTIFACTS, [], |row| Ok((row.get("count")?, row.get("bytes")?)))?)
    }

    /// All jobs, by name; none where the schema is older than jobs.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn jobs(&self) -> Result<Vec<JobSeen>, OpenError> {
        if self.schema < sql::JOBS_SINCE {
            return Ok(Vec::new());
        }
        let mut statement = self.conn.prepare(sql::UPKEEP_JOBS)?;
        let rows = statement.query_map([], |row| {
            Ok(JobSeen {
                name: row.get("name")?,
                definition: row.get("definition")?,
                created_at: UnixMs(row.get("created_at")?),
                changed_at: UnixMs(row.get("changed_at")?),
                next_at: row.get::<_, Option<i64>>("next_at")?.map(UnixMs),
                has_fired: row.get("has_fired")?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// How the newest runs of a job have ended, the newest first.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn ends_of_job(&self, job: &str, rows: i64) -> Result<Vec<RunEnd>, OpenError> {
        let mut statement = self.conn.prepare(sql::UPKEEP_ENDS_OF_JOB)?;
        let ends = statement.query_map(named_params! {":job": job, ":rows": rows}, |row| {
            let status = Status::parse(&row.get::<_, String>("status")?).unwrap_or(Status::Interrupted);
            Ok(RunEnd { run: RunId(row.get("id")?), status, ended_at: UnixMs(row.get("ended_at")?) })
        })?;
        Ok(ends.collect::<rusqlite::Result<_>>()?)
    }

    /// Reads the highest ids that were given out, by a few index lookups.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(in crate::store) fn reached(&self) -> Result<HighWater, OpenError> {
        let newest = |statement: &str| self.conn.query_row(statement, [], |row| row.get::<_, Option<i64>>(0));
        let removed =
            |key: &str| self.conn.query_row(sql::META_GET, named_params! {":key": key}, |row| row.get::<_, i64>(0));
        let instance = self.conn.query_row(sql::META_GET, named_params! {":key": "instance"}, |row| row.get(0))?;
        let run = newest(sql::RUNS_MAX_ID)?.unwrap_or(0).max(removed("removed_run_id")?);
        let newest_event =
            if self.schema > sql::MOVING as i64 { sql::EVENTS_MAX_ID } else { sql::UPKEEP_MAX_ID_BEFORE };
        let event = newest(newest_event)?.unwrap_or(0).max(removed("removed_event_id")?);
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

    /// Checks the structure of the database for damage, and with `full` its indexes too, for at most `limit`.
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

    /// Copies the database into an empty file, in steps, while others write. `goes_on` is asked before each step.
    ///
    /// The copy is one file without a write-ahead log. It is not flushed: the caller syncs it.
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

/// Gives a copy a new name and applies `anew`; returns the name. Changes the file.
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
        let schema: i64 = copy.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if schema >= sql::HOOKS_SINCE {
            copy.execute(sql::UPKEEP_DISABLE_HOOKS, named_params! {})?;
        }
    }
    copy.close().map_err(|(_, error)| error)?;
    Ok(name)
}

/// Moves the write-ahead log of a database that nobody uses into its file. Changes the file.
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

/// Opens a copy that this process made and no other process knows.
fn open_copy(file: &FileAt) -> rusqlite::Result<Connection> {
    let copy = by_descriptor::open(file, READ_WRITE)?;
    // Alone with it, SQLite needs no shared memory, which not every file system has.
    copy.execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA trusted_schema = OFF")?;
    Ok(copy)
}

/// `path` as a URI for SQLite that promises that the file does not change.
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
