//! Health of the store: whether it answers, can write, and has stored what is to be read. Never waits long for the
//! medium where only a reader asks.

use std::time::Duration;

use crate::run::RunId;
use crate::store::engine::recovery;
use crate::store::error::{Fault, StoreError, closed};
use crate::store::tables::handle::Store;
use crate::timer::within;

/// Time from which a write that waits for the medium counts as stalled: longer than another process's lock is waited
/// for, and than most snapshots freeze a file system.
const STALLED: Duration = Duration::from_secs(6);
/// How long a probe waits for the writing thread.
const LOOK: Duration = Duration::from_millis(500);
/// How long the reader of a page waits for a commit of output.
const REVEAL: Duration = Duration::from_millis(500);

impl Store {
    /// Commits what these runs have printed, before a page of them is read, unless that takes long. A reader that
    /// comes again soon sees output at the pace of all readers: else frequent requests would set the pace.
    pub async fn reveal(&self, runs: &[RunId]) {
        // All of them are looked at: each counts as watched from now on.
        if runs.iter().filter(|run| self.backlog.touch(**run)).count() > 0 {
            let _ = within(REVEAL, self.flush()).await;
        }
    }

    /// Whether both threads run and take requests, whatever they answer.
    pub async fn answers(&self) -> bool {
        let is_read = !matches!(self.requests.read(|_| Ok(())).await, Err(error) if error == closed());
        is_read && self.barrier().await.is_ok()
    }

    /// Waits until every job sent before is done and published.
    pub async fn barrier(&self) -> Result<(), StoreError> {
        self.requests.barrier().await
    }

    /// Commits output that is ready; returns the smoothed time of a commit.
    pub async fn flush(&self) -> Result<Duration, StoreError> {
        self.requests.flush().await
    }

    /// Whether the store answers and can write; after a failed write, by writing. Never waits long for the medium.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let stalled = || Fault::Stalled(self.published.writing_for()).into();
        if self.published.writing_for() >= STALLED {
            return Err(stalled());
        }
        match self.published.is_writable() {
            false => within(STALLED, self.requests.write(recovery::probe)).await.unwrap_or_else(|| Err(stalled())),
            // Where a write is under way it has looked itself.
            true => match within(LOOK, self.requests.look()).await {
                Some(looked) => looked,
                None => self.requests.read(|_| Ok(())).await,
            },
        }
    }

    /// Moves the write-ahead log into the database.
    pub async fn checkpoint(&self) -> Result<(), StoreError> {
        self.requests.checkpoint().await
    }

    /// Commits what waits, checkpoints and closes the database. Every later request is refused.
    pub async fn close(&self) {
        // Where they cannot be written, those sessions end a little sooner.
        let _ = self.write_all_uses().await;
        self.requests.close().await;
    }
}
