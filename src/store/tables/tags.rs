//! The index of tags.

use rusqlite::named_params;

use crate::run::RunId;
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::sql;

/// A run had these tags and has those now.
pub fn retag(tx: &Writer<'_>, id: RunId, old: &[String], new: &[String]) -> Result<(), StoreError> {
    if old != new {
        for tag in old {
            tx.prepare(sql::RUNS_UNTAG)?.execute(named_params! {":tag": tag, ":run": id.0})?;
        }
        for tag in new {
            tx.prepare(sql::RUNS_TAG)?.execute(named_params! {":tag": tag, ":run": id.0})?;
        }
    }
    Ok(())
}
