//! Durable cursors.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

#[cfg(feature = "daemon")]
use crate::clock::UnixMs;
#[cfg(feature = "daemon")]
use crate::cursor::DurableCursor;
use crate::numbers::EventId;

/// How far a reader of all events has come.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CursorBody<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// The last event that its reader has.
    pub id: EventId,
    /// The database's name when it was put.
    pub instance: Cow<'a, str>,
    /// How many ids the newest event is beyond it.
    pub behind: i64,
    /// Whether what comes after it is kept for its reader, as long as there is room.
    pub holds: bool,
    /// Until when, where it is not put again; null: for ever.
    pub holds_until: Option<String>,
    /// When it was made.
    pub created_at: Cow<'a, str>,
    /// When it was last put.
    pub moved_at: Cow<'a, str>,
}

#[cfg(feature = "daemon")]
impl<'a> CursorBody<'a> {
    /// A cursor as it stands now, where the newest event is `last` and cursors hold for so many milliseconds.
    pub fn new(name: &'a str, cursor: &'a DurableCursor, last: EventId, hold_ms: Option<i64>) -> CursorBody<'a> {
        CursorBody {
            name: name.into(),
            id: cursor.id,
            instance: cursor.instance.as_str().into(),
            behind: (last.0 - cursor.id.0).max(0),
            holds: cursor.holds(hold_ms, UnixMs::now()),
            holds_until: cursor.holds_until(hold_ms).map(|until| until.to_string()),
            created_at: cursor.created_at.to_string().into(),
            moved_at: cursor.moved_at.to_string().into(),
        }
    }
}
