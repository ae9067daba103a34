//! Runs that have to end before another one starts.

use serde::{Deserialize, Serialize};

use super::outcome::Status;
use crate::numbers::RunId;
use crate::words::words;

/// The most runs that one run may need.
pub const NEEDS_MAX: usize = 64;

words! {
    /// How a needed run has to end.
    When {
        /// With exit code 0.
        Succeeded = "succeeded",
        /// In any way.
        Ended = "ended",
        /// By itself, by its time limit or with the daemon, and not with exit code 0. What was canceled has not failed.
        Failed = "failed",
    }
}

impl When {
    /// Whether it has come true with an end of this status.
    pub const fn is_met_by(self, status: Status) -> bool {
        match self {
            When::Succeeded => matches!(status, Status::Succeeded),
            When::Ended => status.is_terminal(),
            When::Failed => matches!(status, Status::Failed | Status::TimedOut | Status::Interrupted),
        }
    }

    /// What it asks for, for people.
    pub const fn wish(self) -> &'static str {
        match self {
            When::Succeeded => "it had to succeed",
            When::Ended => "it had to end",
            When::Failed => "it had to fail",
        }
    }
}

/// One run that has to end first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// Which run.
    pub run: RunId,
    /// How it has to end.
    pub when: When,
}
