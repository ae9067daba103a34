//! Why a database is not opened. The texts are for whoever starts the daemon or works on its files.

use std::fmt;

use crate::store::error::Fault;

/// Why the database was not opened.
#[derive(Debug)]
pub enum OpenError {
    /// The file belongs to another program.
    Foreign,
    /// The schema is newer than this binary.
    Newer {
        /// Version of the file's schema.
        found: i64,
        /// Newest version that this binary knows.
        known: i64,
    },
    /// The file is damaged.
    Damaged(String),
    /// SQLite or the file system failed.
    Failed(String),
}

/// What to do with a database that is damaged.
pub const DAMAGED: &str = "Nothing was changed or deleted. First keep a copy of the whole state directory \
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

impl From<Fault> for OpenError {
    fn from(error: Fault) -> OpenError {
        match error {
            Fault::Damaged(why) => OpenError::Damaged(why),
            error => OpenError::Failed(format!("{error:?}")),
        }
    }
}
