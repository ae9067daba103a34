//! What runs that wait need, and which ends are still to be told to those who wait for them.
//!
//! A run has rows here only while it waits, so that a run in them is spared by retention no longer than it is needed. They
//! know no run's row; what follows from them is in `dependents`.

use rusqlite::{Connection, OptionalExtension, named_params};

use crate::run::{Need, RunId, Status, When};
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::sql;

/// Notes what a run needs; `met`: the needed run has ended as wanted.
pub fn add(tx: &Writer<'_>, run: RunId, need: &Need, met: bool) -> Result<(), StoreError> {
    tx.prepare(sql::NEEDS_ADD)?.execute(named_params! {
        ":needed": need.run.0, ":met": met, ":run": run.0, ":wanted": need.when.as_str(),
    })?;
    Ok(())
}

/// Notes that a run has ended which others need. They are told in pieces, of which this transaction does the first.
pub fn begin_telling(tx: &mut Writer<'_>, ended: RunId) -> Result<(), StoreError> {
    tx.prepare(sql::NEEDS_BEGIN_TELLING)?.execute(named_params! {":run": ended.0})?;
    tx.counters.telling = true;
    Ok(())
}

/// Notes that everybody was told of an end.
pub fn end_telling(tx: &Writer<'_>, ended: RunId) -> Result<(), StoreError> {
    tx.prepare(sql::NEEDS_END_TELLING)?.execute(named_params! {":run": ended.0})?;
    Ok(())
}

/// The next end to be told, with how that run ended; no status where it is gone, which nobody needed any more.
pub fn next_to_tell(tx: &Writer<'_>) -> Result<Option<(RunId, Option<Status>)>, StoreError> {
    let mut statement = tx.prepare(sql::NEEDS_NEXT_TO_TELL)?;
    let next = statement
        .query_row([], |row| Ok((RunId(row.get(0)?), row.get_ref(1)?.as_str_or_null()?.and_then(Status::parse))));
    Ok(next.optional()?)
}

/// One of those who need a run and were not told of its end, with what it wants.
pub fn next_untold(tx: &Writer<'_>, needed: RunId) -> Result<Option<(RunId, When)>, StoreError> {
    let mut statement = tx.prepare(sql::NEEDS_NEXT_UNTOLD)?;
    let next = statement.query_row(named_params! {":needed": needed.0}, |row| {
        // The column's CHECK has these words.
        Ok((RunId(row.get(0)?), When::parse(row.get_ref(1)?.as_str()?).unwrap_or(When::Ended)))
    });
    Ok(next.optional()?)
}

/// Notes that a need has come true; returns whether the run still needs something.
pub fn meet(tx: &Writer<'_>, run: RunId, needed: RunId) -> Result<bool, StoreError> {
    tx.prepare(sql::NEEDS_MEET)?.execute(named_params! {":needed": needed.0, ":run": run.0})?;
    Ok(tx.prepare(sql::NEEDS_IS_WANTING)?.exists(named_params! {":run": run.0})?)
}

/// Forgets what a run needs; returns the runs that nobody needs any more, and how many rows it had.
pub fn forget(tx: &Writer<'_>, run: RunId) -> Result<(Vec<RunId>, usize), StoreError> {
    let mut statement = tx.prepare(sql::NEEDS_FORGET)?;
    let rows = statement.query_map(named_params! {":run": run.0}, |row| row.get(0).map(RunId))?;
    let needed = rows.collect::<Result<Vec<_>, _>>()?;
    let count = needed.len();
    let mut free = Vec::new();
    for needed in needed {
        if needed_by(tx.conn, needed, 1)?.is_empty() {
            free.push(needed);
        }
    }
    Ok((free, count))
}

/// Some of the runs that wait and need this one.
pub fn needed_by(conn: &Connection, needed: RunId, rows: i64) -> Result<Vec<RunId>, StoreError> {
    let mut statement = conn.prepare_cached(sql::NEEDS_NEEDED_BY)?;
    let found = statement.query_map(named_params! {":needed": needed.0, ":rows": rows}, |row| row.get(0).map(RunId))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// The runs that a run waits for.
pub fn wanting(conn: &Connection, run: RunId) -> Result<Vec<RunId>, StoreError> {
    let mut statement = conn.prepare_cached(sql::NEEDS_WANTING)?;
    let found = statement.query_map(named_params! {":run": run.0}, |row| row.get(0).map(RunId))?;
    Ok(found.collect::<Result<_, _>>()?)
}
