//! The status of a run, the ways in which an attempt ends, and what each means for the run.

use serde::{Deserialize, Serialize};

use crate::words::words;

words! {
    /// The status of a run.
    Status {
        /// It waits for its holds to be freed and for a slot.
        Queued = "queued",
        /// An attempt is under way, or is being stopped.
        Running = "running",
        /// The command exited with 0.
        Succeeded = "succeeded",
        /// The command exited with another code or by a signal, or could not be started.
        Failed = "failed",
        /// A client canceled it.
        Canceled = "canceled",
        /// Its `timeout_s` ran out.
        TimedOut = "timed_out",
        /// The daemon stopped, or died, while it ran.
        Interrupted = "interrupted",
    }
}

impl Status {
    /// Whether the run has ended; then its status never changes again.
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Status::Queued | Status::Running)
    }
}

words! {
    /// Why a run ended.
    Reason {
        /// The command exited by itself.
        Exited = "exited",
        /// A signal ended it that the daemon did not send.
        Signaled = "signaled",
        /// It could not be started.
        SpawnFailed = "spawn_failed",
        /// It was canceled.
        Canceled = "canceled",
        /// Its `timeout_s` ran out.
        Timeout = "timeout",
        /// The daemon was shut down.
        Shutdown = "shutdown",
        /// The daemon died while it ran.
        DaemonLost = "daemon_lost",
        /// The kernel killed it for lack of memory, according to its cgroup.
        Oom = "oom",
        /// Nothing had started it in the time after which it was to start no more.
        Expired = "expired",
        /// A run that it needed ended in another way than it needed it to.
        Dependency = "dependency",
        /// A newer one of its key, or of its job, took its place.
        Replaced = "replaced",
    }
}

words! {
    /// What happens to a run when the daemon's end interrupts its attempt.
    OnInterrupt {
        /// It ends as `interrupted`.
        Fail = "fail",
        /// It is queued again for another attempt.
        Requeue = "requeue",
    }
}

words! {
    /// Who asked for a running command to be stopped. The first one to ask determines how the run ends.
    Ask {
        /// A client.
        Cancel = "cancel",
        /// The run's own time limit.
        Timeout = "timeout",
        /// The daemon's shutdown.
        Shutdown = "shutdown",
        /// The next daemon, which ends the attempts of one that died.
        DaemonLost = "daemon_lost",
    }
}

/// The way in which an attempt's process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// The kernel killed it for lack of memory, according to its cgroup.
    Oom,
    /// It could not be started; with the reason, for people.
    SpawnFailed(String),
    /// It was not started for lack of descriptors, processes or memory, which other processes will release.
    Postponed {
        /// The reason, for people.
        why: String,
        /// Milliseconds until it is tried again.
        retry_ms: i64,
    },
    /// Not known: its parent, the daemon, died before it.
    Unknown,
}

/// The signal by which the kernel kills for lack of memory.
const SIGKILL: i64 = 9;

/// The status of a run with the end of its last attempt, as the database, events and every reader have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The run's status; `queued` when another attempt follows.
    pub status: Status,
    /// Why the attempt ended; `None` until then.
    pub reason: Option<Reason>,
    /// The command's exit code.
    pub exit_code: Option<i64>,
    /// The number of the signal that ended it.
    pub signal: Option<i64>,
    /// Why the command could not be started, for people.
    pub error: Option<String>,
}

impl Outcome {
    /// The outcome of a run that was just submitted.
    pub const QUEUED: Outcome =
        Outcome { status: Status::Queued, reason: None, exit_code: None, signal: None, error: None };

    /// The outcome of a run that ends while it is queued, for this reason.
    pub const fn ended_in_queue(reason: Reason) -> Outcome {
        Outcome { status: Status::Canceled, reason: Some(reason), ..Outcome::QUEUED }
    }

    /// The outcome of an attempt: determined by who asked for its end first, else by its exit.
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

    /// The exit code of `run`, `wait` and `/exit_code`, in the convention of timeout(1) and the shell: 128+N for a signal, 124
    /// timed out, 143 canceled, 125 not started or interrupted.
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

/// The most characters of an `error`: the longest path (PATH_MAX, 4,096) and some words. With the longest name and tags of
/// the same event, and six bytes a character in JSON, it stays below the 60 KiB of the largest object of a stream.
const ERROR_CHARS_MAX: usize = 4_200;
/// Those at its end are kept, since the reason stands there.
const ERROR_END_CHARS: usize = 100;

/// Cuts the middle out of a text that is longer than an `error` may be: a program's name can have 128 KiB.
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
    fn who_asked_first_decides_whatever_the_exit_code() {
        let outcome = Outcome::of(Some(Ask::Timeout), &Exit::Code(0), OnInterrupt::Fail);
        let seen = (outcome.status, outcome.reason, outcome.exit_code);
        assert_eq!(seen, (Status::TimedOut, Some(Reason::Timeout), Some(0)));
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
