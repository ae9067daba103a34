//! A cursor made into the events of all runs from there on that a filter shows: each once, in order.
//!
//! Ids are not contiguous, so that a missing one cannot be seen. That none is missed rests on this:
//! - One thread gives ids out, inside its transactions, and commits these one after the other: the order of commits is
//!   the order of ids. What a page finds up to the newest id of its time is all that there will ever be up to there.
//! - After the COMMIT, and before that thread does anything else, its events stand in `Committed`, in the same order;
//!   the fan-out takes them one by one and offers each to every place before it takes the next.
//! - The place is taken before the first page is read. So an event is either committed before a page is, and then that
//!   page or one before it holds it; or after, and then it is offered to this place later than that.
//! - What is offered enters the channel, or the place is marked as lagging and nothing enters until the reader has
//!   drained it and cleared the mark. It reads pages only then, so that the same holds again.
//!
//! Hence: pages until one has looked through everything, then what the channel gives beyond the cursor; after a lag,
//! pages again. What comes both ways is dropped by its id. A filter only hides; it never moves anything.
//!
//! Knows no transport. The cursor never passes what was not handed out, but for what the filter hides.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_io::Timer;
use futures_lite::FutureExt as _;

use super::budget::Share;
use super::follower::{OpenError, STEP_BYTES_MAX, STEP_EVENTS_MAX, Step};
use super::hub::{Encoded, Hub, Live, Subscription};
use crate::event::{Cursor, EventFilter, Gap, GapReason};
use crate::numbers::{EventId, Position};
use crate::store::{AllHead, AllPage, PAGE_BYTES_MAX, PAGE_ROWS_MAX, StoreError};

/// A reader who is shown nothing for this long is told how far that nothing reaches: just before its heartbeat is due.
const CURSOR_EVERY: Duration = Duration::from_secs(14);

/// What a reader is told first.
#[derive(Clone, Copy, Debug)]
pub struct AllHello {
    /// The cursor, made into an `id`.
    pub after: EventId,
    /// Where things stand.
    pub head: AllHead,
}

/// Makes a cursor into an `id`. The newest N are N that the filter shows, as far as there are so many.
///
/// # Errors
/// When the cursor is beyond the newest event or of another database, the filter names a run that never was, or the
/// store cannot be read.
pub async fn resolve_all(hub: &Hub, filter: &EventFilter, cursor: &Cursor) -> Result<AllHello, OpenError> {
    let store = hub.store();
    let head = store.all_head(filter.clone()).await.map_err(OpenError::Store)?;
    let last_seq = Position::from(head.last_id);
    let after = match cursor {
        Cursor::After(id) => EventId(id.0),
        Cursor::Latest | Cursor::Newest(0) => head.last_id,
        Cursor::Newest(count) => newest(hub, filter, &head, *count).await.map_err(OpenError::Store)?,
        Cursor::Of(instance, _) if instance != store.instance() => {
            return Err(OpenError::InstanceChanged { last_seq });
        }
        Cursor::Of(_, id) => EventId(id.0),
    };
    if after > head.last_id { Err(OpenError::CursorAhead { last_seq }) } else { Ok(AllHello { after, head }) }
}

/// The cursor before the newest `count` events that the filter shows: looked for from the end, a piece at a time.
async fn newest(hub: &Hub, filter: &EventFilter, head: &AllHead, count: i64) -> Result<EventId, StoreError> {
    let mut left = usize::try_from(count).unwrap_or(usize::MAX);
    let mut before = head.last_id.next();
    loop {
        let piece = hub.store().all_newest(filter.clone(), before, left).await?;
        left = left.saturating_sub(piece.found);
        match piece.down_to {
            Some(down_to) if left == 0 => return Ok(down_to.previous()),
            Some(down_to) => before = down_to,
            None => return Ok(head.first_id.previous()),
        }
    }
}

/// Some of what lies between a cursor and the highest id that was ever removed is gone; the rest follows.
pub fn partial_gap(after: EventId, removed_id: EventId) -> Option<Gap> {
    let gap = Gap { from: after.next().into(), to: removed_id.into(), reason: GapReason::Pruned, partial: true };
    (after < removed_id).then_some(gap)
}

/// One reader's way through all runs.
pub struct AllFollower {
    hub: Hub,
    filter: EventFilter,
    /// All that the filter shows up to here was handed out.
    cursor: EventId,
    /// What of that the reader can know.
    told: EventId,
    /// The highest removed id that the reader was told of, or did not ask for.
    removed: EventId,
    live: Subscription,
    /// Whether the cursor has reached what the channel continues.
    caught_up: bool,
    told_caught_up: bool,
    ready: VecDeque<Step>,
    /// What was handed out last counts until more is asked for: by then the transport has written it.
    share: Option<Share>,
    cursor_every: Duration,
}

/// What ended a wait.
enum Woken {
    By(Live),
    Quiet,
}

impl AllFollower {
    /// Takes a place among the readers, then looks where the cursor is.
    ///
    /// # Errors
    /// As [`resolve_all`].
    pub async fn open(hub: &Hub, filter: EventFilter, cursor: &Cursor) -> Result<(AllFollower, AllHello), OpenError> {
        // Subscribed first: an event committed after the look comes by the channel.
        let live = hub.subscribe_to_all(filter.clone());
        let hello = resolve_all(hub, &filter, cursor).await?;
        // What is gone is not asked for by somebody who wants the newest.
        let removed = if matches!(cursor, Cursor::Newest(_)) { hello.head.removed_id } else { EventId(0) };
        let follower = AllFollower {
            hub: hub.clone(),
            filter,
            cursor: hello.after,
            told: hello.after,
            removed,
            live,
            caught_up: false,
            told_caught_up: false,
            ready: VecDeque::new(),
            share: None,
            cursor_every: CURSOR_EVERY,
        };
        Ok((follower, hello))
    }

    /// What comes next. After `Closing` there is nothing more to ask for; there is no `End` and no `Gone`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn next(&mut self) -> Result<Step, StoreError> {
        loop {
            if let Some(step) = self.ready.pop_front() {
                return Ok(step);
            }
            self.share = None;
            if !self.caught_up {
                let share = self.hub.budget().share(PAGE_BYTES_MAX);
                let read = self.hub.store().all_page(self.filter.clone(), self.cursor, PAGE_ROWS_MAX, share.bytes());
                let page = read.await?;
                self.take_page(&page, share);
                continue;
            }
            match self.wait().await {
                Woken::By(Live::Event(event)) => self.take_live(event).await?,
                Woken::By(Live::Lagging) => self.caught_up = false,
                Woken::By(Live::Closed) => return Ok(Step::Closing),
                Woken::Quiet => self.pass_hidden().await?,
            }
        }
    }

    async fn wait(&self) -> Woken {
        let quiet = async {
            Timer::after(self.cursor_every).await;
            Woken::Quiet
        };
        async { Woken::By(self.live.next().await) }.or(quiet).await
    }

    /// Moves a reader on who was shown nothing for a while.
    async fn pass_hidden(&mut self) -> Result<(), StoreError> {
        // Looked up before the channel is: what it does not hold then was hidden, up to here.
        let pushed = self.hub.pushed();
        match self.live.try_next() {
            Some(Live::Event(event)) => return self.take_live(event).await,
            Some(Live::Lagging) => self.caught_up = false,
            // Told again by the next call.
            Some(Live::Closed) => {}
            None => {
                self.cursor = self.cursor.max(pushed);
                self.tell_cursor();
            }
        }
        Ok(())
    }

    /// Takes an event from the channel and all that is there behind it.
    async fn take_live(&mut self, first: Arc<Encoded>) -> Result<(), StoreError> {
        let (mut events, mut bytes) = (Vec::new(), 0);
        let before = self.cursor;
        let mut next = Some(Live::Event(first));
        while let Some(live) = next {
            match live {
                // A page held it.
                Live::Event(event) if event.id <= self.cursor => {}
                Live::Event(event) => {
                    self.cursor = event.id;
                    bytes += event.held_bytes();
                    events.push(event);
                }
                Live::Lagging => {
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
        if let (Some(queue), false) = (self.filter.queue(), events.is_empty()) {
            // Which queue a run is in, no event tells.
            let runs = events.iter().map(|event| event.run).collect();
            let (is_in, removed_id) = self.hub.store().in_queue(queue.to_owned(), runs).await?;
            let mut is_in = is_in.into_iter();
            events.retain(|_| is_in.next().unwrap_or(false));
            self.tell_removed(before, removed_id);
        }
        self.hand_out(events);
        Ok(())
    }

    /// Tells a reader whose cursor is below what was removed, once for each time that more was.
    fn tell_removed(&mut self, after: EventId, removed_id: EventId) {
        if let Some(gap) = partial_gap(after, removed_id).filter(|_| removed_id > self.removed) {
            self.removed = removed_id;
            self.ready.push_back(Step::Gap(gap));
        }
    }

    fn take_page(&mut self, page: &AllPage, mut share: Share) {
        self.tell_removed(self.cursor, page.head.removed_id);
        self.cursor = page.through;
        let events: Vec<_> = page.events.iter().map(|event| Arc::new(Encoded::new(event))).collect();
        share.settle(events.iter().map(|event| event.held_bytes()).sum());
        self.share = Some(share);
        self.hand_out(events);
        if page.through >= page.head.last_id {
            self.caught_up = true;
            if !std::mem::replace(&mut self.told_caught_up, true) {
                self.told = self.cursor;
                self.ready.push_back(Step::CaughtUp { seq: self.cursor.into() });
            }
        } else if page.events.is_empty() {
            self.tell_cursor();
        }
    }

    fn tell_cursor(&mut self) {
        if self.cursor > self.told {
            self.told = self.cursor;
            self.ready.push_back(Step::Cursor { id: self.cursor });
        }
    }

    fn hand_out(&mut self, events: Vec<Arc<Encoded>>) {
        if let Some(last) = events.last() {
            self.told = last.id;
            self.ready.push_back(Step::Events(events));
        }
    }
}

#[cfg(test)]
#[path = "all_tests.rs"]
mod tests;
