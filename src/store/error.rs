//! What a caller of the store can be told. Texts are for people and never hold SQL or paths.

use std::fmt;
use std::time::Duration;

use rusqlite::ErrorCode;

use crate::run::{RunId, Status};

/// Why the store did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// No such run was ever made.
    RunNotFound(RunId),
    /// The run was there and is gone.
    RunPruned(RunId),
    /// It has to end first.
    RunNotFinished(RunId),
    /// It has started already.
    RunNotQueued(RunId),
    /// It has ended already.
    RunFinished(RunId),
    /// The table of transitions has no such move: a fault of this program. All that its request wrote was rolled back.
    NoSuchMove {
        /// Whose.
        run: RunId,
        /// Where it stands; `None`: it is not there.
        from: Option<Status>,
        /// Where it was to stand.
        to: Option<Status>,
    },
    /// `limits.queued_runs` is reached.
    QueueFull {
        /// The limit.
        limit: i64,
    },
    /// A submit or change names a queue that does not exist.
    QueueUnknown(String),
    /// The path names a queue that does not exist.
    QueueNotFound(String),
    /// `default` stays.
    QueueProtected,
    /// Something waits or runs in it.
    QueueNotEmpty(String),
    /// The key was used with another request.
    IdempotencyMismatch,
    /// The enrollment token is unknown, used up or expired.
    EnrollmentInvalid,
    /// No such enrollment token.
    EnrollmentTokenNotFound(i64),
    /// No such session.
    SessionNotFound(i64),
    /// There is too little room for it; nothing was written.
    NoRoom(Shortage),
    /// The file system takes no writes; nothing was written.
    ReadOnly,
    /// The open files are not those that the next start would find; nothing was written.
    Displaced,
    /// SQLite found no room; nothing was written. A caller is told [`StoreError::NoRoom`] in its place.
    Full,
    /// The medium failed. `is_write`: at a write, not at a flush or a read.
    Io {
        /// Whether a write failed.
        is_write: bool,
        /// What SQLite said.
        why: String,
    },
    /// The database's file is not what SQLite wrote.
    Damaged(String),
    /// A write has been waiting for the medium for this long; reads go on.
    Stalled(Duration),
    /// The store could not be asked, or not in time.
    Unavailable(String),
    /// The store has given up and the daemon ends; the outcome of what was under way is unknown.
    Failed(String),
}

/// Of what there is too little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Free space where the state is kept.
    Disk {
        /// What is free.
        free_bytes: u64,
        /// What is to be free: `limits.disk_free_bytes`, or what the daemon keeps for itself.
        needed_bytes: u64,
        /// What Litestream keeps beside the database.
        replica_bytes: u64,
    },
    /// Of the quota, which is full of what may not be removed.
    Quota {
        /// What the database has in use.
        used_bytes: u64,
        /// What it may have: `retention.db_bytes`.
        quota_bytes: u64,
    },
}

impl StoreError {
    /// Whether the store decided so before it wrote anything, as opposed to SQLite's own errors.
    pub(in crate::store) fn is_refusal(&self) -> bool {
        !matches!(
            self,
            StoreError::Full
                | StoreError::Io { .. }
                | StoreError::Damaged(_)
                | StoreError::Unavailable(_)
                | StoreError::Failed(_)
                | StoreError::NoSuchMove { .. }
        )
    }

    /// Whether the store says in the log itself when this begins and when it ends.
    pub fn is_told_by_the_store(&self) -> bool {
        matches!(self, StoreError::NoRoom(_) | StoreError::ReadOnly | StoreError::Displaced)
    }
}

/// What is answered once the store is closed.
pub(in crate::store) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".into())
}

impl fmt::Display for StoreError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::RunNotFound(run) => write!(out, "no run {run}"),
            StoreError::RunPruned(run) => write!(out, "run {run} was removed"),
            StoreError::RunNotFinished(run) => {
                write!(out, "run {run} has not ended yet; cancel it or wait for it first")
            }
            StoreError::RunNotQueued(run) => {
                write!(out, "run {run} is no longer queued; only keep, name and tags can be changed now")
            }
            StoreError::RunFinished(run) => write!(out, "run {run} has ended; nothing can be appended to it"),
            StoreError::NoSuchMove { run, from, to } => {
                let word = |status: &Option<Status>| status.map_or("absent", Status::as_str);
                write!(out, "run {run} cannot go from {} to {}", word(from), word(to))
            }
            StoreError::QueueFull { limit } => {
                write!(out, "{limit} runs are queued, which is the limit (limits.queued_runs); try again later")
            }
            StoreError::QueueUnknown(queue) => {
                write!(out, "no queue \"{queue}\"; an admin makes it with `runabout queue {queue} --slots 1`")
            }
            StoreError::QueueNotFound(queue) => write!(out, "no queue \"{queue}\""),
            StoreError::QueueProtected => write!(out, "the queue \"default\" cannot be deleted"),
            StoreError::QueueNotEmpty(queue) => write!(out, "queue \"{queue}\" still has queued or running runs"),
            StoreError::IdempotencyMismatch => write!(out, "this Idempotency-Key was used with another request"),
            StoreError::EnrollmentInvalid => {
                write!(
                    out,
                    "this enrollment token is unknown, used up or expired; make a new one with `runabout enroll`"
                )
            }
            StoreError::EnrollmentTokenNotFound(id) => write!(out, "no enrollment token {id}"),
            StoreError::SessionNotFound(id) => write!(out, "no session {id}"),
            StoreError::NoRoom(shortage) => write!(out, "{shortage}"),
            StoreError::ReadOnly => write!(
                out,
                "the file system that holds the database takes no writes; what is stored can be read. Once it can be \
                 written again (see dmesg, mount), the daemon goes on by itself"
            ),
            StoreError::Displaced => write!(
                out,
                "the database's file was deleted, moved, replaced or overwritten under the daemon, or its disk was \
                 unmounted: nothing more is written, and what was stored can be read. Put it back, and the daemon goes on \
                 by itself, or restart it; its log names the file"
            ),
            StoreError::Stalled(time) => write!(
                out,
                "a write has been waiting for the medium for {} s; reads go on. Where the file system is frozen for a \
                 snapshot (fsfreeze) writes go on by themselves once it is thawed; else look at the disk (dmesg)",
                time.as_secs()
            ),
            StoreError::Full => write!(out, "the disk that holds the database is full; nothing was written"),
            StoreError::Unavailable(_) | StoreError::Io { .. } | StoreError::Damaged(_) => {
                write!(out, "the database cannot be reached; see the daemon's log")
            }
            StoreError::Failed(_) => {
                write!(
                    out,
                    "the database failed and the daemon ends; what became of this request is unknown, ask again"
                )
            }
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Shortage::Disk { free_bytes, needed_bytes, .. } if free_bytes >= needed_bytes => write!(
                out,
                "the file system that holds the database found no room for a write, though {} are free: look at the \
                 quotas of its user or directory",
                Size(free_bytes)
            ),
            Shortage::Disk { free_bytes, needed_bytes, replica_bytes } => {
                write!(
                    out,
                    "the disk is nearly full: {} are free where the daemon keeps its state and {} must be \
                     (limits.disk_free_bytes); free some space, or remove runs with `runabout rm`",
                    Size(free_bytes),
                    Size(needed_bytes)
                )?;
                if replica_bytes == 0 {
                    return Ok(());
                }
                write!(out, ". Litestream keeps {} in .runabout.db-litestream beside the database", Size(replica_bytes))
            }
            Shortage::Quota { used_bytes, quota_bytes } => write!(
                out,
                "the database is full: {} are in use and {} are allowed (retention.db_bytes), and queued, running and \
                 kept runs are not removed by themselves; cancel or remove some, or raise it",
                Size(used_bytes),
                Size(quota_bytes)
            ),
        }
    }
}

/// Bytes, for people.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes @ 0..10_240 => write!(out, "{bytes} bytes"),
            bytes @ 10_240..10_485_760 => write!(out, "{} KiB", bytes / 1_024),
            bytes => write!(out, "{} MiB", bytes / 1_048_576),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        let Some(code) = error.sqlite_error() else { return StoreError::Unavailable(error.to_string()) };
        match code.code {
            ErrorCode::DiskFull => StoreError::Full,
            ErrorCode::SystemIoFailure => {
                let is_write = code.extended_code == rusqlite::ffi::SQLITE_IOERR_WRITE;
                StoreError::Io { is_write, why: format!("{error} (code {})", code.extended_code) }
            }
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Damaged(error.to_string()),
            _ => StoreError::Unavailable(error.to_string()),
        }
    }
}
