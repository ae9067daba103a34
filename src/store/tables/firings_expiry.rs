//! How long firings are kept: as long as runs, by age and by number.

use rusqlite::{OptionalExtension, named_params};

use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::sql;
use crate::store::tables::events::PIECE_ROWS;

/// Removes a piece of the firings that are too old or too many; returns how many. No time up to the newest of them is fired
/// again, whatever a clock shows.
pub fn expire(tx: &mut Writer<'_>) -> Result<usize, StoreError> {
    let Some(until) = expired_until(tx)? else { return Ok(0) };
    let old: Vec<(String, i64)> = {
        let mut statement = tx.prepare(sql::FIRINGS_EXPIRE)?;
        let rows = statement
            .query_map(named_params! {":until": until, ":rows": PIECE_ROWS}, |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<Result<_, _>>()?
    };
    for (job, scheduled_for) in &old {
        let firing = named_params! {":job": job, ":scheduled_for": scheduled_for};
        tx.prepare(sql::FIRINGS_DELETE)?.execute(firing)?;
        tx.prepare(sql::FIRINGS_RAISE_PRUNED)?.execute(firing)?;
    }
    tx.counters.look_up_firings(tx.conn)?;
    Ok(old.len())
}

/// Up to when they are too old or too many.
fn expired_until(tx: &Writer<'_>) -> Result<Option<i64>, StoreError> {
    let believed = tx.now.is_believed();
    let aged = tx.rules.age_ms.filter(|_| believed).map(|age_ms| tx.now.0.saturating_sub(age_ms));
    let aged = aged.filter(|until| tx.counters.oldest_firing.is_some_and(|oldest| oldest.0 <= *until));
    let excess = tx.rules.firings_excess(tx.counters);
    if excess <= 0 {
        return Ok(aged);
    }
    let mut nth = tx.prepare(sql::FIRINGS_NTH)?;
    let many = nth.query_row(named_params! {":nth": excess - 1}, |row| row.get(0)).optional()?;
    Ok(aged.max(many))
}
