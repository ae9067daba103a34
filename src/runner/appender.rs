//! Pacing: when the output of all runs is committed that no other commit carried along.
//!
//! One task. It only says when; what goes is the backlog's affair, how is the store's. While nothing
//! waits it must not wake up.

use std::future::Future;
use std::time::{Duration, Instant};

use async_io::Timer;
use log::Level;

use crate::store::backlog::{Backlog, Pace, Plan};
use crate::store::{FaultLog, Store, StoreError};
use crate::timer::until;

/// Output takes at most one part in this many of the medium's time.
const MEDIUM_SHARE: u32 = 4;
/// How long a store that failed is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// The configured shortest times between two commits of output.
#[derive(Clone, Copy, Debug)]
pub struct Pacing {
    /// `flush_ms`: while somebody reads.
    pub flush: Duration,
    /// `flush_unwatched_ms`: while nobody does.
    pub flush_unwatched: Duration,
}

/// Commits output at the contract's pace, for ever.
pub async fn append(store: Store, pacing: Pacing) {
    append_to(store.backlog(), pacing, || store.flush()).await;
}

async fn append_to<F>(backlog: &Backlog, pacing: Pacing, mut flush: impl FnMut() -> F)
where
    F: Future<Output = Result<Duration, StoreError>>,
{
    let mut commit = Duration::ZERO;
    let faults = FaultLog::new(Level::Error);
    loop {
        let nudged = backlog.listen();
        match backlog.plan(Instant::now(), pacing.after(commit)) {
            Plan::Nothing => nudged.await,
            Plan::At(due) => _ = until(due, nudged).await,
            Plan::Now => match flush().await {
                Ok(took) => {
                    commit = took;
                    faults.over();
                }
                Err(error) => {
                    faults.failed(&error, format_args!("output waits, the store cannot take it"));
                    Timer::after(RETRY).await;
                }
            },
        }
    }
}

impl Pacing {
    /// The pace while a commit takes this long.
    fn after(self, commit: Duration) -> Pace {
        let rest = commit.saturating_mul(MEDIUM_SHARE);
        Pace { watched: self.flush.max(rest), unwatched: self.flush_unwatched.max(rest) }
    }
}

#[cfg(test)]
#[path = "appender_tests.rs"]
mod tests;
