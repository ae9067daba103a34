//! Runs of a key: one of them runs at a time, and the others wait in the order in which they came.
//!
//! The one that came first has its turn until it ends, whatever holds it back meanwhile; all others have the hold `key`. An
//! order by anything else could let two runs wait for each other, by their key and by what they need.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use crate::run::{HeldBy, Hold, RunId, Status};
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::sql;

/// A run of a key that has not ended.
#[derive(Clone, Copy, Debug)]
pub struct Twin {
    /// Its number.
    pub id: RunId,
    /// Whether it runs, or waits for another attempt: it may have seen what the world was like before.
    pub has_begun: bool,
}

impl Twin {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Twin> {
        let is_queued = row.get_ref("status")?.as_str()? == Status::Queued.as_str();
        Ok(Twin { id: RunId(row.get("id")?), has_begun: !is_queued || row.get::<_, i64>("attempt")? > 1 })
    }
}

/// Those that have not ended, the newest first. Only the last of them can have begun.
pub fn newest(tx: &Writer<'_>, key: &str, rows: i64) -> Result<Vec<Twin>, StoreError> {
    let mut statement = tx.prepare(sql::KEYS_NEWEST)?;
    let found = statement.query_map(named_params! {":key": key, ":rows": rows}, Twin::from_row)?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// The one whose turn it is.
pub fn first(conn: &Connection, key: &str) -> Result<Option<Twin>, StoreError> {
    Ok(oldest(conn, key, Twin::from_row)?)
}

/// The one whose turn has come and which does not know it yet.
pub fn next_to_free(conn: &Connection, key: &str) -> Result<Option<RunId>, StoreError> {
    let next = oldest(conn, key, |row| {
        let waits = HeldBy::from_bits(row.get("held_by")?).has(Hold::Key);
        Ok(waits.then_some(RunId(row.get("id")?)))
    })?;
    Ok(next.flatten())
}

fn oldest<T>(
    conn: &Connection,
    key: &str,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    conn.prepare_cached(sql::KEYS_OLDEST)?.query_row(named_params! {":key": key}, read).optional()
}
