//! Where a run came from.

use crate::clock::UnixMs;
use crate::words::words;

words! {
    /// What made a run.
    Cause {
        /// Somebody submitted it.
        Submit = "submit",
        /// The schedule of its job was due.
        Schedule = "schedule",
        /// Somebody started its job.
        Trigger = "trigger",
        /// Somebody had an ended run repeated.
        Retry = "retry",
        /// Its job follows another one, whose run succeeded.
        Job = "job",
        /// A hook started its job.
        Hook = "hook",
    }
}

/// What made a run, and for which time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// What made it.
    pub cause: Cause,
    /// The job that it belongs to.
    pub job: Option<String>,
    /// When the job's schedule was due.
    pub scheduled_for: Option<UnixMs>,
    /// Missed times that it stands for, its own among them; up to 1,000.
    pub missed: Option<i64>,
}

impl Origin {
    /// A run that belongs to no job.
    pub const fn of(cause: Cause) -> Origin {
        Origin { cause, job: None, scheduled_for: None, missed: None }
    }
}
