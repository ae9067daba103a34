//! What the writing thread publishes without being asked: hints and counts, mostly as atomics.
//!
//! Hints save a request; nobody acts on them alone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event_listener::{Event, EventListener};

use crate::clock::UnixMs;
use crate::cursor::Cursors;
use crate::numbers::EventId;
use crate::run::{RunId, Status};
use crate::store::engine::counters::{Counters, Counts, Queue};
use crate::store::engine::output::Output;
use crate::store::engine::rules::Rules;
use crate::store::engine::snapshot::Printed;

const NEVER: i64 = i64::MAX;

/// Written by the writing thread after each commit, read by anyone.
#[derive(Default)]
pub struct Published {
    claimable: AtomicBool,
    claims_open: AtomicBool,
    telling: AtomicBool,
    draining: AtomicBool,
    next_due: AtomicI64,
    next_firing: AtomicI64,
    jobs: AtomicI64,
    next_removal: AtomicI64,
    /// Rung when something is to be removed earlier than `next_removal` said, and when the clock was set.
    sooner: Event,
    counts: [AtomicI64; Status::ALL.len()],
    queues: Mutex<BTreeMap<String, Queue>>,
    printed: Mutex<Arc<Printed>>,
    cursors: Mutex<Arc<Cursors>>,
    /// `retention.cursor_days` in milliseconds.
    cursor_ms: AtomicI64,
    last_event: AtomicI64,
    /// What `HookCounters::mark` was.
    delivery_mark: AtomicU64,
    /// Rung when a delivery may be due that was not before, and when the clock was set.
    deliveries: Event,
    pending_deliveries: AtomicI64,
    /// Since when the writing thread has been waiting for the medium.
    writing_since: Mutex<Option<Instant>>,
    commit_us: AtomicU64,
    /// Whether the last write failed, or the files are not in their place.
    cannot_write: AtomicBool,
}

impl Published {
    pub fn publish(&self, counters: &Counters, rules: &Rules) {
        self.claimable.store(counters.claimable(), Ordering::SeqCst);
        self.telling.store(counters.telling, Ordering::SeqCst);
        self.next_due.store(counters.next_due.map_or(NEVER, |at| at.0), Ordering::SeqCst);
        self.next_firing.store(counters.next_firing.map_or(NEVER, |at| at.0), Ordering::SeqCst);
        self.jobs.store(counters.jobs, Ordering::SeqCst);
        let removal = rules.next_removal(counters).map_or(NEVER, |at| at.0);
        if removal < self.next_removal.swap(removal, Ordering::SeqCst) {
            self.sooner.notify(usize::MAX);
        }
        self.pending_deliveries.store(counters.hooks.pending, Ordering::SeqCst);
        if self.delivery_mark.swap(counters.hooks.mark, Ordering::SeqCst) != counters.hooks.mark {
            self.deliveries.notify(usize::MAX);
        }
        for (shared, count) in self.counts.iter().zip(counters.counts) {
            shared.store(count, Ordering::Relaxed);
        }
        show_queues(&mut lock(&self.queues), &counters.queues);
        show_printed(&mut lock(&self.printed), counters);
        self.last_event.store(counters.last_event().0, Ordering::SeqCst);
        let mut cursors = lock(&self.cursors);
        if !Arc::ptr_eq(&cursors, &counters.cursors.all) {
            cursors.clone_from(&counters.cursors.all);
        }
        self.cursor_ms.store(rules.cursor_ms.unwrap_or(NEVER), Ordering::Relaxed);
    }

    /// All durable cursors.
    pub fn cursors(&self) -> Arc<Cursors> {
        lock(&self.cursors).clone()
    }

    /// How long one that is not moved holds what comes after it, in milliseconds; `None`: for ever.
    pub fn cursor_ms(&self) -> Option<i64> {
        Some(self.cursor_ms.load(Ordering::Relaxed)).filter(|ms| *ms != NEVER)
    }

    /// The newest event's id.
    pub fn last_event(&self) -> EventId {
        EventId(self.last_event.load(Ordering::SeqCst))
    }

    /// All queues by name.
    pub fn queues(&self) -> Vec<(String, Queue)> {
        lock(&self.queues).iter().map(|(name, queue)| (name.clone(), queue.clone())).collect()
    }

    pub fn queue(&self, name: &str) -> Option<Queue> {
        lock(&self.queues).get(name).cloned()
    }

    pub fn printed(&self) -> Arc<Printed> {
        lock(&self.printed).clone()
    }

    /// Sets since when the writing thread waits for the medium; `None`: it does not.
    pub fn set_writing(&self, since: Option<Instant>) {
        *lock(&self.writing_since) = since;
    }

    /// How long the writing thread has been waiting for the medium.
    pub fn writing_for(&self) -> Duration {
        lock(&self.writing_since).map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Whether the database can be written, by the last write.
    pub fn is_writable(&self) -> bool {
        !self.cannot_write.load(Ordering::SeqCst)
    }

    pub fn set_writable(&self, is_writable: bool) {
        self.cannot_write.store(!is_writable, Ordering::SeqCst);
    }

    pub fn claimable(&self) -> bool {
        self.claimable.load(Ordering::SeqCst) && !self.draining()
    }

    pub fn telling(&self) -> bool {
        self.telling.load(Ordering::SeqCst)
    }

    pub fn claims_open(&self) -> bool {
        self.claims_open.load(Ordering::SeqCst) && !self.draining()
    }

    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Sets whether the daemon drains; returns whether that changed.
    pub fn drain(&self, drain: bool) -> bool {
        self.draining.swap(drain, Ordering::SeqCst) != drain
    }

    pub fn open_claims(&self, open: bool) {
        self.claims_open.store(open, Ordering::SeqCst);
    }

    /// When the next delayed run is due; `None` while the daemon drains.
    pub fn next_due(&self) -> Option<UnixMs> {
        if self.draining() {
            return None;
        }
        Some(self.next_due.load(Ordering::SeqCst)).filter(|at| *at != NEVER).map(UnixMs)
    }

    /// When the first job is due.
    pub fn next_firing(&self) -> Option<UnixMs> {
        Some(self.next_firing.load(Ordering::SeqCst)).filter(|at| *at != NEVER).map(UnixMs)
    }

    /// Whether there are jobs.
    pub fn has_jobs(&self) -> bool {
        self.jobs.load(Ordering::SeqCst) > 0
    }

    pub fn next_removal(&self) -> Option<UnixMs> {
        Some(self.next_removal.load(Ordering::SeqCst)).filter(|at| *at != NEVER).map(UnixMs)
    }

    pub fn listen_for_removals(&self) -> EventListener {
        self.sooner.listen()
    }

    pub fn listen_for_deliveries(&self) -> EventListener {
        self.deliveries.listen()
    }

    /// How many deliveries to hooks are to be sent.
    pub fn pending_deliveries(&self) -> i64 {
        self.pending_deliveries.load(Ordering::SeqCst)
    }

    /// Wakes whoever waits for a time.
    pub fn clock_was_set(&self) {
        self.sooner.notify(usize::MAX);
        self.deliveries.notify(usize::MAX);
    }

    pub fn counts(&self) -> Counts {
        std::array::from_fn(|index| self.counts[index].load(Ordering::Relaxed))
    }

    /// Smoothed time of a commit: the newest counts a quarter.
    pub fn commit_time(&self) -> Duration {
        Duration::from_micros(self.commit_us.load(Ordering::Relaxed))
    }

    pub fn set_commit_time(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX / 4);
        let old = self.commit_us.load(Ordering::Relaxed);
        let new = if old == 0 { took } else { (old * 3 + took) / 4 };
        self.commit_us.store(new, Ordering::Relaxed);
    }
}

/// Updates the published queues: counts change with every commit, names seldom, so that names are not cloned anew.
fn show_queues(shown: &mut BTreeMap<String, Queue>, now: &BTreeMap<String, Queue>) {
    if shown.keys().eq(now.keys()) {
        shown.values_mut().zip(now.values()).for_each(|(shown, now)| shown.clone_from(now));
    } else {
        shown.clone_from(now);
    }
}

fn show_printed(shown: &mut Arc<Printed>, counters: &Counters) {
    let is_shown = |(run, output): (&RunId, &Output)| shown.get(run) == Some(&output.printed);
    if shown.len() == counters.output.len() && counters.output.iter().all(is_shown) {
        return;
    }
    let shown = Arc::make_mut(shown);
    shown.retain(|run, _| counters.output.contains_key(run));
    shown.extend(counters.output.iter().map(|(run, output)| (*run, output.printed)));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_commit_lately_took_is_smoothed() {
        let (shared, ms) = (Published::default(), Duration::from_millis);
        assert_eq!(shared.commit_time(), Duration::ZERO);
        shared.set_commit_time(ms(8));
        assert_eq!(shared.commit_time(), ms(8));
        shared.set_commit_time(ms(16));
        assert_eq!(shared.commit_time(), ms(10));
    }
}
