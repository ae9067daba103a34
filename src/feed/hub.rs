//! Fan-out: what is committed is laid down once for all readers who are shown the same of it, and put into the mailbox of
//! each: those of a run, and those of all runs whose filter lets it through.

use std::sync::Arc;

use super::budget::Budget;
use super::mailboxes::{HubLimits, Mailboxes, Wants};
use super::stretch::Form;
use super::subscription::Subscription;
use crate::event::Event;
use crate::metrics::Metrics;
use crate::numbers::{EventId, RunId};
use crate::scope::Scope;
use crate::store::Store;
use crate::wake::Bell;

/// Sends after which the fan-out lets other tasks run.
const SENDS_BETWEEN_YIELDS: usize = 8_192;

/// Where readers come in, and from where commits go out to them; cheap to clone.
#[derive(Clone)]
pub struct Hub {
    mailboxes: Arc<Mailboxes>,
    store: Store,
}

impl Hub {
    /// A hub without readers.
    pub fn new(store: Store, limits: HubLimits, metrics: Arc<Metrics>) -> Hub {
        let mailboxes = Arc::new(Mailboxes::new(limits, metrics, store.instance()));
        Hub { mailboxes, store }
    }

    /// Where the events come from.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What waits in memory for all clients together.
    pub fn budget(&self) -> &Budget {
        self.mailboxes.budget()
    }

    /// A place among the readers of a scope: from now on every event that it shows, as far as an event tells, until the
    /// mailbox overflows. Output is paced for it where the runs are named.
    pub(super) fn subscribe(&self, scope: &Scope, form: Form) -> Subscription {
        let watches = scope.watched_runs().iter().map(|run| self.store.backlog().watch(*run)).collect();
        let wants = Wants::Shown(scope.clone(), form);
        Subscription::new(&self.mailboxes, wants, watches)
    }

    /// A place among those who only wait for a run's end.
    pub(super) fn subscribe_to_end(&self, run: RunId) -> Subscription {
        Subscription::new(&self.mailboxes, Wants::EndOf(Scope::Run(run)), Vec::new())
    }

    /// The newest event that was handed out: every reader who is shown it, or one before it, holds it or lags.
    pub(super) fn pushed(&self) -> EventId {
        self.mailboxes.pushed()
    }

    /// Hands out what is committed, for as long as it is polled. Between taking events and offering them to everyone it
    /// never waits: who stops polling loses none.
    pub async fn fan_out(&self, bell: &Bell) {
        let mut sends = 0;
        loop {
            let rung = bell.listen();
            while let Some(sent) = self.push_some() {
                sends += sent;
                if sends >= SENDS_BETWEEN_YIELDS {
                    sends = 0;
                    futures_lite::future::yield_now().await;
                }
            }
            rung.await;
        }
    }

    /// Hands out what is committed so far, and then closes every mailbox: readers see the rest of what they hold.
    pub fn close(&self) {
        while self.push_some().is_some() {}
        self.mailboxes.close();
    }

    /// Hands out some of what is committed, if anything is; answers how many events that was, times mailboxes.
    fn push_some(&self) -> Option<usize> {
        let (events_max, bytes_max) = self.mailboxes.offered_max();
        let events = self.store.committed().take(events_max, bytes_max);
        (!events.is_empty()).then(|| self.push(&events) * events.len())
    }

    /// Offers events that follow one another to everyone who is shown them; answers how many mailboxes were looked at.
    pub(super) fn push(&self, events: &[Event]) -> usize {
        self.mailboxes.offer(events)
    }
}
