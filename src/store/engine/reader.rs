//! One read under way: what it works with, and how long it may take.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use rusqlite::Connection;

use crate::run::RunId;
use crate::store::error::StoreError;

/// What each run that is running has printed, in bytes.
pub type Printed = HashMap<RunId, i64>;

/// One request to the reading thread.
pub type Read = Box<dyn FnOnce(Result<&Reader<'_>, StoreError>) + Send>;

/// What a read works with: one snapshot.
pub struct Reader<'a> {
    pub conn: &'a Connection,
    /// Looked up before the snapshot was taken: of a run that runs in it, this is never more than its events tell.
    pub printed: Arc<Printed>,
    /// When it is to give what it has found.
    pub until: Instant,
}

impl Reader<'_> {
    /// What a run that is running has printed, in bytes.
    pub fn printed(&self, run: RunId) -> Option<i64> {
        self.printed.get(&run).copied()
    }

    /// Whether the read has taken its time, and is to give what it has found.
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }
}
