//! Fan-out: each event is encoded once a commit and put into the bounded channel of every reader of its run.
//!
//! A channel that is full, in events or in bytes, only marks its reader as lagging: nobody waits for a reader.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_channel::{Receiver, Sender, TryRecvError, TrySendError};
use bytes::Bytes;

use crate::event::{Data, Event, Finished, Kind};
use crate::metrics::Metrics;
use crate::run::RunId;
use crate::store::{Store, Watch};
use crate::wake::Bell;

/// Sends after which the fan-out lets other tasks run.
const SENDS_BETWEEN_YIELDS: usize = 8_192;

/// An event in the form that every reader gets, shared by all of them.
#[derive(Debug)]
pub struct Encoded {
    /// Its place in its run.
    pub seq: i64,
    /// What it tells.
    pub kind: Kind,
    /// One JSON object, without a newline.
    pub text: Bytes,
    /// How the run ended, where this is its last event.
    pub finished: Option<Finished>,
}

impl Encoded {
    /// Encodes an event.
    pub fn new(event: &Event) -> Encoded {
        let finished = match (&event.data, event.kind) {
            (Data::Json(text), Kind::Finished) => serde_json::from_str(text).ok(),
            _ => None,
        };
        Encoded { seq: event.seq, kind: event.kind, text: event.encode().into(), finished }
    }
}

/// How much may wait for readers.
#[derive(Clone, Copy, Debug)]
pub struct HubLimits {
    /// Events in one reader's channel.
    pub reader_events: usize,
    /// Bytes in one reader's channel.
    pub reader_bytes: usize,
    /// Bytes in all of them.
    pub total_bytes: usize,
}

/// Every live reader, by run.
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Shared>,
    store: Store,
}

struct Shared {
    readers: Mutex<Readers>,
    limits: HubLimits,
    buffered: AtomicUsize,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Readers {
    by_run: HashMap<RunId, Vec<Arc<Reader>>>,
    closed: bool,
}

/// The fan-out's end of one reader.
struct Reader {
    /// `None` only wakes: there is something to see, and it is not in here.
    channel: Sender<Option<Arc<Encoded>>>,
    lagging: AtomicBool,
    buffered: AtomicUsize,
    /// Whether it only wants to know of the end.
    ends_only: bool,
}

impl Hub {
    /// A hub without readers.
    pub fn new(store: Store, limits: HubLimits, metrics: Arc<Metrics>) -> Hub {
        let shared = Shared { readers: Mutex::default(), limits, buffered: AtomicUsize::new(0), metrics };
        Hub { shared: Arc::new(shared), store }
    }

    /// Where the events come from.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// A place among the readers of a run: from now on all of its events, until the channel overflows.
    pub fn subscribe(&self, run: RunId) -> Subscription {
        let watch = self.store.backlog().watch(run);
        self.enter(run, false, self.shared.limits.reader_events, Some(watch))
    }

    /// A place among those who only wait for a run's end.
    pub fn subscribe_to_end(&self, run: RunId) -> Subscription {
        self.enter(run, true, 1, None)
    }

    fn enter(&self, run: RunId, ends_only: bool, events_max: usize, watch: Option<Watch>) -> Subscription {
        let (channel, inbox) = async_channel::bounded(events_max);
        let reader =
            Arc::new(Reader { channel, lagging: AtomicBool::new(false), buffered: AtomicUsize::new(0), ends_only });
        let mut readers = self.lock();
        if readers.closed {
            reader.channel.close();
        } else {
            readers.by_run.entry(run).or_default().push(reader.clone());
        }
        drop(readers);
        Subscription { run, inbox, reader, hub: self.clone(), _watch: watch }
    }

    /// Hands out what is committed, for as long as it is polled.
    pub async fn fan_out(&self, bell: &Bell) {
        loop {
            let rung = bell.listen();
            let events = self.store.committed().take();
            if events.is_empty() {
                rung.await;
                continue;
            }
            let mut sends = 0;
            for event in &events {
                sends += self.push(event);
                if sends >= SENDS_BETWEEN_YIELDS {
                    sends = 0;
                    futures_lite::future::yield_now().await;
                }
            }
        }
    }

    /// Hands out what is committed so far, and then closes every channel: readers see the rest of what they hold.
    pub fn close(&self) {
        for event in self.store.committed().take() {
            self.push(&event);
        }
        let mut readers = self.lock();
        readers.closed = true;
        for reader in readers.by_run.drain().flat_map(|(_, readers)| readers) {
            reader.channel.close();
        }
    }

    fn push(&self, event: &Event) -> usize {
        let readers = self.lock();
        let Some(of_run) = readers.by_run.get(&event.run) else { return 0 };
        if event.kind != Kind::Finished && of_run.iter().all(|reader| reader.ends_only) {
            return 0;
        }
        let encoded = Arc::new(Encoded::new(event));
        for reader in of_run {
            if !reader.ends_only || event.kind == Kind::Finished {
                self.shared.offer(reader, &encoded);
            }
        }
        of_run.len()
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
        let len = event.text.len();
        let over = reader.buffered.load(Ordering::SeqCst) + len > self.limits.reader_bytes
            || self.buffered.load(Ordering::SeqCst) + len > self.limits.total_bytes;
        if !over {
            // Counted before it is sent: the reader subtracts when it takes it.
            reader.buffered.fetch_add(len, Ordering::SeqCst);
            self.buffered.fetch_add(len, Ordering::SeqCst);
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
        self.buffered.fetch_sub(len, Ordering::SeqCst);
    }
}

/// A reader's end: dropped, it is forgotten.
pub struct Subscription {
    run: RunId,
    inbox: Receiver<Option<Arc<Encoded>>>,
    reader: Arc<Reader>,
    hub: Hub,
    /// While it is here the run's output is paced for somebody who looks.
    _watch: Option<Watch>,
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
        self.hub.shared.taken(&self.reader, event.text.len());
        event
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut readers = self.hub.lock();
        if let Some(of_run) = readers.by_run.get_mut(&self.run) {
            of_run.retain(|reader| !Arc::ptr_eq(reader, &self.reader));
            if of_run.is_empty() {
                readers.by_run.remove(&self.run);
            }
        }
        drop(readers);
        while let Ok(event) = self.inbox.try_recv() {
            event.map(|event| self.take(event));
        }
    }
}
