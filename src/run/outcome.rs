//! Where a run stands, who may stop an attempt, and what the end of an attempt makes of its run.

use serde::{Deserialize, Serialize};

use crate::words::words;

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
/// the same event, and six bytes a character in JSON, it stays below the 60 KiB of the largest object of a stream.
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
