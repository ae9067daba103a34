//! Retention: which finished run is removed next, by age, number, or size of the database.
//!
//! The run that ended first is removed first. Running and kept runs are never removed, nor any by its age where a
//! clock may be wrong.

use rusqlite::{OptionalExtension, named_params};

use crate::clock::BUILT;
use crate::run::RunId;
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::file::pages::pages_used;
use crate::store::sql;
use crate::store::tables::life;

/// The next run that must be removed.
pub fn next_victim(tx: &mut Writer<'_>) -> Result<Option<RunId>, StoreError> {
    life::file(tx)?;
    if let Some(age_ms) = tx.rules.age_ms.filter(|_| tx.now.is_believed()) {
        let before = tx.now.0.saturating_sub(age_ms);
        let mut aged = tx.prepare(sql::RUNS_NEXT_AGED)?;
        let found =
            aged.query_row(named_params! {":built": BUILT.0, ":before": before}, |row| row.get(0)).optional()?;
        if found.is_some() {
            return Ok(found.map(RunId));
        }
    }
    tx.counters.pages_used = pages_used(tx.conn)?;
    tx.counters.relieving = tx.rules.are_exceeded(tx.counters);
    if !tx.counters.relieving {
        return Ok(None);
    }
    let found = tx.prepare(sql::RUNS_NEXT_PRUNABLE)?.query_row([], |row| row.get(0)).optional()?;
    if found.is_none() {
        // The count said that there was one: somebody else wrote to the database.
        tx.counters.look_up_prunable(tx.conn)?;
    }
    Ok(found.map(RunId))
}
