//! A cursor made into the events of a scope from there on: each once, in order, or told as a gap.
//!
//! Connecting, resuming, falling behind and overflow are one path: read pages from SQLite after the cursor until the
//! newest event, then take what the commits push. In a run anything but the next `seq` goes back to the pages. Of all
//! runs the ids skip, so that a missing one cannot be seen; that none is missed rests on this:
//! - One thread gives ids out, inside its transactions, and commits these one after the other: the order of commits is
//!   the order of ids. What a page finds up to the newest id of its time is all that there will ever be up to there.
//! - After the COMMIT, and before that thread does anything else, its events stand in `Committed`, in the same order;
//!   the fan-out takes them one by one and offers each to every mailbox before it takes the next.
//! - The mailbox is there before the first page is read. So an event is either committed before a page is, and then
//!   that page or one before it holds it; or after, and then it is offered to this mailbox later than that.
//! - What is offered is put into the mailbox, or that is marked as lagging and nothing is put in until the reader has
//!   drained it and cleared the mark. It reads pages only then, so that the same holds again.
//!
//! Hence: pages until one has looked through everything, then what the mailbox gives beyond the cursor; after a lag,
//! pages again. What comes both ways is dropped by its number. A filter only hides; it never moves anything.
//!
//! Knows no transport. The cursor never passes what was not handed out, but for what the filter hides.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::FutureExt as _;

use super::budget::Share;
use super::hub::Hub;
use super::opening::{OpenError, Opening, resolve};
use super::stretch::{Form, Laying, Mark, Part, Stretch};
use super::subscription::{Live, Subscription};
use crate::event::Gap;
use crate::numbers::{EventId, Position};
use crate::run::Outcome;
use crate::scope::{Cursor, Scope};
use crate::store::{EventPage, Head, PAGE_BYTES_MAX, PageLimits, Refusal, StoreError, partial_gap};
use crate::timer::Quiet;

/// Events that are handed to the transport at once, at most: bounds its memory, and lets it flush once for many.
const STEP_EVENTS_MAX: usize = 256;
/// The same in bytes, for what comes live: a step ends with the event that reaches it.
const STEP_BYTES_MAX: usize = 64 * 1024;
/// A reader of all runs who is shown nothing for this long is told how far that nothing reaches: just before its
/// heartbeat is due.
const CURSOR_EVERY: Duration = Duration::from_secs(14);

/// What comes next.
#[derive(Clone, Debug)]
pub enum Step {
    /// These, in order, without a hole before or between them.
    Events(Vec<Part>),
    /// These are gone; of a partial gap, some.
    Gap(Gap),
    /// Nothing that the reader asked for lies before this: its cursor moves on.
    Cursor(Position),
    /// All that was stored is out, up to here; said once.
    CaughtUp(Position),
    /// The run has ended and all of it was handed out. Nothing follows.
    End {
        /// How it ended.
        outcome: Outcome,
        /// Its last event.
        last: Position,
    },
    /// The daemon ends before the scope does. Nothing follows.
    Closing,
    /// The run was deleted. Nothing follows.
    Gone,
}

/// One reader's way through a scope.
pub struct Follower {
    hub: Hub,
    scope: Scope,
    form: Form,
    /// All that the scope shows up to here was handed out, or told as gone.
    cursor: Position,
    /// What of that the reader can know.
    sent: Position,
    /// The highest removed id that the reader was told of, or did not ask for.
    removed_id: EventId,
    live: Subscription,
    /// Whether the cursor has reached what the mailbox continues.
    caught_up: bool,
    sent_caught_up: bool,
    ready: VecDeque<Step>,
    /// The page that was handed out last counts until more is asked for: by then the transport has written it. What comes
    /// live counts by itself.
    share: Option<Share>,
    /// When a reader of all runs is moved on.
    quiet: Quiet,
}

/// What ended a wait.
enum Woken {
    By(Live),
    Quiet,
}

impl Follower {
    /// Takes a place among the readers of a scope, then looks where the cursor is.
    ///
    /// # Errors
    /// As [`resolve`].
    pub async fn open(hub: &Hub, scope: Scope, form: Form, cursor: &Cursor) -> Result<(Follower, Opening), OpenError> {
        // Subscribed first: an event committed after the look comes by the mailbox.
        let live = hub.subscribe(&scope, form);
        let opening = resolve(hub.store(), &scope, cursor).await?;
        let removed_id = match (&opening.head, cursor) {
            // What is gone is not asked for by somebody who wants the newest.
            (Head::All(head), Cursor::Newest(_)) => head.removed_id,
            _ => EventId(0),
        };
        let follower = Follower {
            hub: hub.clone(),
            scope,
            form,
            cursor: opening.after,
            sent: opening.after,
            removed_id,
            live,
            caught_up: false,
            sent_caught_up: false,
            ready: VecDeque::new(),
            share: None,
            quiet: Quiet::new(CURSOR_EVERY),
        };
        Ok((follower, opening))
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
            if !self.caught_up {
                match self.read_page().await {
                    Ok(()) => continue,
                    Err(StoreError::Refused(Refusal::RunPruned(_) | Refusal::RunNotFound(_))) => return Ok(Step::Gone),
                    Err(error) => return Err(error),
                }
            }
            match self.wait().await {
                Woken::By(Live::Stretch(stretch)) => self.take_live(stretch).await?,
                Woken::By(Live::Lagging) => self.caught_up = false,
                Woken::By(Live::Closed) => return Ok(Step::Closing),
                Woken::Quiet => self.pass_hidden().await?,
            }
        }
    }

    async fn wait(&mut self) -> Woken {
        let live = async { Woken::By(self.live.next().await) };
        match self.scope {
            // Nothing of it is hidden.
            Scope::Run(_) => live.await,
            Scope::All(_) => {
                self.quiet.put_off();
                let quiet = async {
                    self.quiet.over().await;
                    Woken::Quiet
                };
                live.or(quiet).await
            }
        }
    }

    /// Moves a reader on who was shown nothing for a while.
    async fn pass_hidden(&mut self) -> Result<(), StoreError> {
        // Looked up before the mailbox is: what it does not hold then was hidden, up to here.
        let pushed = Position::from(self.hub.pushed());
        match self.live.try_next() {
            Some(Live::Stretch(stretch)) => return self.take_live(stretch).await,
            Some(Live::Lagging) => self.caught_up = false,
            // Said again by the next call.
            Some(Live::Closed) => {}
            None => {
                self.cursor = self.cursor.max(pushed);
                self.send_cursor();
            }
        }
        Ok(())
    }

    /// Takes a stretch from the mailbox and all that is there behind it.
    async fn take_live(&mut self, first: Arc<Stretch>) -> Result<(), StoreError> {
        let (mut parts, mut events, mut bytes) = (Vec::new(), 0, 0);
        let before = self.cursor;
        let mut next = Some(Live::Stretch(first));
        while let Some(live) = next {
            match live {
                Live::Stretch(stretch) => {
                    events += stretch.marks().len();
                    bytes += stretch.held_bytes();
                    self.take_stretch(stretch, &mut parts);
                }
                Live::Lagging => self.caught_up = false,
                // Said again by the next call.
                Live::Closed => break,
            }
            let has_room = self.caught_up && events < STEP_EVENTS_MAX && bytes < STEP_BYTES_MAX;
            next = if has_room { self.live.try_next() } else { None };
        }
        if let (Some(queue), false) = (self.scope.queue(), parts.is_empty()) {
            // Which queue a run is in, no event tells.
            let runs = parts.iter().flat_map(Part::marks).map(|mark| mark.run).collect();
            let (is_in, removed_id) = self.hub.store().in_queue(queue.to_owned(), runs).await?;
            let mut is_in = is_in.into_iter();
            let all = std::mem::take(&mut parts);
            all.iter().for_each(|part| part.kept(|_| is_in.next().unwrap_or(false), &mut parts));
            self.send_removed(before, removed_id);
        }
        self.hand_out(parts);
        Ok(())
    }

    /// Moves the cursor over what of a stretch continues it. What a page held already comes before that, and what has a
    /// hole before it is left: SQLite has that, and all behind it.
    fn take_stretch(&mut self, stretch: Arc<Stretch>, parts: &mut Vec<Part>) {
        let marks = stretch.marks();
        let from = marks.iter().take_while(|mark| self.position(mark) <= self.cursor).count();
        let mut to = from;
        while let Some(mark) = marks.get(to) {
            let position = self.position(mark);
            if !self.scope.continues(self.cursor, position) {
                self.caught_up = false;
                break;
            }
            self.cursor = position;
            to += 1;
        }
        if from < to {
            parts.push(Part::new(stretch, from, to));
        }
    }

    fn position(&self, mark: &Mark) -> Position {
        self.scope.position(mark.id, mark.seq)
    }

    /// Tells a reader whose cursor is below what was removed, once for each time that more was.
    fn send_removed(&mut self, after: Position, removed_id: EventId) {
        if let Some(gap) = partial_gap(after, removed_id).filter(|_| removed_id > self.removed_id) {
            self.removed_id = removed_id;
            self.ready.push_back(Step::Gap(gap));
        }
    }

    async fn read_page(&mut self) -> Result<(), StoreError> {
        let share = self.hub.budget().share(PAGE_BYTES_MAX);
        let limits = PageLimits::within(share.bytes());
        let page = self.hub.store().page(self.scope.clone(), self.cursor, limits).await?;
        self.take_page(page, share);
        Ok(())
    }

    fn take_page(&mut self, page: EventPage, mut share: Share) {
        let EventPage { head, events: found, through } = page;
        if let Head::All(head) = &head {
            self.send_removed(self.cursor, head.removed_id);
        }
        let is_empty = found.is_empty();
        // What the Follower needs besides stays free to be changed while it is laid down.
        let (hub, scope, form) = (self.hub.clone(), self.scope.clone(), self.form);
        let fresh = || Laying::new(form, &scope, hub.store().instance());
        let (mut laying, mut bytes) = (fresh().with_room(found.iter()), 0);
        let mut hand_out = |follower: &mut Follower, laying: Laying<'_>| {
            let stretch = laying.finish();
            bytes += stretch.held_bytes();
            follower.hand_out(Part::all(stretch).into_iter().collect());
        };
        for event in found {
            let position = scope.position(event.id, event.seq);
            if let Some(gap) = head.gap_between(self.cursor, position) {
                hand_out(self, std::mem::replace(&mut laying, fresh()));
                self.ready.push_back(Step::Gap(gap));
            }
            self.cursor = position;
            laying.event(event);
        }
        hand_out(self, laying);
        share.settle(bytes);
        self.share = Some(share);
        self.ready.extend(head.gap_between(self.cursor, through.next()).map(Step::Gap));
        self.cursor = self.cursor.max(through);
        if self.cursor >= head.last() {
            self.caught_up = true;
            self.send_caught_up();
            if let Some(outcome) = head.ended().filter(|_| !matches!(self.ready.back(), Some(Step::End { .. }))) {
                self.ready.push_back(Step::End { outcome: outcome.clone(), last: head.last() });
            }
        } else if is_empty {
            self.send_cursor();
        }
    }

    fn send_cursor(&mut self) {
        if self.cursor > self.sent {
            self.sent = self.cursor;
            self.ready.push_back(Step::Cursor(self.cursor));
        }
    }

    fn send_caught_up(&mut self) {
        if !std::mem::replace(&mut self.sent_caught_up, true) {
            self.sent = self.cursor;
            self.ready.push_back(Step::CaughtUp(self.cursor));
        }
    }

    fn hand_out(&mut self, parts: Vec<Part>) {
        let Some(last) = parts.last() else { return };
        let ended = last.ended().filter(|_| matches!(self.scope, Scope::Run(_))).cloned();
        self.sent = last.marks().last().map_or(self.sent, |mark| self.position(mark));
        self.ready.push_back(Step::Events(parts));
        if let Some(outcome) = ended {
            self.send_caught_up();
            self.ready.push_back(Step::End { outcome, last: self.sent });
        }
    }
}

#[cfg(test)]
#[path = "follower_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "model_tests.rs"]
mod model_tests;
