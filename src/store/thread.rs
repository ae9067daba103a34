//! The blocking thread: takes what waits, answers the reads, commits the writes as one transaction, answers them.
//!
//! Nothing leaves before its COMMIT. An error from COMMIT is not a rollback: its outcome is unknown, so the thread
//! writes nothing more and asks the daemon to end; the next start reads the truth.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_channel::Receiver;
use rusqlite::Connection;

use super::attempts::claim;
use super::backlog::{Backlog, Piece};
use super::committed::Committed;
use super::job::{Job, Write};
use super::retention::{self, Rules};
use super::shared::Shared;
use super::state::State;
use super::writer::Writer;
use super::{Claimed, Remember, StoreError, sessions};
use crate::clock::UnixMs;
use crate::event::{Data, Event};
use crate::memory;
use crate::metrics::{Metrics, OfKind, OfRequest, OfStatus, OfWhat};
use crate::run::Status;
use crate::wake::{Bell, Stop};

/// Jobs that one transaction takes, at most: bounds how long the first of them waits for the last.
const BATCH_MAX: usize = 1_024;
/// Pages in the write-ahead log from which it is checkpointed when nothing waits: 1 MiB.
const CHECKPOINT_IDLE_PAGES: i32 = 256;
/// … and whatever waits: 4 MiB.
const CHECKPOINT_BUSY_PAGES: i32 = 1_024;
/// How long the last checkpoint waits for others who read.
const CLOSING_BUSY: Duration = Duration::from_millis(250);

thread_local! {
    /// Pages in the write-ahead log after the last commit, as SQLite tells its hook on the committing thread.
    static WAL_PAGES: Cell<i32> = const { Cell::new(0) };
}

/// What a read works with.
pub(super) struct Reader<'a> {
    pub conn: &'a Connection,
    pub state: &'a State,
}

/// Everything the thread owns or shares.
pub(super) struct StoreThread {
    pub conn: Connection,
    pub state: State,
    pub jobs: Receiver<Job>,
    pub shared: Arc<Shared>,
    pub backlog: Backlog,
    pub committed: Committed,
    pub claims: async_channel::Sender<Claimed>,
    pub bell: Bell,
    pub stop: Stop,
    pub metrics: Arc<Metrics>,
    pub queued_runs_max: i64,
    pub remember: Remember,
    pub rules: Rules,
    /// Set by the first error whose outcome is unknown.
    pub broken: Option<String>,
}

impl StoreThread {
    /// Works until it is told to close or every handle is gone.
    pub fn run(mut self) {
        self.conn.wal_hook(Some(|_, pages| {
            WAL_PAGES.set(pages);
            Ok(())
        }));
        self.publish_state();
        while let Ok(first) = self.jobs.recv_blocking() {
            if let Some(closed) = self.batch(first) {
                // Whoever reads beside us, and would hold the log for longer than this, keeps it.
                let _ = self.conn.busy_timeout(CLOSING_BUSY);
                self.checkpoint("TRUNCATE");
                let closing = self.conn.close();
                if let Err((_, error)) = &closing {
                    log::error!("closing the database: {error}");
                }
                let _ = closed.send_blocking(());
                return;
            }
            self.checkpoint_if_due();
        }
    }

    /// One round; answers who waits for the close, if that was among it.
    fn batch(&mut self, first: Job) -> Option<async_channel::Sender<()>> {
        let mut writes = Vec::new();
        let mut flushes = Vec::new();
        let mut closed = None;
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(job) = next {
            taken += 1;
            match job {
                // Reads go first: they see only what was committed, and need not wait for a flush.
                Job::Read(read) => {
                    self.count_request("read");
                    read(&Reader { conn: &self.conn, state: &self.state });
                }
                Job::Write(write) => {
                    self.count_request("write");
                    writes.push(write);
                }
                Job::Flush(reply) => flushes.push(reply),
                Job::Checkpoint(reply) => {
                    self.checkpoint("PASSIVE");
                    let _ = reply.try_send(());
                }
                Job::Close(reply) => closed = Some(reply),
            }
            next = if taken < BATCH_MAX && closed.is_none() { self.jobs.try_recv().ok() } else { None };
        }
        let outcome = if writes.is_empty() && flushes.is_empty() { Ok(()) } else { self.commit(writes) };
        for flush in flushes {
            let _ = flush.try_send(outcome.clone().map(|()| self.shared.commit_time()));
        }
        closed
    }

    fn count_request(&self, kind: &'static str) {
        self.metrics.store_requests.get_or_create(&OfRequest { kind }).inc();
    }

    /// Commits the jobs together; where that fails, each by itself, so that one cannot take the others with it.
    fn commit(&mut self, mut writes: Vec<Box<dyn Write>>) -> Result<(), StoreError> {
        match self.try_commit(&mut writes) {
            Ok(outcomes) => {
                for (write, outcome) in writes.into_iter().zip(outcomes) {
                    write.answer(outcome);
                }
                Ok(())
            }
            Err(error) if self.broken.is_none() && writes.len() > 1 => {
                log::warn!("a batch of {} writes failed, trying each alone: {error:?}", writes.len());
                for write in writes {
                    let _ = self.commit(vec![write]);
                }
                Err(error)
            }
            Err(error) => {
                for write in writes {
                    write.answer(Err(error.clone()));
                }
                Err(error)
            }
        }
    }

    fn try_commit(&mut self, writes: &mut [Box<dyn Write>]) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        if let Some(why) = &self.broken {
            return Err(StoreError::Unavailable(why.clone()));
        }
        if writes.is_empty() && self.backlog.waiting_bytes() == 0 {
            return Ok(Vec::new());
        }
        let started = Instant::now();
        let mut tx = Writer {
            conn: &self.conn,
            state: &mut self.state,
            backlog: &self.backlog,
            now: UnixMs::now(),
            queued_runs_max: self.queued_runs_max,
            rules: &self.rules,
            events: Vec::new(),
            pieces: Vec::new(),
            ended: Vec::new(),
            removed_events: 0,
            removed_runs: 0,
            claim_wanted: false,
            claimed: Vec::new(),
        };
        let worked = (|| {
            tx.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            // Taken only now: what is taken must be settled or put back, and a BEGIN may be refused.
            tx.append_output(tx.backlog.take_ready(Instant::now()))?;
            for session in self.shared.take_touched() {
                sessions::touch(&tx, &session)?;
            }
            let mut outcomes = Vec::with_capacity(writes.len());
            for write in writes.iter_mut() {
                match write.run(&mut tx) {
                    Err(error) if !error.is_refusal() => return Err(error),
                    outcome => outcomes.push(outcome),
                }
            }
            if tx.claim_wanted && self.shared.claims_open() {
                claim(&mut tx)?;
            }
            tx.state.look_up_due(tx.conn)?;
            tx.state.pages_used = retention::pages_used(tx.conn)?;
            Ok(outcomes)
        })();
        let Writer { events, pieces, ended, removed_events, removed_runs, claimed, .. } = tx;
        let committed = worked.and_then(|outcomes| {
            let commit = self.conn.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
            commit.map(|_| outcomes).map_err(|error| {
                let error = StoreError::from(error);
                // Without room the commit's own frame was not written; of any other error the outcome is unknown.
                if error != StoreError::Full {
                    self.broken = Some(format!("COMMIT: {error:?}"));
                }
                error
            })
        });
        match committed {
            Ok(outcomes) => {
                self.shared.set_commit_time(started.elapsed());
                self.shared.set_broken(None);
                self.metrics.commits.inc();
                self.metrics.commit.observe(started.elapsed().as_secs_f64());
                self.count(&events, &ended);
                for (what, rows) in [("events", removed_events), ("runs", removed_runs)] {
                    self.metrics.pruned.get_or_create(&OfWhat { what }).inc_by(rows as u64);
                }
                self.publish(events, pieces, claimed);
                Ok(outcomes)
            }
            Err(error) => {
                self.backlog.put_back(pieces);
                self.shared.set_broken(Some(format!("{error:?}")));
                self.roll_back(&error);
                Err(error)
            }
        }
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
    fn publish(&mut self, mut events: Vec<Event>, pieces: Vec<Piece>, claimed: Vec<Claimed>) {
        self.backlog.settled(&pieces);
        let mut pieces = pieces.into_iter();
        for event in &mut events {
            if let Data::Output(_, bytes) = &mut event.data {
                *bytes = pieces.next().map(|piece| piece.bytes).unwrap_or_default();
            }
        }
        self.committed.push(events);
        for claimed in claimed {
            // Unbounded by itself; what is claimed and not yet started is bounded by the queues' slots.
            let _ = self.claims.try_send(claimed);
        }
        self.publish_state();
        self.bell.ring();
    }

    fn publish_state(&self) {
        self.shared.publish(&self.state, &self.rules);
        for &status in Status::ALL {
            let count = self.state.counts[status as usize];
            self.metrics.runs.get_or_create(&OfStatus { status }).set(count);
        }
    }

    /// Takes the transaction back and finds the truth again. What it cannot roll back or read leaves it broken.
    fn roll_back(&mut self, error: &StoreError) {
        if !self.conn.is_autocommit() {
            // Some errors roll back by themselves, others do not; a failing ROLLBACK says nothing more.
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        if self.broken.is_none() {
            match State::load(&self.conn) {
                Ok(state) => self.state = state,
                Err(error) => self.broken = Some(format!("after a rollback: {error:?}")),
            }
        }
        if let Some(why) = &self.broken {
            log::error!("the database failed and the daemon ends so that the next start can read the truth: {why}");
            self.stop.fail();
        } else {
            log::warn!("a transaction was rolled back: {error:?}");
        }
    }

    fn checkpoint_if_due(&self) {
        let pages = WAL_PAGES.get();
        let is_idle = self.jobs.is_empty();
        if pages >= CHECKPOINT_BUSY_PAGES || (pages >= CHECKPOINT_IDLE_PAGES && is_idle) {
            self.checkpoint("PASSIVE");
            if is_idle {
                // A megabyte of log is a good sign that much came and went.
                memory::give_back();
            }
        }
    }

    /// Moves the log's pages into the database; the log's file is kept, since growing it costs a second flush.
    fn checkpoint(&self, mode: &str) {
        let done = self.conn.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get::<_, i64>(0));
        match done {
            Ok(_) => {
                WAL_PAGES.set(0);
                if self.broken.is_none() {
                    (self.remember)(&self.state.high_water());
                }
            }
            Err(error) => log::warn!("checkpoint: {error}"),
        }
    }
}
