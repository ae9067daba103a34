//! The way through the events of all runs by `id`, as a filter allows: up from a cursor, or down from the newest.
//!
//! What a filter hides is not read where an index tells enough: kinds and runs stand in `run_events_told`, named runs
//! have their own way by (run, seq), and only who wants everybody's output walks the table itself.
//!
//! Ids rise in commit order, since one thread gives them out inside its transactions and a transaction that is rolled
//! back leaves none behind: what a read finds is all that there will ever be up to the newest id.

use std::collections::VecDeque;

use rusqlite::{CachedStatement, Connection, OptionalExtension, named_params};

use crate::event::Kind;
use crate::numbers::{EventId, RunId, Seq};
use crate::scope::EventFilter;
use crate::store::engine::snapshot::Snapshot;
use crate::store::error::StoreError;
use crate::store::sql;
use crate::store::tables::events::kind_of;

/// Entries of the index that one read looks at, at most: some ten milliseconds on a small board.
const LOOK_ROWS_MAX: usize = 10_000;
/// Rows that one read looks at, at most, where it reads more of them than an index tells.
const READ_ROWS_MAX: usize = 500;
/// Bytes of the rows that one read passes by, at most.
const READ_BYTES_MAX: usize = 256 * 1024;
/// Entries of each of several runs that are read ahead of their turn.
const AHEAD_ROWS: i64 = 16;

/// Which way, and from where.
#[derive(Clone, Copy)]
pub enum Way {
    /// From the first event beyond this one.
    Up(EventId),
    /// From the last event below this one.
    Down(EventId),
}

impl Way {
    fn is_up(self) -> bool {
        matches!(self, Way::Up(_))
    }
}

/// What an index tells of an event, or the head of its row.
pub struct Entry {
    pub id: EventId,
    pub run: RunId,
    pub kind: Kind,
}

pub type See<'a> = &'a mut dyn FnMut(Entry) -> Result<bool, StoreError>;

/// Shows `see` every event that the filter might show, in order, until it has had enough or enough was looked at.
/// Answers how far that was; `None` where nothing is left beyond it.
pub fn walk(
    snapshot: &Snapshot<'_>,
    filter: &EventFilter,
    way: Way,
    see: See<'_>,
) -> Result<Option<EventId>, StoreError> {
    match filter.runs() {
        Some(runs) if filter.wants_output() => walk_runs(snapshot, runs, way, see),
        _ if filter.wants_output() => {
            let statement = if way.is_up() { sql::EVENTS_ALL_AFTER } else { sql::EVENTS_ALL_BEFORE };
            walk_along(snapshot, statement, READ_ROWS_MAX, way, see)
        }
        _ => {
            let statement = if way.is_up() { sql::EVENTS_NO_OUTPUT_AFTER } else { sql::EVENTS_NO_OUTPUT_BEFORE };
            walk_along(snapshot, statement, LOOK_ROWS_MAX, way, see)
        }
    }
}

fn walk_along(
    snapshot: &Snapshot<'_>,
    statement: &str,
    rows_max: usize,
    way: Way,
    see: See<'_>,
) -> Result<Option<EventId>, StoreError> {
    let mut statement = snapshot.conn.prepare_cached(statement)?;
    let limit = rows_max as i64;
    let mut rows = match way {
        Way::Up(after) => statement.query(named_params! {":after": after, ":rows": limit})?,
        Way::Down(before) => statement.query(named_params! {":before": before, ":rows": limit})?,
    };
    let (mut count, mut bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        let entry = Entry { id: row.get(0)?, run: RunId(row.get(1)?), kind: kind_of(row, 2)? };
        let id = entry.id;
        count += 1;
        // What is passed by lies in the pages that are read, too.
        bytes += row.get::<_, i64>(3)? as usize;
        if !see(entry)? || count == rows_max || bytes >= READ_BYTES_MAX || snapshot.is_over() {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// The events of several runs, merged by id: each run is read by its own index, some entries ahead.
fn walk_runs(snapshot: &Snapshot<'_>, runs: &[RunId], way: Way, see: See<'_>) -> Result<Option<EventId>, StoreError> {
    let conn = snapshot.conn;
    let mut walks = runs.iter().map(|run| RunWalk::start(conn, *run, way)).collect::<Result<Vec<_>, _>>()?;
    let mut count = 0;
    loop {
        let ahead = walks.iter_mut().filter(|walk| !walk.entries.is_empty());
        let next = ahead.min_by_key(|walk| if way.is_up() { walk.entries[0].id.0 } else { -walk.entries[0].id.0 });
        let Some(entry) = next.map(|walk| walk.take(conn)).transpose()?.flatten() else { return Ok(None) };
        let id = entry.id;
        count += 1;
        if !see(entry)? || count == READ_ROWS_MAX || snapshot.is_over() {
            return Ok(Some(id));
        }
    }
}

/// The way through one of several runs.
struct RunWalk {
    run: RunId,
    way: Way,
    /// The last `seq` that was read.
    seq: Seq,
    /// Empty only where the run has no more.
    entries: VecDeque<Entry>,
}

impl RunWalk {
    fn start(conn: &Connection, run: RunId, way: Way) -> Result<RunWalk, StoreError> {
        let seq = match way {
            Way::Up(after) => seq_up_to(conn, run, after)?,
            Way::Down(before) => seq_up_to(conn, run, before.previous())?.next(),
        };
        let mut walk = RunWalk { run, way, seq, entries: VecDeque::new() };
        walk.read(conn)?;
        Ok(walk)
    }

    fn take(&mut self, conn: &Connection) -> Result<Option<Entry>, StoreError> {
        let entry = self.entries.pop_front();
        if self.entries.is_empty() {
            self.read(conn)?;
        }
        Ok(entry)
    }

    fn read(&mut self, conn: &Connection) -> Result<(), StoreError> {
        let (statement, name) = match self.way {
            Way::Up(_) => (sql::EVENTS_OF_RUN_AFTER, ":after"),
            Way::Down(_) => (sql::EVENTS_OF_RUN_BEFORE, ":before"),
        };
        let mut statement = conn.prepare_cached(statement)?;
        let mut rows = statement.query(&[(":run", &self.run.0), (name, &self.seq.0), (":rows", &AHEAD_ROWS)])?;
        while let Some(row) = rows.next()? {
            self.seq = row.get(0)?;
            self.entries.push_back(Entry { id: row.get(1)?, run: self.run, kind: kind_of(row, 2)? });
        }
        Ok(())
    }
}

/// The `seq` at and below which a run's events have at most this id, and beyond which they have more: found by halves,
/// since both rise together.
fn seq_up_to(conn: &Connection, run: RunId, id: EventId) -> Result<Seq, StoreError> {
    let one = |statement: &mut CachedStatement<'_>, name: &str, seq: Seq| {
        let found = |row: &rusqlite::Row<'_>| Ok((row.get::<_, Seq>(0)?, row.get::<_, EventId>(1)?));
        statement.query_row(&[(":run", &run.0), (name, &seq.0), (":rows", &1)], found).optional()
    };
    let mut before = conn.prepare_cached(sql::EVENTS_OF_RUN_BEFORE)?;
    let Some((last_seq, last_id)) = one(&mut before, ":before", Seq(i64::MAX))? else { return Ok(Seq(0)) };
    if last_id <= id {
        return Ok(last_seq);
    }
    let mut after = conn.prepare_cached(sql::EVENTS_OF_RUN_AFTER)?;
    // Most runs that have anything beyond the cursor have all of it there.
    if one(&mut after, ":after", Seq(0))?.is_none_or(|(_, first_id)| first_id > id) {
        return Ok(Seq(0));
    }
    // Up to `low` all ids are at most `id`; from `high` on all are beyond it.
    let (mut low, mut high) = (Seq(0), last_seq);
    while low.next() < high {
        let middle = Seq(low.0 + (high.0 - low.0) / 2);
        match one(&mut after, ":after", middle.previous())? {
            Some((seq, found)) if found <= id => low = seq,
            _ => high = middle,
        }
    }
    Ok(low)
}
