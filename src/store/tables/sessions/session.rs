//! A session and its lifetime.

use crate::access::Role;
use crate::clock::UnixMs;

/// A token as it is stored.
pub type TokenSha256 = [u8; 32];

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Id.
    pub id: i64,
    /// A label for people; need not be unique.
    pub name: String,
    /// Role.
    pub role: Role,
    /// With the role `trigger`: the jobs that it may start.
    pub jobs: Option<Vec<String>>,
    /// Seconds that it lives from its last use; 0: it never expires.
    pub ttl_s: i64,
    /// Where it was enrolled from.
    pub address: Option<String>,
    /// What enrolled it, in its own words.
    pub agent: Option<String>,
    /// When it was enrolled.
    pub created_at: UnixMs,
    /// When it was used last, or enrolled.
    pub last_used_at: UnixMs,
    /// When it expires; `None`: never.
    pub expires_at: Option<UnixMs>,
}

impl Session {
    /// Whether it has not expired.
    pub fn is_valid(&self, now: UnixMs) -> bool {
        self.expires_at.is_none_or(|at| at > now)
    }

    /// Moves its end, since it was used.
    pub(super) fn renew(&mut self, now: UnixMs) {
        self.last_used_at = now;
        self.expires_at = expiry(now, self.ttl_s);
    }
}

/// A page of the list, newest first.
#[derive(Clone, Debug, Default)]
pub struct SessionPage {
    /// Those that have not expired.
    pub sessions: Vec<Session>,
    /// Id below which the next page begins; `None` at the end.
    pub next: Option<i64>,
}

/// End of a session that is used now.
pub(super) fn expiry(now: UnixMs, ttl_s: i64) -> Option<UnixMs> {
    (ttl_s > 0).then(|| now.plus_s(ttl_s))
}
