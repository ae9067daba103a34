//! The limits that are kept to: how many runs may wait, how long and how many may stay, what the database may hold.
//!
//! They say what is too much, never what goes.

use crate::clock::UnixMs;
use crate::store::engine::state::State;
use crate::store::settings::StoreConfig;

/// What goes beyond what must where there are too many runs, as a part of the limit, so that a busy daemon prunes in
/// lumps: a pass for each run that ends would cost a commit each.
const SLACK: i64 = 64;
const DAY_MS: i64 = 86_400_000;

/// How many runs may wait, and what may stay of those that have ended.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// `limits.queued_runs`.
    pub queued_runs_max: i64,
    /// How long a finished run stays, in milliseconds; `None`: for ever.
    pub age_ms: Option<i64>,
    /// How many do; `None`: all.
    count: Option<i64>,
    /// What the database may have in use.
    pages: i64,
    page_bytes: i64,
    /// `limits.output_bytes_per_run`
    pub output_bytes: i64,
}

impl Rules {
    /// The configuration's, for a database that may have so many bytes in use, in pages of this size.
    pub fn new(config: &StoreConfig, quota_bytes: u64, page_bytes: i64) -> Rules {
        let some = |number: u64| i64::try_from(number).ok().filter(|number| *number > 0);
        Rules {
            queued_runs_max: config.queued_runs_max,
            age_ms: some(config.runs_days).map(|days| days.saturating_mul(DAY_MS)),
            count: some(config.runs_count),
            pages: i64::try_from(quota_bytes).unwrap_or(i64::MAX) / page_bytes.max(1),
            page_bytes: page_bytes.max(1),
            output_bytes: some(config.output_bytes_per_run).unwrap_or(i64::MAX / 4),
        }
    }

    /// The database may have so many bytes in use from now on.
    pub fn set_quota(&mut self, db_bytes: u64) {
        self.pages = i64::try_from(db_bytes).unwrap_or(i64::MAX) / self.page_bytes;
    }

    /// What the database may have in use, in bytes.
    pub fn quota_bytes(&self) -> i64 {
        self.pages.saturating_mul(self.page_bytes)
    }

    /// Whether the database has more in use than it may.
    pub fn is_beyond_quota(&self, state: &State) -> bool {
        state.pages_used > self.pages
    }

    /// So many pages, in bytes.
    pub fn bytes(&self, pages: i64) -> i64 {
        pages.saturating_mul(self.page_bytes)
    }

    /// Whether runs have to go whatever their age. Once they have, until there is some room again.
    pub fn are_exceeded(&self, state: &State) -> bool {
        let limit = |limit: i64| if state.relieving { limit - limit / SLACK } else { limit };
        state.prunable > 0
            && (self.count.is_some_and(|count| state.prunable > limit(count)) || state.pages_used > limit(self.pages))
    }

    /// When the next thing goes that the store keeps for a time; 0: now.
    pub fn next_removal(&self, state: &State) -> Option<UnixMs> {
        if state.deleting || state.live_excess || self.are_exceeded(state) {
            return Some(UnixMs(0));
        }
        let aged = self.age_ms.zip(state.oldest_ended).map(|(age, ended)| UnixMs(ended.0.saturating_add(age)));
        [state.next_expiry, aged].into_iter().flatten().min()
    }
}
