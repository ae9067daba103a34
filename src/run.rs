//! What a run is, and the only table of the transitions it may make.
//!
//! No I/O here, and no knowledge of how a run is stored, executed or shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::UnixMs;
pub use crate::numbers::RunId;
use crate::numbers::Seq;

/// Writes the enumeration's words once: for SQL, for JSON, for people and for parsing.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// Every value, in the order of the contract.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The word that stands in SQL, JSON and metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }

            /// The value that `word` names, if any.
            pub fn parse(word: &str) -> Option<$name> {
                match word { $($word => Some($name::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.pad(self.as_str())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// Where a run stands in its life.
    Status {
        /// Waits for its time and a slot.
        Queued = "queued",
        /// An attempt is under way, or is being told to stop.
        Running = "running",
        /// Its command exited with 0.
        Succeeded = "succeeded",
        /// Another exit, a signal, or it could not start.
        Failed = "failed",
        /// Somebody asked for its end first.
        Canceled = "canceled",
        /// Its own time limit asked first.
        TimedOut = "timed_out",
        /// The daemon stopped or died under it.
        Interrupted = "interrupted",
    }
}

impl Status {
    /// Whether nothing can change it any more.
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Status::Queued | Status::Running)
    }
}

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

words! {
    /// Why a run ended.
    Reason {
        /// The command exited by itself.
        Exited = "exited",
        /// A signal that nobody here sent ended it.
        Signaled = "signaled",
        /// It could not be started.
        SpawnFailed = "spawn_failed",
        /// It was canceled.
        Canceled = "canceled",
        /// Its `timeout_s` ran out.
        Timeout = "timeout",
        /// The daemon was stopping.
        Shutdown = "shutdown",
        /// The daemon died under it.
        DaemonLost = "daemon_lost",
        /// The kernel killed it for memory, by its cgroup's own word.
        Oom = "oom",
    }
}

words! {
    /// What happens to a run whose attempt the daemon's end interrupts.
    OnInterrupt {
        /// It ends as `interrupted`.
        Fail = "fail",
        /// It is queued again, and its next start is the next attempt.
        Requeue = "requeue",
    }
}

words! {
    /// Who asked a running command to stop; the first to ask decides how the run ends.
    Ask {
        /// A client.
        Cancel = "cancel",
        /// The run's own time limit.
        Timeout = "timeout",
        /// The daemon's shutdown.
        Shutdown = "shutdown",
        /// The next daemon, which found what a dead one left.
        DaemonLost = "daemon_lost",
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
    /// Whether nothing holds it back; counts while it is queued.
    pub ready: bool,
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

/// How an attempt came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// By the kernel's SIGKILL for memory, as its cgroup says.
    Oom,
    /// It was never started; why, for people.
    SpawnFailed(String),
    /// It was not started for want of descriptors, processes or memory, which others will give back.
    Postponed {
        /// What is wanting, for people.
        why: String,
        /// It is tried again after so many milliseconds.
        retry_ms: i64,
    },
    /// It is gone and nobody could see how: the daemon that was its parent died.
    Unknown,
}

/// The signal that the kernel kills with for memory.
const SIGKILL: i64 = 9;

/// Where a run stands and, once an attempt is over, how that ended: in the database, in events, for every reader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Where it stands; `queued` after an attempt that is followed by another.
    pub status: Status,
    /// Why it ended; `None` until then.
    pub reason: Option<Reason>,
    /// The command's exit code.
    pub exit_code: Option<i64>,
    /// The number of the signal that ended it.
    pub signal: Option<i64>,
    /// Why it could not start.
    pub error: Option<String>,
}

impl Outcome {
    /// Of a run that has just been submitted.
    pub const QUEUED: Outcome =
        Outcome { status: Status::Queued, reason: None, exit_code: None, signal: None, error: None };

    /// Of a run that was canceled before it ever started.
    pub const CANCELED_IN_QUEUE: Outcome =
        Outcome { status: Status::Canceled, reason: Some(Reason::Canceled), ..Outcome::QUEUED };

    /// What an attempt's end makes of its run. Who asked first decides; without anybody, the exit does.
    pub fn of(asked: Option<Ask>, exit: &Exit, on_interrupt: OnInterrupt) -> Outcome {
        let interrupted = match on_interrupt {
            OnInterrupt::Fail => Status::Interrupted,
            OnInterrupt::Requeue => Status::Queued,
        };
        let (status, reason) = match (asked, exit) {
            (None | Some(Ask::Shutdown | Ask::DaemonLost), Exit::Postponed { .. }) => {
                (Status::Queued, Reason::SpawnFailed)
            }
            (_, Exit::SpawnFailed(_)) => (Status::Failed, Reason::SpawnFailed),
            (Some(Ask::Cancel), _) => (Status::Canceled, Reason::Canceled),
            (Some(Ask::Timeout), _) => (Status::TimedOut, Reason::Timeout),
            (Some(Ask::Shutdown), _) => (interrupted, Reason::Shutdown),
            (Some(Ask::DaemonLost), _) | (None, Exit::Unknown) => (interrupted, Reason::DaemonLost),
            (None, Exit::Code(0)) => (Status::Succeeded, Reason::Exited),
            (None, Exit::Code(_)) => (Status::Failed, Reason::Exited),
            (None, Exit::Signal(_)) => (Status::Failed, Reason::Signaled),
            (None, Exit::Oom) => (Status::Failed, Reason::Oom),
        };
        let (exit_code, signal, error) = match exit {
            Exit::Code(code) => (Some(i64::from(*code)), None, None),
            Exit::Signal(signal) => (None, Some(i64::from(*signal)), None),
            Exit::Oom => (None, Some(SIGKILL), None),
            Exit::SpawnFailed(why) | Exit::Postponed { why, .. } => (None, None, Some(shortened(why))),
            Exit::Unknown => (None, None, None),
        };
        Outcome { status, reason: Some(reason), exit_code, signal, error }
    }

    /// The exit code that `run`, `wait` and `/exit_code` answer with, after `timeout(1)` and the shell:
    /// 128+N for a signal, 124 timed out, 143 canceled, 125 never ran or interrupted.
    pub fn shell_exit_code(&self) -> i64 {
        match (self.status, self.reason) {
            (Status::TimedOut, _) => 124,
            (Status::Canceled, _) => 143,
            (Status::Interrupted, _) | (_, Some(Reason::SpawnFailed)) => 125,
            _ => match (self.exit_code, self.signal) {
                (Some(code), _) => code,
                (None, Some(signal)) => 128 + signal,
                (None, None) => 125,
            },
        }
    }
}

/// Characters of an `error`: those of the longest path (PATH_MAX, 4,096) and some words. With the longest name and tags of
/// the same event, and six bytes a character in JSON, it stays below [`crate::event::OBJECT_BYTES_MAX`].
const ERROR_CHARS_MAX: usize = 4_200;
/// Of those, at the end, where the reason stands.
const ERROR_END_CHARS: usize = 100;

/// `why` without its middle, where it is longer than an `error` may be: a program's name can have 128 KiB.
fn shortened(why: &str) -> String {
    let count = why.chars().count();
    if count <= ERROR_CHARS_MAX {
        return why.to_owned();
    }
    let begin = why.chars().take(ERROR_CHARS_MAX - ERROR_END_CHARS - 1);
    begin.chain(['…']).chain(why.chars().skip(count - ERROR_END_CHARS)).collect()
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

    #[test]
    fn who_asked_first_decides_whatever_the_exit_code() {
        let outcome = Outcome::of(Some(Ask::Timeout), &Exit::Code(0), OnInterrupt::Fail);
        let told = (outcome.status, outcome.reason, outcome.exit_code);
        assert_eq!(told, (Status::TimedOut, Some(Reason::Timeout), Some(0)));
        let requeued = Outcome::of(Some(Ask::Shutdown), &Exit::Signal(15), OnInterrupt::Requeue);
        assert_eq!(requeued.status, Status::Queued);
        let postponed = Exit::Postponed { why: "no process left".to_owned(), retry_ms: 1_000 };
        for (asked, status) in [
            (None, Status::Queued),
            (Some(Ask::Shutdown), Status::Queued),
            (Some(Ask::Cancel), Status::Canceled),
            (Some(Ask::Timeout), Status::TimedOut),
        ] {
            assert_eq!(Outcome::of(asked, &postponed, OnInterrupt::Fail).status, status);
        }
    }
}
