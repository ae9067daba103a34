//! The mailboxes of all readers, by what each wants, and how much may wait in them.
//!
//! A mailbox that is full, in events or in bytes, only marks its reader as lagging: nobody waits for a reader.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_channel::{Receiver, Sender, TrySendError};

use super::budget::Budget;
use super::shared_event::SharedEvent;
use crate::event::{Event, Kind};
use crate::metrics::Metrics;
use crate::numbers::{EventId, RunId};
use crate::scope::EventFilter;

/// How much may wait for readers.
#[derive(Clone, Copy, Debug)]
pub struct HubLimits {
    /// Events in one reader's mailbox.
    pub reader_events: usize,
    /// Bytes in one reader's mailbox.
    pub reader_bytes: usize,
    /// Bytes in all of them, and in the pages and answers that clients have not taken yet.
    pub total_bytes: usize,
}

/// Which events a mailbox is offered.
pub(super) enum Wants {
    /// All of its run.
    Run(RunId),
    /// All of its run, as the bytes of its log.
    Log(RunId),
    /// The last one of its run.
    EndOf(RunId),
    /// Of all runs, what the filter shows.
    Filtered(EventFilter),
}

/// What comes by a mailbox. `None` only wakes: there is something to see, and it is not in here.
pub(super) type Item = Option<Arc<SharedEvent>>;

/// The sending end of what waits for one reader.
pub(super) struct Mailbox {
    channel: Sender<Item>,
    /// Something was not put in, and nothing is until the reader has seen this.
    lagging: AtomicBool,
    /// Bytes of the events in it.
    held_bytes: AtomicUsize,
    wants: Wants,
}

impl Mailbox {
    /// Whether it is offered an event; one of a single run is asked for that run's alone.
    fn wants(&self, event: &Event) -> bool {
        match &self.wants {
            Wants::Run(_) | Wants::Log(_) => true,
            Wants::EndOf(_) => event.kind == Kind::Finished,
            Wants::Filtered(filter) => filter.shows(event.kind, event.run),
        }
    }

    /// Whether something was not put in since this was asked last.
    pub fn take_lag(&self) -> bool {
        self.lagging.swap(false, Ordering::SeqCst)
    }
}

/// The mailboxes of all readers.
pub(super) struct Mailboxes {
    open: Mutex<OpenMailboxes>,
    limits: HubLimits,
    budget: Budget,
    /// The newest event that every reader who is shown it was offered.
    pushed: AtomicI64,
    metrics: Arc<Metrics>,
}

/// Mailboxes of one run each.
type ByRun = HashMap<RunId, Vec<Arc<Mailbox>>>;

#[derive(Default)]
struct OpenMailboxes {
    by_run: ByRun,
    of_logs: ByRun,
    of_all: Vec<Arc<Mailbox>>,
    closed: bool,
}

impl OpenMailboxes {
    /// Those of a run that are wanted so; `None` for those of all runs.
    fn of_one(&mut self, wants: &Wants) -> Option<(&mut ByRun, RunId)> {
        match wants {
            Wants::Run(run) | Wants::EndOf(run) => Some((&mut self.by_run, *run)),
            Wants::Log(run) => Some((&mut self.of_logs, *run)),
            Wants::Filtered(_) => None,
        }
    }
}

impl Mailboxes {
    /// None yet.
    pub fn new(limits: HubLimits, metrics: Arc<Metrics>) -> Mailboxes {
        let budget = Budget::new(limits.total_bytes);
        Mailboxes { open: Mutex::default(), limits, budget, pushed: AtomicI64::new(0), metrics }
    }

    /// What waits in memory for all clients together.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The newest event that was offered: every reader who is shown it, or one before it, holds it or lags.
    pub fn pushed(&self) -> EventId {
        EventId(self.pushed.load(Ordering::SeqCst))
    }

    /// A new mailbox, and the end that its reader takes from.
    pub fn add(&self, wants: Wants) -> (Arc<Mailbox>, Receiver<Item>) {
        let events_max = if matches!(wants, Wants::EndOf(_)) { 1 } else { self.limits.reader_events };
        let (channel, inbox) = async_channel::bounded(events_max);
        let mailbox = Mailbox { channel, lagging: AtomicBool::new(false), held_bytes: AtomicUsize::new(0), wants };
        let mailbox = Arc::new(mailbox);
        let mut open = self.lock();
        if open.closed {
            mailbox.channel.close();
        } else if let Some((by_run, run)) = open.of_one(&mailbox.wants) {
            by_run.entry(run).or_default().push(mailbox.clone());
        } else {
            open.of_all.push(mailbox.clone());
        }
        (mailbox, inbox)
    }

    /// Forgets a mailbox.
    pub fn remove(&self, mailbox: &Arc<Mailbox>) {
        let mut open = self.lock();
        if let Some((by_run, run)) = open.of_one(&mailbox.wants) {
            if let Some(of_run) = by_run.get_mut(&run) {
                of_run.retain(|other| !Arc::ptr_eq(other, mailbox));
                if of_run.is_empty() {
                    by_run.remove(&run);
                }
            }
        } else {
            open.of_all.retain(|other| !Arc::ptr_eq(other, mailbox));
        }
    }

    /// Offers an event to everyone who is shown it; answers how many mailboxes were looked at.
    pub fn offer(&self, event: Event) -> usize {
        let open = self.lock();
        let id = event.id;
        let of_run = open.by_run.get(&event.run).map(Vec::as_slice).unwrap_or_default();
        let of_log = open.of_logs.get(&event.run).map(Vec::as_slice).unwrap_or_default();
        let looked_at = of_run.len() + of_log.len() + open.of_all.len();
        let mut encoded = None;
        for mailbox in of_run.iter().chain(&open.of_all).filter(|mailbox| mailbox.wants(&event)) {
            // Once, and only where somebody is shown it.
            let encoded = encoded.get_or_insert_with(|| Arc::new(SharedEvent::json(&event)));
            self.put(mailbox, encoded);
        }
        if !of_log.is_empty() {
            let bytes = Arc::new(SharedEvent::bytes(event));
            of_log.iter().for_each(|mailbox| self.put(mailbox, &bytes));
        }
        self.pushed.store(id.0, Ordering::SeqCst);
        looked_at
    }

    fn put(&self, mailbox: &Mailbox, event: &Arc<SharedEvent>) {
        if mailbox.lagging.load(Ordering::SeqCst) {
            return;
        }
        let bytes = event.held_bytes();
        let has_room = mailbox.held_bytes.load(Ordering::SeqCst) + bytes <= self.limits.reader_bytes;
        if has_room && self.budget.take(bytes) {
            // Counted before it is sent: the reader subtracts when it takes it.
            mailbox.held_bytes.fetch_add(bytes, Ordering::SeqCst);
            match mailbox.channel.try_send(Some(event.clone())) {
                Ok(()) => return,
                Err(TrySendError::Full(_) | TrySendError::Closed(_)) => self.taken(mailbox, event),
            }
        }
        mailbox.lagging.store(true, Ordering::SeqCst);
        self.metrics.reader_resyncs.inc();
        // An empty channel has nothing that would wake its reader; a full one needs no more.
        let _ = mailbox.channel.try_send(None);
    }

    /// Counts an event no longer that its reader has taken out.
    pub fn taken(&self, mailbox: &Mailbox, event: &SharedEvent) {
        let bytes = event.held_bytes();
        mailbox.held_bytes.fetch_sub(bytes, Ordering::SeqCst);
        self.budget.give_back(bytes);
    }

    /// Closes every mailbox, and those that are still to come: readers see the rest of what they hold.
    pub fn close(&self) {
        let mut open = self.lock();
        open.closed = true;
        let OpenMailboxes { by_run, of_logs, of_all, .. } = &mut *open;
        let of_one = by_run.drain().chain(of_logs.drain()).flat_map(|(_, of_run)| of_run);
        for mailbox in of_one.chain(of_all.drain(..)) {
            mailbox.channel.close();
        }
    }

    fn lock(&self) -> MutexGuard<'_, OpenMailboxes> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
