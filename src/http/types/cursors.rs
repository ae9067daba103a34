//! What clients say of durable cursors.

use super::fields::Fields;
use crate::event::INSTANCE_LEN;
use crate::http::error::Problem;
use crate::numbers::EventId;

/// The largest id that JSON tells exactly everywhere.
const ID_MAX: i64 = 1 << 53;

/// Where a PUT says that a cursor is, and in which database, if it says so.
///
/// # Errors
/// All that is wrong with it at once.
pub fn cursor_from(mut fields: Fields) -> Result<(EventId, Option<String>), Problem> {
    if !fields.gives("id") {
        fields.wrong(
            "id",
            "required",
            "is needed: the id of the last event that the reader has; 0 is before the first",
        );
    }
    let id = fields.integer("id", 0, ID_MAX).map(EventId);
    let instance = fields.text("instance", instance);
    // What a GET shows besides; a cursor that was read can be put back.
    for read_only in ["name", "behind", "holds", "holds_until", "created_at", "moved_at"] {
        fields.take(read_only);
    }
    fields.finish()?;
    Ok((id.unwrap_or_default(), instance))
}

fn instance(text: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_one = text.len() == INSTANCE_LEN && text.bytes().all(allowed);
    if is_one { Ok(()) } else { Err(format!("must be {INSTANCE_LEN} of a-z and 0-9, the name of a database")) }
}
