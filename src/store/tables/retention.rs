//! Retention: which finished run is removed next, by age, number, or size of the database.
//!
//! The run that ended first is removed first. Running and kept runs are never removed, nor any by its age where a
//! clock may be wrong; nor, while there is room, one that a durable cursor holds. In the order of their ends the first that is
//! held stands for all behind it: their events came later.

use rusqlite::{OptionalExtension, named_params};

use crate::clock::BUILT;
use crate::numbers::EventId;
use crate::run::RunId;
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::file::pages::pages_used;
use crate::store::sql;
use crate::store::tables::{events, life};

/// A run that must be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Victim {
    /// Which one.
    pub run: RunId,
    /// Whether a durable cursor holds it, and there is no room to wait for it.
    pub is_unread: bool,
}

/// The next run that must be removed. `floor`: the event up to which no durable cursor holds anything, if any does.
pub fn next_victim(tx: &mut Writer<'_>, floor: Option<EventId>) -> Result<Option<Victim>, StoreError> {
    life::file(tx)?;
    if let Some(age_ms) = tx.rules.age_ms.filter(|_| tx.now.is_believed()) {
        let before = tx.now.0.saturating_sub(age_ms);
        let mut aged = tx.prepare(sql::RUNS_NEXT_AGED)?;
        let found =
            aged.query_row(named_params! {":built": BUILT.0, ":before": before}, |row| row.get(0)).optional()?;
        let held_by = found.map(|run| held(tx, RunId(run), floor)).transpose()?.flatten();
        tx.counters.cursors.aged = held_by;
        if let (Some(run), None) = (found, held_by) {
            return Ok(Some(Victim { run: RunId(run), is_unread: false }));
        }
    }
    tx.counters.pages_used = pages_used(tx.conn)?;
    tx.counters.relieving_room = tx.rules.is_room_exceeded(tx.counters);
    tx.counters.relieving = tx.rules.is_count_exceeded(tx.counters);
    if !tx.counters.relieving_room && !tx.counters.relieving {
        return Ok(None);
    }
    let found = tx.prepare(sql::RUNS_NEXT_PRUNABLE)?.query_row([], |row| row.get(0)).optional()?.map(RunId);
    let Some(run) = found else {
        // The count said that there was one: somebody else wrote to the database.
        tx.counters.look_up_prunable(tx.conn)?;
        return Ok(None);
    };
    let waits = held(tx, run, floor)?;
    tx.counters.cursors.counted = waits;
    let is_unread = waits.is_some();
    Ok((!is_unread || tx.counters.relieving_room).then_some(Victim { run, is_unread }))
}

/// The last event of a run, where a durable cursor holds that.
fn held(tx: &Writer<'_>, run: RunId, floor: Option<EventId>) -> Result<Option<EventId>, StoreError> {
    let Some(floor) = floor else { return Ok(None) };
    Ok(Some(events::last_of(tx, run)?).filter(|last| *last > floor))
}
