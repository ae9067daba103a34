//! What the store is told before it is opened: limits, and where it remembers how far it has come.
//!
//! It holds figures that were chosen by others; it knows no configuration.

use std::sync::Arc;
use std::time::Duration;

use crate::event::HighWater;

/// What the store needs to be opened.
pub struct StoreConfig {
    /// `limits.queued_runs`.
    pub queued_runs_max: i64,
    /// `limits.disk_free_bytes`.
    pub disk_free_bytes_min: u64,
    /// How far a database in its place had come, by what stands beside it.
    pub remembered: Option<HighWater>,
    /// Is told how far this one has come, at the start and after each checkpoint; by the store's thread.
    pub remember: Remember,
    /// Whether the last daemon closed it in order, whatever stands in its log.
    pub was_closed: bool,
    /// Is told when this one has closed it in order.
    pub note_closed: Arc<dyn Fn() + Send + Sync>,
    /// What the database may have in use.
    pub quota: Quota,
    /// `limits.output_bytes_per_run`
    pub output_bytes_per_run: u64,
    /// `retention.runs_days`
    pub runs_days: u64,
    /// `retention.runs_count`
    pub runs_count: u64,
    /// How long the start may look for damage.
    pub check_max: Duration,
}

#[cfg(test)]
impl StoreConfig {
    /// For tests: nothing is in the way, and nothing goes by itself.
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
            runs_days: 0,
            runs_count: 10_000,
            check_max: Duration::ZERO,
        }
    }
}

/// Makes the size of the file system, in bytes, into what the database may have in use there.
pub type Quota = Arc<dyn Fn(u64) -> u64 + Send + Sync>;

/// Keeps how far the database has come where a copy of an older one does not replace it too.
pub type Remember = Arc<dyn Fn(&HighWater) + Send + Sync>;
