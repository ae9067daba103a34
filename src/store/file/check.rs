//! Checks a file before anything is written to it: whether it is a database of ours, and whether it is damaged.
//!
//! Never changes, empties or deletes a file. Damage is only looked for after an unclean stop, and for a limited time.

use std::io::Read as _;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use crate::dir::FileAt;
use crate::store::file::by_descriptor;
use crate::store::file::connect::log_is_left;
use crate::store::file::error::OpenError;

/// How every SQLite database begins (its file format, 1.3.1).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Most faults that one check reports.
const FAULTS_MAX: usize = 3;
/// Instructions of SQLite's virtual machine between two looks at the clock: about a millisecond.
const STEPS: i32 = 10_000;

/// Refuses a file that SQLite would take for an empty database, or could not open.
pub fn before_open(file: &FileAt) -> Result<(), OpenError> {
    by_descriptor::check(file)?;
    if file.bytes().unwrap_or(0) == 0 {
        // SQLite would delete the log.
        return if log_is_left(file) {
            Err(OpenError::Damaged("it is empty or missing, but its write-ahead log is there and holds data".into()))
        } else {
            Ok(())
        };
    }
    let mut magic = [0; MAGIC.len()];
    let read = file.dir.read(&file.name).and_then(|mut file| file.read_exact(&mut magic));
    match read {
        Ok(()) if magic == *MAGIC => Ok(()),
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(OpenError::Failed(error.to_string())),
        // The power went while the file was made: SQLite rolls that back, and refuses what is no database then.
        _ if file.with_suffix("-journal").bytes().is_some_and(|bytes| bytes > 0) => Ok(()),
        _ if log_is_left(file) => Err(OpenError::Damaged("it does not begin as a SQLite database does".into())),
        _ => Err(OpenError::Foreign),
    }
}

/// Looks for damage for at most `at_most`; logs when the check was not finished.
pub fn quick(conn: &Connection, at_most: Duration) -> Result<(), OpenError> {
    let begun = Instant::now();
    conn.progress_handler(STEPS, Some(move || begun.elapsed() >= at_most))?;
    let faults = faults(conn);
    conn.progress_handler(0, None::<fn() -> bool>)?;
    match faults {
        Ok(faults) if faults == ["ok"] => {
            log::info!("the last stop was not clean; the database is sound (looked for {:?})", begun.elapsed());
            Ok(())
        }
        Ok(faults) => Err(OpenError::Damaged(faults.join("; "))),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            log::warn!(
                "the last stop was not clean; no damage was found in {at_most:?}, and the database is too large to be \
                 looked at as a whole now: `runabout doctor` does that"
            );
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

fn faults(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut check = conn.prepare(&format!("PRAGMA quick_check({FAULTS_MAX})"))?;
    let faults = check.query_map([], |row| row.get(0))?;
    faults.collect()
}
