//! The store. (Interface sketch; bodies follow.)

pub mod backlog;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::run::{Ask, Command, Exit, RunId};
pub use backlog::{Backlog, Piece};

/// What can go wrong between a caller and the medium.
#[derive(Clone, Debug)]
pub enum StoreError {
    /// The store is gone or could not write; the outcome of a write is unknown.
    Unavailable(String),
    // … domain refusals follow
}

impl fmt::Display for StoreError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self:?}")
    }
}

/// A run that was just claimed: its attempt and `started` event are on the medium, its process is not there yet.
#[derive(Clone, Debug)]
pub struct Claimed {
    pub run: RunId,
    pub attempt: i64,
    pub command: Command,
    pub cwd: Option<String>,
    pub env: BTreeMap<String, String>,
    pub stdin: Option<String>,
    pub timeout_s: Option<i64>,
}

/// What tells one process from every other that ever had its pid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessMark {
    pub pid: i32,
    /// Field 22 of /proc/PID/stat, in clock ticks since boot.
    pub start_ticks: i64,
    /// /proc/sys/kernel/random/boot_id.
    pub boot_id: String,
}

/// An attempt that the database says is running, found at the start.
#[derive(Clone, Debug)]
pub struct LeftRun {
    pub run: RunId,
    pub attempt: i64,
    /// None where the daemon died before it could write it.
    pub process: Option<ProcessMark>,
    /// Whether a cancel was asked for before the daemon died.
    pub cancel_requested: bool,
}

/// The handle by which everything async reaches the blocking thread; cheap to clone.
#[derive(Clone)]
pub struct Store {
    backlog: Backlog,
}

impl Store {
    /// Output that waits for a commit.
    pub fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// Commits what the backlog has ready; answers what the commit took.
    pub async fn flush(&self) -> Result<Duration, StoreError> {
        unimplemented!()
    }

    /// Writes the attempt's process down; answers whether a cancel came between the claim and now.
    pub async fn record_process(&self, _run: RunId, _attempt: i64, _process: ProcessMark) -> Result<bool, StoreError> {
        unimplemented!()
    }

    /// Settles an attempt, with all output of the run that still waits in the backlog, in one transaction.
    pub async fn finish(&self, _run: RunId, _attempt: i64, _asked: Option<Ask>, _exit: Exit) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// The attempts that a dead daemon left.
    pub async fn left_running(&self) -> Result<Vec<LeftRun>, StoreError> {
        unimplemented!()
    }

    /// The name of this database, 12 characters of [a-z0-9].
    pub fn instance(&self) -> &str {
        unimplemented!()
    }
}
