//! JSON in and out: the only serialisable shapes. What comes in is checked whole: all violations at once, unknown
//! fields included, and nothing is guessed.

mod fields;
mod incoming;

use serde::Serialize;
use serde_json::value::RawValue;

pub use self::fields::Fields;
pub use self::incoming::{change_from, events_from, name, queue_name, spec_from, tag};
use crate::access::Role;
use crate::clock::UnixMs;
use crate::event::Gap;
use crate::numbers::{EventId, Position, RunId, Seq};
use crate::run::{Command, Run, Spec};
use crate::store::{EnrollmentToken, Listed, Queue, Session};

/// A run, as a client sees it. Values of `env` and `stdin` are never given back.
#[derive(Serialize)]
pub struct RunBody<'a> {
    id: i64,
    name: &'a Option<String>,
    status: &'static str,
    reason: Option<&'static str>,
    queue: &'a str,
    priority: i64,
    tags: &'a [String],
    command: Option<&'a [String]>,
    script: Option<&'a str>,
    cwd: &'a Option<String>,
    env_keys: Vec<&'a str>,
    attempt: i64,
    exit_code: Option<i64>,
    signal: Option<i64>,
    error: &'a Option<String>,
    progress: Option<&'a RawValue>,
    pid: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stopped_pids: Vec<i32>,
    last_seq: Seq,
    output_bytes: i64,
    created_at: String,
    not_before: Option<String>,
    started_at: Option<String>,
    ended_at: Option<String>,
    timeout_s: Option<i64>,
    cancel_requested_at: Option<String>,
    retry_of: Option<i64>,
    on_interrupt: &'static str,
    keep: bool,
    /// In a list: the fields that are cut short.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    truncated: &'a [&'static str],
}

impl<'a> RunBody<'a> {
    /// The run as a list shows it.
    pub fn listed(listed: &'a Listed) -> RunBody<'a> {
        RunBody { truncated: &listed.truncated, ..RunBody::new(&listed.run) }
    }

    /// The run as a client sees it.
    pub fn new(run: &'a Run) -> RunBody<'a> {
        let Spec { command, name, queue, priority, tags, cwd, env, timeout_s, not_before, on_interrupt, keep, .. } =
            &run.spec;
        let time = |at: &Option<UnixMs>| at.map(|at| at.to_string());
        RunBody {
            id: run.id.0,
            name,
            status: run.outcome.status.as_str(),
            reason: run.outcome.reason.map(|reason| reason.as_str()),
            queue,
            priority: *priority,
            tags,
            command: if let Command::Argv(argv) = command { Some(argv) } else { None },
            script: if let Command::Script(script) = command { Some(script) } else { None },
            cwd,
            env_keys: env.keys().map(String::as_str).collect(),
            attempt: run.attempt,
            exit_code: run.outcome.exit_code,
            signal: run.outcome.signal,
            error: &run.outcome.error,
            progress: run.progress.as_deref().and_then(|text| serde_json::from_str(text).ok()),
            pid: run.pid,
            stopped_pids: Vec::new(),
            last_seq: run.last_seq,
            output_bytes: run.output_bytes,
            created_at: run.created_at.to_string(),
            not_before: time(not_before),
            started_at: time(&run.started_at),
            ended_at: time(&run.ended_at),
            timeout_s: *timeout_s,
            cancel_requested_at: time(&run.cancel_requested_at),
            retry_of: run.retry_of.map(|run| run.0),
            on_interrupt: on_interrupt.as_str(),
            keep: *keep,
            truncated: &[],
        }
    }

    /// The same, with those of its processes that are stopped.
    pub fn with_stopped(self, stopped_pids: Vec<i32>) -> RunBody<'a> {
        RunBody { stopped_pids, ..self }
    }
}

/// A queue.
#[derive(Serialize)]
pub struct QueueBody<'a> {
    name: &'a str,
    slots: i64,
    paused: bool,
    queued: i64,
    running: i64,
}

impl<'a> QueueBody<'a> {
    /// The queue as a client sees it.
    pub fn new(name: &'a str, queue: &Queue) -> QueueBody<'a> {
        let Queue { slots, paused, ready, held, running } = *queue;
        QueueBody { name, slots, paused, queued: ready + held, running }
    }
}

/// A session.
#[derive(Serialize)]
pub struct SessionBody<'a> {
    id: Option<i64>,
    name: &'a str,
    role: &'static str,
    created_at: Option<String>,
    last_used_at: Option<String>,
    expires_at: Option<String>,
    address: Option<&'a str>,
    current: bool,
}

impl<'a> SessionBody<'a> {
    /// The session as a client sees it; `current` says whether it is the client's own.
    pub fn new(session: &'a Session, current: Option<i64>) -> SessionBody<'a> {
        SessionBody {
            id: Some(session.id),
            name: &session.name,
            role: session.role.as_str(),
            created_at: Some(session.created_at.to_string()),
            last_used_at: Some(session.last_used_at.to_string()),
            expires_at: session.expires_at.map(|at| at.to_string()),
            address: session.address.as_deref(),
            current: current == Some(session.id),
        }
    }

    /// Somebody who needs no session, since the kernel says who it is.
    pub fn without_session(name: &'a str, role: Role) -> SessionBody<'a> {
        SessionBody {
            id: None,
            name,
            role: role.as_str(),
            created_at: None,
            last_used_at: None,
            expires_at: None,
            address: None,
            current: true,
        }
    }
}

/// An enrollment token; `token` only in the answer that makes it.
#[derive(Serialize)]
pub struct EnrollmentTokenBody<'a> {
    id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    role: &'static str,
    label: &'a Option<String>,
    max_uses: i64,
    uses: i64,
    session_ttl_s: Option<i64>,
    created_at: String,
    expires_at: String,
}

impl<'a> EnrollmentTokenBody<'a> {
    /// The token as a client sees it, in clear where it was just made.
    pub fn new(made: &'a EnrollmentToken, token: Option<&'a str>) -> EnrollmentTokenBody<'a> {
        EnrollmentTokenBody {
            id: made.id,
            token,
            role: made.role.as_str(),
            label: &made.label,
            max_uses: made.max_uses,
            uses: made.uses,
            session_ttl_s: made.session_ttl_s,
            created_at: made.created_at.to_string(),
            expires_at: made.expires_at.to_string(),
        }
    }
}

/// The objects of a stream that are not events: of one run and of all the same, but for how events are numbered.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs)] // the fields are the contract's own
pub enum Frame<'a> {
    /// First.
    Hello {
        #[serde(skip_serializing_if = "Option::is_none")]
        run: Option<RunId>,
        instance: &'a str,
        after: Position,
        #[serde(flatten)]
        stands: Stands,
    },
    /// Events that are gone.
    Gap {
        from: Position,
        to: Position,
        reason: &'static str,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        partial: bool,
    },
    /// Of all runs at once: nothing that was asked for lies before this.
    Cursor { id: Position },
    /// Once, when the stored events are out.
    CaughtUp {
        #[serde(flatten)]
        at: At,
    },
    /// When nothing else was said for a while.
    Heartbeat {
        #[serde(flatten)]
        last: Last,
    },
    /// Last, of one run.
    End { run: RunId, status: &'static str, reason: Option<&'static str>, exit_code: Option<i64>, last_seq: Position },
}

/// Where a scope stands.
#[derive(Serialize)]
#[serde(untagged)]
#[allow(missing_docs)] // the fields are the contract's own
pub enum Stands {
    /// One run.
    Run { first_seq: Seq, last_seq: Seq, status: &'static str },
    /// All runs.
    All { first_id: EventId, last_id: EventId },
}

/// A position, by the name that it has in its scope.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub enum At {
    /// Of one run.
    Seq(Position),
    /// Of all runs.
    Id(Position),
}

/// The newest event that its reader knows of, by the name that it has in its scope.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Last {
    /// Of one run.
    LastSeq(Position),
    /// Of all runs.
    LastId(Position),
}

impl Frame<'_> {
    /// These events were removed.
    pub fn gap(gap: &Gap) -> Frame<'static> {
        let Gap { from, to, reason, partial } = *gap;
        Frame::Gap { from, to, reason: reason.as_str(), partial }
    }
}
