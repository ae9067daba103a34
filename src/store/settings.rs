//! Settings of the store, and where it remembers the ids that it gave out.
//!
//! It holds figures that others chose; it does not know the configuration.

use std::sync::Arc;
use std::time::Duration;

use crate::event::HighWater;

/// Settings of the store.
pub struct StoreConfig {
    /// `limits.queued_runs`.
    pub queued_runs_max: i64,
    /// `limits.disk_free_bytes`.
    pub disk_free_bytes_min: u64,
    /// Highest ids of the database that was in this place, as remembered beside it.
    pub remembered: Option<HighWater>,
    /// Told the highest ids of this database, at the start and after each checkpoint, on the writing thread.
    pub remember: Remember,
    /// Whether the last daemon closed the database in order, whatever is in its log.
    pub was_closed: bool,
    /// Told when this daemon has closed the database in order.
    pub note_closed: Arc<dyn Fn() + Send + Sync>,
    /// The quota.
    pub quota: Quota,
    /// `limits.output_bytes_per_run`
    pub output_bytes_per_run: u64,
    /// `retention.artifact_bytes`
    pub artifact_bytes: u64,
    /// `retention.runs_days`
    pub runs_days: u64,
    /// `retention.runs_count`
    pub runs_count: u64,
    /// `retention.cursor_days`
    pub cursor_days: u64,
    /// How long a start may look for damage.
    pub check_max: Duration,
}

#[cfg(test)]
impl StoreConfig {
    /// Settings for tests: no limit is met, nothing is removed by itself.
    pub fn unlimited() -> StoreConfig {
        StoreConfig {
            queued_runs_max: 100_000,
            disk_free_bytes_min: 0,
            remembered: None,
            remember: Arc::new(|_| ()),
            was_closed: false,
            note_closed: Arc::new(|| ()),
            quota: Arc::new(|_| 1 << 30),
            output_bytes_per_run: 1 << 26,
            artifact_bytes: 1 << 32,
            runs_days: 0,
            runs_count: 10_000,
            cursor_days: 30,
            check_max: Duration::ZERO,
        }
    }
}

/// Computes the quota from the size of the file system, both in bytes.
pub type Quota = Arc<dyn Fn(u64) -> u64 + Send + Sync>;

/// Remembers the highest ids in a place that restoring an older copy does not overwrite.
pub type Remember = Arc<dyn Fn(&HighWater) + Send + Sync>;
