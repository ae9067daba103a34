//! Draining: starts no more runs, and waits for those that run.
//!
//! The setting is only in memory. A new daemon starts runs.

use crate::run::Status;
use crate::store::error::StoreError;
use crate::store::tables::handle::Store;

impl Store {
    /// Whether the daemon drains.
    pub fn draining(&self) -> bool {
        self.published.draining()
    }

    /// Starts no more runs, or starts them again. Returns whether that changed, once no claim is under way.
    pub async fn drain(&self, drain: bool) -> Result<bool, StoreError> {
        let changed = self.published.drain(drain);
        self.bell.ring();
        // A claim that was under way is published before this question is answered.
        self.barrier().await?;
        Ok(changed)
    }

    /// Waits until nothing runs.
    pub async fn wait_idle(&self) {
        loop {
            let rung = self.bell.listen();
            if self.counts()[Status::Running as usize] == 0 {
                return;
            }
            rung.await;
        }
    }
}
