//! Commits the output of all runs that no other commit carried along.
//!
//! One task. When it is due and what goes is the backlog's affair, how is the store's. While nothing waits it must not
//! wake up.

use std::future::Future;
use std::time::{Duration, Instant};

use async_io::Timer;
use log::Level;

use crate::store::backlog::{Backlog, Pace, Plan};
use crate::store::{FaultLog, Store, StoreError};
use crate::timer::until;

/// How long a store that failed is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// Commits output at the contract's pace, for ever.
pub async fn append(store: Store, pace: Pace) {
    append_to(store.backlog(), pace, || store.flush()).await;
}

async fn append_to<F>(backlog: &Backlog, pace: Pace, mut flush: impl FnMut() -> F)
where
    F: Future<Output = Result<Duration, StoreError>>,
{
    let mut commit = Duration::ZERO;
    let faults = FaultLog::new(Level::Error);
    loop {
        let nudged = backlog.listen();
        match backlog.plan(Instant::now(), pace.after(commit)) {
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

#[cfg(test)]
#[path = "appender_tests.rs"]
mod tests;
