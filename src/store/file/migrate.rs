//! Opens the database file: its mode, its settings, its schema. Refuses what is not ours or newer than this binary.
//!
//! Never deletes or empties a file to make it open.

use std::fmt;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::dir::FileAt;
use crate::store::engine::recovery::log_is_left;
use crate::store::engine::room::Room;
use crate::store::error::StoreError;
use crate::store::file::{by_descriptor, check, lineage};
use crate::store::sql;

/// `application_id` of our files: "Runa" in ASCII.
pub(in crate::store) const APPLICATION_ID: i64 = 0x5275_6e61;
/// How long another process may hold the lock before a write is refused.
pub(in crate::store) const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// One thread uses a connection.
const READ_WRITE: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);
/// SQLite's page cache, in KiB, of the connection that writes …
const CACHE_KIB: i64 = 512;
/// … and of the one that reads, whose pages every commit makes old.
const READ_CACHE_KIB: i64 = 256;
/// How long a read waits while another process keeps everybody out, as it does to set up the shared memory anew.
const READ_PATIENCE: Duration = Duration::from_secs(1);
/// Statements kept prepared: all there are.
const STATEMENTS: usize = 128;

/// Why the database was not opened.
#[derive(Debug)]
pub enum OpenError {
    /// Somebody else's file.
    Foreign,
    /// A newer binary's schema.
    Newer {
        /// The file's.
        found: i64,
        /// This binary's.
        known: i64,
    },
    /// It is ours, or may be, and not as SQLite wrote it.
    Damaged(String),
    /// SQLite or the file system said no.
    Failed(String),
}

/// What to do with a database that is damaged.
pub(in crate::store) const DAMAGED: &str = "Nothing was changed or deleted. First keep a copy of the whole state directory \
(cp -a). Then, with no daemon running, bring a backup back with `runabout restore FILE`; or save what can still be read: \
`sqlite3 runabout.db .recover | sqlite3 recovered.db`, and put that in the place of runabout.db, without the old -wal \
and -shm; or move the directory away and begin anew. And look at the disk (dmesg, smartctl).";

impl fmt::Display for OpenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Foreign => {
                write!(
                    out,
                    "it is not a Runabout database, or its first page is damaged; nothing was changed. Move it away, \
                     bring a backup back with `runabout restore FILE`, or choose another --state-dir"
                )
            }
            OpenError::Newer { found, known } => {
                write!(
                    out,
                    "its schema is version {found}, this binary knows {known}: run the newer runabout that wrote it"
                )
            }
            OpenError::Damaged(why) => write!(out, "it is damaged: {why}. {DAMAGED}"),
            OpenError::Failed(why) => out.write_str(why),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> OpenError {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => OpenError::Foreign,
            Some(rusqlite::ErrorCode::DatabaseCorrupt) => OpenError::Damaged(error.to_string()),
            _ => OpenError::Failed(error.to_string()),
        }
    }
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> OpenError {
        match error {
            StoreError::Damaged(why) => OpenError::Damaged(why),
            error => OpenError::Failed(format!("{error:?}")),
        }
    }
}

/// Who may have the database open beside this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Sharing {
    /// Whoever may read the file: the index of the log is a file of its own.
    All,
    /// Nobody: the index is in memory, which takes no room on a disk that has none.
    Nobody,
}

/// Opens `file` whatever room there is: with what the ballast gives back, and if need be alone.
pub(in crate::store) fn open_in(
    room: &mut Room,
    file: &FileAt,
    check_max: Option<Duration>,
) -> Result<(Connection, Sharing), OpenError> {
    let first = match open(file, check_max, Sharing::All) {
        Err(OpenError::Failed(why)) if room.has_none() => OpenError::Failed(why),
        other => return other.map(|conn| (conn, Sharing::All)),
    };
    if room.give_ballast_back() {
        if let Ok(conn) = open(file, check_max, Sharing::All) {
            return Ok((conn, Sharing::All));
        }
    }
    let conn = open(file, check_max, Sharing::Nobody).map_err(|_| first)?;
    log::warn!("the disk is full: until there is room nobody else can open the database");
    Ok((conn, Sharing::Nobody))
}

/// Opens `file`, making it if it is not there, and brings its schema up to date; where a log was left, looks
/// for damage for `check_max` so long. Until [`accept`] nothing of a log that is there moves into the file, nor goes when it is closed.
fn open(file: &FileAt, check_max: Option<Duration>, sharing: Sharing) -> Result<Connection, OpenError> {
    check::before_open(file)?;
    let has_log = log_is_left(file);
    // SQLite gives -wal and -shm its mode, so that all three are 0600.
    file.dir.write(&file.name).map_err(|error| OpenError::Failed(error.to_string()))?;
    let mut conn = open_as(file, sharing)?;
    if has_log {
        leave_log(&conn)?;
    }
    let pragma = |name: &str| conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let version = pragma("user_version")?;
    let known = sql::MIGRATIONS.len() as i64;
    let empty = pragma("schema_version")? == 0;
    if !empty && pragma("application_id")? != APPLICATION_ID {
        return Err(OpenError::Foreign);
    }
    if version > known {
        return Err(OpenError::Newer { found: version, known });
    }
    if empty {
        // Both must stand before the first table, and auto_vacuum before WAL.
        conn.execute_batch("PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL;")?;
    }
    configure(&conn)?;
    if let Some(check_max) = check_max.filter(|_| has_log) {
        check::quick(&conn, check_max)?;
    }
    migrate(&mut conn, version)?;
    Ok(conn)
}

/// Opens it once more, as it is.
pub(in crate::store) fn connect(file: &FileAt, sharing: Sharing) -> Result<Connection, StoreError> {
    let conn = open_as(file, sharing)?;
    configure(&conn).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    Ok(conn)
}

/// Opens it for those who only read; while somebody has it open who may write.
pub(in crate::store) fn connect_to_read(file: &FileAt) -> Result<Connection, StoreError> {
    let conn = by_descriptor::open(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.busy_timeout(READ_PATIENCE)?;
    conn.execute_batch(&format!(
        "PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA mmap_size = 0;
         PRAGMA cache_size = -{READ_CACHE_KIB};"
    ))?;
    Ok(conn)
}

/// Has the log stay as it is when the connection is closed.
pub(in crate::store) fn leave_log(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(drop)
}

/// From now on closing it may move the log into the file.
pub(in crate::store) fn accept(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map(drop)
}

fn open_as(file: &FileAt, sharing: Sharing) -> rusqlite::Result<Connection> {
    let conn = by_descriptor::open(file, READ_WRITE)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.busy_timeout(LOCK_PATIENCE)?;
    if sharing == Sharing::Nobody {
        // Before the first read, which would make the index.
        conn.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
    }
    Ok(conn)
}

fn configure(conn: &Connection) -> Result<(), OpenError> {
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(OpenError::Failed(format!(
            "its file system cannot hold a write-ahead log (journal_mode is {mode}); use a local disk"
        )));
    }
    // FULL: what a 2xx acknowledges survives a power cut. Checkpoints are made by our own hand, outside of commits.
    conn.execute_batch(&format!(
        "PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA mmap_size = 0;
         PRAGMA cache_size = -{CACHE_KIB};"
    ))?;
    Ok(())
}

fn migrate(conn: &mut Connection, version: i64) -> Result<(), OpenError> {
    if version == sql::MIGRATIONS.len() as i64 {
        return Ok(());
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for migration in &sql::MIGRATIONS[version as usize..] {
        tx.execute_batch(migration)?;
    }
    if version == 0 {
        lineage::name_anew(&tx)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", sql::MIGRATIONS.len() as i64)?;
    tx.commit()?;
    Ok(())
}
