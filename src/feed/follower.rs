//! A cursor made into the run's events from there on: each once, in order, or told as a gap.
//!
//! Connecting, resuming, falling behind and overflow are one path: read pages from SQLite after the cursor until the
//! newest event, then take what the commits push; anything but `cursor + 1` goes back to the pages.

use std::collections::VecDeque;
use std::sync::Arc;

use super::budget::Share;
use super::hub::{Encoded, Hub, Live, Subscription};
use crate::event::{Cursor, Finished, Gap};
use crate::numbers::{EventId, Position, Seq};
use crate::run::{Outcome, RunId};
use crate::store::{EventPage, Head, PAGE_BYTES_MAX, PAGE_ROWS_MAX, Refusal, StoreError};

/// Events that are handed to the transport at once, at most: bounds its memory, and lets it flush once for many.
pub(super) const STEP_EVENTS_MAX: usize = 256;
/// The same in bytes, for what comes live: a step ends with the event that reaches it.
pub(super) const STEP_BYTES_MAX: usize = 64 * 1024;

/// What a reader is told first.
#[derive(Clone, Debug)]
pub struct Hello {
    /// The cursor, made into a `seq`.
    pub after: Seq,
    /// Where the run stands.
    pub head: Head,
}

/// How a run ended, for those who follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub outcome: Outcome,
    /// Its last event.
    pub last_seq: Seq,
}

/// What comes next.
#[derive(Clone, Debug)]
pub enum Step {
    /// These, in order, without a hole before or between them.
    Events(Vec<Arc<Encoded>>),
    /// These are gone.
    Gap(Gap),
    /// Nothing that the reader asked for lies before this: its cursor moves on.
    Cursor {
        /// The new cursor.
        id: EventId,
    },
    /// All that was stored is out; told once.
    CaughtUp {
        /// The newest of them, by `seq`; of all runs, by `id`.
        seq: Position,
    },
    /// The run has ended and all of it was told. Nothing follows.
    End(Ended),
    /// The daemon ends before the run does. Nothing follows.
    Closing,
    /// The run was deleted. Nothing follows.
    Gone,
}

/// Why a cursor cannot be followed.
#[derive(Clone, Debug)]
pub enum OpenError {
    /// It lies beyond the newest event.
    CursorAhead {
        /// The newest event, by `seq`; of all runs, by `id`.
        last_seq: Position,
    },
    /// It is of another database.
    InstanceChanged {
        /// The newest event, by `seq`; of all runs, by `id`.
        last_seq: Position,
    },
    /// The run is not there, or the store.
    Store(StoreError),
}

/// Makes a cursor into a `seq` of a run.
///
/// # Errors
/// When the cursor is beyond the newest event or of another database.
pub fn resolve(cursor: &Cursor, head: &Head, instance: &str) -> Result<Seq, OpenError> {
    let last_seq = head.last_seq;
    let after = match cursor {
        Cursor::After(seq) => Seq(seq.0),
        Cursor::Latest => last_seq,
        // What is gone is not asked for by somebody who wants the newest.
        Cursor::Newest(count) => Seq(last_seq.0.saturating_sub(*count)).max(head.first_seq.previous()),
        Cursor::Of(of, _) if of != instance => return Err(OpenError::InstanceChanged { last_seq: last_seq.into() }),
        Cursor::Of(_, seq) => Seq(seq.0),
    };
    if after > last_seq { Err(OpenError::CursorAhead { last_seq: last_seq.into() }) } else { Ok(after) }
}

/// One reader's way through a run.
pub struct Follower {
    hub: Hub,
    run: RunId,
    cursor: Seq,
    live: Subscription,
    /// Whether the cursor has reached what the channel continues.
    caught_up: bool,
    told_caught_up: bool,
    ready: VecDeque<Step>,
    /// What was handed out last counts until more is asked for: by then the transport has written it.
    share: Option<Share>,
}

impl Follower {
    /// Takes a place among the readers, then looks where the cursor is.
    ///
    /// # Errors
    /// When the run is not there, or the cursor not in it.
    pub async fn open(hub: &Hub, run: RunId, cursor: &Cursor) -> Result<(Follower, Hello), OpenError> {
        // Subscribed first: an event committed after the look comes by the channel.
        let live = hub.subscribe(run);
        let head = hub.store().head(run).await.map_err(OpenError::Store)?;
        let after = resolve(cursor, &head, hub.store().instance())?;
        let follower = Follower {
            hub: hub.clone(),
            run,
            cursor: after,
            live,
            caught_up: false,
            told_caught_up: false,
            ready: VecDeque::new(),
            share: None,
        };
        Ok((follower, Hello { after, head }))
    }

    /// The last `seq` that was handed out or told as gone.
    pub fn cursor(&self) -> Seq {
        self.cursor
    }

    /// What comes next. After `End`, `Closing` and `Gone` there is nothing more to ask for.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn next(&mut self) -> Result<Step, StoreError> {
        loop {
            if let Some(step) = self.ready.pop_front() {
                return Ok(step);
            }
            self.share = None;
            if self.caught_up {
                match self.live.next().await {
                    Live::Event(event) => self.take_live(event),
                    Live::Lagging => self.caught_up = false,
                    Live::Closed => return Ok(Step::Closing),
                }
            } else {
                let share = self.hub.budget().share(PAGE_BYTES_MAX);
                match self.hub.store().page(self.run, self.cursor, PAGE_ROWS_MAX, share.bytes()).await {
                    Ok(page) => self.take_page(&page, share),
                    Err(StoreError::Refused(Refusal::RunPruned(_) | Refusal::RunNotFound(_))) => return Ok(Step::Gone),
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Takes an event from the channel and all that is there behind it.
    fn take_live(&mut self, first: Arc<Encoded>) {
        let (mut events, mut bytes) = (Vec::new(), 0);
        let mut next = Some(Live::Event(first));
        while let Some(live) = next {
            match live {
                Live::Event(event) if event.seq <= self.cursor => {}
                Live::Event(event) if event.seq == self.cursor.next() => {
                    self.cursor = event.seq;
                    bytes += event.held_bytes();
                    events.push(event);
                }
                // Something is missing before this one: SQLite has it, and this one too.
                Live::Event(_) | Live::Lagging => {
                    self.caught_up = false;
                    break;
                }
                // Told again by the next call.
                Live::Closed => break,
            }
            let has_room = events.len() < STEP_EVENTS_MAX && bytes < STEP_BYTES_MAX;
            next = if has_room { self.live.try_next() } else { None };
        }
        self.share = Some(self.hub.budget().hold(bytes));
        self.hand_out(events);
    }

    fn take_page(&mut self, page: &EventPage, mut share: Share) {
        let (mut events, mut bytes) = (Vec::with_capacity(page.events.len()), 0);
        for event in &page.events {
            if event.seq != self.cursor.next() {
                self.hand_out(std::mem::take(&mut events));
                self.ready.push_back(Step::Gap(page.head.gap(self.cursor.next(), event.seq.previous())));
            }
            self.cursor = event.seq;
            let encoded = Encoded::new(event);
            bytes += encoded.held_bytes();
            events.push(Arc::new(encoded));
        }
        share.settle(bytes);
        self.share = Some(share);
        self.hand_out(events);
        if self.cursor < page.head.last_seq && page.events.is_empty() {
            self.ready.push_back(Step::Gap(page.head.gap(self.cursor.next(), page.head.last_seq)));
            self.cursor = page.head.last_seq;
        }
        if self.cursor >= page.head.last_seq {
            self.caught_up = true;
            self.tell_caught_up();
            let Head { outcome, last_seq, .. } = &page.head;
            if outcome.status.is_terminal() && !matches!(self.ready.back(), Some(Step::End(_))) {
                self.ready.push_back(Step::End(Ended { outcome: outcome.clone(), last_seq: *last_seq }));
            }
        }
    }

    fn tell_caught_up(&mut self) {
        if !std::mem::replace(&mut self.told_caught_up, true) {
            self.ready.push_back(Step::CaughtUp { seq: self.cursor.into() });
        }
    }

    fn hand_out(&mut self, events: Vec<Arc<Encoded>>) {
        let Some(last) = events.last().cloned() else { return };
        self.ready.push_back(Step::Events(events));
        if let Some(Finished { outcome, .. }) = &last.finished {
            self.tell_caught_up();
            let ended = Ended { outcome: outcome.clone(), last_seq: last.seq };
            self.ready.push_back(Step::End(ended));
        }
    }
}

/// Waits until a run has ended; answers at once where it has, or where the daemon ends.
///
/// # Errors
/// When the run is not there or the store cannot be read.
pub async fn wait_for_end(hub: &Hub, run: RunId) -> Result<(), StoreError> {
    let live = hub.subscribe_to_end(run);
    while !hub.store().head(run).await?.outcome.status.is_terminal() {
        if matches!(live.next().await, Live::Event(_) | Live::Closed) {
            break;
        }
    }
    Ok(())
}
