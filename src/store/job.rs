//! What travels over the channel to the store thread: three classes of jobs, each with its typed answer.

use std::time::Duration;

use async_channel::Sender;

use super::StoreError;
use super::thread::Reader;
use super::writer::Writer;

/// One request to the store thread.
pub(super) enum Job {
    /// Urgent: commits at once, together with all that waits.
    Write(Box<dyn Write>),
    /// Output: commits what the backlog has ready.
    Flush(Sender<Result<Duration, StoreError>>),
    /// Sees what was committed, changes nothing.
    Read(Box<dyn FnOnce(&Reader<'_>) + Send>),
    /// Moves the write-ahead log into the database.
    Checkpoint(Sender<()>),
    /// Whether the files that are open are still in their place.
    Look(Sender<Result<(), StoreError>>),
    /// Nothing follows.
    Close(Sender<()>),
}

/// A job of a transaction: run maybe more than once, since a batch that fails is tried again one by one;
/// answered once, after the COMMIT.
pub(super) trait Write: Send {
    /// Works inside the transaction; a refusal must not have written anything.
    fn run(&mut self, tx: &mut Writer<'_>) -> Result<(), StoreError>;
    /// Tells the caller.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// A [`Write`] made of a closure and the place its result waits in for the COMMIT.
pub(super) struct WriteOf<F, T> {
    pub work: F,
    pub result: Option<T>,
    pub reply: Sender<Result<T, StoreError>>,
}

impl<F, T> Write for WriteOf<F, T>
where
    F: FnMut(&mut Writer<'_>) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn run(&mut self, tx: &mut Writer<'_>) -> Result<(), StoreError> {
        self.result = Some((self.work)(tx)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let WriteOf { result, reply, .. } = *self;
        let lost = || StoreError::Unavailable("a job had no result".into());
        // Whoever asked may have gone; the work is done all the same.
        let _ = reply.try_send(outcome.and_then(|()| result.ok_or_else(lost)));
    }
}
