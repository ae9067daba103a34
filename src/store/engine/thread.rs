//! The writing thread: takes the jobs that wait, commits them as one transaction, answers them.
//!
//! It answers a job only after its COMMIT and only with a known outcome. What failed for lack of room is tried again
//! with less; what failed otherwise is tried again job by job, after recovery (see `recovery`).

use std::task::Waker;

use async_channel::Receiver;

use crate::metrics::OfRequest;
use crate::store::engine::database::Database;
use crate::store::engine::job::{Job, Write};
use crate::store::engine::reads;
use crate::store::engine::reply::Reply;
use crate::store::engine::room::Load;
use crate::store::engine::transaction::Steps;
use crate::store::error::{Fault, StoreError};
use crate::store::file::error::DAMAGED;

/// Most jobs of one transaction.
const BATCH_MAX: usize = 1_024;

/// The writing thread.
pub struct StoreThread {
    pub database: Database,
    pub jobs: Receiver<Job>,
    /// Steps of every transaction beside its jobs.
    pub steps: Steps,
    /// Jobs that were taken and did not fit into the last transaction's time.
    pub left: Vec<Box<dyn Write>>,
}

impl StoreThread {
    /// Runs until it is told to close or every handle is gone.
    pub fn run(mut self) {
        self.database.watch_log();
        self.database.publish_state();
        self.database.tell_writable(true);
        while let Ok(first) = self.jobs.recv_blocking() {
            let mut closed = self.batch(Some(first));
            while !self.left.is_empty() {
                closed = self.batch(None).or(closed);
            }
            if let Some(closed) = closed {
                self.database.close();
                closed.give(());
                return;
            }
            self.database.disk.room.keep_ballast();
            self.database.share_if_there_is_room();
        }
    }

    /// Takes and commits one batch; returns the channel of a close request, if one came.
    fn batch(&mut self, first: Option<Job>) -> Option<Reply<()>> {
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
                Job::Look(reply) => reply.give(self.database.look_at_files(true).map_err(StoreError::Failed)),
                // Before the transaction begins: it is to see only what was committed.
                Job::Read(read) => reads::answer(&self.database.conn, self.database.outside.published.printed(), read),
                Job::Close(reply) => closed = Some(reply),
            }
            next = if taken < BATCH_MAX && closed.is_none() { self.jobs.try_recv().ok() } else { None };
        }
        self.database
            .outside
            .metrics
            .store_requests
            .get_or_create(&OfRequest { kind: "write" })
            .inc_by(writes.len() as u64);
        let writes = in_turn(std::mem::take(&mut self.left), writes);
        let has_written = !writes.is_empty() || !flushes.is_empty();
        let outcome = if has_written { self.commit(writes) } else { Ok(()) };
        for flush in flushes {
            flush.give(outcome.clone().map(|()| self.database.outside.published.commit_time()));
        }
        if !checkpoints.is_empty() && self.database.broken.is_none() {
            self.database.checkpoint("PASSIVE");
        }
        barriers.into_iter().chain(checkpoints).for_each(|reply| reply.give(()));
        self.database.checkpoint_if_due(self.is_idle());
        if has_written && self.is_idle() {
            self.database.mark_commit();
        }
        closed
    }

    fn is_idle(&self) -> bool {
        self.left.is_empty() && self.jobs.is_empty()
    }

    /// Commits the jobs, tries again what can be, and answers them. The result is that of the output that waits.
    fn commit(&mut self, writes: Vec<Box<dyn Write>>) -> Result<(), StoreError> {
        let load = self.database.disk.room.load();
        self.commit_as(load, writes)
    }

    fn commit_as(&mut self, load: Load, mut writes: Vec<Box<dyn Write>>) -> Result<(), StoreError> {
        let fault = match self.database.try_commit(load, &mut writes, self.steps) {
            Ok(outcomes) => {
                self.left.extend(writes.split_off(outcomes.len()));
                let outcomes = outcomes.into_iter().map(|outcome| outcome.map_err(StoreError::Refused));
                answer_all(writes, outcomes);
                let why_held =
                    if load == Load::Essential { self.database.disk.room.why_held(&self.database.conn) } else { None };
                return why_held.map_or(Ok(()), |why| Err(why.into()));
            }
            Err(fault) => fault,
        };
        if let Some(load) = self.load_of_next_try(load, &fault, writes.len()) {
            // Each by itself, so that one cannot take the others with it.
            for write in writes {
                let _ = self.commit_as(load, vec![write]);
            }
            return Err(self.database.disk.room.told(&self.database.conn, &fault));
        }
        let told = match &self.database.broken {
            Some(why) => Fault::GivenUp(why.clone()).into(),
            None => self.database.disk.room.told(&self.database.conn, &fault),
        };
        answer_all(writes, std::iter::repeat_with(|| Err(told.clone())));
        Err(told)
    }

    /// The load with which jobs of a failed transaction are tried again, each by itself; `None`: they are not.
    fn load_of_next_try(&mut self, load: Load, error: &Fault, count: usize) -> Option<Load> {
        match error {
            _ if self.database.broken.is_some() => None,
            Fault::Displaced => None,
            Fault::Full | Fault::ReadOnly if load == Load::Whole => {
                self.database.disk.room.hold(&self.database.conn, error);
                Some(Load::Essential)
            }
            Fault::Full if count == 1 => self.database.give_ballast_back().then_some(load),
            Fault::Full | Fault::ReadOnly => (count > 1).then_some(load),
            Fault::Io { .. } => self.database.recover(error).then_some(load),
            Fault::Damaged(why) => {
                self.database.give_up(&format!("it is damaged: {why}. {DAMAGED}"));
                None
            }
            _ => {
                log::warn!("a transaction of {count} writes was rolled back: {error:?}");
                (count > 1).then_some(load)
            }
        }
    }
}

/// Lays all answers down, and then wakes those who wait for them: so the thread that they share is woken once, and finds
/// everything that a commit had for it.
fn answer_all(writes: Vec<Box<dyn Write>>, outcomes: impl Iterator<Item = Result<(), StoreError>>) {
    let waiting: Vec<Waker> =
        writes.into_iter().zip(outcomes).filter_map(|(write, outcome)| write.answer(outcome)).collect();
    waiting.into_iter().for_each(Waker::wake);
}

/// Puts jobs in order: urgent ones first, each class as it came. The first bulk job that was left over goes before
/// all, so that none waits for ever.
fn in_turn(mut left: Vec<Box<dyn Write>>, new: Vec<Box<dyn Write>>) -> Vec<Box<dyn Write>> {
    let overdue = left.iter().position(|write| !write.is_urgent()).map(|at| left.remove(at));
    left.extend(new);
    left.sort_by_key(|write| !write.is_urgent());
    overdue.into_iter().chain(left).collect()
}
