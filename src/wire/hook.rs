//! Hooks and their deliveries.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::word::Word;
#[cfg(feature = "daemon")]
use crate::hook::{Delivery, Hook};
use crate::hook::{DeliveryStatus, Form};
use crate::numbers::RunId;
use crate::run::Status;

/// A hook.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HookBody<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Where it posts to.
    pub url: Cow<'a, str>,
    /// What it signs with: in the answer to the request that had it made, and null in every other.
    pub secret: Option<Cow<'a, str>>,
    /// The ends that it tells of.
    pub on: Vec<Word<Status>>,
    /// Of runs of this job alone.
    pub job: Option<Cow<'a, str>>,
    /// Of runs of this queue alone.
    pub queue: Option<Cow<'a, str>>,
    /// Of runs with this tag alone.
    pub tag: Option<Cow<'a, str>>,
    /// Whether it tells of anything.
    pub enabled: bool,
    /// In which form.
    pub body: Word<Form>,
    /// Whether its target may be this daemon.
    pub allow_self: bool,
    /// Why it was disabled by itself.
    pub disabled_why: Option<Cow<'a, str>>,
    /// Until when it signs with earlier secrets, too.
    pub rotating_until: Option<String>,
    /// How many deliveries are to be sent.
    pub pending: i64,
    /// How many of those that are kept are dead.
    pub dead: i64,
    /// When the first of those to be sent is due.
    pub next_at: Option<String>,
    /// Attempts at that one that failed so far.
    pub failures: i64,
    /// Why the last of them failed.
    pub error: Option<Cow<'a, str>>,
    /// When it was made.
    pub created_at: String,
    /// When it was last changed.
    pub changed_at: String,
}

#[cfg(feature = "daemon")]
impl<'a> HookBody<'a> {
    /// The hook as an admin sees it; `secret` where it was just made.
    pub fn new(hook: &'a Hook, secret: Option<&'a str>) -> HookBody<'a> {
        let spec = &hook.spec;
        HookBody {
            name: hook.name.as_str().into(),
            url: spec.url.as_str().into(),
            secret: secret.map(Cow::from),
            on: spec.on.iter().copied().map(Word::from).collect(),
            job: spec.job.as_deref().map(Cow::from),
            queue: spec.queue.as_deref().map(Cow::from),
            tag: spec.tag.as_deref().map(Cow::from),
            enabled: spec.enabled,
            body: spec.body.into(),
            allow_self: spec.allow_self,
            disabled_why: hook.stopped.as_deref().map(Cow::from),
            rotating_until: hook.rotating_until.iter().max().map(|at| at.to_string()),
            pending: hook.pending,
            dead: hook.dead,
            next_at: hook.next_at.map(|at| at.to_string()),
            failures: hook.failures,
            error: hook.error.as_deref().map(Cow::from),
            created_at: hook.created_at.to_string(),
            changed_at: hook.changed_at.to_string(),
        }
    }
}

/// A delivery.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DeliveryBody {
    /// Its number.
    pub id: i64,
    /// The id that its target knows it by.
    pub webhook_id: String,
    /// The run whose end it tells; null for a test.
    pub run: Option<RunId>,
    /// Where it stands.
    pub status: Word<DeliveryStatus>,
    /// How often it was sent.
    pub attempts: i64,
    /// When it was made.
    pub created_at: String,
    /// From when it may be sent.
    pub next_at: Option<String>,
    /// When it was delivered, or given up.
    pub ended_at: Option<String>,
    /// The status of the last answer.
    pub response_status: Option<i64>,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

#[cfg(feature = "daemon")]
impl From<Delivery> for DeliveryBody {
    fn from(delivery: Delivery) -> DeliveryBody {
        DeliveryBody {
            id: delivery.id,
            webhook_id: delivery.webhook_id,
            run: delivery.run,
            status: delivery.status.into(),
            attempts: delivery.attempts,
            created_at: delivery.created_at.to_string(),
            next_at: delivery.next_at.map(|at| at.to_string()),
            ended_at: delivery.ended_at.map(|at| at.to_string()),
            response_status: delivery.response_status,
            error: delivery.error,
        }
    }
}
