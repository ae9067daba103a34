//! Requests to the writing thread: jobs of a transaction, urgent or not, and a few others.

use std::task::Waker;
use std::time::Duration;

use crate::store::engine::reply::Reply;
use crate::store::engine::snapshot::Read;
use crate::store::engine::writer::Writer;
use crate::store::error::{Fault, StoreError};

/// One request to the writing thread.
pub enum Job {
    /// Commits at once, with everything that waits, urgent jobs first, as far as there is time.
    Write(Box<dyn Write>),
    /// Commits output that is ready.
    Flush(Reply<Result<Duration, StoreError>>),
    /// Reads on the writing thread's connection, where there can be no second one.
    Read(Read),
    /// Answered once everything that was sent before it is done.
    Barrier(Reply<()>),
    /// Moves the write-ahead log into the database.
    Checkpoint(Reply<()>),
    /// Checks that the open files are in their place.
    Look(Reply<Result<(), StoreError>>),
    /// Commits what waits and closes the database.
    Close(Reply<()>),
}

/// A job of a transaction. It may run more than once, since the jobs of a failed transaction are tried again one by
/// one; it is answered once, after the COMMIT.
pub trait Write: Send {
    /// Whether a person or a command waits for it. The others are bulk: clients' events, expiry.
    fn is_urgent(&self) -> bool;
    /// Runs inside the transaction. A refusal must not have written anything.
    fn run(&mut self, tx: &mut Writer<'_>) -> Result<(), StoreError>;
    /// Lays down the answer for the caller; returns whom to wake.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) -> Option<Waker>;
}

/// A [`Write`] made of a closure. Its result is kept here until the COMMIT.
pub struct WriteOf<F, T> {
    pub is_urgent: bool,
    pub work: F,
    pub result: Option<T>,
    pub reply: Reply<Result<T, StoreError>>,
}

impl<F, T> Write for WriteOf<F, T>
where
    F: FnMut(&mut Writer<'_>) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn is_urgent(&self) -> bool {
        self.is_urgent
    }

    fn run(&mut self, tx: &mut Writer<'_>) -> Result<(), StoreError> {
        self.result = Some((self.work)(tx)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) -> Option<Waker> {
        let WriteOf { result, reply, .. } = *self;
        let lost = || Fault::Unavailable("a job had no result".into()).into();
        // Whoever asked may have gone; the work is done all the same.
        reply.lay_down(outcome.and_then(|()| result.ok_or_else(lost)))
    }
}
