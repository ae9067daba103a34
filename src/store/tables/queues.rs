//! Queues: their settings on the medium, their counts in memory.

use rusqlite::named_params;

use crate::store::engine::state::Queue;
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::sql;

/// The queue that is always there.
pub const DEFAULT_QUEUE: &str = "default";

/// Makes or changes a queue; what is `None` stays, or is 1 and false for a new one. Answers whether it is new.
pub(in crate::store) fn put(
    tx: &mut Writer<'_>,
    name: &str,
    slots: Option<i64>,
    paused: Option<bool>,
) -> Result<(Queue, bool), StoreError> {
    let known = tx.state.queues.get(name).cloned();
    let created = known.is_none();
    let mut queue = known.unwrap_or(Queue { slots: 1, ..Queue::default() });
    queue.slots = slots.unwrap_or(queue.slots);
    queue.paused = paused.unwrap_or(queue.paused);
    tx.prepare(sql::QUEUES_PUT)?.execute(named_params! {
        ":name": name, ":slots": queue.slots, ":paused": queue.paused,
    })?;
    tx.state.queues.insert(name.to_owned(), queue.clone());
    Ok((queue, created))
}

/// Removes an empty queue.
pub(in crate::store) fn delete(tx: &mut Writer<'_>, name: &str) -> Result<(), StoreError> {
    let queue = tx.state.queues.get(name).ok_or_else(|| StoreError::QueueNotFound(name.to_owned()))?;
    if name == DEFAULT_QUEUE {
        return Err(StoreError::QueueProtected);
    }
    if queue.ready + queue.held + queue.running > 0 {
        return Err(StoreError::QueueNotEmpty(name.to_owned()));
    }
    tx.prepare(sql::QUEUES_DELETE)?.execute(named_params! {":name": name})?;
    tx.state.queues.remove(name);
    Ok(())
}
