//! One read: its snapshot and its time limit.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use rusqlite::Connection;

use crate::run::RunId;
use crate::store::error::StoreError;

/// What each run that is running has printed, in bytes.
pub type Printed = HashMap<RunId, i64>;

/// One request to the reading thread.
pub type Read = Box<dyn FnOnce(Result<&Snapshot<'_>, StoreError>) + Send>;

/// A read in one snapshot.
pub struct Snapshot<'a> {
    pub conn: &'a Connection,
    /// Bytes printed by each running run. Looked up before the snapshot was taken, so that it is never more than the
    /// events in it tell.
    pub printed: Arc<Printed>,
    /// Time from which the read returns what it has found.
    pub until: Instant,
}

impl Snapshot<'_> {
    /// Bytes that a running run has printed.
    pub fn printed(&self, run: RunId) -> Option<i64> {
        self.printed.get(&run).copied()
    }

    /// Whether the time limit is reached: the read returns what it has found.
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }
}
