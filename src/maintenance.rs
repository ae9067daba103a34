//! Removes what has expired: one task that sleeps until something expires, there is too much of something, or a client asks.
//!
//! It removes in pieces, so that no request waits for it, and never what is live. After each piece of its own passes it pauses
//! for as long as the piece took; a shutdown or a request ends such a pass early.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use async_io::Timer;
use futures_lite::{FutureExt as _, future};
use log::Level;

use crate::clock::UnixMs;
use crate::clock_steps::ClockSteps;
use crate::metrics::{Metrics, OfWhat};
use crate::schedule::Zone;
use crate::store::{Fault, FaultLog, Removed, Store, StoreError, Vacuum};
use crate::wake::{Bell, Phase, Stop};
use crate::zone_changes::ZoneChanges;

/// Requests that may wait for a pass; further ones wait for a place.
const REQUESTS_MAX: usize = 16;
/// The pause after a pass that failed.
const RETRY: Duration = Duration::from_secs(5);
/// The longest pause between two pieces.
const PAUSE_MAX: Duration = Duration::from_millis(250);
/// The most that one of the task's own passes gives back to the disk; the rest follows in later passes.
const FREED_BYTES_MAX: u64 = 64 * 1_024 * 1_024;

type Reply = Sender<Result<Removed, StoreError>>;

/// Asks the maintenance task for a whole pass; cheap to clone.
#[derive(Clone)]
pub struct Maintenance(Sender<Reply>);

/// The task's end of the channel of [`Maintenance`].
pub struct Requests(Receiver<Reply>);

impl Maintenance {
    /// Makes both ends of the channel.
    pub fn new() -> (Maintenance, Requests) {
        let (ask, asked) = async_channel::bounded(REQUESTS_MAX);
        (Maintenance(ask), Requests(asked))
    }

    /// Runs one whole pass now, with a checkpoint at its end; returns what it removed.
    ///
    /// # Errors
    /// When the store fails, or the daemon is stopping.
    pub async fn pass(&self) -> Result<Removed, StoreError> {
        let (reply, answer) = async_channel::bounded(1);
        self.0.send(reply).await.map_err(|_| stopping())?;
        answer.recv().await.map_err(|_| stopping())?
    }
}

fn stopping() -> StoreError {
    Fault::Stopping.into()
}

/// Why the task woke.
enum Woken {
    /// Something may be due.
    Look,
    /// A client waits for a whole pass.
    Asked(Reply),
    /// The daemon stops.
    Stop,
}

/// Runs until the daemon stops. `interval` is the longest time between two passes while something can expire.
pub async fn run(store: &Store, requests: Requests, interval: Duration, stop: &Stop, metrics: &Arc<Metrics>) {
    let faults = FaultLog::new(Level::Warn);
    let task = Task { store, requests: &requests.0, stop, metrics, faults };
    // Whether the last pass left free space to give back.
    let mut left = false;
    loop {
        let moved = store.listen_for_removals();
        let due_in = store.next_removal().map(|at| Duration::from_millis((at.0 - UnixMs::now().0).max(0) as u64));
        // A request comes first, so that what is due is counted in its answer.
        if due_in == Some(Duration::ZERO) && !task.is_over(Vacuum::Spare) {
            left = task.own_pass().await;
            continue;
        }
        let due_in = if left { Some(interval) } else { due_in };
        let slept = async {
            match due_in {
                Some(due_in) => drop(Timer::after(due_in.min(interval)).await),
                None => future::pending().await,
            }
            Woken::Look
        };
        let moved = async {
            moved.await;
            Woken::Look
        };
        let stopped = async {
            stop.wait(Phase::Stopping).await;
            Woken::Stop
        };
        let asked = async { requests.0.recv().await.map_or(Woken::Stop, Woken::Asked) };
        match stopped.or(asked).or(moved).or(slept).await {
            Woken::Stop => return,
            // Whoever asked may have gone.
            Woken::Asked(reply) => _ = reply.try_send(task.whole_pass().await),
            Woken::Look if left => left = task.own_pass().await,
            Woken::Look => {}
        }
    }
}

/// Wakes every task that waits for a time whenever the clock is set. Returns only when the system cannot notify of that.
///
/// Sessions and tokens that were made while the clock showed a time from before this binary was built are moved with it: a
/// session of a machine that starts in 1970 does not expire when the machine learns the year.
pub async fn follow_clock(mut steps: ClockSteps, store: &Store, bell: &Bell) {
    let mut since = UnixMs::now();
    loop {
        let step = match steps.next().await {
            Ok(step) => step,
            Err(error) => return log::warn!("whether the clock is set cannot be told any more: {error}"),
        };
        log::info!("the clock was set from {} to {}", step.from, step.to);
        if !step.from.is_believed() && step.to.is_believed() {
            if let Err(error) = store.shift(since, step.from, step.to.0 - step.from.0).await {
                log::warn!("sessions and tokens of a wrong clock stay as they are: {error:?}");
            }
        }
        since = step.to;
        store.clock_was_set();
        look_at_schedules(store).await;
        bell.ring();
    }
}

/// Looks anew when each job is due whenever the system's data of zones is replaced. Returns only when the system cannot notify
/// of that.
pub async fn follow_zones(mut changes: ZoneChanges, store: &Store, bell: &Bell) {
    while let Ok(()) = changes.next().await {
        Zone::forget_all();
        look_at_schedules(store).await;
        bell.ring();
    }
    log::warn!("whether the data of zones is replaced cannot be told any more");
}

/// Looks anew when each job is due.
pub async fn look_at_schedules(store: &Store) {
    let mut after = Some(String::new());
    while let Some(from) = after {
        after = match store.look_at_schedules(from).await {
            Ok(after) => after,
            Err(error) => return log::warn!("when jobs are due could not be looked up: {error:?}"),
        };
    }
}

struct Task<'a> {
    store: &'a Store,
    requests: &'a Receiver<Reply>,
    stop: &'a Stop,
    metrics: &'a Metrics,
    faults: FaultLog,
}

impl Task<'_> {
    /// Removes what is due, with pauses in which others can write; returns whether there is more space to give back.
    async fn own_pass(&self) -> bool {
        let mut removed = Removed::default();
        let outcome = self.remove(&mut removed, Vacuum::Spare).await;
        let has_more = removed.freed_bytes >= FREED_BYTES_MAX;
        self.count(&removed);
        if outcome.is_ok() {
            self.faults.over();
        }
        // These pauses end when the daemon stops.
        match outcome {
            Ok(()) if removed.freed_bytes > 0 => drop(self.store.checkpoint().await),
            // Something is due that cannot be found: without a pause this would spin.
            Ok(()) if removed.total() == 0 && self.is_due() => self.stop.wait_at_most(Phase::Stopping, RETRY).await,
            Ok(()) => {}
            Err(error) => {
                self.faults.failed(&error, format_args!("maintenance failed, trying again"));
                self.stop.wait_at_most(Phase::Stopping, RETRY).await;
            }
        }
        has_more
    }

    /// Removes all that is due, without pauses, and gives all free space back to the disk.
    async fn whole_pass(&self) -> Result<Removed, StoreError> {
        let mut removed = Removed::default();
        let outcome = self.remove(&mut removed, Vacuum::Whole).await;
        self.count(&removed);
        outcome?;
        if self.stop.reached(Phase::Stopping) {
            return Err(stopping());
        }
        self.store.checkpoint().await?;
        Ok(removed)
    }

    async fn remove(&self, removed: &mut Removed, vacuum: Vacuum) -> Result<(), StoreError> {
        while !self.is_over(vacuum) {
            let begun = Instant::now();
            let piece = self.store.remove_expired().await?;
            if piece.total() == 0 {
                break;
            }
            removed.add(&piece);
            self.pause(vacuum, begun.elapsed()).await;
        }
        while !self.is_over(vacuum) && (vacuum == Vacuum::Whole || removed.freed_bytes < FREED_BYTES_MAX) {
            let begun = Instant::now();
            let freed = self.store.vacuum(vacuum).await?;
            if freed == 0 {
                break;
            }
            removed.freed_bytes += freed;
            self.pause(vacuum, begun.elapsed()).await;
        }
        Ok(())
    }

    /// Whether a pass is to end early: for a whole one that a client asked for, or because the daemon stops.
    fn is_over(&self, vacuum: Vacuum) -> bool {
        self.stop.reached(Phase::Stopping) || (vacuum == Vacuum::Spare && !self.requests.is_empty())
    }

    async fn pause(&self, vacuum: Vacuum, took: Duration) {
        if !self.is_over(vacuum) && vacuum == Vacuum::Spare {
            self.stop.wait_at_most(Phase::Stopping, took.min(PAUSE_MAX)).await;
        }
    }

    fn is_due(&self) -> bool {
        !self.is_over(Vacuum::Spare) && self.store.next_removal().is_some_and(|at| at <= UnixMs::now())
    }

    /// Counts and logs what a pass removed. Runs and events are counted by the commits that remove them.
    fn count(&self, removed: &Removed) {
        for (what, rows) in [
            ("sessions", removed.sessions),
            ("enrollment_tokens", removed.enrollment_tokens),
            ("idempotency_keys", removed.idempotency_keys),
            ("firings", removed.firings),
            ("hook_deliveries", removed.hook_deliveries),
        ] {
            self.metrics.pruned.get_or_create(&OfWhat { what }).inc_by(rows as u64);
        }
        self.metrics.unread_pruned.inc_by(removed.unread_runs as u64);
        if removed.unread_runs > 0 {
            log::warn!(
                "{} runs were removed though a cursor holds them: the database is full (retention.db_bytes); its reader is \
                 told by a gap, and `runabout cursor ls` shows which is behind",
                removed.unread_runs
            );
        }
        if removed.total() > 0 || removed.freed_bytes > 0 {
            log::info!("maintenance removed {removed:?}");
        }
    }
}
