//! Opens the database file: its mode, its settings, its schema. Refuses what is not ours or newer than this binary.
//!
//! Never deletes or empties a file to make it open.

use std::fmt;
use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::{lineage, sql};

/// `application_id` of our files: "Runa" in ASCII.
pub(super) const APPLICATION_ID: i64 = 0x5275_6e61;
/// How long another process may hold the lock before a write is refused, in milliseconds.
const BUSY_TIMEOUT_MS: u64 = 5_000;
/// SQLite's page cache, in KiB.
const CACHE_KIB: i64 = 768;
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
    /// SQLite or the file system said no.
    Failed(String),
}

impl fmt::Display for OpenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Foreign => {
                write!(out, "it is not a Runabout database; move it away or choose another --state-dir")
            }
            OpenError::Newer { found, known } => {
                write!(
                    out,
                    "its schema is version {found}, this binary knows {known}: run the newer runabout that wrote it"
                )
            }
            OpenError::Failed(why) => out.write_str(why),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> OpenError {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => OpenError::Foreign,
            _ => OpenError::Failed(error.to_string()),
        }
    }
}

/// Opens `path`, making it if it is not there, and brings its schema up to date.
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
    make(path).map_err(|error| OpenError::Failed(error.to_string()))?;
    let mut conn = Connection::open(path)?;
    conn.busy_timeout(std::time::Duration::from_millis(BUSY_TIMEOUT_MS))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
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
    migrate(&mut conn, version)?;
    Ok(conn)
}

/// Makes the file where it is missing. SQLite gives -wal and -shm its mode, so that all three are 0600.
fn make(path: &Path) -> std::io::Result<()> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    if file.metadata()?.len() == 0 {
        // The umask may have taken more off the mode than others' share.
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(())
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
