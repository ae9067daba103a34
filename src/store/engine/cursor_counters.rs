//! What the writing thread keeps in memory of durable cursors, and of what it found that they hold: where nothing is held, a
//! pass of retention costs nothing more, and where all is, there is no pass.

use std::sync::Arc;

use rusqlite::Connection;

use crate::clock::UnixMs;
use crate::cursor::Cursors;
use crate::numbers::EventId;
use crate::store::error::Fault;
use crate::store::file::cursor_rows;

/// Durable cursors, and the runs that wait for them.
#[derive(Clone, Debug, Default)]
pub struct CursorCounters {
    /// All of them. Shared with readers: a change makes another.
    pub all: Arc<Cursors>,
    /// The last event of the run that goes next for its age, where a cursor was found to hold it.
    pub aged: Option<EventId>,
    /// The same of the run that goes next where there are too many.
    pub counted: Option<EventId>,
}

impl CursorCounters {
    /// Finds them in the database. What they hold is found by the next pass.
    pub fn load(conn: &Connection) -> Result<CursorCounters, Fault> {
        Ok(CursorCounters { all: Arc::new(cursor_rows::all(conn)?), aged: None, counted: None })
    }

    /// From when on what was found to wait does not: 0 where nothing was; `None`: not by itself.
    pub fn free_at(&self, waits: Option<EventId>, hold_ms: Option<i64>) -> Option<UnixMs> {
        waits.map_or(Some(UnixMs(0)), |event| self.all.free_at(event, hold_ms))
    }

    /// Forgets what was found to wait: what goes next may be another run.
    pub fn look_again(&mut self) {
        (self.aged, self.counted) = (None, None);
    }
}
