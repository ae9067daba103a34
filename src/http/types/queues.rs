//! What clients say of queues.

use super::fields::Fields;
use super::limits::limits;
use crate::http::error::Problem;
use crate::store::QueueChange;

/// Slots of a queue, at most.
const SLOTS_MAX: i64 = 1_024;

/// What a PUT says that a queue is; what it leaves out stays.
///
/// # Errors
/// All that is wrong with it at once.
pub fn queue_from(mut fields: Fields) -> Result<QueueChange, Problem> {
    let slots = fields.integer("slots", 1, SLOTS_MAX);
    let paused = fields.boolean("paused");
    // null takes them away, as an empty object does.
    let limits = fields.has("limits").then(|| limits(&mut fields).unwrap_or_default());
    let survive = fields.boolean("survive");
    fields.finish()?;
    Ok(QueueChange { slots, paused, limits, survive })
}
