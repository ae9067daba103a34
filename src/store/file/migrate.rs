//! Opens the database file and brings its schema up to date. Refuses what is not ours or newer than this binary.
//!
//! Never deletes or empties a file to make it open.

use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use crate::dir::FileAt;
use crate::store::file::connect::{Sharing, configure, flush_left, leave_log, log_is_left, open_as};
use crate::store::file::error::OpenError;
use crate::store::file::{check, instance, moving};
use crate::store::sql;

/// Page size of a new database; one that is there keeps its own. A commit writes whole pages of which it changes a few
/// hundred bytes: half of SQLite's own size writes a third less for each, and costs a tenth more time where a command
/// prints as fast as it can.
const PAGE_BYTES: i64 = 2_048;

/// `application_id` of our files: "Runa" in ASCII.
pub const APPLICATION_ID: i64 = 0x5275_6e61;

/// Opens `file`, creates it where it is missing, and brings its schema up to date. Where a log was left, looks for
/// damage for at most `check_max`. Until the caller accepts the database, its log is neither moved into it nor removed
/// when the connection is closed.
pub fn open(file: &FileAt, check_max: Option<Duration>, sharing: Sharing) -> Result<Connection, OpenError> {
    check::before_open(file)?;
    let has_log = log_is_left(file);
    if has_log {
        // While SQLite has none of them open: to close one would give its locks up.
        flush_left(file).map_err(|error| OpenError::Failed(format!("what was left cannot be flushed: {error}")))?;
    }
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
        conn.execute_batch(&format!("PRAGMA page_size = {PAGE_BYTES}; PRAGMA auto_vacuum = INCREMENTAL;"))?;
    }
    configure(&conn)?;
    if let Some(check_max) = check_max.filter(|_| has_log) {
        check::quick(&conn, check_max)?;
    }
    migrate(&mut conn, version)?;
    Ok(conn)
}

fn migrate(conn: &mut Connection, version: i64) -> Result<(), OpenError> {
    let (moving, newest) = (sql::MOVING as i64, sql::MIGRATIONS.len() as i64);
    if version == 0 {
        // There is nothing to be moved.
        migrate_to(conn, version, newest)?;
        // Some migrations remove what others made.
        let mut pages = conn.prepare("PRAGMA incremental_vacuum")?;
        let mut removed = pages.query([])?;
        while removed.next()?.is_some() {}
        return Ok(());
    }
    if version < moving {
        migrate_to(conn, version, moving)?;
    }
    if version <= moving {
        moving::move_events(conn)?;
    }
    migrate_to(conn, version.max(moving), newest)
}

/// All at once, or nothing.
fn migrate_to(conn: &mut Connection, from: i64, to: i64) -> Result<(), OpenError> {
    if from == to {
        return Ok(());
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for migration in &sql::MIGRATIONS[from as usize..to as usize] {
        tx.execute_batch(migration)?;
    }
    if from == 0 {
        instance::name_anew(&tx)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", to)?;
    tx.commit()?;
    Ok(())
}
