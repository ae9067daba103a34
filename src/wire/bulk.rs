//! What was done to all runs that a filter found.

use serde::{Deserialize, Serialize};

/// How many runs it was done to, so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BulkBody {
    /// Runs that were canceled, or tried again; in a dry run, that would be.
    pub count: usize,
    /// Those of them that still run, and are on their way to their end.
    pub running: usize,
    /// Runs that were left alone, since they had been tried again or their queue is gone.
    pub skipped: usize,
    /// Path and query by which the rest is done; `None`: all is done.
    pub next: Option<String>,
}
