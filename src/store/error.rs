//! What a caller of the store can be told. Texts are for people and never hold SQL or paths.

use std::fmt;

use crate::run::RunId;

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
    /// The medium has no room; nothing was written.
    Full,
    /// The store could not be asked, or the outcome of a write is unknown.
    Unavailable(String),
}

impl StoreError {
    /// Whether the store decided so before it wrote anything, as opposed to SQLite's own errors.
    pub(super) fn is_refusal(&self) -> bool {
        !matches!(self, StoreError::Unavailable(_) | StoreError::Full)
    }
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
            StoreError::Full => write!(out, "the disk that holds the database is full; nothing was written"),
            StoreError::Unavailable(_) => write!(out, "the database cannot be reached; see the daemon's log"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => StoreError::Full,
            _ => StoreError::Unavailable(error.to_string()),
        }
    }
}
