//! Output on its way in: what the commands printed and no commit took yet. The mirror of `committed`.
//!
//! The runner pushes bytes as they are read; the store thread takes pieces at every commit, so that
//! an urgent one carries along what waits. It must never hold more of a run than its window, and
//! never decides when to commit: `plan` only says when the pacing of the contract would.

mod lane;

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event_listener::{Event, EventListener};

use crate::event::Stream;
use crate::run::RunId;
pub use lane::Piece;
use lane::{Lane, Which};

/// Bytes of one run that may be pushed and not yet on the medium; then its pipes are left to fill.
pub const WINDOW_BYTES: usize = 256 * 1024;
/// Less room than this is none: a read for a few bytes costs as much as one for many.
const ROOM_BYTES_MIN: usize = 4 * 1024;
/// Waiting bytes, over all runs, that a commit takes at once.
const FLUSH_BYTES: usize = 64 * 1024;
/// What one commit carries, over all runs, give or take its last piece: a submit that shares it must not wait for seconds.
const COMMIT_BYTES_MAX: usize = 1024 * 1024;
/// How long the read of a page makes a run count as watched.
const TOUCHED: Duration = Duration::from_secs(10);

/// The output that waits, of all runs; cheap to clone.
#[derive(Clone, Default)]
pub struct Backlog(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Something waits that is due before the time that `plan` last answered.
    nudge: Event,
}

#[derive(Default)]
struct State {
    lanes: BTreeMap<RunId, Open>,
    watched: HashMap<RunId, usize>,
    /// Sums over all lanes.
    waiting: usize,
    ready: usize,
    /// The next commit begins behind this run, so that a full one leaves nobody out for ever.
    served: i64,
    pace: Pace,
    /// When a commit last settled output.
    last_output: Option<Instant>,
    /// What `plan` last answered; `None`: nothing waits.
    planned: Option<Instant>,
    /// A reader came to a run of which something waits.
    expedite: bool,
}

struct Open {
    lane: Lane,
    touched_until: Option<Instant>,
    /// Its window has more room than before.
    roomier: Arc<Event>,
}

/// How long after an output commit the next may come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// While somebody reads a run that has something waiting.
    pub watched: Duration,
    /// While nobody does.
    pub unwatched: Duration,
}

/// When the next commit of output is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// At once.
    Now,
    /// Not before this time.
    At(Instant),
    /// Nothing waits that time alone would make due.
    Nothing,
}

impl Backlog {
    /// Opens the way in for an attempt's output. What an earlier attempt left unrecorded is dropped.
    pub fn open(&self, run: RunId) -> Intake {
        let roomier = Arc::new(Event::new());
        let open = Open { lane: Lane::default(), touched_until: None, roomier: roomier.clone() };
        let mut state = self.state();
        state.close(run);
        state.lanes.insert(run, open);
        drop(state);
        Intake { backlog: self.clone(), run, roomier }
    }

    /// Takes what may be committed now: whole lines, full pieces, last lines that are unfinished
    /// for 200 ms. Every piece must be settled or put back.
    pub fn take_ready(&self, now: Instant) -> Vec<Piece> {
        let mut state = self.state();
        let mut pieces = Vec::new();
        if state.waiting == 0 {
            return pieces;
        }
        state.expedite = false;
        let mut budget = COMMIT_BYTES_MAX;
        let served = RunId(state.served);
        let behind = state.lanes.range((Excluded(served), Unbounded)).chain(state.lanes.range(..=served));
        let waiting = behind.filter(|(_, open)| open.lane.waiting() > 0);
        let order: Vec<RunId> = waiting.map(|(run, _)| *run).collect();
        for run in order {
            if budget == 0 {
                break;
            }
            let left = state.change(run, |open| open.lane.take(run, Which::Ready(now), budget, &mut pieces));
            budget = left.unwrap_or(budget);
            state.served = run.0;
        }
        pieces
    }

    /// Takes what may be committed now of one run.
    pub fn take_ready_of(&self, run: RunId) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let ready = Which::Ready(Instant::now());
        self.state().change(run, |open| open.lane.take(run, ready, COMMIT_BYTES_MAX, &mut pieces));
        pieces
    }

    /// Takes everything of a run, in its last commit.
    pub fn take_all(&self, run: RunId) -> Vec<Piece> {
        let mut pieces = Vec::new();
        self.state().change(run, |open| open.lane.take(run, Which::All, usize::MAX, &mut pieces));
        pieces
    }

    /// The commit failed: the pieces wait again, before everything else of their runs.
    pub fn put_back(&self, pieces: Vec<Piece>) {
        let now = Instant::now();
        let mut state = self.state();
        for piece in pieces.into_iter().rev() {
            let run = piece.run;
            state.change(run, |open| open.lane.put_back(piece));
            self.nudge_if_due(&mut state, run, now);
        }
    }

    /// The commit succeeded: the pieces are on the medium, their runs may read on.
    pub fn settled(&self, pieces: &[Piece]) {
        if pieces.is_empty() {
            return;
        }
        let mut state = self.state();
        state.last_output = Some(Instant::now());
        for piece in pieces {
            if let Some(open) = state.lanes.get_mut(&piece.run) {
                open.lane.settled(piece);
                open.roomier.notify(usize::MAX);
            }
        }
    }

    /// Counts a live reader of the run, until the guard is dropped.
    pub fn watch(&self, run: RunId) -> Watch {
        let mut state = self.state();
        let unseen = !state.is_watched(run, Instant::now());
        *state.watched.entry(run).or_default() += 1;
        self.expedite_if(unseen, &mut state, run);
        drop(state);
        Watch { backlog: self.clone(), run }
    }

    /// A page of the run is read now: it counts as watched for 10 s. Answers whether something waits that nobody who
    /// watches has expedited: then the page waits for a commit.
    pub fn touch(&self, run: RunId) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        let unseen = !state.is_watched(run, now);
        if let Some(open) = state.lanes.get_mut(&run) {
            open.touched_until = Some(now + TOUCHED);
        }
        self.expedite_if(unseen, &mut state, run);
        unseen && state.lanes.get(&run).is_some_and(|open| open.lane.waiting() > 0)
    }

    /// Bytes of all runs that no commit took yet; a switch between the streams counts a few more.
    pub fn waiting_bytes(&self) -> usize {
        self.state().waiting
    }

    /// When the next commit of output is due at this pace. Take [`Backlog::listen`] before.
    pub fn plan(&self, now: Instant, pace: Pace) -> Plan {
        let mut state = self.state();
        state.pace = pace;
        let soonest = if state.is_pressing() {
            Some(now)
        } else if state.waiting == 0 {
            None
        } else {
            state.lanes.iter().filter_map(|(run, open)| state.due_at(*run, open, now)).min()
        };
        state.planned = soonest;
        match soonest {
            None => Plan::Nothing,
            Some(at) if at <= now => Plan::Now,
            Some(at) => Plan::At(at),
        }
    }

    /// Woken when something is due before what [`Backlog::plan`] answered.
    pub fn listen(&self) -> EventListener {
        self.0.nudge.listen()
    }

    fn push(&self, run: RunId, change: impl FnOnce(&mut Lane, Instant)) {
        let now = Instant::now();
        let mut state = self.state();
        state.change(run, |open| change(&mut open.lane, now));
        self.nudge_if_due(&mut state, run, now);
    }

    fn expedite_if(&self, unseen: bool, state: &mut State, run: RunId) {
        if unseen {
            state.expedite |= state.lanes.get(&run).is_some_and(|open| open.lane.ready() > 0);
            self.nudge_if_due(state, run, Instant::now());
        }
    }

    /// Wakes the appender only when this run makes it too late: a chatty command is no alarm clock.
    fn nudge_if_due(&self, state: &mut State, run: RunId, now: Instant) {
        let due = if state.is_pressing() {
            Some(now)
        } else {
            state.lanes.get(&run).and_then(|open| state.due_at(run, open, now))
        };
        let Some(due) = due else { return };
        if state.planned.is_none_or(|planned| due < planned) {
            state.planned = Some(due);
            self.0.nudge.notify(1);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Changes a lane and keeps the sums; `None` when the run has no lane (any more).
    fn change<T>(&mut self, run: RunId, change: impl FnOnce(&mut Open) -> T) -> Option<T> {
        let open = self.lanes.get_mut(&run)?;
        let (waiting, ready) = (open.lane.waiting(), open.lane.ready());
        let answer = change(open);
        self.waiting = self.waiting - waiting + open.lane.waiting();
        self.ready = self.ready - ready + open.lane.ready();
        Some(answer)
    }

    fn close(&mut self, run: RunId) {
        if let Some(open) = self.lanes.remove(&run) {
            self.waiting -= open.lane.waiting();
            self.ready -= open.lane.ready();
        }
    }

    fn is_watched(&self, run: RunId, now: Instant) -> bool {
        self.watched.contains_key(&run)
            || self.lanes.get(&run).and_then(|open| open.touched_until).is_some_and(|until| now < until)
    }

    /// Whether a commit is due whatever the pace.
    fn is_pressing(&self) -> bool {
        self.ready >= FLUSH_BYTES || (self.expedite && self.ready > 0)
    }

    fn due_at(&self, run: RunId, open: &Open, now: Instant) -> Option<Instant> {
        let ripe = open.lane.ripe_at(now)?;
        let pace = if self.is_watched(run, now) { self.pace.watched } else { self.pace.unwatched };
        let next = self.last_output.and_then(|last| last.checked_add(pace));
        Some(next.map_or(ripe, |next| ripe.max(next)))
    }
}

/// The way in for the output of one attempt. Dropping it closes it; what no commit took is gone,
/// so that nothing can follow a run's last event.
pub struct Intake {
    backlog: Backlog,
    run: RunId,
    roomier: Arc<Event>,
}

impl Intake {
    /// Adds what was just read. Never waits: ask [`Intake::room`] before reading.
    pub fn push(&self, stream: Stream, read: &[u8]) {
        if !read.is_empty() {
            self.backlog.push(self.run, |lane, now| lane.push(stream, read, now));
        }
    }

    /// No more of this stream will come: its last line and character wait no longer.
    pub fn end_of_stream(&self, stream: Stream) {
        self.backlog.push(self.run, |lane, now| lane.end_of_stream(stream, now));
    }

    /// How many bytes may be read now; 0 while the window is full.
    pub fn room_now(&self) -> usize {
        let state = self.backlog.state();
        let in_flight = state.lanes.get(&self.run).map_or(0, |open| open.lane.in_flight());
        let room = WINDOW_BYTES.saturating_sub(in_flight);
        if room < ROOM_BYTES_MIN { 0 } else { room }
    }

    /// Waits until the window has room and says how much.
    pub async fn room(&self) -> usize {
        loop {
            let room = self.room_now();
            if room > 0 {
                return room;
            }
            let roomier = self.roomier.listen();
            if self.room_now() == 0 {
                roomier.await;
            }
        }
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        let mut state = self.backlog.state();
        // The next attempt may have opened already.
        let ours = state.lanes.get(&self.run).is_some_and(|open| Arc::ptr_eq(&open.roomier, &self.roomier));
        if ours {
            state.close(self.run);
        }
    }
}

/// A live reader of a run, as long as it is held.
pub struct Watch {
    backlog: Backlog,
    run: RunId,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.backlog.state();
        if let Some(readers) = state.watched.get_mut(&self.run) {
            *readers -= 1;
            if *readers == 0 {
                state.watched.remove(&self.run);
            }
        }
    }
}

#[cfg(test)]
#[path = "backlog/tests.rs"]
mod tests;
