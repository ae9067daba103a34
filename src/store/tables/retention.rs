//! Retention: which finished runs may stay, and which goes next. By age, by number, by what the database has in use.
//!
//! What ended first goes first. Never chooses a run that is live or kept, nor one by its age where a clock may be wrong.

use rusqlite::{OptionalExtension, named_params};

use crate::clock::BUILT;
use crate::run::RunId;
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::file::pages::pages_used;
use crate::store::sql;

/// The next run that has to go.
pub fn next_victim(tx: &mut Writer<'_>) -> Result<Option<RunId>, StoreError> {
    if let Some(age_ms) = tx.rules.age_ms.filter(|_| tx.now.is_believed()) {
        let before = tx.now.0.saturating_sub(age_ms);
        let mut aged = tx.prepare(sql::RUNS_NEXT_AGED)?;
        let found =
            aged.query_row(named_params! {":built": BUILT.0, ":before": before}, |row| row.get(0)).optional()?;
        if found.is_some() {
            return Ok(found.map(RunId));
        }
    }
    tx.state.pages_used = pages_used(tx.conn)?;
    tx.state.relieving = tx.rules.are_exceeded(tx.state);
    if !tx.state.relieving {
        return Ok(None);
    }
    let found = tx.prepare(sql::RUNS_NEXT_PRUNABLE)?.query_row([], |row| row.get(0)).optional()?;
    if found.is_none() {
        // The count said that there was one: somebody else wrote to the database.
        tx.state.look_up_prunable(tx.conn)?;
    }
    Ok(found.map(RunId))
}
