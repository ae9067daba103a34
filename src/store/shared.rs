//! What the store thread tells everyone without being asked: hints and counts, as plain atomics.
//!
//! Hints spare a question; they are never a reason to act without asking.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use event_listener::{Event, EventListener};

use super::StoreError;
use super::retention::Rules;
use super::sessions::Session;
use super::state::{Counts, State};
use crate::clock::UnixMs;
use crate::run::Status;

const NEVER: i64 = i64::MAX;

/// Written by the store thread after each commit, read by anyone.
#[derive(Default)]
pub(super) struct Shared {
    claimable: AtomicBool,
    claims_open: AtomicBool,
    draining: AtomicBool,
    next_due: AtomicI64,
    next_removal: AtomicI64,
    /// Something is to be removed before what `next_removal` said, or the clock was set.
    sooner: Event,
    counts: [AtomicI64; Status::ALL.len()],
    commit_us: AtomicU64,
    touched: Mutex<HashMap<i64, Session>>,
    failed: Mutex<Option<StoreError>>,
}

impl Shared {
    pub fn publish(&self, state: &State, rules: &Rules) {
        self.claimable.store(state.claimable(), Ordering::SeqCst);
        self.next_due.store(state.next_due.map_or(NEVER, |at| at.0), Ordering::SeqCst);
        let removal = rules.next_removal(state).map_or(NEVER, |at| at.0);
        if removal < self.next_removal.swap(removal, Ordering::SeqCst) {
            self.sooner.notify(usize::MAX);
        }
        for (shared, count) in self.counts.iter().zip(state.counts) {
            shared.store(count, Ordering::Relaxed);
        }
    }

    /// Why the last transaction failed, until one succeeds.
    pub fn broken(&self) -> Option<StoreError> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_broken(&self, why: Option<StoreError>) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    pub fn claimable(&self) -> bool {
        self.claimable.load(Ordering::SeqCst) && !self.draining()
    }

    pub fn claims_open(&self) -> bool {
        self.claims_open.load(Ordering::SeqCst) && !self.draining()
    }

    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Answers whether it was otherwise before.
    pub fn drain(&self, drain: bool) -> bool {
        self.draining.swap(drain, Ordering::SeqCst) != drain
    }

    pub fn open_claims(&self, open: bool) {
        self.claims_open.store(open, Ordering::SeqCst);
    }

    /// Nothing is due while nothing may be claimed.
    pub fn next_due(&self) -> Option<UnixMs> {
        if self.draining() {
            return None;
        }
        Some(self.next_due.load(Ordering::SeqCst)).filter(|at| *at != NEVER).map(UnixMs)
    }

    pub fn next_removal(&self) -> Option<UnixMs> {
        Some(self.next_removal.load(Ordering::SeqCst)).filter(|at| *at != NEVER).map(UnixMs)
    }

    pub fn listen_for_removals(&self) -> EventListener {
        self.sooner.listen()
    }

    /// Times are to be looked at again.
    pub fn clock_was_set(&self) {
        self.sooner.notify(usize::MAX);
    }

    pub fn counts(&self) -> Counts {
        std::array::from_fn(|index| self.counts[index].load(Ordering::Relaxed))
    }

    /// What a commit lately took, smoothed over about four.
    pub fn commit_time(&self) -> Duration {
        Duration::from_micros(self.commit_us.load(Ordering::Relaxed))
    }

    pub fn set_commit_time(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX / 4);
        let old = self.commit_us.load(Ordering::Relaxed);
        let new = if old == 0 { took } else { (old * 3 + took) / 4 };
        self.commit_us.store(new, Ordering::Relaxed);
    }

    /// Remembers a session's use until some commit carries it; the newest one counts.
    pub fn touch(&self, session: Session) {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner).insert(session.id, session);
    }

    /// The commit failed: these uses wait again, unless newer ones do.
    pub fn put_back_touched(&self, sessions: Vec<Session>) {
        let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        for session in sessions {
            touched.entry(session.id).or_insert(session);
        }
    }

    pub fn take_touched(&self) -> Vec<Session> {
        let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        if touched.is_empty() { Vec::new() } else { touched.drain().map(|(_, session)| session).collect() }
    }
}
