//! One transaction: BEGIN, waiting output, the jobs, COMMIT. Then events and orders are published, before any job is
//! answered.
//!
//! Nothing is published before the COMMIT. After a rollback the output waits again and the memory is as before.

use std::time::{Duration, Instant};

use crate::clock::UnixMs;
use crate::event::{Data, Event};
use crate::metrics::{OfKind, OfOutcome, OfStatus, OfWhat};
use crate::run::Status;
use crate::store::engine::backlog::Piece;
use crate::store::engine::counters::Counters;
use crate::store::engine::database::Database;
use crate::store::engine::job::Write;
use crate::store::engine::orders::Order;
use crate::store::engine::recovery::refined;
use crate::store::engine::room::Load;
use crate::store::engine::writer::{Fired, Writer};
use crate::store::error::{Fault, StoreError};
use crate::store::file::pages::pages_used;
use crate::store::refusal::Refusal;

/// Time after which a transaction takes no more jobs: it bounds how long the first waits for the last.
const BATCH_TIME: Duration = Duration::from_millis(25);
/// Time from which a write is logged as slow: the medium or its file system was held.
const SLOW: Duration = Duration::from_secs(5);

/// Result of each job; fewer than jobs where the time was over.
pub type Outcomes = Vec<Result<(), Refusal>>;

/// Steps of every transaction beside its jobs. The tables define them, the engine calls them.
#[derive(Clone, Copy)]
pub struct Steps {
    /// First: appends waiting output.
    pub append_output: fn(&mut Writer<'_>) -> Result<(), StoreError>,
    /// After the jobs, where ends are still to be told to those who wait for them: tells a piece of them.
    pub tell_ends: fn(&mut Writer<'_>) -> Result<(), StoreError>,
    /// After that, if a job asked for it: claims runs for free slots.
    pub claim: fn(&mut Writer<'_>) -> Result<(), StoreError>,
    /// Then, where runs were removed: tells it to the readers of all runs.
    pub tell_removed: fn(&mut Writer<'_>) -> Result<(), StoreError>,
    /// Last: whether running runs now keep too much output.
    pub is_live_excess: fn(&mut Writer<'_>) -> bool,
}

impl Database {
    /// Commits the jobs and what else this load carries, or nothing at all.
    pub fn try_commit(&mut self, load: Load, writes: &mut [Box<dyn Write>], steps: Steps) -> Result<Outcomes, Fault> {
        if let Some(why) = &self.broken {
            return Err(Fault::GivenUp(why.clone()));
        }
        let is_whole = load == Load::Whole;
        if writes.is_empty() && !(is_whole && self.outside.backlog.waiting_bytes() > 0) {
            return Ok(Vec::new());
        }
        self.look_at_files(false)?;
        if self.disk.room.look_at_quota(false) {
            self.rules.set_quota(self.disk.room.quota_bytes());
            self.disk.room.set_wall(&self.conn, Load::Whole)?;
        }
        // Below its quota a database is far from its wall, which stands where it is.
        if !is_whole || self.rules.is_beyond_quota(&self.counters) {
            self.disk.room.set_wall(&self.conn, load)?;
        }
        // While every second transaction fails, the memory is kept, not counted anew.
        let before = self.disk.room.is_held().then(|| self.counters.clone());
        let started = Instant::now();
        self.outside.published.set_writing(Some(started));
        let outcome = self.commit_or_roll_back(load, writes, steps, before);
        self.outside.published.set_writing(None);
        if started.elapsed() > SLOW {
            log::warn!(
                "a write took {} s: the medium, or the file system on it, was held",
                started.elapsed().as_secs()
            );
        }
        if !is_whole {
            // What was committed is committed whatever comes of this: told as an error it would be done once more.
            if let Err(error) = self.disk.room.set_wall(&self.conn, Load::Whole) {
                log::warn!("the database may grow beyond its quota until this can be set again: {error:?}");
            }
        }
        outcome
    }

    fn commit_or_roll_back(
        &mut self,
        load: Load,
        writes: &mut [Box<dyn Write>],
        steps: Steps,
        before: Option<Counters>,
    ) -> Result<Outcomes, Fault> {
        let is_whole = load == Load::Whole;
        let started = Instant::now();
        let changes = self.conn.total_changes();
        let begun = self.begin();
        let mut tx = Writer {
            conn: &self.conn,
            counters: &mut self.counters,
            backlog: &self.outside.backlog,
            now: UnixMs::now(),
            rules: &self.rules,
            held: if is_whole { None } else { self.disk.room.why_held(&self.conn) },
            room: &self.disk.room,
            room_seen: None,
            events: Vec::new(),
            pieces: Vec::new(),
            ended: Vec::new(),
            fired: Vec::new(),
            removed_events: 0,
            removed_runs: Vec::new(),
            claim_wanted: false,
            quiet_jobs: 0,
            orders: Vec::new(),
            after_commit: Vec::new(),
        };
        let may_claim = || self.outside.published.claims_open();
        let worked = begun.and_then(|()| work(&mut tx, is_whole, writes, steps, started, may_claim));
        let rings = tx.rings(worked.as_ref().map_or(0, Vec::len));
        let Writer { events, pieces, ended, fired, removed_events, removed_runs, orders, after_commit, .. } = tx;
        let committed = worked.and_then(|outcomes| {
            self.conn.prepare_cached("COMMIT")?.execute([])?;
            Ok(outcomes)
        });
        match committed {
            Ok(outcomes) => {
                self.recoveries = 0;
                if !self.disk.room.is_held() || (is_whole && self.conn.total_changes() > changes) {
                    self.disk.room.release();
                    self.tell_writable(true);
                }
                self.count_firings(&fired);
                self.count(started.elapsed(), &events, &ended, [removed_events, removed_runs.len()]);
                after_commit.into_iter().for_each(|change| change());
                self.publish(events, pieces, orders, rings);
                Ok(outcomes)
            }
            Err(error) => {
                let error = refined(error, &self.conn);
                self.outside.backlog.put_back(pieces);
                self.roll_back(&error, before);
                Err(error)
            }
        }
    }

    /// Begins a transaction; waits a moment for another process's lock.
    fn begin(&mut self) -> Result<(), Fault> {
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(())
    }

    /// Rolls back, and restores the memory from `before` or from the database.
    fn roll_back(&mut self, error: &Fault, before: Option<Counters>) {
        if !self.conn.is_autocommit() {
            // Some errors roll back by themselves, others do not; a failing ROLLBACK says nothing more.
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        // What this program did wrong says nothing about the medium.
        if !matches!(error, Fault::NoSuchMove { .. }) {
            self.tell_writable(false);
        }
        match before.map_or_else(|| self.counters.reload(&self.conn), Ok) {
            Ok(counters) => self.counters = counters,
            // A medium that failed is read again by the recovery.
            Err(_) if matches!(error, Fault::Io { .. }) => {}
            Err(error) => self.give_up(&format!("after a rollback: {error:?}")),
        }
    }

    /// Counts a commit for the metrics, and how long it took for the pace of output.
    fn count(
        &self,
        took: Duration,
        events: &[Event],
        ended: &[(Status, Option<i64>)],
        [removed_events, removed_runs]: [usize; 2],
    ) {
        self.outside.published.set_commit_time(took);
        self.outside.metrics.commits.inc();
        self.outside.metrics.commit.observe(took.as_secs_f64());
        for (what, rows) in [("events", removed_events), ("runs", removed_runs)] {
            self.outside.metrics.pruned.get_or_create(&OfWhat { what }).inc_by(rows as u64);
        }
        for event in events {
            self.outside.metrics.events.get_or_create(&OfKind { kind: event.kind }).inc();
        }
        for (status, duration_ms) in ended {
            self.outside.metrics.runs_finished.get_or_create(&OfStatus { status: *status }).inc();
            if let Some(ms) = duration_ms {
                self.outside.metrics.run_duration.observe(*ms as f64 / 1_000.0);
            }
        }
    }

    /// Deliveries that had to go although they were not sent: somebody has to know.
    fn count_dropped(&mut self) {
        let count = std::mem::take(&mut self.counters.hooks.dropped);
        if count > 0 {
            let outcome = OfOutcome { outcome: "dropped" };
            self.outside.metrics.hook_deliveries.get_or_create(&outcome).inc_by(count);
            log::warn!("{count} deliveries to a hook were dropped unsent: there are as many as are kept");
        }
    }

    fn count_firings(&self, fired: &[Fired]) {
        for Fired { outcome, late_ms } in fired {
            self.outside.metrics.job_firings.get_or_create(&OfOutcome { outcome }).inc();
            if *outcome == "run" {
                self.outside.metrics.job_late.observe(*late_ms as f64 / 1_000.0);
            }
        }
    }

    /// Publishes what was committed, after the COMMIT and before any answer.
    fn publish(&mut self, mut events: Vec<Event>, pieces: Vec<Piece>, orders: Vec<Order>, rings: bool) {
        self.outside.backlog.settled(&pieces);
        let mut pieces = pieces.into_iter();
        for event in &mut events {
            if let Data::Output(_, bytes) = &mut event.data {
                *bytes = pieces.next().map(|piece| piece.bytes).unwrap_or_default();
            }
        }
        self.outside.committed.push(events);
        for order in orders {
            // Closed where the daemon stops: all that runs was asked to end then, and nothing more is claimed.
            let _ = self.outside.orders.try_send(order);
        }
        self.count_dropped();
        self.publish_state();
        if rings {
            self.outside.bell.ring();
        }
    }
}

/// Does what this load carries; returns the result of each job.
fn work(
    tx: &mut Writer<'_>,
    is_whole: bool,
    writes: &mut [Box<dyn Write>],
    steps: Steps,
    started: Instant,
    may_claim: impl Fn() -> bool,
) -> Result<Outcomes, Fault> {
    if is_whole {
        (steps.append_output)(tx).map_err(StoreError::into_fault)?;
    }
    let mut outcomes = Vec::with_capacity(writes.len());
    for write in writes.iter_mut() {
        if !outcomes.is_empty() && started.elapsed() >= BATCH_TIME {
            break;
        }
        match write.run(tx) {
            Ok(()) => outcomes.push(Ok(())),
            Err(StoreError::Refused(refusal)) => outcomes.push(Err(refusal)),
            Err(StoreError::Failed(fault)) => return Err(fault),
        }
    }
    if is_whole && tx.counters.telling {
        (steps.tell_ends)(tx).map_err(StoreError::into_fault)?;
    }
    if is_whole && tx.claim_wanted && may_claim() {
        (steps.claim)(tx).map_err(StoreError::into_fault)?;
    }
    if !tx.removed_runs.is_empty() {
        (steps.tell_removed)(tx).map_err(StoreError::into_fault)?;
    }
    tx.counters.look_up_due(tx.conn)?;
    tx.counters.pages_used = pages_used(tx.conn)?;
    tx.counters.live_excess = (steps.is_live_excess)(tx);
    Ok(outcomes)
}
