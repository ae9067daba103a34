//! Retention: which finished runs may stay, and which goes next. By age, by number, by what the database has in use.
//!
//! What ended first goes first. Never chooses a run that is live or kept, nor one by its age where a clock may be wrong.

use rusqlite::{Connection, OptionalExtension, named_params};

use crate::clock::{BUILT, UnixMs};
use crate::run::RunId;
use crate::store::engine::state::State;
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::sql;

/// What goes beyond what must where there are too many runs, as a part of the limit, so that a busy daemon prunes in
/// lumps: a pass for each run that ends would cost a commit each.
const SLACK: i64 = 64;
const DAY_MS: i64 = 86_400_000;

/// What may stay.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Rules {
    /// How long a finished run stays, in milliseconds; `None`: for ever.
    age_ms: Option<i64>,
    /// How many do; `None`: all.
    count: Option<i64>,
    /// What the database may have in use.
    pages: i64,
    page_bytes: i64,
    /// `limits.output_bytes_per_run`
    pub output_bytes: i64,
}

impl Rules {
    /// The configuration's: days and a number of runs, 0 for no limit; bytes.
    pub fn new(runs_days: u64, runs_count: u64, db_bytes: u64, page_bytes: i64, output_bytes: u64) -> Rules {
        let some = |number: u64| i64::try_from(number).ok().filter(|number| *number > 0);
        Rules {
            age_ms: some(runs_days).map(|days| days.saturating_mul(DAY_MS)),
            count: some(runs_count),
            pages: i64::try_from(db_bytes).unwrap_or(i64::MAX) / page_bytes.max(1),
            page_bytes: page_bytes.max(1),
            output_bytes: some(output_bytes).unwrap_or(i64::MAX / 4),
        }
    }

    /// The database may have so many bytes in use from now on.
    pub fn set_quota(&mut self, db_bytes: u64) {
        self.pages = i64::try_from(db_bytes).unwrap_or(i64::MAX) / self.page_bytes;
    }

    /// What the database may have in use, in bytes.
    pub fn quota_bytes(&self) -> i64 {
        self.pages.saturating_mul(self.page_bytes)
    }

    /// Whether the database has more in use than it may.
    pub fn is_beyond_quota(&self, state: &State) -> bool {
        state.pages_used > self.pages
    }

    /// So many pages, in bytes.
    pub fn bytes(&self, pages: i64) -> i64 {
        pages.saturating_mul(self.page_bytes)
    }

    /// Whether runs have to go whatever their age. Once they have, until there is some room again.
    fn are_exceeded(&self, state: &State) -> bool {
        let limit = |limit: i64| if state.relieving { limit - limit / SLACK } else { limit };
        state.prunable > 0
            && (self.count.is_some_and(|count| state.prunable > limit(count)) || state.pages_used > limit(self.pages))
    }

    /// When the next thing goes that the store keeps for a time; 0: now.
    pub fn next_removal(&self, state: &State) -> Option<UnixMs> {
        if state.doomed || state.live_excess || self.are_exceeded(state) {
            return Some(UnixMs(0));
        }
        let aged = self.age_ms.zip(state.oldest_ended).map(|(age, ended)| UnixMs(ended.0.saturating_add(age)));
        [state.next_expiry, aged].into_iter().flatten().min()
    }
}

/// The next run that has to go.
pub(in crate::store) fn next_victim(tx: &mut Writer<'_>) -> Result<Option<RunId>, StoreError> {
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

/// Pages that hold something: all but those that are free for reuse.
pub(in crate::store) fn pages_used(conn: &Connection) -> Result<i64, StoreError> {
    Ok(figure(conn, "PRAGMA page_count")? - pages_free(conn)?)
}

/// Pages of the file that are free for reuse.
pub(in crate::store) fn pages_free(conn: &Connection) -> Result<i64, StoreError> {
    figure(conn, "PRAGMA freelist_count")
}

/// One of the figures that SQLite has at hand.
pub(in crate::store) fn figure(conn: &Connection, pragma: &str) -> Result<i64, StoreError> {
    Ok(conn.prepare_cached(pragma)?.query_row([], |row| row.get(0))?)
}
