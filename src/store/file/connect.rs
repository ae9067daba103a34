//! Opens connections to the database's file and applies the settings of each.
//!
//! It never creates a file and does not look at what a file holds.

use std::io;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::dir::FileAt;
use crate::store::error::Fault;
use crate::store::file::by_descriptor;
use crate::store::file::error::OpenError;

/// How long another process may hold the lock before a write is refused.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// Each connection is used by one thread only.
const READ_WRITE: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);
/// Page cache of the writing connection, in KiB.
const CACHE_KIB: i64 = 512;
/// Page cache of the reading connection, in KiB: every commit makes its pages stale.
const READ_CACHE_KIB: i64 = 256;
/// How long a read waits while another process has locked everybody out, as when it sets up the shared memory.
const READ_PATIENCE: Duration = Duration::from_secs(1);
/// Prepared statements that are kept: all that there are.
const STATEMENTS: usize = 128;

/// Who may open the database at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Every process that may read the file. The index of the log is a file.
    All,
    /// Nobody. The index of the log is in memory, which needs no space on a full disk.
    Nobody,
}

/// Opens the database again, without looking at its schema.
pub fn connect(file: &FileAt, sharing: Sharing) -> Result<Connection, Fault> {
    let conn = open_as(file, sharing)?;
    configure(&conn).map_err(|error| Fault::Unavailable(error.to_string()))?;
    Ok(conn)
}

/// Opens a read-only connection. A connection that may write must be open meanwhile.
pub fn connect_to_read(file: &FileAt) -> Result<Connection, Fault> {
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

/// Keeps the log as it is when the connection is closed.
pub fn leave_log(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(drop)
}

/// Lets closing the connection move the log into the database.
pub fn accept(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map(drop)
}

pub fn open_as(file: &FileAt, sharing: Sharing) -> rusqlite::Result<Connection> {
    let conn = by_descriptor::open(file, READ_WRITE)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.busy_timeout(LOCK_PATIENCE)?;
    if sharing == Sharing::Nobody {
        // Before the first read, which would make the index.
        conn.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
    }
    Ok(conn)
}

pub fn configure(conn: &Connection) -> Result<(), OpenError> {
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

/// Flushes what a daemon has left that did not close the database. It may have been killed between the writes of a commit and
/// their flush: SQLite takes such a commit for one, and nothing is to be shown that a power cut could take back.
pub fn flush_left(database: &FileAt) -> io::Result<()> {
    for file in [database, &database.with_suffix("-wal")] {
        match file.dir.read(&file.name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => opened?.sync_all()?,
        }
    }
    // The files may be as new as what is in them.
    database.dir.sync()
}

/// Whether there is a write-ahead log with something in it: a clean stop empties or removes it, unless another process
/// has the database open.
pub fn log_is_left(database: &FileAt) -> bool {
    database.with_suffix("-wal").bytes().is_some_and(|bytes| bytes > 0)
}
