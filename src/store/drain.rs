//! Nothing more is started, by somebody's wish: the switch, and the wait for what runs.
//!
//! It is kept in memory alone. A daemon that is started anew starts runs.

use crate::run::Status;
use crate::store::error::StoreError;
use crate::store::tables::handle::Store;

impl Store {
    /// Whether nothing more is started, by somebody's wish.
    pub fn draining(&self) -> bool {
        self.shared.draining()
    }

    /// Starts nothing more, or starts again; forgotten when the daemon ends. Answers, when no claim is under way any
    /// more, whether it was otherwise before.
    pub async fn drain(&self, drain: bool) -> Result<bool, StoreError> {
        let changed = self.shared.drain(drain);
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
