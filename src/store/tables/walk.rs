//! The way through the events of all runs by `id`, as a filter allows: up from a cursor, or down from the newest.
//!
//! What is no output lies in this order in its table. Output lies with its run: named runs have their own way by key, and
//! who wants everybody's goes through blocks of 64 ids, in each of which every run's first piece is known.
//!
//! Ids rise in commit order, since one thread gives them out inside its transactions and a transaction that is rolled
//! back leaves none behind: what a read finds is all that there will ever be up to the newest id.

use std::cmp::Reverse;
use std::collections::VecDeque;

use rusqlite::{CachedStatement, Connection, Row, Rows, named_params};

use crate::event::Kind;
use crate::numbers::{EventId, RunId, Seq};
use crate::scope::EventFilter;
use crate::store::engine::snapshot::Snapshot;
use crate::store::error::StoreError;
use crate::store::numbers::{EventKey, block_of, ids_of};
use crate::store::sql;
use crate::store::tables::events::kind_of;

/// Rows that one read looks at, at most, where they lie side by side: some ten milliseconds on a small board.
const LOOK_ROWS_MAX: usize = 10_000;
/// The same where they do not.
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

/// What is known of an event before it is decided whether somebody is shown it.
#[derive(Clone, Copy)]
pub struct Entry {
    pub id: EventId,
    pub run: RunId,
    pub seq: Seq,
    pub kind: Kind,
}

/// Is shown each event, with its row where that was read already; answers whether to go on.
pub type See<'a> = &'a mut dyn FnMut(&Entry, Option<&Row<'_>>) -> Result<bool, StoreError>;

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
        _ if filter.wants_output() => walk_blocks(snapshot, way, see),
        _ => walk_no_output(snapshot, way, see),
    }
}

/// What is no output.
fn walk_no_output(snapshot: &Snapshot<'_>, way: Way, see: See<'_>) -> Result<Option<EventId>, StoreError> {
    let limit = LOOK_ROWS_MAX as i64;
    let (text, name, from) = match way {
        Way::Up(after) => (sql::EVENTS_NO_OUTPUT_AFTER, ":after", after),
        Way::Down(before) => (sql::EVENTS_NO_OUTPUT_BEFORE, ":before", before),
    };
    let mut statement = snapshot.conn.prepare_cached(text)?;
    let mut rows = statement.query(&[(name, &from.0), (":rows", &limit)])?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        let entry = Entry { id: row.get(0)?, seq: row.get(1)?, kind: kind_of(row, 3)?, run: row.get(6)? };
        count += 1;
        if !see(&entry, Some(row))? || count == LOOK_ROWS_MAX || snapshot.is_over() {
            return Ok(Some(entry.id));
        }
    }
    Ok(None)
}

/// Everything, a block of ids at a time: in which runs there is output, and from where on, stands there for each.
fn walk_blocks(snapshot: &Snapshot<'_>, way: Way, see: See<'_>) -> Result<Option<EventId>, StoreError> {
    let (text, mut block, step) = match way {
        Way::Up(after) => (sql::OUTPUT_NEXT_BLOCK, block_of(after.next()), 1),
        Way::Down(before) => (sql::OUTPUT_LAST_BLOCK, block_of(before.previous()), -1),
    };
    let mut find = snapshot.conn.prepare_cached(text)?;
    let (mut count, mut bytes) = (0, 0);
    loop {
        block = find.query_row(named_params! {":block": block}, |row| row.get(0))?;
        if block < 0 || block == i64::MAX {
            return Ok(None);
        }
        for (entry, len) in entries_of(snapshot.conn, block, way)? {
            count += 1;
            // What is passed by lies in the pages that are read, too.
            bytes += len;
            let is_enough = count == READ_ROWS_MAX || bytes >= READ_BYTES_MAX;
            if !see(&entry, None)? || is_enough || snapshot.is_over() {
                return Ok(Some(entry.id));
            }
        }
        block += step;
    }
}

/// A block's events beyond where the way begins, in its order, each with the bytes of its output.
fn entries_of(conn: &Connection, block: i64, way: Way) -> Result<Vec<(Entry, usize)>, StoreError> {
    let (first, last) = ids_of(block);
    let mut entries = Vec::new();
    let mut told = conn.prepare_cached(sql::EVENTS_NO_OUTPUT_BETWEEN)?;
    let mut rows = told.query(named_params! {":first": first, ":last": last})?;
    while let Some(row) = rows.next()? {
        entries.push((Entry { id: row.get(0)?, seq: row.get(1)?, kind: kind_of(row, 2)?, run: row.get(3)? }, 0));
    }
    let mut output = conn.prepare_cached(sql::OUTPUT_OF_BLOCK)?;
    let mut rows = output.query(named_params! {":block": block})?;
    while let Some(row) = rows.next()? {
        let entry = Entry { id: row.get(0)?, seq: row.get(1)?, kind: Kind::Output, run: row.get(2)? };
        entries.push((entry, row.get::<_, i64>(3)? as usize));
    }
    match way {
        Way::Up(after) => {
            entries.retain(|(entry, _)| entry.id > after);
            entries.sort_unstable_by_key(|(entry, _)| entry.id);
        }
        Way::Down(before) => {
            entries.retain(|(entry, _)| entry.id < before);
            entries.sort_unstable_by_key(|(entry, _)| Reverse(entry.id));
        }
    }
    Ok(entries)
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
        if !see(&entry, None)? || count == READ_ROWS_MAX || snapshot.is_over() {
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
        let run = self.run;
        let mut statement = conn.prepare_cached(of_run(self.way))?;
        let mut rows = query_of_run(&mut statement, self.way, run, self.seq, AHEAD_ROWS)?;
        while let Some(row) = rows.next()? {
            self.seq = row.get(0)?;
            self.entries.push_back(Entry { id: row.get(1)?, run, seq: self.seq, kind: kind_of(row, 2)? });
        }
        Ok(())
    }
}

fn of_run(way: Way) -> &'static str {
    if way.is_up() { sql::EVENTS_OF_RUN_AFTER } else { sql::EVENTS_OF_RUN_BEFORE }
}

/// A run's events beyond a `seq`.
fn query_of_run<'s>(
    statement: &'s mut CachedStatement<'_>,
    way: Way,
    run: RunId,
    seq: Seq,
    rows: i64,
) -> rusqlite::Result<Rows<'s>> {
    let key = EventKey::of(run, seq);
    match way {
        Way::Up(_) => statement.query(named_params! {":after": key, ":last": EventKey::last(run), ":rows": rows}),
        Way::Down(_) => statement.query(named_params! {":before": key, ":first": EventKey::before(run), ":rows": rows}),
    }
}

/// The `seq` at and below which a run's events have at most this id, and beyond which they have more: found by halves,
/// since both rise together.
fn seq_up_to(conn: &Connection, run: RunId, id: EventId) -> Result<Seq, StoreError> {
    let one = |way: Way, seq: Seq| {
        let mut statement = conn.prepare_cached(of_run(way))?;
        let mut rows = query_of_run(&mut statement, way, run, seq, 1)?;
        rows.next()?.map(|row| Ok((row.get::<_, Seq>(0)?, row.get::<_, EventId>(1)?))).transpose()
    };
    let up = Way::Up(id);
    let newest: rusqlite::Result<Option<(Seq, EventId)>> = one(Way::Down(id), Seq(i64::MAX));
    let Some((last_seq, last_id)) = newest? else { return Ok(Seq(0)) };
    if last_id <= id {
        return Ok(last_seq);
    }
    // Most runs that have anything beyond the cursor have all of it there.
    if one(up, Seq(0))?.is_none_or(|(_, first_id)| first_id > id) {
        return Ok(Seq(0));
    }
    // Up to `low` all ids are at most `id`; from `high` on all are beyond it.
    let (mut low, mut high) = (Seq(0), last_seq);
    while low.next() < high {
        let middle = Seq(low.0 + (high.0 - low.0) / 2);
        match one(up, middle.previous())? {
            Some((seq, found)) if found <= id => low = seq,
            _ => high = middle,
        }
    }
    Ok(low)
}
