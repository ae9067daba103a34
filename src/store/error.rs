//! Errors of the store: a refusal, which the client is told, or a fault, which is logged and acted on. Texts are for
//! people and never hold SQL or paths.

use std::fmt;
use std::time::Duration;

use rusqlite::ErrorCode;

use crate::run::{RunId, Status};
use crate::store::refusal::{READ_ONLY, Refusal};

/// Why the store did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// A refusal: the client is told why.
    Refused(Refusal),
    /// A fault of the database, its medium, or this program.
    Failed(Fault),
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SQLite found no room; nothing was written. Callers get [`Refusal::NoRoom`] instead.
    Full,
    /// The file system is read-only; nothing was written. Callers get [`Refusal::ReadOnly`] instead.
    ReadOnly,
    /// The open files are not those that the next start would find; nothing was written.
    Displaced,
    /// The medium failed.
    Io {
        /// Whether a write failed, not a flush or a read.
        is_write: bool,
        /// What SQLite said.
        why: String,
    },
    /// The database is damaged.
    Damaged(String),
    /// A write has been waiting for the medium for this long; reads go on.
    Stalled(Duration),
    /// The store could not be reached, or not in time.
    Unavailable(String),
    /// The store has given up and the daemon ends; the outcome of running requests is unknown.
    GivenUp(String),
    /// The daemon stops, and what was asked is not done any more.
    Stopping,
    /// The table of transitions has no such move: a fault of this program. All that its request wrote was rolled back.
    NoSuchMove {
        /// The run.
        run: RunId,
        /// Its status; `None`: it does not exist.
        from: Option<Status>,
        /// The status it was to get.
        to: Option<Status>,
    },
}

impl StoreError {
    /// Whether the store logs the begin and end of this itself.
    pub(in crate::store) fn is_told_by_the_store(&self) -> bool {
        matches!(
            self,
            StoreError::Refused(Refusal::NoRoom(_) | Refusal::ReadOnly)
                | StoreError::Failed(Fault::ReadOnly | Fault::Displaced)
        )
    }

    /// The fault; a refusal becomes one where nobody asked for anything that can be refused.
    pub(in crate::store) fn into_fault(self) -> Fault {
        match self {
            StoreError::Failed(fault) => fault,
            StoreError::Refused(refusal) => Fault::Unavailable(refusal.to_string()),
        }
    }
}

/// The error of requests to a closed store.
pub fn closed() -> StoreError {
    Fault::Unavailable("the store is closed".into()).into()
}

impl fmt::Display for StoreError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Refused(refusal) => refusal.fmt(out),
            StoreError::Failed(fault) => fault.fmt(out),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Full => write!(out, "the disk that holds the database is full; nothing was written"),
            Fault::ReadOnly => out.write_str(READ_ONLY),
            Fault::Displaced => write!(
                out,
                "the database's file was deleted, moved, replaced or overwritten under the daemon, or its disk was \
                 unmounted: nothing more is written, and what was stored can be read. Put it back, and the daemon goes on \
                 by itself, or restart it; its log names the file"
            ),
            Fault::Stalled(time) => write!(
                out,
                "a write has been waiting for the medium for {} s; reads go on. Where the file system is frozen for a \
                 snapshot (fsfreeze) writes go on by themselves once it is thawed; else look at the disk (dmesg)",
                time.as_secs()
            ),
            Fault::Unavailable(_) | Fault::Io { .. } | Fault::Damaged(_) => {
                write!(out, "the database cannot be reached; see the daemon's log")
            }
            Fault::GivenUp(_) => {
                write!(
                    out,
                    "the database failed and the daemon ends; what became of this request is unknown, ask again"
                )
            }
            Fault::Stopping => out.write_str("the daemon is stopping; ask again once it is back"),
            Fault::NoSuchMove { run, from, to } => {
                let word = |status: &Option<Status>| status.map_or("absent", Status::as_str);
                write!(out, "run {run} cannot go from {} to {}", word(from), word(to))
            }
        }
    }
}

impl std::error::Error for StoreError {}

impl From<Refusal> for StoreError {
    fn from(refusal: Refusal) -> StoreError {
        StoreError::Refused(refusal)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> StoreError {
        StoreError::Failed(fault)
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        StoreError::Failed(error.into())
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        let Some(code) = error.sqlite_error() else { return Fault::Unavailable(error.to_string()) };
        match code.code {
            ErrorCode::DiskFull => Fault::Full,
            ErrorCode::SystemIoFailure => {
                let is_write = code.extended_code == rusqlite::ffi::SQLITE_IOERR_WRITE;
                Fault::Io { is_write, why: format!("{error} (code {})", code.extended_code) }
            }
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Fault::Damaged(error.to_string()),
            _ => Fault::Unavailable(error.to_string()),
        }
    }
}
