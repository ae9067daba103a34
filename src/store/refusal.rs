//! Refusals: what the store does not do and tells the client, decided before anything was written. Texts are for
//! people and never hold SQL or paths.

use std::fmt;

use crate::job::ParamError;
use crate::numbers::EventId;
use crate::run::RunId;

/// Why the store refuses a request; nothing was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such run was ever made.
    RunNotFound(RunId),
    /// The run was there and is gone.
    RunPruned(RunId),
    /// The run has not ended.
    RunNotFinished(RunId),
    /// A run that waits needs the run.
    RunNeeded {
        /// Which one.
        run: RunId,
        /// Who needs it.
        by: Option<RunId>,
    },
    /// A submit needs a run that is not there.
    NeedUnknown {
        /// Its place in `after`.
        index: usize,
        /// Why it is not there.
        absent: Box<Refusal>,
    },
    /// The run has started.
    RunNotQueued(RunId),
    /// The run has ended.
    RunFinished(RunId),
    /// The run has all the events that clients may give it.
    RunFull(RunId),
    /// `limits.queued_runs` is reached.
    QueueFull {
        /// The limit.
        limit: i64,
    },
    /// A submit or change names a queue that does not exist.
    QueueUnknown(String),
    /// The path names a queue that does not exist.
    QueueNotFound(String),
    /// The queue `default` cannot be deleted.
    QueueProtected,
    /// The queue has queued or running runs.
    QueueNotEmpty(String),
    /// The key was used with another request.
    IdempotencyMismatch,
    /// The enrollment token is unknown, used up or expired.
    EnrollmentInvalid,
    /// No such enrollment token.
    EnrollmentTokenNotFound(i64),
    /// No such session.
    SessionNotFound(i64),
    /// No such job.
    JobNotFound(String),
    /// The job is not what `If-Match` says.
    JobChanged(String),
    /// The job would follow itself, by way of others.
    JobFollowsItself(String),
    /// The job is to follow one that does not exist.
    JobToFollowUnknown(String),
    /// Too many jobs follow one another.
    JobFollowsTooMany {
        /// The limit.
        limit: usize,
    },
    /// Another job follows it.
    JobFollowed {
        /// The job.
        job: String,
        /// The one that follows.
        follower: String,
    },
    /// There are as many jobs as there may be.
    TooManyJobs {
        /// The limit.
        limit: i64,
    },
    /// No such hook.
    HookNotFound(String),
    /// The hook is disabled.
    HookDisabled(String),
    /// The hook has no such delivery, or not any more.
    DeliveryNotFound {
        /// The hook.
        hook: String,
        /// The delivery's number.
        id: i64,
    },
    /// There are as many hooks as there may be.
    TooManyHooks {
        /// The limit.
        limit: i64,
    },
    /// No such durable cursor.
    CursorNotFound(String),
    /// There are as many durable cursors as there may be.
    TooManyCursors {
        /// The limit.
        limit: usize,
    },
    /// A durable cursor is to be beyond the newest event.
    CursorAhead {
        /// The name of this database.
        instance: String,
        /// The newest event.
        last: EventId,
    },
    /// A durable cursor is to be one of another database.
    InstanceChanged {
        /// The name of this database.
        instance: String,
        /// The newest event.
        last: EventId,
    },
    /// The values of a job's parameters are wrong.
    ParamsInvalid(Vec<ParamError>),
    /// There is too little room for it; nothing was written.
    NoRoom(Shortage),
    /// The file system takes no writes; nothing was written.
    ReadOnly,
}

/// What there is too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Free space where the state is kept.
    Disk {
        /// Free bytes.
        free_bytes: u64,
        /// Bytes that must be free: `limits.disk_free_bytes`, or what the daemon keeps for itself.
        needed_bytes: u64,
        /// Bytes that Litestream keeps beside the database.
        replica_bytes: u64,
    },
    /// The database's quota, which is full of what may not be removed.
    Quota {
        /// Bytes that the database uses.
        used_bytes: u64,
        /// Bytes that it may use: `retention.db_bytes`.
        quota_bytes: u64,
    },
}

/// Text for a read-only file system, as a refusal or a fault.
pub const READ_ONLY: &str = "the file system that holds the database takes no writes; what is stored can be \
    read. Once it can be written again (see dmesg, mount), the daemon goes on by itself";

impl Refusal {
    /// What is said of jobs.
    fn of_jobs(&self) -> String {
        match self {
            Refusal::JobNotFound(job) => format!("no job \"{job}\""),
            Refusal::JobChanged(job) => {
                format!(
                    "job \"{job}\" is not what If-Match or If-None-Match says; read it again, and change what it is now"
                )
            }
            Refusal::JobFollowsItself(job) => format!("job \"{job}\" would follow itself"),
            Refusal::JobToFollowUnknown(job) => format!("no job \"{job}\" to follow"),
            Refusal::JobFollowsTooMany { limit } => format!("at most {limit} jobs follow one another"),
            Refusal::JobFollowed { job, follower } => {
                format!("job \"{follower}\" follows job \"{job}\"; remove or change that one first")
            }
            Refusal::TooManyJobs { limit } => format!("there are {limit} jobs, which is the limit"),
            _ => String::new(),
        }
    }

    /// What is said of hooks.
    fn of_hooks(&self) -> String {
        match self {
            Refusal::HookNotFound(hook) => format!("no hook \"{hook}\""),
            Refusal::HookDisabled(hook) => {
                format!("hook \"{hook}\" is disabled, so that nothing is sent; `runabout hook enable {hook}` first")
            }
            Refusal::DeliveryNotFound { hook, id } => {
                format!("hook \"{hook}\" has no delivery {id}; the oldest are removed where there are many")
            }
            Refusal::TooManyHooks { limit } => format!("there are {limit} hooks, which is the limit"),
            _ => String::new(),
        }
    }
}

impl Refusal {
    /// What is said of durable cursors.
    fn of_cursors(&self) -> String {
        match self {
            Refusal::CursorNotFound(cursor) => format!("no cursor \"{cursor}\""),
            Refusal::TooManyCursors { limit } => {
                format!(
                    "there are {limit} cursors, which is the limit; `runabout cursor rm` removes those of readers that are gone"
                )
            }
            Refusal::CursorAhead { last, .. } => format!("the cursor is beyond the newest event, which is {last}"),
            Refusal::InstanceChanged { instance, .. } => {
                format!("the cursor is of another database; this one is {instance}")
            }
            _ => String::new(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::RunNotFound(run) => write!(out, "no run {run}"),
            Refusal::RunPruned(run) => write!(out, "run {run} was removed"),
            Refusal::RunNotFinished(run) => {
                write!(out, "run {run} has not ended yet; cancel it or wait for it first")
            }
            Refusal::RunNeeded { run, by: Some(by) } => {
                write!(out, "run {run} is needed by run {by}, which waits; cancel that one or let it start first")
            }
            Refusal::RunNeeded { run, by: None } => write!(out, "run {run} is needed by a run that waits"),
            Refusal::NeedUnknown { absent, .. } => write!(out, "{absent}; a run can only come after one that is there"),
            Refusal::RunNotQueued(run) => {
                write!(out, "run {run} is no longer queued; only keep, name and tags can be changed now")
            }
            Refusal::RunFinished(run) => write!(out, "run {run} has ended; nothing can be appended to it"),
            Refusal::RunFull(run) => {
                write!(out, "run {run} has all the events that a run can have; nothing more can be appended to it")
            }
            Refusal::QueueFull { limit } => {
                write!(out, "{limit} runs are queued, which is the limit (limits.queued_runs); try again later")
            }
            Refusal::QueueUnknown(queue) => {
                write!(out, "no queue \"{queue}\"; an admin makes it with `runabout queue {queue} --slots 1`")
            }
            Refusal::QueueNotFound(queue) => write!(out, "no queue \"{queue}\""),
            Refusal::QueueProtected => write!(out, "the queue \"default\" cannot be deleted"),
            Refusal::QueueNotEmpty(queue) => write!(out, "queue \"{queue}\" still has queued or running runs"),
            Refusal::IdempotencyMismatch => write!(out, "this Idempotency-Key was used with another request"),
            Refusal::EnrollmentInvalid => {
                write!(
                    out,
                    "this enrollment token is unknown, used up or expired; make a new one with `runabout enroll`"
                )
            }
            Refusal::EnrollmentTokenNotFound(id) => write!(out, "no enrollment token {id}"),
            Refusal::SessionNotFound(id) => write!(out, "no session {id}"),
            Refusal::JobNotFound(_)
            | Refusal::JobChanged(_)
            | Refusal::JobFollowsItself(_)
            | Refusal::JobToFollowUnknown(_)
            | Refusal::JobFollowsTooMany { .. }
            | Refusal::JobFollowed { .. }
            | Refusal::TooManyJobs { .. } => out.write_str(&self.of_jobs()),
            Refusal::HookNotFound(_)
            | Refusal::HookDisabled(_)
            | Refusal::DeliveryNotFound { .. }
            | Refusal::TooManyHooks { .. } => out.write_str(&self.of_hooks()),
            Refusal::CursorNotFound(_)
            | Refusal::TooManyCursors { .. }
            | Refusal::CursorAhead { .. }
            | Refusal::InstanceChanged { .. } => out.write_str(&self.of_cursors()),
            Refusal::ParamsInvalid(wrong) => {
                let all: Vec<String> = wrong.iter().map(|error| format!("params.{error}")).collect();
                out.write_str(&all.join("; "))
            }
            Refusal::NoRoom(shortage) => write!(out, "{shortage}"),
            Refusal::ReadOnly => out.write_str(READ_ONLY),
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Shortage::Disk { free_bytes, needed_bytes, .. } if free_bytes >= needed_bytes => write!(
                out,
                "the file system that holds the database found no room for a write, though {} are free: look at the \
                 quotas of its user or directory",
                Size(free_bytes)
            ),
            Shortage::Disk { free_bytes, needed_bytes, replica_bytes } => {
                write!(
                    out,
                    "the disk is nearly full: {} are free where the daemon keeps its state and {} must be \
                     (limits.disk_free_bytes); free some space, or remove runs with `runabout rm`",
                    Size(free_bytes),
                    Size(needed_bytes)
                )?;
                if replica_bytes == 0 {
                    return Ok(());
                }
                write!(out, ". Litestream keeps {} in .runabout.db-litestream beside the database", Size(replica_bytes))
            }
            Shortage::Quota { used_bytes, quota_bytes } => write!(
                out,
                "the database is full: {} are in use and {} are allowed (retention.db_bytes), and queued, running and \
                 kept runs are not removed by themselves; cancel or remove some, or raise it",
                Size(used_bytes),
                Size(quota_bytes)
            ),
        }
    }
}

/// A number of bytes, for people.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes @ 0..10_240 => write!(out, "{bytes} bytes"),
            bytes @ 10_240..10_485_760 => write!(out, "{} KiB", bytes / 1_024),
            bytes => write!(out, "{} MiB", bytes / 1_048_576),
        }
    }
}
