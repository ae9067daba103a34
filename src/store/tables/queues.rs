//! Queues: settings in the database, counts in memory.

use rusqlite::named_params;

use crate::store::engine::counters::{Counts, Queue};
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::refusal::Refusal;
use crate::store::sql;
use crate::store::tables::handle::Store;

/// Name of the queue that always exists.
pub const DEFAULT_QUEUE: &str = "default";

impl Store {
    /// How many runs there are of each status, in the order of `Status::ALL`.
    pub fn counts(&self) -> Counts {
        self.published.counts()
    }

    /// Every queue with what is in it, by name.
    pub fn queues(&self) -> Vec<(String, Queue)> {
        self.published.queues()
    }

    /// One queue.
    pub fn queue(&self, name: &str) -> Result<Queue, StoreError> {
        self.published.queue(name).ok_or_else(|| Refusal::QueueNotFound(name.to_owned()).into())
    }

    /// Makes or changes a queue; answers whether it is new.
    pub async fn put_queue(
        &self,
        name: String,
        slots: Option<i64>,
        paused: Option<bool>,
    ) -> Result<(Queue, bool), StoreError> {
        self.requests.write(move |tx| put(tx, &name, slots, paused)).await
    }

    /// Removes an empty queue.
    pub async fn delete_queue(&self, name: String) -> Result<(), StoreError> {
        self.requests.write(move |tx| delete(tx, &name)).await
    }
}

/// Makes or changes a queue. `None` keeps a setting, or is 1 and false for a new queue. Returns whether it is new.
fn put(tx: &mut Writer<'_>, name: &str, slots: Option<i64>, paused: Option<bool>) -> Result<(Queue, bool), StoreError> {
    let known = tx.counters.queues.get(name).cloned();
    let created = known.is_none();
    let mut queue = known.unwrap_or(Queue { slots: 1, ..Queue::default() });
    queue.slots = slots.unwrap_or(queue.slots);
    queue.paused = paused.unwrap_or(queue.paused);
    tx.prepare(sql::QUEUES_PUT)?.execute(named_params! {
        ":name": name, ":slots": queue.slots, ":paused": queue.paused,
    })?;
    tx.counters.queues.insert(name.to_owned(), queue.clone());
    Ok((queue, created))
}

/// Removes an empty queue.
fn delete(tx: &mut Writer<'_>, name: &str) -> Result<(), StoreError> {
    let queue = tx.counters.queues.get(name).ok_or_else(|| Refusal::QueueNotFound(name.to_owned()))?;
    if name == DEFAULT_QUEUE {
        return Err(Refusal::QueueProtected.into());
    }
    if queue.ready + queue.held + queue.running > 0 {
        return Err(Refusal::QueueNotEmpty(name.to_owned()).into());
    }
    tx.prepare(sql::QUEUES_DELETE)?.execute(named_params! {":name": name})?;
    tx.counters.queues.remove(name);
    Ok(())
}
