//! Jobs: a named submit that a schedule, a person or the end of another job's run starts.
//!
//! No I/O, and no knowledge of how a job is stored. When it is due is the `schedule`'s to say.

mod params;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::params::{CHOICES_MAX, Param, ParamError, TEXT_CHARS_MAX, check_values};
use crate::clock::UnixMs;
use crate::run::{RunId, Spec, Status};
use crate::words::words;

/// Parameters that a job may have.
pub const PARAMS_MAX: usize = 32;
/// Jobs that follow one another by `after_job`, at most.
pub const AFTER_JOB_DEPTH_MAX: usize = 8;
/// Runs of one job that wait behind one another, at most, and runs that one catch-up makes.
pub const QUEUED_MAX: usize = 100;

words! {
    /// What is done about times that nobody was there for: the daemon was off, the machine slept, the clock was set.
    CatchUp {
        /// One run for the newest of them.
        Latest = "latest",
        /// Nothing; it is written down.
        None = "none",
        /// A run each for the newest, oldest first.
        All = "all",
    }
}

words! {
    /// What is done while an earlier run of the job is queued, running or waiting to be tried again.
    Overlap {
        /// One may wait behind the one that runs.
        One = "one",
        /// Nothing is started.
        Skip = "skip",
        /// They wait behind one another.
        All = "all",
        /// The one that waits is replaced.
        Replace = "replace",
        /// The one that runs is canceled, too.
        Cancel = "cancel",
        /// They run beside one another.
        Allow = "allow",
    }
}

words! {
    /// Why a firing has no run.
    Skipped {
        /// An earlier run of the job was in the way.
        Overlap = "overlap",
        /// It was too late for it.
        Deadline = "deadline",
        /// Nobody was there at the time, and it was not caught up with.
        CatchUp = "catch_up",
        /// Its run was replaced by a later one before it began.
        Replaced = "replaced",
        /// The submit was refused: its queue is gone, or too many runs wait.
        Refused = "refused",
    }
}

/// Another job whose run's end starts this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AfterJob {
    /// The other job's name.
    pub job: String,
    /// How its run has to end.
    pub when: AfterEnd,
}

words! {
    /// Which ends of a run start a job that follows.
    AfterEnd {
        /// It succeeded.
        Succeeded = "succeeded",
        /// It ended, however.
        Ended = "ended",
        /// It ended otherwise.
        Failed = "failed",
    }
}

impl AfterEnd {
    /// Whether a run that ended so starts the job.
    pub fn fits(self, status: Status) -> bool {
        match self {
            AfterEnd::Succeeded => status == Status::Succeeded,
            AfterEnd::Ended => status.is_terminal(),
            AfterEnd::Failed => status.is_terminal() && status != Status::Succeeded,
        }
    }
}

/// What somebody said that a job is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// What is run.
    pub run: Spec,
    /// Expressions; none where only people or other jobs start it.
    pub schedule: Vec<String>,
    /// The zone by whose clock they are read; `None` where there are none.
    pub zone: Option<String>,
    /// Whether the schedule and `after_job` start it.
    pub enabled: bool,
    /// What is done about missed times.
    pub catch_up: CatchUp,
    /// What is done while an earlier run is on its way.
    pub overlap: Overlap,
    /// Seconds by which its runs may start later than the schedule says.
    pub jitter_s: i64,
    /// Seconds after its time from which a run is not started any more.
    pub start_deadline_s: Option<i64>,
    /// What whoever starts it may say.
    pub params: BTreeMap<String, Param>,
    /// The job that it follows.
    pub after_job: Option<AfterJob>,
}

/// A job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// What it is.
    pub spec: JobSpec,
    /// Told apart from every other state of a job of that name.
    pub version: i64,
    /// When it was made; `@every` counts from here.
    pub created_at: UnixMs,
    /// When it was last changed.
    pub changed_at: UnixMs,
    /// When its schedule is due next.
    pub next_at: Option<UnixMs>,
    /// Its newest run.
    pub last: Option<LastRun>,
}

/// The newest run of a job.
#[derive(Clone, Debug)]
pub struct LastRun {
    /// Its number.
    pub run: RunId,
    /// Where it stands, or how it ended.
    pub status: Status,
    /// The time that it was for.
    pub scheduled_for: Option<UnixMs>,
    /// When it ended.
    pub ended_at: Option<UnixMs>,
}

/// One time at which a job's schedule was due, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firing {
    /// The time.
    pub scheduled_for: UnixMs,
    /// Its run.
    pub run: Option<RunId>,
    /// Why it has none, or none any more.
    pub skipped: Option<Skipped>,
    /// How many times this stands for, up to 1,000: itself and earlier ones.
    pub count: i64,
    /// When it was written down.
    pub at: UnixMs,
    /// The run that was in the way.
    pub behind: Option<RunId>,
}

/// Milliseconds from 0 to below `within_ms`, always the same for a job of a database: so jobs of one time start apart, and
/// a reboot draws no new lot.
pub fn offset_ms(instance: &str, job: &str, within_ms: i64) -> i64 {
    // FNV-1a: spread is all that is asked of it.
    let bytes = instance.bytes().chain([0]).chain(job.bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    // The low bits of FNV of short texts are poor; the high ones are folded in.
    let mixed = hash ^ (hash >> 32);
    i64::try_from(mixed % within_ms.max(1).unsigned_abs()).unwrap_or(0)
}
