//! Runs: their specification, their state, and the only table of the transitions between states.
//!
//! No I/O, and no knowledge of how a run is stored, executed or shown.

mod artifact;
mod hold;
mod key;
mod limits;
mod measured;
mod need;
mod options;
mod origin;
mod outcome;
mod retry;
mod stop;
mod terminal;
mod waiting;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::artifact::{ARTIFACT_NAME_BYTES_MAX, ARTIFACTS_MAX, Artifact};
pub use self::hold::{HeldBy, Hold};
pub use self::key::{Conflict, OnConflict};
pub use self::limits::{CPU_PERCENT_MAX, Enforced, Limits, MEMORY_BYTES_MAX, MEMORY_BYTES_MIN, TASKS_MAX};
pub use self::measured::{Biggest, FailureContext, Measured, Usage};
pub use self::need::{NEEDS_MAX, Need, When};
pub use self::options::Options;
pub use self::origin::{Cause, Origin};
pub use self::outcome::{Ask, Exit, OnInterrupt, Outcome, Reason, Status};
pub use self::retry::{RETRIED, Retry};
pub use self::stop::{Left, StopSignal};
pub use self::terminal::{CELLS_MAX, Stdin, TerminalSize};
pub use self::waiting::{Waiting, WaitsFor};
use crate::clock::UnixMs;
pub use crate::numbers::RunId;
use crate::numbers::Seq;

/// The table of transitions: whether a run may go from one status to another, or keep its status while something else
/// changes. `None` stands for a run that does not exist, not yet or no longer.
pub const fn may_follow(from: Option<Status>, to: Option<Status>) -> bool {
    use Status::{Canceled, Queued, Running};
    match (from, to) {
        // Submit.
        (None, Some(Queued)) => true,
        // Change, claim, cancel.
        (Some(Queued), Some(Queued | Running | Canceled)) => true,
        // Requeue, end.
        (Some(Running), Some(_)) => true,
        // Remove.
        (Some(from), None) => from.is_terminal(),
        // Change of an ended run's label, tags or exemption.
        (Some(from), Some(to)) => from.is_terminal() && from as u8 == to as u8,
        (None, _) => false,
    }
}

/// The command of a run: an argument vector without a shell, or a script for `/bin/sh -c`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Command {
    /// Program and arguments; never empty.
    Argv(Vec<String>),
    /// A script for `/bin/sh -c`.
    Script(String),
}

/// The specification of a run, as submitted. Requests are validated before one is made.
///
/// A job stores one as JSON, so that a field which is added here has a default there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// What is executed.
    pub command: Command,
    /// A label for people.
    pub name: Option<String>,
    /// The name of its queue.
    pub queue: String,
    /// From -1000 to 1000; higher ones start first.
    pub priority: i64,
    /// Labels for filters.
    pub tags: Vec<String>,
    /// Working directory, an absolute path; `None`: the home of the user it runs as, else `/`.
    pub cwd: Option<String>,
    /// Variables added to the daemon's environment.
    pub env: BTreeMap<String, String>,
    /// Text for standard input; `None`: `/dev/null`.
    pub stdin: Option<String>,
    /// Seconds from the start of an attempt to SIGTERM; `None`: no limit.
    pub timeout_s: Option<i64>,
    /// Not started before this time; a job's runs have their own.
    #[serde(skip)]
    pub not_before: Option<UnixMs>,
    /// What happens when the daemon's end interrupts it.
    pub on_interrupt: OnInterrupt,
    /// Exempt from retention.
    pub keep: bool,
    /// What it works on: one run of a key runs at a time.
    pub key: Option<String>,
    /// What its submit does about others of the key; of a run that was made already, the default.
    #[serde(default)]
    pub conflict: Conflict,
    /// What else was said.
    pub options: Options,
}

impl Spec {
    /// `true` in a queue, and nothing else said: what a test has to say of a submit when it does not matter.
    pub fn plain(queue: &str) -> Spec {
        Spec {
            command: Command::Script("true".into()),
            name: None,
            queue: queue.into(),
            priority: 0,
            tags: Vec::new(),
            cwd: None,
            env: BTreeMap::new(),
            stdin: None,
            timeout_s: None,
            not_before: None,
            on_interrupt: OnInterrupt::Fail,
            keep: false,
            key: None,
            conflict: Conflict::default(),
            options: Options::default(),
        }
    }
}

/// A run in its current state.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// Its status, and how its last attempt ended.
    pub outcome: Outcome,
    /// Its specification.
    pub spec: Spec,
    /// What keeps it from being claimed while it is queued.
    pub held_by: HeldBy,
    /// Whether a run that waits needs it.
    pub is_needed: bool,
    /// Attempts that failed and were followed by another, as its `retry` counts them.
    pub failures: i64,
    /// The number of the current, the next or the last attempt, from 1.
    pub attempt: i64,
    /// `data` of the newest `progress` event, as JSON text.
    pub progress: Option<String>,
    /// The process id of its command while it runs.
    pub pid: Option<i64>,
    /// The newest event's `seq`.
    pub last_seq: Seq,
    /// Bytes of output recorded, over all attempts.
    pub output_bytes: i64,
    /// Files that it left to be fetched.
    pub artifacts: i64,
    /// Their bytes; 0 once they were removed.
    pub artifact_bytes: i64,
    /// When it was submitted.
    pub created_at: UnixMs,
    /// When its last attempt started.
    pub started_at: Option<UnixMs>,
    /// When it ended.
    pub ended_at: Option<UnixMs>,
    /// When it was first canceled.
    pub cancel_requested_at: Option<UnixMs>,
    /// The run that it repeats.
    pub retry_of: Option<RunId>,
    /// What its last attempt used, where somebody saw it end.
    pub usage: Option<Usage>,
    /// What made it.
    pub origin: Origin,
}

impl Run {
    /// Whether an attempt of it has begun, or was about to.
    pub fn has_begun(&self) -> bool {
        self.outcome.status != Status::Queued || self.attempt > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_is_final() {
        for &status in Status::ALL.iter().filter(|status| status.is_terminal()) {
            for &next in Status::ALL.iter().filter(|next| **next != status) {
                assert!(!may_follow(Some(status), Some(next)), "{status} became {next}");
            }
            assert!(may_follow(Some(status), None), "{status} can be removed");
            assert!(!may_follow(None, Some(status)), "nothing begins as {status}");
        }
    }

    #[test]
    fn what_lives_is_not_removed() {
        assert!(!may_follow(Some(Status::Queued), None));
        assert!(!may_follow(Some(Status::Running), None));
        assert!(!may_follow(None, None));
    }
}
