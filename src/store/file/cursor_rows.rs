//! The rows of durable cursors: read by the daemon at its start, and by who looks at a database beside it.

use rusqlite::Connection;

use crate::clock::UnixMs;
use crate::cursor::{Cursors, DurableCursor};
use crate::store::file::beside::ReadOnlyDatabase;
use crate::store::file::error::OpenError;
use crate::store::sql;

/// All durable cursors.
pub fn all(conn: &Connection) -> rusqlite::Result<Cursors> {
    let mut list = conn.prepare_cached(sql::CURSORS_LIST)?;
    let rows = list.query_map([], |row| {
        let cursor = DurableCursor {
            id: row.get("id")?,
            instance: row.get("instance")?,
            created_at: UnixMs(row.get("created_at")?),
            moved_at: UnixMs(row.get("moved_at")?),
        };
        Ok((row.get("name")?, cursor))
    })?;
    Ok(Cursors(rows.collect::<Result<_, _>>()?))
}

impl ReadOnlyDatabase {
    /// All durable cursors.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn cursors(&self) -> Result<Cursors, OpenError> {
        // An older schema has none.
        if !self.conn.table_exists(None, "cursors")? {
            return Ok(Cursors::default());
        }
        Ok(all(&self.conn)?)
    }
}
