//! What travels over the channel to the store thread: jobs of a transaction in two classes, each with its typed answer,
//! and a few that are none. Reads have a thread of their own.

use std::time::Duration;

use async_channel::Sender;

use crate::store::engine::reader::Read;
use crate::store::engine::writer::Writer;
use crate::store::error::{Fault, StoreError};

/// One request to the store thread.
pub enum Job {
    /// Commits at once, together with all that waits, as far as there is time: urgent work first.
    Write(Box<dyn Write>),
    /// Output: commits what the backlog has ready.
    Flush(Sender<Result<Duration, StoreError>>),
    /// Where the database cannot be opened a second time: reads what was committed.
    Read(Read),
    /// Answered once everything that was sent before it is done.
    Barrier(Sender<()>),
    /// Moves the write-ahead log into the database.
    Checkpoint(Sender<()>),
    /// Whether the files that are open are still in their place.
    Look(Sender<Result<(), StoreError>>),
    /// Nothing follows.
    Close(Sender<()>),
}

/// A job of a transaction: run maybe more than once, since a batch that fails is tried again one by one;
/// answered once, after the COMMIT.
pub trait Write: Send {
    /// Whether somebody, or a command, waits for it. The rest is work in bulk: clients' events, what expires.
    fn is_urgent(&self) -> bool;
    /// Works inside the transaction; a refusal must not have written anything.
    fn run(&mut self, tx: &mut Writer<'_>) -> Result<(), StoreError>;
    /// Tells the caller.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// A [`Write`] made of a closure and the place its result waits in for the COMMIT.
pub struct WriteOf<F, T> {
    pub is_urgent: bool,
    pub work: F,
    pub result: Option<T>,
    pub reply: Sender<Result<T, StoreError>>,
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

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let WriteOf { result, reply, .. } = *self;
        let lost = || Fault::Unavailable("a job had no result".into()).into();
        // Whoever asked may have gone; the work is done all the same.
        let _ = reply.try_send(outcome.and_then(|()| result.ok_or_else(lost)));
    }
}
