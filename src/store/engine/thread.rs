//! The writing thread: takes what waits, commits it as one transaction, answers it.
//!
//! It answers nothing before its COMMIT, and nothing whose outcome it does not know. What fails for lack of room is tried
//! again with less; what fails otherwise is tried again, each by itself, after the truth was found (see `recovery`).

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_channel::Receiver;
use rusqlite::Connection;

use crate::dir::FileAt;
use crate::memory;
use crate::metrics::{Metrics, OfRequest};
use crate::store::engine::backlog::Backlog;
use crate::store::engine::committed::Committed;
use crate::store::engine::job::{Job, Write};
use crate::store::engine::orders::Order;
use crate::store::engine::reads;
use crate::store::engine::reads::Door;
use crate::store::engine::recovery::refined;
use crate::store::engine::room::{Load, Room};
use crate::store::engine::shared::Shared;
use crate::store::engine::state::State;
use crate::store::error::StoreError;
use crate::store::file::migrate::{DAMAGED, Sharing};
use crate::store::file::place::Place;
use crate::store::settings::Remember;
use crate::store::tables::retention::{Rules, figure};
use crate::store::tables::sessions::Sessions;
use crate::wake::{Bell, Stop};

/// Jobs that are looked at for one transaction, at most.
const BATCH_MAX: usize = 1_024;
/// Once its jobs have taken this long, a transaction takes no more of them: bounds how long the first waits for the last.
pub(in crate::store) const BATCH_TIME: Duration = Duration::from_millis(25);
/// Pages in the write-ahead log from which it is checkpointed when nothing waits: 1 MiB.
const CHECKPOINT_IDLE_PAGES: i32 = 256;
/// … and whatever waits: 4 MiB.
const CHECKPOINT_BUSY_PAGES: i32 = 1_024;
/// How long a checkpoint that failed is left alone.
const CHECKPOINT_RETRY: Duration = Duration::from_secs(1);
/// How long the last checkpoint waits for others who read.
const CLOSING_BUSY: Duration = Duration::from_millis(250);

thread_local! {
    /// Pages in the write-ahead log after the last commit, as SQLite tells its hook on the committing thread.
    static WAL_PAGES: Cell<i32> = const { Cell::new(0) };
}

/// Everything the thread owns or shares.
pub(in crate::store) struct StoreThread {
    pub conn: Connection,
    pub state: State,
    pub jobs: Receiver<Job>,
    /// Where others read.
    pub door: Arc<Door>,
    pub shared: Arc<Shared>,
    pub sessions: Arc<Sessions>,
    pub backlog: Backlog,
    pub committed: Committed,
    pub orders: async_channel::Sender<Order>,
    pub bell: Bell,
    pub stop: Stop,
    pub metrics: Arc<Metrics>,
    pub queued_runs_max: i64,
    pub remember: Remember,
    pub note_closed: Arc<dyn Fn() + Send + Sync>,
    pub rules: Rules,
    /// The database's file.
    pub file: FileAt,
    /// Who may have it open beside this thread.
    pub sharing: Sharing,
    pub place: Place,
    pub room: Room,
    /// Recoveries since the last commit.
    pub recoveries: u32,
    /// When a checkpoint that failed is tried again.
    pub checkpoint_due: Option<Instant>,
    /// Jobs that were taken and that no transaction has had time for yet.
    pub left: Vec<Box<dyn Write>>,
    /// Set where the outcome of a commit stays unknown, or the database is damaged: nothing more is written.
    pub broken: Option<String>,
}

impl StoreThread {
    /// Works until it is told to close or every handle is gone.
    pub fn run(mut self) {
        self.watch_log();
        self.publish_state();
        self.tell_writable(None);
        while let Ok(first) = self.jobs.recv_blocking() {
            let mut closed = self.batch(Some(first));
            while !self.left.is_empty() {
                closed = self.batch(None).or(closed);
            }
            if let Some(closed) = closed {
                self.close();
                let _ = closed.send_blocking(());
                return;
            }
            self.room.keep_ballast();
            self.share_if_there_is_room();
        }
    }

    fn close(mut self) {
        // The last who closes moves what is left of the log: nobody who may only read is to be that.
        self.door.shut();
        let is_in_place = self.look_at_place(true).is_ok() || self.place.lacks_log_alone(&self.file.path());
        if !is_in_place {
            self.set_log_aside();
        } else if self.broken.is_none() {
            // Whoever reads beside us, and would hold the log for longer than this, keeps it.
            let _ = self.conn.busy_timeout(CLOSING_BUSY);
            self.move_log("TRUNCATE");
            // The log has gone: what it took up is there for the next start, before anybody else has it.
            self.room.keep_part();
        }
        if self.broken.is_some() || !is_in_place {
            // Closing would write: what is there is for the next start to look at.
            std::mem::forget(self.conn);
        } else {
            match self.conn.close() {
                Ok(()) => (self.note_closed)(),
                Err((_, error)) => log::error!("closing the database: {error}"),
            }
        }
    }

    /// Has SQLite say how long the log is, on every connection anew.
    pub(in crate::store) fn watch_log(&self) {
        self.conn.wal_hook(Some(|_, pages| {
            WAL_PAGES.set(pages);
            Ok(())
        }));
    }

    /// One round; answers who waits for the close, if that was among it.
    fn batch(&mut self, first: Option<Job>) -> Option<async_channel::Sender<()>> {
        let mut writes = Vec::new();
        let mut flushes = Vec::new();
        let mut barriers = Vec::new();
        let mut checkpoints = Vec::new();
        let mut closed = None;
        let mut next = first.or_else(|| self.jobs.try_recv().ok());
        let mut taken = self.left.len();
        while let Some(job) = next {
            taken += 1;
            match job {
                Job::Write(write) => writes.push(write),
                Job::Flush(reply) => flushes.push(reply),
                Job::Barrier(reply) => barriers.push(reply),
                Job::Checkpoint(reply) => checkpoints.push(reply),
                Job::Look(reply) => _ = reply.try_send(self.look_at_place(true)),
                // Before the transaction begins: it is to see only what was committed.
                Job::Read(read) => reads::answer(&self.conn, self.shared.printed(), read),
                Job::Close(reply) => closed = Some(reply),
            }
            next = if taken < BATCH_MAX && closed.is_none() { self.jobs.try_recv().ok() } else { None };
        }
        self.metrics.store_requests.get_or_create(&OfRequest { kind: "write" }).inc_by(writes.len() as u64);
        let writes = in_turn(std::mem::take(&mut self.left), writes);
        let has_written = !writes.is_empty() || !flushes.is_empty();
        let outcome = if has_written { self.commit(writes) } else { Ok(()) };
        for flush in flushes {
            let _ = flush.try_send(outcome.clone().map(|()| self.shared.commit_time()));
        }
        if !checkpoints.is_empty() && self.broken.is_none() {
            self.checkpoint("PASSIVE");
        }
        barriers.iter().chain(&checkpoints).for_each(|reply| _ = reply.try_send(()));
        self.checkpoint_if_due();
        if has_written && self.is_idle() {
            self.mark_commit();
        }
        closed
    }

    fn is_idle(&self) -> bool {
        self.left.is_empty() && self.jobs.is_empty()
    }

    /// Whoever is the first to read after a commit notes in the memory that all share how far it reads. While the file
    /// system is frozen that would wait for the thaw, so that it is done here, before a freeze finds it undone.
    fn mark_commit(&self) {
        if let Err(error) = figure(&self.conn, "PRAGMA data_version") {
            log::debug!("the last commit is not marked for those who read: {error:?}");
        }
    }

    /// Begins a transaction, once nobody else holds the lock any more, or fails.
    pub(in crate::store) fn begin(&mut self) -> Result<(), StoreError> {
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(())
    }

    /// Commits the jobs, tries again what can be, and answers them. The outcome is that of the output that waits.
    fn commit(&mut self, writes: Vec<Box<dyn Write>>) -> Result<(), StoreError> {
        let load = self.room.load();
        self.commit_as(load, writes)
    }

    fn commit_as(&mut self, load: Load, mut writes: Vec<Box<dyn Write>>) -> Result<(), StoreError> {
        let error = match self.try_commit(load, &mut writes) {
            Ok(outcomes) => {
                self.left.extend(writes.split_off(outcomes.len()));
                for (write, outcome) in writes.into_iter().zip(outcomes) {
                    write.answer(outcome);
                }
                let why_held = if load == Load::Lean { self.room.why_held(&self.conn) } else { None };
                return why_held.map_or(Ok(()), Err);
            }
            Err(error) => error,
        };
        if let Some(load) = self.load_of_next_try(load, &error, writes.len()) {
            // Each by itself, so that one cannot take the others with it.
            for write in writes {
                let _ = self.commit_as(load, vec![write]);
            }
            return Err(self.room.told(&self.conn, &error));
        }
        let told = match &self.broken {
            Some(why) => StoreError::Failed(why.clone()),
            None => self.room.told(&self.conn, &error),
        };
        for write in writes {
            write.answer(Err(told.clone()));
        }
        Err(told)
    }

    /// With what load so many jobs of a transaction that failed are tried again, each by itself; `None`: they are not.
    fn load_of_next_try(&mut self, load: Load, error: &StoreError, count: usize) -> Option<Load> {
        match error {
            _ if self.broken.is_some() => None,
            StoreError::Displaced => None,
            StoreError::Full | StoreError::ReadOnly if load == Load::Whole => {
                self.room.hold(&self.conn, error);
                Some(Load::Lean)
            }
            StoreError::Full if count == 1 => self.give_ballast_back().then_some(load),
            StoreError::Full | StoreError::ReadOnly => (count > 1).then_some(load),
            StoreError::Io { .. } => self.recover(error).then_some(load),
            StoreError::Damaged(why) => {
                self.give_up(&format!("it is damaged: {why}. {DAMAGED}"));
                None
            }
            _ => {
                log::warn!("a transaction of {count} writes was rolled back: {error:?}");
                (count > 1).then_some(load)
            }
        }
    }

    /// Frees what was kept for this, and what of the log can be used again.
    fn give_ballast_back(&mut self) -> bool {
        let given = self.room.give_ballast_back();
        if given {
            self.checkpoint("PASSIVE");
        }
        given
    }

    fn checkpoint_if_due(&mut self) {
        let pages = WAL_PAGES.get();
        let is_idle = self.is_idle();
        let is_due = pages >= CHECKPOINT_BUSY_PAGES || (pages >= CHECKPOINT_IDLE_PAGES && is_idle);
        if is_due && self.broken.is_none() && self.checkpoint_due.is_none_or(|due| Instant::now() >= due) {
            self.checkpoint("PASSIVE");
            if is_idle {
                // A megabyte of log is a good sign that much came and went.
                memory::give_back();
            }
        }
    }

    /// Moves the log's pages into the database; the log's file is kept, since growing it costs a second flush.
    fn checkpoint(&mut self, mode: &str) {
        if self.look_at_place(true).is_err() {
            self.checkpoint_due = Some(Instant::now() + CHECKPOINT_RETRY);
            return;
        }
        // A read that sees an older state keeps the pages since from moving …
        self.door.outwait();
        self.shared.set_writing(Some(Instant::now()));
        self.move_log(mode);
        self.shared.set_writing(None);
        // … and one that began before all had moved keeps the log from beginning anew.
        self.door.outwait();
    }

    fn move_log(&mut self, mode: &str) {
        let pragma = format!("PRAGMA wal_checkpoint({mode})");
        // Whether it was kept from it, the pages in the log, those of them that are in the file now.
        let done = self.conn.query_row(&pragma, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        let Err(error) = done.map(|(busy, pages, moved): (i64, i64, i64)| {
            let reached = self.state.high_water();
            let is_whole = busy == 0 && pages == moved;
            self.place.was_written(&self.conn, &self.file.path(), is_whole.then(|| reached.clone()));
            (self.remember)(&reached);
        }) else {
            WAL_PAGES.set(0);
            self.checkpoint_due = None;
            return;
        };
        // What failed may have moved a part.
        self.place.was_written(&self.conn, &self.file.path(), None);
        let is_first = self.checkpoint_due.replace(Instant::now() + CHECKPOINT_RETRY).is_none();
        match refined(error.into(), &self.conn) {
            error @ StoreError::Io { .. } => _ = self.recover(&error),
            StoreError::Damaged(why) => self.give_up(&format!("it is damaged: {why}. {DAMAGED}")),
            error if is_first => log::warn!("the log cannot be moved into the database yet: {error:?}"),
            _ => {}
        }
    }
}

/// The order in which jobs are done: urgent ones first, each class as it came. What was left over and is not urgent is
/// not left over for ever: the first of it goes before all.
fn in_turn(mut left: Vec<Box<dyn Write>>, new: Vec<Box<dyn Write>>) -> Vec<Box<dyn Write>> {
    let overdue = left.iter().position(|write| !write.is_urgent()).map(|at| left.remove(at));
    left.extend(new);
    left.sort_by_key(|write| !write.is_urgent());
    overdue.into_iter().chain(left).collect()
}
