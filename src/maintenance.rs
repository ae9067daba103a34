//! What expires goes: one task that sleeps until the next thing expires or somebody asks.
//!
//! It removes in pieces that nobody waits for, and never what is live.

use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use async_io::Timer;
use futures_lite::{FutureExt as _, future};

use crate::clock::UnixMs;
use crate::metrics::{Metrics, OfWhat};
use crate::store::{Removed, Store, StoreError};
use crate::wake::{Bell, Phase, Stop};

/// Requests that may wait for a pass; who comes then shares one of theirs.
const REQUESTS_MAX: usize = 16;
/// The pause after a pass that failed.
const RETRY: Duration = Duration::from_secs(5);

/// Where a whole pass can be asked for.
#[derive(Clone)]
pub struct Maintenance(Sender<Sender<Result<Removed, StoreError>>>);

/// The task's end of [`Maintenance`].
pub struct Requests(Receiver<Sender<Result<Removed, StoreError>>>);

impl Maintenance {
    /// Both ends.
    pub fn new() -> (Maintenance, Requests) {
        let (ask, asked) = async_channel::bounded(REQUESTS_MAX);
        (Maintenance(ask), Requests(asked))
    }

    /// One whole pass now, with a checkpoint at its end; answers when it is done.
    ///
    /// # Errors
    /// When the store fails, or the daemon is stopping.
    pub async fn pass(&self) -> Result<Removed, StoreError> {
        let stopping = || StoreError::Unavailable("the daemon is stopping".into());
        let (reply, answer) = async_channel::bounded(1);
        self.0.send(reply).await.map_err(|_| stopping())?;
        answer.recv().await.map_err(|_| stopping())?
    }
}

/// Works until the daemon stops. `interval` is the longest between two passes while something can expire.
pub async fn run(
    store: &Store,
    requests: Requests,
    interval: Duration,
    bell: &Bell,
    stop: &Stop,
    metrics: &Arc<Metrics>,
) {
    while !stop.reached(Phase::Stopping) {
        let rung = bell.listen();
        let due_in = store.next_expiry().map(|at| Duration::from_millis((at.0 - UnixMs::now().0).max(0) as u64));
        if due_in == Some(Duration::ZERO) {
            if let Err(error) = pass(store, metrics).await {
                log::warn!("maintenance failed, trying again: {error:?}");
                stop.wait_at_most(Phase::Stopping, RETRY).await;
            }
            continue;
        }
        let slept = async {
            match due_in {
                Some(due_in) => drop(Timer::after(due_in.min(interval)).await),
                None => future::pending().await,
            }
            None
        };
        let woken = async {
            rung.await;
            None
        };
        let asked = async { requests.0.recv().await.ok() };
        if let Some(reply) = woken.or(slept).or(asked).await {
            let removed = pass(store, metrics).await;
            let outcome = match removed {
                Ok(removed) => store.checkpoint().await.map(|()| removed),
                failed => failed,
            };
            // Whoever asked may have gone.
            let _ = reply.try_send(outcome);
        }
    }
}

async fn pass(store: &Store, metrics: &Arc<Metrics>) -> Result<Removed, StoreError> {
    let mut removed = Removed::default();
    loop {
        let piece = store.remove_expired().await?;
        if piece.total() == 0 {
            break;
        }
        removed.add(&piece);
    }
    for (what, rows) in [
        ("sessions", removed.sessions),
        ("enrollment_tokens", removed.enrollment_tokens),
        ("idempotency_keys", removed.idempotency_keys),
    ] {
        metrics.pruned.get_or_create(&OfWhat { what }).inc_by(rows as u64);
    }
    if removed.total() > 0 {
        log::info!("maintenance removed {removed:?}");
    }
    Ok(removed)
}
