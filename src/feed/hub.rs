//! Fan-out: each event is encoded once a commit and put into the bounded channel of every reader who is shown it: those
//! of its run, and those of all runs whose filter lets it through.
//!
//! A channel that is full, in events or in bytes, only marks its reader as lagging: nobody waits for a reader.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_channel::{Receiver, Sender, TryRecvError, TrySendError};
use bytes::Bytes;

use super::budget::Budget;
use crate::event::{Data, Event, EventFilter, Finished, Kind};
use crate::metrics::Metrics;
use crate::numbers::{EventId, Seq};
use crate::run::RunId;
use crate::store::{Store, Watch};
use crate::wake::Bell;

/// Sends after which the fan-out lets other tasks run.
const SENDS_BETWEEN_YIELDS: usize = 8_192;

/// An event in the form that every reader gets, shared by all of them.
#[derive(Debug)]
pub struct Encoded {
    /// Its place among all runs' events.
    pub id: EventId,
    /// Whose it is.
    pub run: RunId,
    /// Its place in its run.
    pub seq: Seq,
    /// What it tells.
    pub kind: Kind,
    /// One JSON object, without a newline.
    pub text: Bytes,
    /// How the run ended, where this is its last event.
    pub finished: Option<Finished>,
}

impl Encoded {
    /// What this takes besides its text, in bytes: itself, its counters, and its place in the lists that hand it on.
    const OVERHEAD_BYTES: usize = 256;

    /// What it takes in memory.
    pub fn held_bytes(&self) -> usize {
        self.text.len() + Encoded::OVERHEAD_BYTES
    }

    /// Encodes an event.
    pub fn new(event: &Event) -> Encoded {
        let finished = match (&event.data, event.kind) {
            (Data::Json(text), Kind::Finished) => serde_json::from_str(text).ok(),
            _ => None,
        };
        Encoded {
            id: event.id,
            run: event.run,
            seq: event.seq,
            kind: event.kind,
            text: event.encode().into(),
            finished,
        }
    }
}

/// How much may wait for readers.
#[derive(Clone, Copy, Debug)]
pub struct HubLimits {
    /// Events in one reader's channel.
    pub reader_events: usize,
    /// Bytes in one reader's channel.
    pub reader_bytes: usize,
    /// Bytes in all of them, and in the pages and answers that clients have not taken yet.
    pub total_bytes: usize,
}

/// Every live reader, by run or of all runs.
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Shared>,
    store: Store,
}

struct Shared {
    readers: Mutex<Readers>,
    limits: HubLimits,
    budget: Budget,
    /// The newest event that every reader who is shown it was offered.
    pushed: AtomicI64,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Readers {
    by_run: HashMap<RunId, Vec<Arc<Reader>>>,
    of_all: Vec<Arc<Reader>>,
    closed: bool,
}

/// Which events a reader is offered.
enum Wants {
    /// All of its run.
    Run(RunId),
    /// The last one of its run.
    EndOf(RunId),
    /// Of all runs, what the filter shows.
    Filtered(EventFilter),
}

/// The fan-out's end of one reader.
struct Reader {
    /// `None` only wakes: there is something to see, and it is not in here.
    channel: Sender<Option<Arc<Encoded>>>,
    lagging: AtomicBool,
    buffered: AtomicUsize,
    wants: Wants,
}

impl Reader {
    /// Whether it is offered an event; one of a single run is asked for that run's alone.
    fn wants(&self, event: &Event) -> bool {
        match &self.wants {
            Wants::Run(_) => true,
            Wants::EndOf(_) => event.kind == Kind::Finished,
            Wants::Filtered(filter) => filter.shows(event.kind, event.run),
        }
    }
}

impl Hub {
    /// A hub without readers.
    pub fn new(store: Store, limits: HubLimits, metrics: Arc<Metrics>) -> Hub {
        let shared = Shared {
            readers: Mutex::default(),
            limits,
            budget: Budget::new(limits.total_bytes),
            pushed: AtomicI64::new(0),
            metrics,
        };
        Hub { shared: Arc::new(shared), store }
    }

    /// Where the events come from.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What waits in memory for all clients together.
    pub fn budget(&self) -> &Budget {
        &self.shared.budget
    }

    /// A place among the readers of a run: from now on all of its events, until the channel overflows.
    pub fn subscribe(&self, run: RunId) -> Subscription {
        let watch = self.store.backlog().watch(run);
        self.enter(Wants::Run(run), self.shared.limits.reader_events, vec![watch])
    }

    /// A place among those who only wait for a run's end.
    pub fn subscribe_to_end(&self, run: RunId) -> Subscription {
        self.enter(Wants::EndOf(run), 1, Vec::new())
    }

    /// A place among the readers of all runs: from now on every event that the filter shows, as far as an event tells,
    /// until the channel overflows. Output is paced for it where it names its runs.
    pub fn subscribe_to_all(&self, filter: EventFilter) -> Subscription {
        let named = filter.runs().filter(|_| filter.wants_output()).unwrap_or_default();
        let watches = named.iter().map(|run| self.store.backlog().watch(*run)).collect();
        self.enter(Wants::Filtered(filter), self.shared.limits.reader_events, watches)
    }

    /// The newest event that was handed out: every reader who is shown it, or one before it, holds it or lags.
    pub(super) fn pushed(&self) -> EventId {
        EventId(self.shared.pushed.load(Ordering::SeqCst))
    }

    fn enter(&self, wants: Wants, events_max: usize, watches: Vec<Watch>) -> Subscription {
        let (channel, inbox) = async_channel::bounded(events_max);
        let (lagging, buffered) = (AtomicBool::new(false), AtomicUsize::new(0));
        let reader = Arc::new(Reader { channel, lagging, buffered, wants });
        let mut readers = self.lock();
        if readers.closed {
            reader.channel.close();
        } else {
            match reader.wants {
                Wants::Run(run) | Wants::EndOf(run) => readers.by_run.entry(run).or_default(),
                Wants::Filtered(_) => &mut readers.of_all,
            }
            .push(reader.clone());
        }
        drop(readers);
        Subscription { inbox, reader, hub: self.clone(), _watches: watches }
    }

    /// Hands out what is committed, for as long as it is polled. Between taking an event and offering it to everyone
    /// it never waits: who stops polling loses none.
    pub async fn fan_out(&self, bell: &Bell) {
        let mut sends = 0;
        loop {
            let rung = bell.listen();
            while let Some(event) = self.store.committed().take() {
                sends += self.push(&event);
                if sends >= SENDS_BETWEEN_YIELDS {
                    sends = 0;
                    futures_lite::future::yield_now().await;
                }
            }
            rung.await;
        }
    }

    /// Hands out what is committed so far, and then closes every channel: readers see the rest of what they hold.
    pub fn close(&self) {
        while let Some(event) = self.store.committed().take() {
            self.push(&event);
        }
        let mut readers = self.lock();
        readers.closed = true;
        let of_all = std::mem::take(&mut readers.of_all);
        for reader in readers.by_run.drain().flat_map(|(_, readers)| readers).chain(of_all) {
            reader.channel.close();
        }
    }

    /// Offers an event to everyone who is shown it; answers how many readers were looked at.
    fn push(&self, event: &Event) -> usize {
        let readers = self.lock();
        let of_run = readers.by_run.get(&event.run).map(Vec::as_slice).unwrap_or_default();
        let mut encoded = None;
        for reader in of_run.iter().chain(&readers.of_all).filter(|reader| reader.wants(event)) {
            // Once, and only where somebody is shown it.
            let encoded = encoded.get_or_insert_with(|| Arc::new(Encoded::new(event)));
            self.shared.offer(reader, encoded);
        }
        self.shared.pushed.store(event.id.0, Ordering::SeqCst);
        of_run.len() + readers.of_all.len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Readers> {
        self.shared.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn offer(&self, reader: &Reader, event: &Arc<Encoded>) {
        if reader.lagging.load(Ordering::SeqCst) {
            return;
        }
        let len = event.held_bytes();
        // Counted before it is sent: the reader subtracts when it takes it.
        if reader.buffered.load(Ordering::SeqCst) + len <= self.limits.reader_bytes && self.budget.take(len) {
            reader.buffered.fetch_add(len, Ordering::SeqCst);
            match reader.channel.try_send(Some(event.clone())) {
                Ok(()) => return,
                Err(TrySendError::Full(_) | TrySendError::Closed(_)) => self.taken(reader, len),
            }
        }
        reader.lagging.store(true, Ordering::SeqCst);
        self.metrics.reader_resyncs.inc();
        // An empty channel has nothing that would wake its reader; a full one needs no more.
        let _ = reader.channel.try_send(None);
    }

    fn taken(&self, reader: &Reader, len: usize) {
        reader.buffered.fetch_sub(len, Ordering::SeqCst);
        self.budget.give_back(len);
    }
}

/// A reader's end: dropped, it is forgotten.
pub struct Subscription {
    inbox: Receiver<Option<Arc<Encoded>>>,
    reader: Arc<Reader>,
    hub: Hub,
    /// While they are here the runs' output is paced for somebody who looks.
    _watches: Vec<Watch>,
}

/// What a subscription has to say.
pub(super) enum Live {
    /// The next event, or a later one.
    Event(Arc<Encoded>),
    /// Events were not put in: read on from SQLite.
    Lagging,
    /// Nothing follows: the daemon ends.
    Closed,
}

impl Subscription {
    /// Waits for the next thing.
    pub(super) async fn next(&self) -> Live {
        loop {
            if let Some(live) = self.try_next() {
                return live;
            }
            match self.inbox.recv().await {
                Ok(Some(event)) => return Live::Event(self.take(event)),
                Ok(None) => {}
                Err(_) => return Live::Closed,
            }
        }
    }

    /// The next thing, if it is there. What is held is given out before the lag is told.
    pub(super) fn try_next(&self) -> Option<Live> {
        loop {
            return match self.inbox.try_recv() {
                Ok(Some(event)) => Some(Live::Event(self.take(event))),
                Ok(None) => continue,
                // Cleared before the caller reads SQLite: what is committed after that read comes by the channel.
                Err(_) if self.reader.lagging.swap(false, Ordering::SeqCst) => Some(Live::Lagging),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Closed) => Some(Live::Closed),
            };
        }
    }

    fn take(&self, event: Arc<Encoded>) -> Arc<Encoded> {
        self.hub.shared.taken(&self.reader, event.held_bytes());
        event
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut readers = self.hub.lock();
        match self.reader.wants {
            Wants::Run(run) | Wants::EndOf(run) => {
                if let Some(of_run) = readers.by_run.get_mut(&run) {
                    of_run.retain(|reader| !Arc::ptr_eq(reader, &self.reader));
                    if of_run.is_empty() {
                        readers.by_run.remove(&run);
                    }
                }
            }
            Wants::Filtered(_) => readers.of_all.retain(|reader| !Arc::ptr_eq(reader, &self.reader)),
        }
        drop(readers);
        while let Ok(event) = self.inbox.try_recv() {
            event.map(|event| self.take(event));
        }
    }
}
