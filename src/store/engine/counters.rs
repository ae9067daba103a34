//! Counters and ids that the writing thread keeps in memory instead of counting rows.
//!
//! All of it is found in the database again, also after a rollback. It is never the only place of a fact.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use rusqlite::{Connection, OptionalExtension, named_params};

use crate::clock::{BUILT, UnixMs, Uptime};
use crate::event::HighWater;
use crate::numbers::{EventId, RunId};
use crate::run::{HeldBy, Limits, Run, Status};
use crate::store::engine::cursor_counters::CursorCounters;
use crate::store::engine::hook_counters::HookCounters;
use crate::store::engine::output::Output;
use crate::store::error::Fault;
use crate::store::file::pages::pages_used;
use crate::store::sql;

/// One queue: settings and counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// Runs that may run at once.
    pub slots: i64,
    /// Whether its runs are not started.
    pub paused: bool,
    /// What each of its runs may use that does not say so itself.
    pub limits: Limits,
    /// Whether the commands of its runs outlive the daemon, where a run does not say so itself.
    pub survive: bool,
    /// Queued runs that nothing holds back.
    pub ready: i64,
    /// Queued runs that are held back, by their time or otherwise.
    pub held: i64,
    /// Running runs.
    pub running: i64,
}

impl Queue {
    /// Number of runs that could be claimed now.
    pub fn claimable(&self) -> i64 {
        if self.paused { 0 } else { self.ready.min(self.slots - self.running).max(0) }
    }
}

/// The properties of a run by which it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing<'a> {
    /// Its status.
    pub status: Status,
    /// Its queue.
    pub queue: &'a str,
    /// What holds it back; counts while it is queued.
    pub held_by: HeldBy,
    /// Whether retention spares it; counts once it has ended.
    pub keep: bool,
}

impl<'a> Standing<'a> {
    /// The standing of a run.
    pub fn of(run: &'a Run) -> Standing<'a> {
        let Run { outcome, spec, held_by, is_needed, .. } = run;
        Standing { status: outcome.status, queue: &spec.queue, held_by: *held_by, keep: spec.keep || *is_needed }
    }
}

/// Number of runs of each status.
pub type Counts = [i64; Status::ALL.len()];

/// Memory of the writing thread.
#[derive(Clone)]
pub struct Counters {
    pub instance: String,
    /// Highest run id that was given out.
    pub last_run: RunId,
    /// Highest event id that was given out; it may run ahead of a transaction that is rolled back.
    last_event: Cell<EventId>,
    pub queues: BTreeMap<String, Queue>,
    pub counts: Counts,
    /// Output of each running run.
    pub output: HashMap<RunId, Output>,
    /// When running attempts began, of those that this process has started.
    pub begun: HashMap<RunId, Uptime>,
    /// Runs that have ended and were not filed yet, with the time of their end.
    pub fresh_ended: BTreeMap<RunId, UnixMs>,
    /// When the next delayed run becomes due.
    pub next_due: Option<UnixMs>,
    /// Whether `next_due` has to be looked up again before the commit.
    pub due_changed: bool,
    /// When the first job is due; 0: a job follows a run that has ended.
    pub next_firing: Option<UnixMs>,
    /// Number of jobs.
    pub jobs: i64,
    /// Jobs that others follow.
    pub followed: BTreeSet<String>,
    /// Number of firings.
    pub firings: i64,
    /// When the first of them was written down.
    pub oldest_firing: Option<UnixMs>,
    /// Hooks and their deliveries.
    pub hooks: HookCounters,
    /// Durable cursors, and what they hold.
    pub cursors: CursorCounters,
    /// Whether ends are still to be told to those who wait for them.
    pub telling: bool,
    /// Whether events of deleted runs are still to be removed.
    pub deleting: bool,
    /// When the next session, token or key expires, or earlier; `None`: never.
    pub next_expiry: Option<UnixMs>,
    /// Number of ended runs that are not kept.
    pub prunable: i64,
    /// When the first of them ended, among those whose time is plausible.
    pub oldest_ended: Option<UnixMs>,
    /// Pages in use at the last commit.
    pub pages_used: i64,
    /// There were too many runs: some more are removed than must be.
    pub relieving: bool,
    /// The same where they had too little room.
    pub relieving_room: bool,
    /// Running runs keep too much output, and some of it can be removed.
    pub live_excess: bool,
    /// Bytes of their output that were found to be unremovable.
    pub live_stays: i64,
    /// Bytes of all artifacts.
    pub artifact_bytes: i64,
    /// Their bytes when none was found that could be removed.
    pub artifacts_stay: i64,
}

impl Counters {
    /// Counts everything in the database anew; what that does not say is as before.
    pub fn reload(&self, conn: &Connection) -> Result<Counters, Fault> {
        Ok(Counters { begun: self.begun.clone(), ..Counters::load(conn)? })
    }

    /// Counts everything in the database.
    pub fn load(conn: &Connection) -> Result<Counters, Fault> {
        let meta_i64 = |key: &str| -> Result<i64, Fault> {
            Ok(conn.prepare_cached(sql::META_GET)?.query_row(named_params! {":key": key}, |row| row.get(0))?)
        };
        let instance =
            conn.prepare_cached(sql::META_GET)?.query_row(named_params! {":key": "instance"}, |row| row.get(0))?;
        let newest = |statement: &str| -> Result<i64, Fault> {
            Ok(conn.prepare_cached(statement)?.query_row([], |row| row.get::<_, Option<i64>>(0))?.unwrap_or(0))
        };
        let mut counters = Counters {
            instance,
            last_run: RunId(newest(sql::RUNS_MAX_ID)?.max(meta_i64("removed_run_id")?)),
            last_event: Cell::new(EventId(newest(sql::EVENTS_MAX_ID)?.max(meta_i64("removed_event_id")?))),
            queues: BTreeMap::new(),
            counts: Counts::default(),
            output: HashMap::new(),
            begun: HashMap::new(),
            fresh_ended: BTreeMap::new(),
            next_due: None,
            due_changed: true,
            next_firing: None,
            jobs: 0,
            followed: BTreeSet::new(),
            firings: 0,
            oldest_firing: None,
            hooks: HookCounters::load(conn)?,
            cursors: CursorCounters::load(conn)?,
            next_expiry: None,
            // A look at one row finds out.
            telling: true,
            deleting: true,
            prunable: 0,
            oldest_ended: None,
            pages_used: pages_used(conn)?,
            relieving: false,
            relieving_room: false,
            live_excess: false,
            live_stays: 0,
            artifact_bytes: conn.prepare_cached(sql::ARTIFACTS_BYTES)?.query_row([], |row| row.get(0))?,
            artifacts_stay: 0,
        };
        counters.count(conn)?;
        counters.look_up_due(conn)?;
        counters.look_up_jobs(conn)?;
        counters.look_up_firings(conn)?;
        counters.look_up_prunable(conn)?;
        counters.look_up_expiry(conn)?;
        Ok(counters)
    }

    fn count(&mut self, conn: &Connection) -> Result<(), Fault> {
        let mut list = conn.prepare_cached(sql::QUEUES_LIST)?;
        let mut rows = list.query([])?;
        while let Some(row) = rows.next()? {
            let queue = Queue {
                slots: row.get(1)?,
                paused: row.get(2)?,
                limits: serde_json::from_str(row.get_ref(3)?.as_str().unwrap_or_default()).unwrap_or_default(),
                survive: row.get(4)?,
                ..Queue::default()
            };
            self.queues.insert(row.get(0)?, queue);
        }
        let mut by_status = conn.prepare_cached(sql::RUNS_COUNT_BY_STATUS)?;
        let mut rows = by_status.query([])?;
        while let Some(row) = rows.next()? {
            if let Some(status) = Status::parse(row.get_ref(0)?.as_str().unwrap_or_default()) {
                self.counts[status as usize] = row.get(1)?;
            }
        }
        let fresh = self.recount_queued(conn)?;
        self.counts.iter_mut().zip(fresh).for_each(|(count, fresh)| *count += fresh);
        if self.counts[Status::Running as usize] == 0 {
            return Ok(());
        }
        let mut running = conn.prepare_cached(sql::RUNS_RUNNING)?;
        let mut rows = running.query([])?;
        while let Some(row) = rows.next()? {
            let run = RunId(row.get(0)?);
            self.queue_mut(row.get_ref(1)?.as_str().unwrap_or_default()).running += 1;
            self.output.insert(run, Output::load(conn, run)?);
        }
        Ok(())
    }

    /// Counts each queue's ready and held runs anew. Returns how many there are of each status of what is queued, runs, or
    /// has ended and was not filed.
    pub fn recount_queued(&mut self, conn: &Connection) -> Result<Counts, Fault> {
        for queue in self.queues.values_mut() {
            (queue.ready, queue.held) = (0, 0);
        }
        let mut counts = Counts::default();
        let mut fresh = conn.prepare_cached(sql::RUNS_COUNT_FRESH)?;
        let mut rows = fresh.query([])?;
        while let Some(row) = rows.next()? {
            let Some(status) = Status::parse(row.get_ref(1)?.as_str().unwrap_or_default()) else { continue };
            let (held_by, runs): (i64, i64) = (row.get(2)?, row.get(3)?);
            counts[status as usize] += runs;
            if status == Status::Queued {
                let queue = self.queue_mut(row.get_ref(0)?.as_str().unwrap_or_default());
                *if held_by == 0 { &mut queue.ready } else { &mut queue.held } += runs;
            }
        }
        Ok(counts)
    }

    /// Gives out an event id.
    pub fn next_event_id(&self) -> EventId {
        self.last_event.set(self.last_event.get().next());
        self.last_event.get()
    }

    /// The queue of that name. A queue that was deleted under its runs counts with one slot.
    pub fn queue_mut(&mut self, name: &str) -> &mut Queue {
        if !self.queues.contains_key(name) {
            self.queues.insert(name.to_owned(), Queue { slots: 1, ..Queue::default() });
        }
        self.queues.get_mut(name).expect("it was just inserted")
    }

    /// Adds `by` to the counters of a standing.
    pub fn count_run(&mut self, run: Standing<'_>, by: i64) {
        self.counts[run.status as usize] += by;
        match run.status {
            Status::Queued if run.held_by.is_nothing() => self.queue_mut(run.queue).ready += by,
            Status::Queued => {
                self.queue_mut(run.queue).held += by;
                self.due_changed = true;
            }
            Status::Running => self.queue_mut(run.queue).running += by,
            _ if run.keep => {}
            _ => self.prunable += by,
        }
    }

    /// Looks up when the next delayed run is due, if that may have changed.
    pub fn look_up_due(&mut self, conn: &Connection) -> Result<(), Fault> {
        if std::mem::take(&mut self.due_changed) {
            let next = first(conn, sql::RUNS_NEXT_DUE)?;
            self.next_due = next.into_iter().chain(first(conn, sql::RUNS_NEXT_EXPIRE)?).min();
        }
        Ok(())
    }

    /// Looks up how many jobs there are, which are followed, and when the first is due.
    pub fn look_up_jobs(&mut self, conn: &Connection) -> Result<(), Fault> {
        self.jobs = conn.prepare_cached(sql::JOBS_COUNT)?.query_row([], |row| row.get(0))?;
        let mut followed = conn.prepare_cached(sql::JOBS_FOLLOWED)?;
        self.followed = followed.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        self.look_up_firing(conn)
    }

    /// Looks up when the first job is due.
    pub fn look_up_firing(&mut self, conn: &Connection) -> Result<(), Fault> {
        let follows = first(conn, sql::JOBS_NEXT_FOLLOWED_END)?.map(|_| UnixMs(0));
        self.next_firing = follows.map_or_else(|| first(conn, sql::JOBS_NEXT_DUE), |now| Ok(Some(now)))?;
        Ok(())
    }

    /// Counts the firings, and looks up the first.
    pub fn look_up_firings(&mut self, conn: &Connection) -> Result<(), Fault> {
        self.firings = conn.prepare_cached(sql::FIRINGS_COUNT)?.query_row([], |row| row.get(0))?;
        self.oldest_firing = first(conn, sql::FIRINGS_OLDEST)?;
        Ok(())
    }

    /// Counts the ended runs that are not kept anew.
    pub fn look_up_prunable(&mut self, conn: &Connection) -> Result<(), Fault> {
        self.prunable = conn.prepare_cached(sql::RUNS_COUNT_PRUNABLE)?.query_row([], |row| row.get(0))?;
        self.fresh_ended.clear();
        let mut fresh = conn.prepare_cached(sql::RUNS_FRESH_ENDED)?;
        let mut rows = fresh.query([])?;
        while let Some(row) = rows.next()? {
            self.fresh_ended.insert(RunId(row.get(0)?), UnixMs(row.get(1)?));
            self.prunable += i64::from(!row.get::<_, bool>(2)?);
        }
        Ok(())
    }

    /// Notes that a run ended now that is not kept.
    pub fn ended(&mut self, now: UnixMs) {
        if now.is_believed() {
            self.oldest_ended = Some(self.oldest_ended.map_or(now, |oldest| oldest.min(now)));
        }
    }

    /// Looks up when the next session, token or key expires, and when the first run ended.
    pub fn look_up_expiry(&mut self, conn: &Connection) -> Result<(), Fault> {
        self.next_expiry = None;
        for statement in [sql::SESSIONS_NEXT_EXPIRY, sql::ENROLLMENT_NEXT_EXPIRY, sql::IDEMPOTENCY_NEXT_EXPIRY] {
            let next: Option<i64> = conn.prepare_cached(statement)?.query_row([], |row| row.get(0))?;
            self.expires(next.map(UnixMs));
        }
        let mut oldest = conn.prepare_cached(sql::RUNS_OLDEST_ENDED)?;
        let ended: Option<i64> = oldest.query_row(named_params! {":built": BUILT.0}, |row| row.get(0))?;
        self.oldest_ended = ended.map(UnixMs);
        // One of them may be kept: then a pass finds nothing to do, once.
        let fresh = self.fresh_ended.values().copied().min();
        fresh.into_iter().for_each(|ended| self.ended(ended));
        Ok(())
    }

    /// Looks up anew what goes next: a client has changed or removed what might have.
    pub fn look_up_next(&mut self, conn: &Connection) -> Result<(), Fault> {
        self.cursors.look_again();
        self.look_up_expiry(conn)
    }

    /// Notes that something expires at this time.
    pub fn expires(&mut self, at: Option<UnixMs>) {
        if let Some(at) = at {
            self.next_expiry = Some(self.next_expiry.map_or(at, |next| next.min(at)));
        }
    }

    /// Highest ids that were given out. Call it between transactions, when the counters are not ahead.
    pub fn high_water(&self) -> HighWater {
        HighWater { instance: self.instance.clone(), run: self.last_run, event: self.last_event.get() }
    }

    /// The highest event id that was given out, as [`Counters::high_water`] has it.
    pub fn last_event(&self) -> EventId {
        self.last_event.get()
    }

    /// Number of queued runs.
    pub fn queued(&self) -> i64 {
        self.counts[Status::Queued as usize]
    }

    /// Whether any queue has a run to claim.
    pub fn claimable(&self) -> bool {
        self.queues.values().any(|queue| queue.claimable() > 0)
    }
}

/// The time that a statement finds first.
fn first(conn: &Connection, statement: &str) -> Result<Option<UnixMs>, rusqlite::Error> {
    let found: Option<i64> = conn.prepare_cached(statement)?.query_row([], |row| row.get(0)).optional()?.flatten();
    Ok(found.map(UnixMs))
}
