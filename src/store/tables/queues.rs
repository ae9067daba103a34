//! Queues: settings in the database, counts in memory.

use rusqlite::named_params;

use crate::run::Limits;
use crate::store::engine::counters::{Counts, Queue};
use crate::store::engine::writer::{Writer, json};
use crate::store::error::StoreError;
use crate::store::refusal::Refusal;
use crate::store::sql;
use crate::store::tables::handle::Store;

/// What is to be different about a queue. `None` keeps a setting, or is 1, false, no limits and false for a new queue.
#[derive(Clone, Debug, Default)]
pub struct QueueChange {
    /// How many of its runs may run at once.
    pub slots: Option<i64>,
    /// Whether nothing more of it starts.
    pub paused: Option<bool>,
    /// What each of its runs may use that does not say so itself.
    pub limits: Option<Limits>,
    /// Whether the commands of its runs outlive the daemon, where a run does not say so itself.
    pub survive: Option<bool>,
}

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
    pub async fn put_queue(&self, name: String, change: QueueChange) -> Result<(Queue, bool), StoreError> {
        self.requests.write(move |tx| put(tx, &name, change.clone())).await
    }

    /// Removes an empty queue.
    pub async fn delete_queue(&self, name: String) -> Result<(), StoreError> {
        self.requests.write(move |tx| delete(tx, &name)).await
    }
}

/// Makes or changes a queue. Returns whether it is new.
fn put(tx: &mut Writer<'_>, name: &str, change: QueueChange) -> Result<(Queue, bool), StoreError> {
    let known = tx.counters.queues.get(name).cloned();
    let created = known.is_none();
    let mut queue = known.unwrap_or(Queue { slots: 1, ..Queue::default() });
    queue.slots = change.slots.unwrap_or(queue.slots);
    queue.paused = change.paused.unwrap_or(queue.paused);
    queue.limits = change.limits.unwrap_or(queue.limits);
    queue.survive = change.survive.unwrap_or(queue.survive);
    tx.prepare(sql::QUEUES_PUT)?.execute(named_params! {
        ":name": name, ":slots": queue.slots, ":paused": queue.paused, ":limits": json(&queue.limits),
        ":survive": queue.survive,
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
