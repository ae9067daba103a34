//! Sends deliveries to hooks: one task that wakes when something may be due, and one more for each hook that has something
//! to send, so that a target that is away holds up no other.
//!
//! At least once: what a target took is written down before the next is sent, and a crash in between sends it once more,
//! under the same id. Nothing is decided here about what is sent; no path, query or credential of a target is ever logged.

mod answer;
mod line;
mod post;
mod reach;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_channel::Receiver;
use async_io::Timer;
use futures_lite::{FutureExt as _, future};
use log::Level;
use smol::{Executor, Task};

use self::line::Line;
pub use self::reach::Own;
use crate::clock::UnixMs;
use crate::metrics::Metrics;
use crate::store::{FaultLog, Store};
use crate::wake::{Phase, Stop};

/// The pause after the store has failed.
const RETRY: Duration = Duration::from_secs(5);
/// The longest sleep while something is to be sent: a clock that is set where the system cannot notify of that.
const SAFETY: Duration = Duration::from_secs(3_600);

/// The task, and what it works with.
pub struct Hooks {
    store: Store,
    own: Own,
    metrics: Arc<Metrics>,
    executor: Arc<Executor<'static>>,
    stop: Stop,
}

impl Hooks {
    /// Hooks of this store, of which none leads to `own`; the tasks of those that have something to send are on `executor`.
    pub fn new(store: Store, own: Own, metrics: Arc<Metrics>, executor: Arc<Executor<'static>>, stop: Stop) -> Hooks {
        Hooks { store, own, metrics, executor, stop }
    }

    /// Sends what is to be sent until the daemon stops. What is under way then is sent again by the next.
    pub async fn run(self) {
        let faults = FaultLog::new(Level::Warn);
        let (done, ended) = async_channel::unbounded();
        // One for each hook that has something to send; dropped with this.
        let mut busy: HashMap<String, Task<()>> = HashMap::new();
        while !self.stop.reached(Phase::Stopping) {
            let moved = self.store.listen_for_deliveries();
            let due_in = match self.store.hook_lines().await {
                Ok(lines) => {
                    faults.over();
                    self.send_due(lines, &mut busy, &done)
                }
                Err(error) => {
                    faults.failed(&error, format_args!("what is to be told to hooks cannot be read, trying again"));
                    Some(RETRY)
                }
            };
            let slept = async {
                match due_in {
                    Some(due_in) => drop(Timer::after(due_in.min(SAFETY)).await),
                    None => future::pending().await,
                }
            };
            self.stop.wait(Phase::Stopping).or(moved).or(left(&ended, &mut busy)).or(slept).await;
        }
    }

    /// Starts a task for each hook that has something to send now; returns when the next has, of those that have none.
    fn send_due(
        &self,
        lines: Vec<(String, UnixMs)>,
        busy: &mut HashMap<String, Task<()>>,
        done: &async_channel::Sender<String>,
    ) -> Option<Duration> {
        let now = UnixMs::now();
        let mut next = None;
        for (hook, due_at) in lines.into_iter().filter(|(hook, _)| !busy.contains_key(hook)).collect::<Vec<_>>() {
            if due_at > now {
                next = Some(next.map_or(due_at, |next: UnixMs| next.min(due_at)));
                continue;
            }
            let line = Line::new(hook.clone(), self.store.clone(), self.own, self.metrics.clone());
            let (done, name) = (done.clone(), hook.clone());
            let task = self.executor.spawn(async move {
                line.send_due().await;
                let _ = done.try_send(name);
            });
            busy.insert(hook, task);
        }
        next.map(|at| Duration::from_millis(u64::try_from(at.0 - now.0).unwrap_or(0)))
    }
}

/// Waits until a hook has nothing more to send now.
async fn left(ended: &Receiver<String>, busy: &mut HashMap<String, Task<()>>) {
    if let Ok(hook) = ended.recv().await {
        busy.remove(&hook);
    }
}
