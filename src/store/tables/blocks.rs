//! Blocks of 64 event ids, and which runs have output in each: by them output, which lies with its run, is found by its id.

use rusqlite::named_params;

use crate::numbers::{EventId, RunId};
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::numbers::{EventKey, block_of};
use crate::store::sql;

/// Notes a run's first output in the block of this id.
pub fn enter(tx: &Writer<'_>, id: EventId, key: EventKey) -> Result<(), StoreError> {
    let first = named_params! {":block": block_of(id), ":run": key.run(), ":event_key": key};
    tx.prepare(sql::OUTPUT_BEGIN_BLOCK)?.execute(first)?;
    Ok(())
}

/// Forgets a run in those of these blocks that have none of its output left.
pub fn leave(tx: &Writer<'_>, run: RunId, blocks: &[i64]) -> Result<(), StoreError> {
    let mut leave = tx.prepare(sql::OUTPUT_END_BLOCK)?;
    blocks.iter().try_for_each(|block| {
        leave.execute(named_params! {":block": block, ":run": run})?;
        Ok(())
    })
}
