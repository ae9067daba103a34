//! What a run is, what holds it back, and the only table of the transitions it may make.
//!
//! No I/O here, and no knowledge of how a run is stored, executed or shown.

mod hold;
mod outcome;

use std::collections::BTreeMap;

pub use self::hold::{HeldBy, Hold};
pub use self::outcome::{Ask, Exit, OnInterrupt, Outcome, Reason, Status};
use crate::clock::UnixMs;
pub use crate::numbers::RunId;
use crate::numbers::Seq;

/// The table of transitions: whether a run that stands at `from` may stand at `to` next. `None` is a run that is not
/// there: not yet, or no longer. What stays where it is was changed otherwise.
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
        // Change what is kept.
        (Some(from), Some(to)) => from.is_terminal() && from as u8 == to as u8,
        (None, _) => false,
    }
}

/// What is executed: an argument vector without a shell, or a script for `/bin/sh -c`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Program and arguments; never empty.
    Argv(Vec<String>),
    /// Text for `/bin/sh -c`.
    Script(String),
}

/// Everything a submit says about a run; valid by construction at the edge.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What to execute.
    pub command: Command,
    /// A label for people.
    pub name: Option<String>,
    /// The queue it waits in.
    pub queue: String,
    /// -1000 to 1000, high first.
    pub priority: i64,
    /// Labels to filter by.
    pub tags: Vec<String>,
    /// Absolute directory; `None` is the home of the user it runs as, else `/`.
    pub cwd: Option<String>,
    /// Added to the daemon's environment.
    pub env: BTreeMap<String, String>,
    /// Standard input; `None` is `/dev/null`.
    pub stdin: Option<String>,
    /// Seconds from the start of an attempt to SIGTERM.
    pub timeout_s: Option<i64>,
    /// Not started before this time.
    pub not_before: Option<UnixMs>,
    /// What the daemon's end does to it.
    pub on_interrupt: OnInterrupt,
    /// Exempt from retention.
    pub keep: bool,
}

#[cfg(test)]
impl Spec {
    /// For tests: `true` in a queue, and nothing else said.
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
        }
    }
}

/// A run as it stands.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// Where it stands, and how its last attempt ended.
    pub outcome: Outcome,
    /// What was asked for.
    pub spec: Spec,
    /// What keeps it from being claimed while it is queued.
    pub held_by: HeldBy,
    /// The attempt that runs or will run next, or the last one; from 1.
    pub attempt: i64,
    /// `data` of the newest `progress` event, as JSON text.
    pub progress: Option<String>,
    /// While it runs.
    pub pid: Option<i64>,
    /// The newest event's `seq`.
    pub last_seq: Seq,
    /// Bytes of output that were recorded, over all attempts.
    pub output_bytes: i64,
    /// When it was submitted.
    pub created_at: UnixMs,
    /// When its last attempt started.
    pub started_at: Option<UnixMs>,
    /// When it ended.
    pub ended_at: Option<UnixMs>,
    /// When its end was first asked for.
    pub cancel_requested_at: Option<UnixMs>,
    /// The run that it repeats.
    pub retry_of: Option<RunId>,
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
