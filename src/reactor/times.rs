//! The times that a reactor waits for, and who is woken at each.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::sources::lock;

/// The times that a reactor waits for, each with an id of its own.
#[derive(Default)]
pub(super) struct Times(Mutex<BTreeMap<(Instant, u64), Waker>>);

impl Times {
    /// Adds who waits for a time that has come.
    pub(super) fn take_due(&self, now: Instant, woken: &mut Vec<Waker>) {
        let mut times = lock(&self.0);
        while let Some(first) = times.first_entry().filter(|first| first.key().0 <= now) {
            woken.push(first.remove());
        }
    }

    /// How long it is until the first comes.
    pub(super) fn next_in(&self, now: Instant) -> Option<Duration> {
        lock(&self.0).first_key_value().map(|((at, _), _)| at.saturating_duration_since(now))
    }

    /// Has a task woken at a time.
    pub(super) fn insert(&self, key: (Instant, u64), waker: Waker) {
        lock(&self.0).insert(key, waker);
    }

    /// Nobody waits for it any more.
    pub(super) fn remove(&self, key: (Instant, u64)) {
        lock(&self.0).remove(&key);
    }
}
