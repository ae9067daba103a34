//! Whether the store lives and can write, and what waits for it: never for long where only somebody who reads asks.

use std::time::Duration;

use async_io::Timer;
use futures_lite::FutureExt as _;

use crate::run::RunId;
use crate::store::engine::recovery;
use crate::store::error::{Fault, StoreError, closed};
use crate::store::tables::handle::Store;

/// A write that waits for the medium for this long means that the database cannot be written, until it is done: longer
/// than another process's lock is waited for, and than most file systems are frozen for a snapshot.
const STALLED: Duration = Duration::from_secs(6);
/// How long who asks whether it can write waits for the thread that does.
const LOOK: Duration = Duration::from_millis(500);
/// How long who reads a page waits for what is printed to be on the medium.
const REVEAL: Duration = Duration::from_millis(500);

impl Store {
    /// Commits what these runs have printed, so that whoever reads a page of them now sees it, unless that takes long. Who
    /// comes again soon sees it at the pace of all readers: else a client that asks often enough would set the pace.
    pub async fn reveal(&self, runs: &[RunId]) {
        // All of them are looked at: each counts as watched from now on.
        if runs.iter().filter(|run| self.backlog.touch(**run)).count() > 0 {
            let _ = within(REVEAL, self.flush()).await;
        }
    }

    /// Whether both threads are there and take what they are sent, whatever they have to say.
    pub async fn answers(&self) -> bool {
        let is_read = !matches!(self.requests.read(|_| Ok(())).await, Err(error) if error == closed());
        is_read && self.barrier().await.is_ok()
    }

    /// Waits until all that was sent to be written before this is done, and published.
    pub async fn barrier(&self) -> Result<(), StoreError> {
        self.requests.barrier().await
    }

    /// Commits what the backlog has ready; answers what a commit lately took.
    pub async fn flush(&self) -> Result<Duration, StoreError> {
        self.requests.flush().await
    }

    /// Whether the store answers and can write; where the last write failed, by writing. Never waits for the medium for
    /// long.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let stalled = || Fault::Stalled(self.shared.writing_for()).into();
        if self.shared.writing_for() >= STALLED {
            return Err(stalled());
        }
        match self.shared.is_writable() {
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

/// `None` where it takes longer; what was sent is done all the same.
async fn within<T>(time: Duration, work: impl Future<Output = T>) -> Option<T> {
    let late = async {
        Timer::after(time).await;
        None
    };
    async { Some(work.await) }.or(late).await
}
