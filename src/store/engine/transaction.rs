//! One transaction: BEGIN, what waits, the jobs, COMMIT, and then, before anybody is answered, what happened is put where
//! the readers and the scheduler find it.
//!
//! Nothing leaves before its COMMIT. What a transaction that failed had taken waits again afterwards, and the thread's
//! memory is what it was.

use std::time::{Duration, Instant};

use crate::clock::UnixMs;
use crate::event::{Data, Event};
use crate::metrics::{OfKind, OfStatus, OfWhat};
use crate::run::Status;
use crate::store::engine::backlog::Piece;
use crate::store::engine::job::Write;
use crate::store::engine::orders::Order;
use crate::store::engine::recovery::refined;
use crate::store::engine::room::Load;
use crate::store::engine::state::State;
use crate::store::engine::thread::{BATCH_TIME, StoreThread};
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::tables::attempts::claim;
use crate::store::tables::sessions::Changes;
use crate::store::tables::{quota, retention};

/// A write that took longer is told in the log: the medium, or its file system, was held.
const SLOW: Duration = Duration::from_secs(5);

/// What each job of a transaction is to be told; fewer than jobs where the time was over.
pub(in crate::store) type Outcomes = Vec<Result<(), StoreError>>;

impl StoreThread {
    /// Commits the jobs with all that this load carries, or nothing at all.
    pub(in crate::store) fn try_commit(
        &mut self,
        load: Load,
        writes: &mut [Box<dyn Write>],
    ) -> Result<Outcomes, StoreError> {
        if let Some(why) = &self.broken {
            return Err(StoreError::Failed(why.clone()));
        }
        let is_whole = load == Load::Whole;
        if writes.is_empty() && !(is_whole && self.backlog.waiting_bytes() > 0) {
            return Ok(Vec::new());
        }
        self.look_at_place(false)?;
        if self.room.look_at_quota(false) {
            self.rules.set_quota(self.room.quota_bytes());
            self.room.set_wall(&self.conn, Load::Whole)?;
        }
        // Below its quota a database is far from its wall, which stands where it is.
        if !is_whole || self.rules.is_beyond_quota(&self.state) {
            self.room.set_wall(&self.conn, load)?;
        }
        // While every second transaction fails, the memory is kept, not counted anew.
        let before = self.room.is_held().then(|| self.state.clone());
        let started = Instant::now();
        self.shared.set_writing(Some(started));
        let outcome = self.commit_or_roll_back(load, writes, before);
        self.shared.set_writing(None);
        if started.elapsed() > SLOW {
            log::warn!(
                "a write took {} s: the medium, or the file system on it, was held",
                started.elapsed().as_secs()
            );
        }
        if !is_whole {
            // What was committed is committed whatever comes of this: told as an error it would be done once more.
            if let Err(error) = self.room.set_wall(&self.conn, Load::Whole) {
                log::warn!("the database may grow beyond its quota until this can be set again: {error:?}");
            }
        }
        outcome
    }

    fn commit_or_roll_back(
        &mut self,
        load: Load,
        writes: &mut [Box<dyn Write>],
        before: Option<State>,
    ) -> Result<Outcomes, StoreError> {
        let is_whole = load == Load::Whole;
        let started = Instant::now();
        let changes = self.conn.total_changes();
        let begun = self.begin();
        let mut tx = Writer {
            conn: &self.conn,
            state: &mut self.state,
            backlog: &self.backlog,
            now: UnixMs::now(),
            queued_runs_max: self.queued_runs_max,
            rules: &self.rules,
            held: if is_whole { None } else { self.room.why_held(&self.conn) },
            room: &self.room,
            room_seen: None,
            events: Vec::new(),
            pieces: Vec::new(),
            ended: Vec::new(),
            removed_events: 0,
            removed_runs: 0,
            claim_wanted: false,
            orders: Vec::new(),
            sessions: Changes::new(self.sessions.clone()),
        };
        let may_claim = || self.shared.claims_open();
        let worked = begun.and_then(|()| work(&mut tx, is_whole, writes, started, may_claim));
        let Writer { events, pieces, ended, removed_events, removed_runs, orders, sessions, .. } = tx;
        let committed = worked.and_then(|outcomes| {
            self.conn.prepare_cached("COMMIT")?.execute([])?;
            Ok(outcomes)
        });
        match committed {
            Ok(outcomes) => {
                self.recoveries = 0;
                if !self.room.is_held() || (is_whole && self.conn.total_changes() > changes) {
                    self.room.release();
                    self.tell_writable(None);
                }
                self.shared.set_commit_time(started.elapsed());
                self.metrics.commits.inc();
                self.metrics.commit.observe(started.elapsed().as_secs_f64());
                self.count(&events, &ended);
                for (what, rows) in [("events", removed_events), ("runs", removed_runs)] {
                    self.metrics.pruned.get_or_create(&OfWhat { what }).inc_by(rows as u64);
                }
                sessions.committed();
                self.publish(events, pieces, orders);
                Ok(outcomes)
            }
            Err(error) => {
                let error = refined(error, &self.conn);
                self.backlog.put_back(pieces);
                self.roll_back(&error, before);
                Err(error)
            }
        }
    }

    /// Takes the transaction back, and the memory with it: from `before`, or from the database.
    fn roll_back(&mut self, error: &StoreError, before: Option<State>) {
        if !self.conn.is_autocommit() {
            // Some errors roll back by themselves, others do not; a failing ROLLBACK says nothing more.
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        // What this program did wrong says nothing about the medium.
        if !matches!(error, StoreError::NoSuchMove { .. }) {
            self.tell_writable(Some(error));
        }
        match before.map_or_else(|| State::load(&self.conn), Ok) {
            Ok(state) => self.state = state,
            // A medium that failed is read again by the recovery.
            Err(_) if matches!(error, StoreError::Io { .. }) => {}
            Err(error) => self.give_up(&format!("after a rollback: {error:?}")),
        }
    }

    /// Says whether the database can be written, for those who ask from outside.
    pub(in crate::store) fn tell_writable(&self, error: Option<&StoreError>) {
        self.shared.set_broken(error.cloned());
        self.metrics.storage_writable.set(i64::from(error.is_none()));
    }

    fn count(&self, events: &[Event], ended: &[(Status, Option<i64>)]) {
        for event in events {
            self.metrics.events.get_or_create(&OfKind { kind: event.kind }).inc();
        }
        for (status, duration_ms) in ended {
            self.metrics.runs_finished.get_or_create(&OfStatus { status: *status }).inc();
            if let Some(ms) = duration_ms {
                self.metrics.run_duration.observe(*ms as f64 / 1_000.0);
            }
        }
    }

    /// After the COMMIT and before any answer: what happened is put where the readers and the scheduler find it.
    fn publish(&mut self, mut events: Vec<Event>, pieces: Vec<Piece>, orders: Vec<Order>) {
        self.backlog.settled(&pieces);
        let mut pieces = pieces.into_iter();
        for event in &mut events {
            if let Data::Output(_, bytes) = &mut event.data {
                *bytes = pieces.next().map(|piece| piece.bytes).unwrap_or_default();
            }
        }
        self.committed.push(events);
        for order in orders {
            // Closed where the daemon stops: all that runs was asked to end then, and nothing more is claimed.
            let _ = self.orders.try_send(order);
        }
        self.publish_state();
        self.bell.ring();
    }

    pub(in crate::store) fn publish_state(&self) {
        self.shared.publish(&self.state, &self.rules);
        for &status in Status::ALL {
            let count = self.state.counts[status as usize];
            self.metrics.runs.get_or_create(&OfStatus { status }).set(count);
        }
    }
}

/// Does in a transaction that has begun what this load carries; answers what each job is to be told.
fn work(
    tx: &mut Writer<'_>,
    is_whole: bool,
    writes: &mut [Box<dyn Write>],
    started: Instant,
    may_claim: impl Fn() -> bool,
) -> Result<Outcomes, StoreError> {
    if is_whole {
        // Taken only now: what is taken must be settled or put back, and a BEGIN may be refused.
        tx.append_output(tx.backlog.take_ready(Instant::now()))?;
    }
    let mut outcomes = Vec::with_capacity(writes.len());
    for write in writes.iter_mut() {
        if !outcomes.is_empty() && started.elapsed() >= BATCH_TIME {
            break;
        }
        match write.run(tx) {
            Err(error) if !error.is_refusal() => return Err(error),
            outcome => outcomes.push(outcome),
        }
    }
    if is_whole && tx.claim_wanted && may_claim() {
        claim(tx)?;
    }
    tx.state.look_up_due(tx.conn)?;
    tx.state.pages_used = retention::pages_used(tx.conn)?;
    tx.state.live_excess = quota::is_live_excess(tx);
    Ok(outcomes)
}
