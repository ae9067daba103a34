//! From the domain's and the store's types to the shapes of the wire, and back. What comes in is checked whole: all
//! violations at once, unknown fields included, and nothing is guessed.

pub(super) mod cursors;
pub(super) mod fields;
pub(super) mod filter;
pub(super) mod hooks;
pub(super) mod incoming;
pub(super) mod jobs;
pub mod limits;
pub(super) mod queues;
pub(super) mod terminal;
pub(super) mod unique;
mod waits;

use std::borrow::Cow;

use crate::access::Role;
use crate::store::{EnrollmentToken, Listed, Queue, Session, Ties};
use crate::wire::{EnrollmentTokenBody, QueueBody, RunBody, SessionBody};

impl<'a> RunBody<'a> {
    /// The run as a list shows it.
    pub fn listed(listed: &'a Listed) -> RunBody<'a> {
        RunBody {
            truncated: listed.truncated.iter().map(|field| Cow::Borrowed(*field)).collect(),
            ..RunBody::new(&listed.run)
        }
    }
}

impl RunBody<'_> {
    /// The same, with what ties it to others.
    pub fn with_ties(self, ties: Ties) -> Self {
        let Ties { waits_for, needed_by } = ties;
        RunBody { waits_for_runs: waits_for, needed_by, ..self }
    }
}

impl<'a> QueueBody<'a> {
    /// The queue as a client sees it.
    pub fn new(name: &'a str, queue: &'a Queue) -> QueueBody<'a> {
        let Queue { slots, paused, survive, ready, held, running, .. } = *queue;
        let limits = Cow::Borrowed(&queue.limits);
        QueueBody { name: name.into(), slots, paused, limits, survive, queued: ready + held, running }
    }
}

impl<'a> SessionBody<'a> {
    /// The session as a client sees it; `current` says whether it is the client's own.
    pub fn new(session: &'a Session, current: Option<i64>) -> SessionBody<'a> {
        SessionBody {
            id: Some(session.id),
            name: session.name.as_str().into(),
            role: session.role.as_str().into(),
            jobs: session.jobs.as_deref().map(Cow::Borrowed),
            created_at: Some(session.created_at.to_string()),
            last_used_at: Some(session.last_used_at.to_string()),
            expires_at: session.expires_at.map(|at| at.to_string()),
            address: session.address.as_deref().map(Cow::from),
            agent: session.agent.as_deref().map(Cow::from),
            current: current == Some(session.id),
        }
    }

    /// Somebody who needs no session, since the kernel says who it is.
    pub fn without_session(name: &'a str, role: Role) -> SessionBody<'a> {
        SessionBody { name: name.into(), role: role.as_str().into(), current: true, ..SessionBody::default() }
    }
}

impl<'a> EnrollmentTokenBody<'a> {
    /// The token as a client sees it, in clear where it was just made.
    pub fn new(made: &'a EnrollmentToken, token: Option<&'a str>) -> EnrollmentTokenBody<'a> {
        EnrollmentTokenBody {
            id: made.id,
            token: token.map(Cow::from),
            role: made.role.as_str().into(),
            jobs: made.jobs.as_deref().map(Cow::Borrowed),
            label: made.label.as_deref().map(Cow::from),
            max_uses: made.max_uses,
            uses: made.uses,
            session_ttl_s: made.session_ttl_s,
            created_at: made.created_at.to_string(),
            expires_at: made.expires_at.to_string(),
        }
    }
}
