//! Queues, and whether anything is started from them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::run::Limits;

/// A queue.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueBody<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// How many of its runs may run at once.
    pub slots: i64,
    /// Whether nothing more of it starts.
    pub paused: bool,
    /// What each of its runs may use that does not say so itself.
    pub limits: Cow<'a, Limits>,
    /// Whether the commands of its runs outlive the daemon, where a run does not say so itself.
    pub survive: bool,
    /// How many of its runs wait.
    pub queued: i64,
    /// How many of its runs run.
    pub running: i64,
}

/// Whether runs are started, and how many there are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DrainBody {
    /// Whether no more runs are started.
    pub draining: bool,
    /// How many run.
    pub running: i64,
    /// How many wait.
    pub queued: i64,
}
