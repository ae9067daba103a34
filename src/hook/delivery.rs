//! A delivery: one end, told to one hook.

use super::{DeliveryStatus, HookSpec, Key, Message};
use crate::clock::UnixMs;
use crate::run::RunId;

/// A delivery as it is shown.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its number: rising, never given out twice.
    pub id: i64,
    /// The id that its target knows it by: the same at each attempt.
    pub webhook_id: String,
    /// The run whose end it tells; `None` for a test.
    pub run: Option<RunId>,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// How often it was sent.
    pub attempts: i64,
    /// When it was made.
    pub created_at: UnixMs,
    /// From when it may be sent, where it is pending. One that is older and pending goes first.
    pub next_at: Option<UnixMs>,
    /// When it was delivered, or given up.
    pub ended_at: Option<UnixMs>,
    /// The status of the last answer.
    pub response_status: Option<i64>,
    /// Why the last attempt failed, for people.
    pub error: Option<String>,
}

/// What one attempt needs.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// The delivery's number.
    pub id: i64,
    /// The id that its target knows it by.
    pub webhook_id: String,
    /// The hook, as it is now.
    pub spec: HookSpec,
    /// What it is signed with.
    pub keys: Vec<Key>,
    /// What is sent, as it was when the run ended.
    pub message: Message,
}

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The status of the answer.
    pub response_status: Option<u16>,
    /// What its target asked for by `Retry-After`, in seconds.
    pub retry_after_s: Option<i64>,
    /// Why it failed, for people; `None` where it did not.
    pub error: Option<String>,
}

impl Attempt {
    /// The status by which a target says that it wants no more.
    pub const GONE: u16 = 410;

    /// Whether its target took the delivery.
    pub fn is_delivered(&self) -> bool {
        self.error.is_none()
    }

    /// Whether its target wants no more deliveries.
    pub fn is_gone(&self) -> bool {
        self.response_status == Some(Attempt::GONE)
    }
}
