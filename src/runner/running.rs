//! The attempts under way, each with a switch by which a cancel, a timeout and the shutdown reach it.
//!
//! The first request decides how an attempt ends; once its leader's exit was seen, no request does. A session is only
//! signalled from here between its start and its leader's reaping.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_listener::Event;
use futures_lite::future;
use rustix::process::{Pid, Signal, kill_process_group};

use super::{children, session};
use crate::clock::UnixMs;
use crate::process::procfs;
use crate::run::{Ask, RunId};
use crate::system;

/// Processes that are looked at (about 1 µs each) before other tasks get their turn.
const LOOKED_AT_AT_ONCE: usize = 256;
/// Searches for processes to kill before the daemon exits at once.
const KILL_LOOKS_MAX: usize = 20;

/// All attempts that are under way; cheap to clone.
#[derive(Clone, Default)]
pub struct Running(Arc<Everything>);

#[derive(Default)]
struct Everything {
    attempts: Mutex<Attempts>,
    emptied: Event,
}

#[derive(Default)]
struct Attempts {
    of_run: BTreeMap<RunId, Arc<Attempt>>,
    /// Attempts that are not over, also those whose run has its next attempt here already.
    count: usize,
    /// Requested of all attempts, also of those to come.
    of_all: Option<Ask>,
}

#[derive(Default)]
struct Attempt {
    wishes: Mutex<Wishes>,
    changed: Event,
}

#[derive(Default)]
struct Wishes {
    asked: Option<Ask>,
    /// The shutdown was requested, first or not.
    expedited: bool,
    /// There is no grace, or no more of it.
    hurried: bool,
    /// Its command outlives the daemon, …
    survives: bool,
    /// … which is going.
    is_left: bool,
    /// Since when it is not heard of.
    detached_since: Option<UnixMs>,
    /// Its leader's exit was seen: too late for a request.
    is_over: bool,
    session: Option<Pid>,
}

impl Running {
    /// Makes an attempt reachable until its switch is dropped.
    pub fn register(&self, run: RunId) -> Switch {
        let attempt = Arc::new(Attempt::default());
        let mut attempts = self.attempts();
        attempt.wishes().asked = attempts.of_all;
        attempts.of_run.insert(run, attempt.clone());
        attempts.count += 1;
        drop(attempts);
        Switch { running: self.clone(), run, attempt }
    }

    /// Requests the end of a run's attempt. Returns whether this request decides how it ends.
    pub fn ask(&self, run: RunId, ask: Ask) -> bool {
        let attempt = self.attempts().of_run.get(&run).cloned();
        attempt.is_some_and(|attempt| attempt.ask(ask))
    }

    /// Has a run's attempt, whose end was requested, killed at once.
    pub fn hurry(&self, run: RunId) {
        if let Some(attempt) = self.attempts().of_run.get(&run) {
            attempt.wishes().hurried = true;
            attempt.changed.notify(usize::MAX);
        }
    }

    /// Requests the end of all attempts, also of those that are yet to be registered.
    pub fn ask_all(&self, ask: Ask) {
        let mut attempts = self.attempts();
        attempts.of_all.get_or_insert(ask);
        for attempt in attempts.of_run.values() {
            attempt.ask(ask);
        }
    }

    /// The same, but leaves attempts alone whose commands outlive the daemon: they stop being attended to. Returns their runs.
    pub fn ask_all_but_survivors(&self, ask: Ask) -> Vec<RunId> {
        let mut attempts = self.attempts();
        attempts.of_all.get_or_insert(ask);
        let mut left = Vec::new();
        for (run, attempt) in &attempts.of_run {
            if attempt.leave() {
                left.push(*run);
            } else {
                attempt.ask(ask);
            }
        }
        left
    }

    /// Since when the keepers of these runs have not been heard of; those that are heard are left out.
    pub fn detached(&self) -> BTreeMap<RunId, UnixMs> {
        let attempts = self.attempts();
        let since = |(&run, attempt): (&RunId, &Arc<Attempt>)| Some((run, attempt.wishes().detached_since?));
        attempts.of_run.iter().filter_map(since).collect()
    }

    /// Kills every session, at once, but for those that outlive the daemon.
    pub fn kill_all(&self) {
        let sessions = self.sessions(|wishes| !wishes.survives);
        for &(_, session) in &sessions {
            // Nobody left in it.
            let _ = kill_process_group(session, Signal::KILL);
        }
        let sessions: Vec<Pid> = sessions.into_iter().map(|(_, session)| session).collect();
        for _ in 0..KILL_LOOKS_MAX {
            let mut left = session::members_of(&sessions).peekable();
            if left.peek().is_none() {
                return;
            }
            left.for_each(|(_, identity, _)| identity.signal(&[Signal::KILL]));
        }
    }

    /// Which of these runs' processes are stopped, as by SIGSTOP: they go on by SIGCONT. Gives other
    /// tasks their turn while it looks at many processes.
    pub async fn stopped(self, runs: BTreeSet<RunId>) -> BTreeMap<RunId, Vec<i32>> {
        let mut sessions = self.sessions(|_| true);
        sessions.retain(|(run, _)| runs.contains(run));
        let of_session: BTreeMap<i32, RunId> =
            sessions.into_iter().map(|(run, pid)| (pid.as_raw_nonzero().get(), run)).collect();
        let mut stopped: BTreeMap<RunId, Vec<i32>> = BTreeMap::new();
        if of_session.is_empty() {
            return stopped;
        }
        for (count, pid) in procfs::pids().enumerate() {
            if count % LOOKED_AT_AT_ONCE == LOOKED_AT_AT_ONCE - 1 {
                future::yield_now().await;
            }
            if let Some(run) = of_session.get(&system::session_and_group(pid).0) {
                let stat =
                    procfs::stat(pid).filter(|stat| stat.is_stopped && of_session.get(&stat.session) == Some(run));
                if stat.is_some() {
                    stopped.entry(*run).or_default().push(pid);
                }
            }
        }
        stopped
    }

    /// Whether this child is an attempt's own, which is not to be reaped by anybody else.
    pub fn owns(&self, pid: Pid) -> bool {
        self.attempts().of_run.values().any(|attempt| attempt.wishes().session == Some(pid))
    }

    fn sessions(&self, is_wanted: impl Fn(&Wishes) -> bool) -> Vec<(RunId, Pid)> {
        let attempts = self.attempts();
        let session = |attempt: &Attempt| Some(attempt.wishes()).filter(|wishes| is_wanted(wishes))?.session;
        attempts.of_run.iter().filter_map(|(&run, attempt)| Some((run, session(attempt)?))).collect()
    }

    /// How many attempts are under way.
    pub fn count(&self) -> usize {
        self.attempts().count
    }

    /// Waits until there is none.
    pub async fn wait_empty(&self) {
        while self.count() > 0 {
            let emptied = self.0.emptied.listen();
            if self.count() > 0 {
                emptied.await;
            }
        }
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.0.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    fn ask(&self, ask: Ask) -> bool {
        let mut wishes = self.wishes();
        let decides = wishes.asked.is_none() && !wishes.is_over;
        if decides {
            wishes.asked = Some(ask);
        }
        wishes.expedited |= ask == Ask::Shutdown;
        drop(wishes);
        self.changed.notify(usize::MAX);
        decides
    }

    /// Leaves it to the next daemon; false where it cannot be.
    fn leave(&self) -> bool {
        let mut wishes = self.wishes();
        if !wishes.survives {
            return false;
        }
        wishes.is_left = true;
        drop(wishes);
        self.changed.notify(usize::MAX);
        true
    }

    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One attempt's side of [`Running`].
pub struct Switch {
    running: Running,
    run: RunId,
    attempt: Arc<Attempt>,
}

impl Switch {
    /// Whose attempt it is.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// Requests the end of this attempt. Returns whether this request decides how it ends.
    pub fn ask(&self, ask: Ask) -> bool {
        self.attempt.ask(ask)
    }

    /// The first request, if there was any.
    pub fn asked_now(&self) -> Option<Ask> {
        self.attempt.wishes().asked
    }

    /// Waits for the first request.
    pub async fn asked(&self) -> Ask {
        self.until(|wishes| wishes.asked).await
    }

    /// Waits until the shutdown is requested, first or not.
    pub async fn expedited(&self) {
        self.until(|wishes| wishes.expedited.then_some(())).await;
    }

    /// A second hand on it, which does not hold it.
    pub fn remote(&self) -> Remote {
        Remote(self.attempt.clone())
    }

    /// From now on, whether its command outlives the daemon.
    pub fn set_survives(&self, survives: bool) {
        self.attempt.wishes().survives = survives;
    }

    /// Waits until the daemon goes without it.
    pub async fn left(&self) {
        self.until(|wishes| wishes.is_left.then_some(())).await;
    }

    /// Waits until it is to be killed at once.
    pub async fn hurried(&self) {
        self.until(|wishes| wishes.hurried.then_some(())).await;
    }

    /// The leader is dead: returns the first request until now; later ones do not count.
    pub fn close(&self) -> Option<Ask> {
        let mut wishes = self.attempt.wishes();
        wishes.is_over = true;
        wishes.asked
    }

    /// Sets the session of the attempt; `None` before its leader is reaped.
    pub fn set_session(&self, session: Option<Pid>) {
        self.attempt.wishes().session = session;
    }

    async fn until<T>(&self, wanted: impl Fn(&Wishes) -> Option<T>) -> T {
        loop {
            let changed = self.attempt.changed.listen();
            let found = wanted(&self.attempt.wishes());
            match found {
                Some(found) => return found,
                None => changed.await,
            }
        }
    }
}

/// What others than its executor do to an attempt.
pub struct Remote(Arc<Attempt>);

impl Remote {
    /// Requests its end.
    pub fn ask(&self, ask: Ask) {
        self.0.ask(ask);
    }

    /// Since when its keeper has not been heard of; `None` while it is.
    pub fn set_detached(&self, since: Option<UnixMs>) {
        self.0.wishes().detached_since = since;
    }

    /// Whether its keeper is not heard of.
    pub fn is_detached(&self) -> bool {
        self.0.wishes().detached_since.is_some()
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        let mut attempts = self.running.attempts();
        // The run's next attempt may be there already.
        if attempts.of_run.get(&self.run).is_some_and(|attempt| Arc::ptr_eq(attempt, &self.attempt)) {
            attempts.of_run.remove(&self.run);
        }
        attempts.count -= 1;
        if attempts.count == 0 {
            self.running.0.emptied.notify(usize::MAX);
        }
        drop(attempts);
        children::reap_left();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_io::block_on;
    use futures_lite::future::poll_once;

    #[test]
    fn the_first_to_ask_decides() {
        let running = Running::default();
        assert!(!running.ask(RunId(1), Ask::Cancel), "nothing runs");
        let switch = running.register(RunId(1));
        assert!(block_on(poll_once(switch.asked())).is_none());
        assert!(running.ask(RunId(1), Ask::Timeout));
        assert!(!running.ask(RunId(1), Ask::Cancel));
        assert_eq!(block_on(switch.asked()), Ask::Timeout);
        assert!(block_on(poll_once(switch.expedited())).is_none());
        running.ask_all(Ask::Shutdown);
        block_on(switch.expedited());
        assert_eq!(switch.close(), Some(Ask::Timeout));
    }

    #[test]
    fn an_end_that_was_seen_comes_before_any_ask() {
        let running = Running::default();
        let switch = running.register(RunId(1));
        assert_eq!(switch.close(), None);
        assert!(!running.ask(RunId(1), Ask::Cancel));
        assert_eq!(switch.asked_now(), None);
    }

    #[test]
    fn a_shutdown_reaches_what_comes_after_it() {
        let running = Running::default();
        running.ask_all(Ask::Shutdown);
        assert_eq!(running.register(RunId(1)).asked_now(), Some(Ask::Shutdown));
    }

    #[test]
    fn the_next_attempt_may_come_before_the_last_has_left() {
        let running = Running::default();
        let first = running.register(RunId(1));
        let second = running.register(RunId(1));
        drop(first);
        assert!(running.ask(RunId(1), Ask::Cancel));
        assert_eq!(running.count(), 1);
        assert!(block_on(poll_once(running.wait_empty())).is_none());
        drop(second);
        block_on(running.wait_empty());
    }
}
