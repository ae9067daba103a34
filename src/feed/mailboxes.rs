//! The mailboxes of all readers, by what each wants, and how much may wait in them.
//!
//! Readers who are shown the same in the same form are a group: what is committed is laid down once for each. A mailbox
//! that is full, in events or in bytes, only marks its reader as lagging: nobody waits for a reader.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_channel::{Receiver, Sender};

use super::budget::Budget;
use super::stretch::{Form, Laying, Stretch};
use crate::event::{Event, Kind};
use crate::metrics::Metrics;
use crate::numbers::{EventId, RunId};
use crate::scope::Scope;

/// The most stretches in a mailbox. Its channel makes all of its places when it is made, so that each costs every reader.
const STRETCHES_MAX: usize = 64;

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
#[derive(Clone, PartialEq)]
pub(super) enum Wants {
    /// All that the scope shows, as far as an event tells.
    Shown(Scope, Form),
    /// The last one of the one run of this scope.
    EndOf(Scope),
}

impl Wants {
    /// The one run whose events alone can be wanted.
    fn run(&self) -> Option<RunId> {
        match self {
            Wants::Shown(Scope::Run(run), _) | Wants::EndOf(Scope::Run(run)) => Some(*run),
            Wants::Shown(Scope::All(_), _) | Wants::EndOf(Scope::All(_)) => None,
        }
    }

    fn shown(&self) -> (&Scope, Form) {
        match self {
            Wants::Shown(scope, form) => (scope, *form),
            Wants::EndOf(scope) => (scope, Form::Bytes),
        }
    }

    fn wants(&self, event: &Event) -> bool {
        let is_shown = match self.shown().0 {
            Scope::Run(run) => event.run == *run,
            Scope::All(filter) => filter.shows(event.kind, event.run),
        };
        is_shown && (matches!(self, Wants::Shown(..)) || event.kind == Kind::Finished)
    }
}

/// What comes by a mailbox. `None` only wakes: there is something to see, and it is not in here.
pub(super) type Item = Option<Arc<Stretch>>;

/// The sending end of what waits for one reader.
pub(super) struct Mailbox {
    channel: Sender<Item>,
    /// Something was not put in, and nothing is until the reader has seen this.
    lagging: AtomicBool,
    /// Events in it.
    held_events: AtomicUsize,
    /// Their bytes.
    held_bytes: AtomicUsize,
}

impl Mailbox {
    /// Whether something was not put in; from now on it is again.
    pub fn take_lag(&self) -> bool {
        self.lagging.swap(false, Ordering::SeqCst)
    }

    /// Counts a stretch no longer that its reader has taken out.
    pub fn taken(&self, stretch: &Stretch) {
        self.held_events.fetch_sub(stretch.marks().len(), Ordering::SeqCst);
        self.held_bytes.fetch_sub(stretch.held_bytes(), Ordering::SeqCst);
    }
}

/// The mailboxes of those who want the same.
struct Group {
    wants: Wants,
    mailboxes: Vec<Arc<Mailbox>>,
}

#[derive(Default)]
struct OpenMailboxes {
    by_run: HashMap<RunId, Vec<Group>>,
    of_all: Vec<Group>,
    closed: bool,
}

impl OpenMailboxes {
    fn add(&mut self, wants: Wants, mailbox: Arc<Mailbox>) {
        let groups = match wants.run() {
            Some(run) => self.by_run.entry(run).or_default(),
            None => &mut self.of_all,
        };
        match groups.iter_mut().find(|group| group.wants == wants) {
            Some(group) => group.mailboxes.push(mailbox),
            None => groups.push(Group { wants, mailboxes: vec![mailbox] }),
        }
    }

    fn remove(&mut self, wants: &Wants, mailbox: &Arc<Mailbox>) {
        let groups = match wants.run() {
            Some(run) => self.by_run.get_mut(&run),
            None => Some(&mut self.of_all),
        };
        let Some(groups) = groups else { return };
        if let Some(at) = groups.iter().position(|group| group.wants == *wants) {
            let group = &mut groups[at];
            group.mailboxes.retain(|other| !Arc::ptr_eq(other, mailbox));
            if group.mailboxes.is_empty() {
                groups.swap_remove(at);
            }
        }
        let emptied = wants.run().filter(|_| groups.is_empty());
        emptied.map(|run| self.by_run.remove(&run));
    }

    /// The groups of the runs of these events, each once, and those of all runs.
    fn groups_of(&self, events: &[Event]) -> impl Iterator<Item = &Group> {
        let mut runs: Vec<RunId> = Vec::new();
        if !self.by_run.is_empty() {
            runs.extend(events.iter().map(|event| event.run));
            runs.sort_unstable();
            runs.dedup();
        }
        runs.into_iter().filter_map(|run| self.by_run.get(&run)).flatten().chain(&self.of_all)
    }
}

/// The mailboxes of all readers.
pub(super) struct Mailboxes {
    open: Mutex<OpenMailboxes>,
    limits: HubLimits,
    budget: Budget,
    pushed: AtomicI64,
    metrics: Arc<Metrics>,
    instance: String,
}

impl Mailboxes {
    /// None yet, for the events of this database.
    pub fn new(limits: HubLimits, metrics: Arc<Metrics>, instance: &str) -> Mailboxes {
        let budget = Budget::new(limits.total_bytes);
        let (open, pushed) = (Mutex::default(), AtomicI64::new(0));
        Mailboxes { open, limits, budget, pushed, metrics, instance: instance.to_owned() }
    }

    /// What waits in memory for all clients together.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The newest event that was offered: every reader who is shown it, or one before it, holds it or lags.
    pub fn pushed(&self) -> EventId {
        EventId(self.pushed.load(Ordering::SeqCst))
    }

    /// How many events are offered together at most, and how many bytes of data: a part of what a mailbox holds, so that
    /// one that was drained takes several of them.
    pub fn offered_max(&self) -> (usize, usize) {
        ((self.limits.reader_events / 4).clamp(1, 64), self.limits.reader_bytes / 8)
    }

    /// A new mailbox, and the end that its reader takes from.
    pub fn add(&self, wants: Wants) -> (Arc<Mailbox>, Receiver<Item>) {
        let stretches_max = match &wants {
            Wants::EndOf(_) => 1,
            Wants::Shown(..) => self.limits.reader_events.min(STRETCHES_MAX),
        };
        let (channel, inbox) = async_channel::bounded(stretches_max);
        let (held_events, held_bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let mailbox = Arc::new(Mailbox { channel, lagging: AtomicBool::new(false), held_events, held_bytes });
        let mut open = self.lock();
        if open.closed {
            mailbox.channel.close();
        } else {
            open.add(wants, mailbox.clone());
        }
        (mailbox, inbox)
    }

    /// Forgets a mailbox.
    pub fn remove(&self, wants: &Wants, mailbox: &Arc<Mailbox>) {
        self.lock().remove(wants, mailbox);
    }

    /// Offers events that follow one another to everyone who is shown them; answers how many mailboxes were looked at.
    pub fn offer(&self, events: &[Event]) -> usize {
        let open = self.lock();
        let Some(last) = events.last() else { return 0 };
        let mut texts = vec![String::new(); events.len()];
        let mut looked_at = 0;
        for group in open.groups_of(events) {
            looked_at += group.mailboxes.len();
            let Some(laying) = self.lay(&group.wants, events, &mut texts) else { continue };
            // Counted once for all of them: they share it.
            let share = self.budget.fits(laying.held_bytes());
            let stretch = share.map(|share| Arc::new(laying.counted(share)));
            group.mailboxes.iter().for_each(|mailbox| self.put(mailbox, stretch.as_ref()));
        }
        self.pushed.store(last.id.0, Ordering::SeqCst);
        looked_at
    }

    /// Lays down what a group is shown, if anything. The text of an event is made once for all groups.
    fn lay<'a>(&'a self, wants: &'a Wants, events: &[Event], texts: &mut [String]) -> Option<Laying<'a>> {
        let (scope, form) = wants.shown();
        let wanted = || events.iter().filter(|event| wants.wants(event));
        let mut laying = None;
        for (event, text) in events.iter().zip(texts).filter(|(event, _)| wants.wants(event)) {
            let laying = laying.get_or_insert_with(|| Laying::new(form, scope, &self.instance).with_room(wanted()));
            if form == Form::Bytes {
                laying.copied(event);
                continue;
            }
            if text.is_empty() {
                event.encode_into(text);
            }
            laying.encoded(event, text);
        }
        laying
    }

    /// Puts a stretch in; where there is no room for it anywhere there is none here either.
    fn put(&self, mailbox: &Mailbox, stretch: Option<&Arc<Stretch>>) {
        if mailbox.lagging.load(Ordering::SeqCst) {
            return;
        }
        if let Some(stretch) = stretch {
            let (events, bytes) = (stretch.marks().len(), stretch.held_bytes());
            let has_room = mailbox.held_events.load(Ordering::SeqCst) + events <= self.limits.reader_events
                && mailbox.held_bytes.load(Ordering::SeqCst) + bytes <= self.limits.reader_bytes;
            if has_room {
                // Counted before it is sent: the reader subtracts when it takes it.
                mailbox.held_events.fetch_add(events, Ordering::SeqCst);
                mailbox.held_bytes.fetch_add(bytes, Ordering::SeqCst);
                if mailbox.channel.try_send(Some(stretch.clone())).is_ok() {
                    return;
                }
                mailbox.taken(stretch);
            }
        }
        mailbox.lagging.store(true, Ordering::SeqCst);
        self.metrics.reader_resyncs.inc();
        // An empty channel has nothing that would wake its reader; a full one needs no more.
        let _ = mailbox.channel.try_send(None);
    }

    /// Closes every mailbox, and those that are still to come: readers see the rest of what they hold.
    pub fn close(&self) {
        let mut open = self.lock();
        open.closed = true;
        let OpenMailboxes { by_run, of_all, .. } = &mut *open;
        for group in by_run.drain().flat_map(|(_, groups)| groups).chain(of_all.drain(..)) {
            for mailbox in group.mailboxes {
                mailbox.channel.close();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, OpenMailboxes> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
