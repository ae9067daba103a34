//! Sessions and the tokens that make them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A session, or somebody who needs none.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionBody<'a> {
    /// Its number; `None` for who comes by the Unix socket.
    pub id: Option<i64>,
    /// Whose it is, for people.
    pub name: Cow<'a, str>,
    /// `trigger`, `viewer`, `operator` or `admin`.
    pub role: Cow<'a, str>,
    /// With the role `trigger`: the jobs that it may start.
    pub jobs: Option<Cow<'a, [String]>>,
    /// When it was made.
    pub created_at: Option<String>,
    /// When it was last used.
    pub last_used_at: Option<String>,
    /// When it ends unless it is used; `None` is never.
    pub expires_at: Option<String>,
    /// Where it was enrolled from.
    pub address: Option<Cow<'a, str>>,
    /// What enrolled it, in its own words: `Firefox on Linux`.
    pub agent: Option<Cow<'a, str>>,
    /// Whether it is the asking one.
    pub current: bool,
}

/// A page of sessions, each as it came.
#[derive(Debug, Deserialize)]
pub struct SessionsPage {
    /// The newest first.
    pub sessions: Vec<Box<RawValue>>,
    /// Path and query of the next page; `None` on the last.
    pub next: Option<String>,
}

/// An enrollment token.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EnrollmentTokenBody<'a> {
    /// Its number.
    pub id: i64,
    /// The token itself, only in the answer that makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Cow<'a, str>>,
    /// What its sessions may do.
    pub role: Cow<'a, str>,
    /// With the role `trigger`: the jobs that they may start.
    pub jobs: Option<Cow<'a, [String]>>,
    /// A note, for people.
    pub label: Option<Cow<'a, str>>,
    /// How often it can be used.
    pub max_uses: i64,
    /// How often it was.
    pub uses: i64,
    /// How long its sessions last without use, in seconds; `None` is the daemon's default.
    pub session_ttl_s: Option<i64>,
    /// When it was made.
    pub created_at: String,
    /// Until when it can be used.
    pub expires_at: String,
}
