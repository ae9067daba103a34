//! Limits: how many runs may wait, how long and how many ended runs stay, how large the database may be.
//!
//! They say whether there is too much, not what is removed.

use crate::clock::UnixMs;
use crate::numbers::EventId;
use crate::store::engine::counters::Counters;
use crate::store::settings::StoreConfig;

/// Share of a limit that is removed in addition once it is exceeded, so that a busy daemon prunes in lumps instead of
/// once for each run that ends.
const SLACK: i64 = 64;
const DAY_MS: i64 = 86_400_000;

/// The configured limits.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// `limits.queued_runs`.
    pub queued_runs_max: i64,
    /// Age from which a finished run is removed, in milliseconds; `None`: never.
    pub age_ms: Option<i64>,
    /// How long a durable cursor that is not moved holds what comes after it, in milliseconds; `None`: for ever.
    pub cursor_ms: Option<i64>,
    /// Number of finished runs that stay; `None`: all.
    count: Option<i64>,
    /// Quota in pages.
    pages: i64,
    page_bytes: i64,
    /// `limits.output_bytes_per_run`
    pub output_bytes: i64,
    /// `retention.artifact_bytes`
    pub artifact_bytes: i64,
}

impl Rules {
    /// The configured limits, for a quota in bytes and a page size in bytes.
    pub fn new(config: &StoreConfig, quota_bytes: u64, page_bytes: i64) -> Rules {
        let some = |number: u64| i64::try_from(number).ok().filter(|number| *number > 0);
        Rules {
            queued_runs_max: config.queued_runs_max,
            age_ms: some(config.runs_days).map(|days| days.saturating_mul(DAY_MS)),
            cursor_ms: some(config.cursor_days).map(|days| days.saturating_mul(DAY_MS)),
            count: some(config.runs_count),
            pages: i64::try_from(quota_bytes).unwrap_or(i64::MAX) / page_bytes.max(1),
            page_bytes: page_bytes.max(1),
            output_bytes: some(config.output_bytes_per_run).unwrap_or(i64::MAX / 4),
            artifact_bytes: i64::try_from(config.artifact_bytes).unwrap_or(i64::MAX),
        }
    }

    /// Changes the quota.
    pub fn set_quota(&mut self, db_bytes: u64) {
        self.pages = i64::try_from(db_bytes).unwrap_or(i64::MAX) / self.page_bytes;
    }

    /// The quota in bytes.
    pub fn quota_bytes(&self) -> i64 {
        self.pages.saturating_mul(self.page_bytes)
    }

    /// Whether the database is larger than its quota.
    pub fn is_beyond_quota(&self, counters: &Counters) -> bool {
        counters.pages_used > self.pages
    }

    /// Bytes of so many pages.
    pub fn bytes(&self, pages: i64) -> i64 {
        pages.saturating_mul(self.page_bytes)
    }

    /// Whether runs must be removed because there are too many; once true, until there are somewhat fewer.
    pub fn is_count_exceeded(&self, counters: &Counters) -> bool {
        let over = |count| counters.prunable > relieved(count, counters.relieving);
        counters.prunable > 0 && self.count.is_some_and(over)
    }

    /// Whether runs must be removed because they have too little room, whoever still wants to read them; once true, until there
    /// is some room again.
    pub fn is_room_exceeded(&self, counters: &Counters) -> bool {
        counters.prunable > 0 && counters.pages_used > relieved(self.pages, counters.relieving_room)
    }

    /// Whether artifacts of runs must be removed.
    pub fn are_artifacts_exceeded(&self, counters: &Counters) -> bool {
        counters.artifact_bytes > self.artifact_bytes && counters.artifact_bytes != counters.artifacts_stay
    }

    /// How many of the oldest firings are too many: as many stay as runs.
    pub fn firings_excess(&self, counters: &Counters) -> i64 {
        match self.count {
            Some(count) if counters.firings > count => counters.firings - (count - count / SLACK),
            _ => 0,
        }
    }

    /// When the next thing is to be removed; 0: now.
    pub fn next_removal(&self, counters: &Counters) -> Option<UnixMs> {
        let is_excess = self.is_room_exceeded(counters) || self.are_artifacts_exceeded(counters);
        if counters.deleting || counters.live_excess || is_excess || self.firings_excess(counters) > 0 {
            return Some(UnixMs(0));
        }
        // What a cursor was found to hold waits for it.
        let free_at = |waits: Option<EventId>| counters.cursors.free_at(waits, self.cursor_ms);
        let counted = if self.is_count_exceeded(counters) { free_at(counters.cursors.counted) } else { None };
        let aged = self.age_ms.zip(counters.oldest_ended).map(|(age, ended)| UnixMs(ended.0.saturating_add(age)));
        let aged = aged.zip(free_at(counters.cursors.aged)).map(|(aged, free)| aged.max(free));
        let fired = self.age_ms.zip(counters.oldest_firing).map(|(age, fired)| UnixMs(fired.0.saturating_add(age)));
        let told = self.age_ms.zip(counters.hooks.oldest_end).map(|(age, ended)| UnixMs(ended.0.saturating_add(age)));
        [counters.next_expiry, counted, aged, fired, told].into_iter().flatten().min()
    }
}

/// A limit that was exceeded is to be kept by somewhat more.
fn relieved(limit: i64, relieving: bool) -> i64 {
    if relieving { limit - limit / SLACK } else { limit }
}
