//! Sends requests to the store's two threads by two bounded channels; each answer comes back by itself.

use std::time::Duration;

use async_channel::{Receiver, Sender};

use crate::store::engine::job::{Job, WriteOf};
use crate::store::engine::reply::{Reply, reply};
use crate::store::engine::snapshot::{Read, Snapshot};
use crate::store::engine::writer::Writer;
use crate::store::error::{StoreError, closed};

/// Jobs that may wait for the writing thread: as many as one transaction takes. Further ones wait for a place. The
/// places are there from the start, 32 bytes each.
const JOBS_MAX: usize = 1_024;
/// Reads that may wait for the reading thread; further ones wait for a place of 24 bytes.
const READS_MAX: usize = 1_024;

/// The two channels; cheap to clone.
#[derive(Clone)]
pub struct Requests {
    jobs: Sender<Job>,
    reads: Sender<Read>,
}

impl Requests {
    /// Makes the channels, and the ends that the threads receive from.
    pub fn new() -> (Requests, Receiver<Job>, Receiver<Read>) {
        let (jobs, taken_jobs) = async_channel::bounded(JOBS_MAX);
        let (reads, taken_reads) = async_channel::bounded(READS_MAX);
        (Requests { jobs, reads }, taken_jobs, taken_reads)
    }

    /// The writing thread's channel, for reads that the reading thread cannot do.
    pub fn jobs(&self) -> Sender<Job> {
        self.jobs.clone()
    }

    /// Runs an urgent job.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Writer<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write_as(true, work).await
    }

    /// Runs a bulk job, which waits for urgent ones.
    pub async fn write_bulk<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Writer<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write_as(false, work).await
    }

    /// Queues a job without waiting for a place or the answer.
    pub fn write_later(&self, work: impl FnMut(&mut Writer<'_>) -> Result<(), StoreError> + Send + 'static) {
        let (reply, _) = reply();
        let _ = self.jobs.try_send(Job::Write(Box::new(WriteOf { is_urgent: false, work, result: None, reply })));
    }

    async fn write_as<T: Send + 'static>(
        &self,
        is_urgent: bool,
        work: impl FnMut(&mut Writer<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask(|reply| Job::Write(Box::new(WriteOf { is_urgent, work, result: None, reply }))).await?
    }

    /// Runs a read.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = reply();
        let read: Read = Box::new(move |snapshot| {
            // Who has gone meanwhile need not be answered.
            if reply.is_awaited() {
                reply.give(snapshot.and_then(work));
            }
        });
        self.reads.send(read).await.map_err(|_| closed())?;
        answer.await.ok_or_else(closed)?
    }

    /// Commits output that is ready; returns the smoothed time of a commit.
    pub async fn flush(&self) -> Result<Duration, StoreError> {
        self.ask(Job::Flush).await?
    }

    /// Waits until every job sent before is done and published.
    pub async fn barrier(&self) -> Result<(), StoreError> {
        self.ask(Job::Barrier).await
    }

    /// Checks that the open files are in their place.
    pub async fn look(&self) -> Result<(), StoreError> {
        self.ask(Job::Look).await?
    }

    /// Moves the write-ahead log into the database.
    pub async fn checkpoint(&self) -> Result<(), StoreError> {
        self.ask(Job::Checkpoint).await
    }

    /// Commits what waits and closes the database. Every later request is refused.
    pub async fn close(&self) {
        let _ = self.ask(Job::Close).await;
        self.jobs.close();
        self.reads.close();
    }

    async fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, StoreError> {
        let (reply, answer) = reply();
        self.jobs.send(job(reply)).await.map_err(|_| closed())?;
        answer.await.ok_or_else(closed)
    }
}
