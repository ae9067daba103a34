//! Output that commands have printed and no commit has taken yet. `committed` is its counterpart on the way out.
//!
//! The runner pushes bytes as they are read; the writing thread takes pieces at every commit, so that an urgent commit
//! carries waiting output along. It never holds more of a run than its window. When output is committed that nothing else
//! carries is said here too, by `plan`; who commits then asks it.

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

/// Window of a run: bytes that may be pushed and not yet stored. Beyond it the run's pipes fill.
pub const WINDOW_BYTES: usize = 256 * 1024;
/// Less room than this counts as none: a read of a few bytes costs as much as one of many.
const ROOM_BYTES_MIN: usize = 4 * 1024;
/// Waiting bytes, over all runs, from which a commit is due at once.
const FLUSH_BYTES: usize = 64 * 1024;
/// Bytes that one commit carries, over all runs, give or take a piece: a submit in the same commit must not wait for
/// seconds.
const COMMIT_BYTES_MAX: usize = 1024 * 1024;
/// Output takes at most one part in this many of the medium's time.
const MEDIUM_SHARE: u32 = 4;
/// How long a run counts as watched after a page of it was read.
const TOUCHED: Duration = Duration::from_secs(10);

/// Waiting output of all runs; cheap to clone.
#[derive(Clone, Default)]
pub struct Backlog(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<BacklogState>,
    /// Rung when something is due before the time that `plan` last returned.
    nudge: Event,
}

#[derive(Default)]
struct BacklogState {
    lanes: BTreeMap<RunId, Open>,
    watched: HashMap<RunId, usize>,
    /// Waiting and ready bytes of all lanes.
    waiting: usize,
    ready: usize,
    /// The run after which the next commit begins, so that a full commit leaves no run out for ever.
    served: i64,
    pace: Pace,
    /// When a commit last settled output.
    last_output: Option<Instant>,
    /// What `plan` last returned; `None`: nothing waits.
    planned: Option<Instant>,
    /// A reader came to a run of which something waits: it is committed at once.
    expedite: bool,
}

struct Open {
    lane: Lane,
    touched_until: Option<Instant>,
    /// Rung when its window has more room.
    roomier: Arc<Event>,
}

/// Shortest time between two commits of output.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// `flush_ms`: while a run with waiting output is watched.
    pub watched: Duration,
    /// `flush_unwatched_ms`: while none is.
    pub unwatched: Duration,
}

impl Pace {
    /// This pace while a commit takes so long.
    pub fn after(self, commit: Duration) -> Pace {
        let rest = commit.saturating_mul(MEDIUM_SHARE);
        Pace { watched: self.watched.max(rest), unwatched: self.unwatched.max(rest) }
    }
}

/// When the next commit of output is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// At once.
    Now,
    /// Not before this time.
    At(Instant),
    /// Never, unless more is pushed.
    Nothing,
}

impl Backlog {
    /// Opens the intake of an attempt's output. Output of an earlier attempt that was not stored is dropped.
    pub fn open(&self, run: RunId) -> Intake {
        let roomier = Arc::new(Event::new());
        let open = Open { lane: Lane::default(), touched_until: None, roomier: roomier.clone() };
        let mut state = self.state();
        state.close(run);
        state.lanes.insert(run, open);
        drop(state);
        Intake { backlog: self.clone(), run, roomier }
    }

    /// Takes what may be committed now: whole lines, full pieces, and last lines that are unfinished for 200 ms. Every
    /// piece must be settled or put back.
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

    /// The same of one run.
    pub fn take_ready_of(&self, run: RunId) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let ready = Which::Ready(Instant::now());
        self.state().change(run, |open| open.lane.take(run, ready, COMMIT_BYTES_MAX, &mut pieces));
        pieces
    }

    /// Takes all output of a run, for its last commit.
    pub fn take_all(&self, run: RunId) -> Vec<Piece> {
        let mut pieces = Vec::new();
        self.state().change(run, |open| open.lane.take(run, Which::All, usize::MAX, &mut pieces));
        pieces
    }

    /// Takes pieces back after a failed commit; they go first again.
    pub fn put_back(&self, pieces: Vec<Piece>) {
        let now = Instant::now();
        let mut state = self.state();
        for piece in pieces.into_iter().rev() {
            let run = piece.run;
            state.change(run, |open| open.lane.put_back(piece));
            self.nudge_if_due(&mut state, run, now);
        }
    }

    /// Gives the room of stored pieces back to their runs' windows.
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

    /// Marks a run as watched for 10 s, since a page of it is read. Returns whether output waits that no watcher has
    /// expedited: then the page waits for a commit.
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

    /// Waiting bytes of all runs; a switch between the streams counts a few more.
    pub fn waiting_bytes(&self) -> usize {
        self.state().waiting
    }

    /// When the next commit of output is due at this pace. Call [`Backlog::listen`] before.
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

    /// Resolves when something is due before what [`Backlog::plan`] returned.
    pub fn listen(&self) -> EventListener {
        self.0.nudge.listen()
    }

    fn push(&self, run: RunId, change: impl FnOnce(&mut Lane, Instant)) {
        let now = Instant::now();
        let mut state = self.state();
        state.change(run, |open| change(&mut open.lane, now));
        self.nudge_if_due(&mut state, run, now);
    }

    fn expedite_if(&self, unseen: bool, state: &mut BacklogState, run: RunId) {
        if unseen {
            state.expedite |= state.lanes.get(&run).is_some_and(|open| open.lane.ready() > 0);
            self.nudge_if_due(state, run, Instant::now());
        }
    }

    /// Wakes the appender if this run is due before its plan, and not otherwise.
    fn nudge_if_due(&self, state: &mut BacklogState, run: RunId, now: Instant) {
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

    fn state(&self) -> MutexGuard<'_, BacklogState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BacklogState {
    /// Changes a lane and updates the sums; `None` where the run has no lane.
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

    /// Whether a commit is due at any pace.
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

/// The intake of one attempt's output. Dropping it closes it and drops what was not stored, so that nothing follows a
/// run's last event.
pub struct Intake {
    backlog: Backlog,
    run: RunId,
    roomier: Arc<Event>,
}

impl Intake {
    /// Adds what was read. Never waits: ask [`Intake::room`] first.
    pub fn push(&self, stream: Stream, read: &[u8]) {
        if !read.is_empty() {
            self.backlog.push(self.run, |lane, now| lane.push(stream, read, now));
        }
    }

    /// Ends a stream: its last line and character are due at once.
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

    /// Bytes of this attempt that were stored since the intake was opened.
    pub fn settled_bytes(&self) -> u64 {
        self.backlog.state().lanes.get(&self.run).map_or(0, |open| open.lane.settled_bytes())
    }

    /// Resolves when something of it was stored after this call.
    pub fn listen(&self) -> EventListener {
        self.roomier.listen()
    }

    /// Waits until the window has room; returns how many bytes.
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

/// A live reader of a run, counted until this is dropped.
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
