//! Events of all runs by `id`, filtered: pages after a cursor, and the way back to the newest N.
//!
//! Every read is bounded in what it looks at as well as in what it gives, so that no filter makes others wait for it.
//! What a filter hides is not read where an index tells enough: kinds and runs stand in `run_events_told`, named runs
//! have their own way by (run, seq), and only who wants everybody's output walks the table itself.
//!
//! Ids rise in commit order, since one thread gives them out inside its transactions and a transaction that is rolled
//! back leaves none behind: what a read finds is all that there will ever be up to `last_id`.

use std::collections::{HashMap, VecDeque};

use rusqlite::{CachedStatement, Connection, OptionalExtension, named_params};

use crate::event::{Event, EventFilter, Kind};
use crate::numbers::{EventId, Seq};
use crate::run::RunId;
use crate::store::engine::reader::Reader;
use crate::store::error::StoreError;
use crate::store::refusal::Refusal;
use crate::store::sql;
use crate::store::tables::events::{PAGE_BYTES_MAX, PAGE_ROWS_MAX, event_from, kind_of};
use crate::store::tables::handle::Store;
use crate::store::tables::run_row::last_run;

/// Entries of the index that one read looks at, at most: some ten milliseconds on a small board.
const LOOK_ROWS_MAX: usize = 10_000;
/// Entries of each of several runs that are read ahead of their turn.
const AHEAD_ROWS: i64 = 16;

/// What a reader of all runs needs to know of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllHead {
    /// The oldest event that is still there.
    pub first_id: EventId,
    /// The newest event that ever was.
    pub last_id: EventId,
    /// The highest id that was ever removed, or is about to be.
    pub removed_id: EventId,
}

/// Events of all runs after a cursor.
#[derive(Clone, Debug)]
pub struct AllPage {
    /// Where things stand.
    pub head: AllHead,
    /// In order.
    pub events: Vec<Event>,
    /// Up to here the filter shows nothing but these.
    pub through: EventId,
}

/// A piece of the way back from the newest event.
#[derive(Clone, Copy, Debug)]
pub struct NewestPiece {
    /// How many it found that the filter shows.
    pub found: usize,
    /// The oldest event that it looked at; `None` where there was none left.
    pub down_to: Option<EventId>,
}

impl Store {
    /// Where all runs' events stand; fails where the filter names a run that never was.
    pub async fn all_head(&self, filter: EventFilter) -> Result<AllHead, StoreError> {
        self.requests
            .read(move |reader| {
                let last_run = last_run(reader.conn)?;
                let unknown = filter.runs().and_then(|runs| runs.iter().find(|run| run.0 < 1 || **run > last_run));
                unknown.map_or_else(|| head(reader), |run| Err(Refusal::RunNotFound(*run).into()))
            })
            .await
    }

    /// A page of all runs' events after a cursor.
    pub async fn all_page(
        &self,
        filter: EventFilter,
        after: EventId,
        rows_max: usize,
        bytes_max: usize,
    ) -> Result<AllPage, StoreError> {
        self.requests.read(move |reader| page(reader, &filter, after, rows_max, bytes_max)).await
    }

    /// Looks for at most so many events that the filter shows, from below `before` down.
    pub async fn all_newest(
        &self,
        filter: EventFilter,
        before: EventId,
        count: usize,
    ) -> Result<NewestPiece, StoreError> {
        self.requests.read(move |reader| newest(reader, &filter, before, count)).await
    }

    /// Which of these runs are in that queue now, or ended there, in the order that they were asked for; and the highest
    /// id that was ever removed, since of a run that is gone nobody knows its queue.
    pub async fn in_queue(&self, queue: String, runs: Vec<RunId>) -> Result<(Vec<bool>, EventId), StoreError> {
        self.requests
            .read(move |reader| {
                let removed_id = removed_id(reader)?;
                let mut of_runs = OfRuns::new(reader.conn, Some(&queue), removed_id);
                let is_in = runs.into_iter().map(|run| of_runs.shows(EventId(0), run)).collect::<Result<_, _>>()?;
                Ok((is_in, removed_id))
            })
            .await
    }
}

fn head(reader: &Reader<'_>) -> Result<AllHead, StoreError> {
    let one = |statement: &str| -> rusqlite::Result<Option<EventId>> {
        reader.conn.prepare_cached(statement)?.query_row([], |row| row.get(0))
    };
    let removed_id = removed_id(reader)?;
    // Asked of the database, not of what is in memory: an id whose commit failed may be given out again.
    let last_id = one(sql::EVENTS_MAX_ID)?.unwrap_or_default().max(removed_id);
    Ok(AllHead { first_id: one(sql::EVENTS_MIN_ID)?.unwrap_or(last_id.next()), last_id, removed_id })
}

fn removed_id(reader: &Reader<'_>) -> Result<EventId, StoreError> {
    let mut get = reader.conn.prepare_cached(sql::META_GET)?;
    Ok(get.query_row(named_params! {":key": "removed_event_id"}, |row| row.get(0))?)
}

fn page(
    reader: &Reader<'_>,
    filter: &EventFilter,
    after: EventId,
    rows_max: usize,
    bytes_max: usize,
) -> Result<AllPage, StoreError> {
    let head = head(reader)?;
    let mut page = AllPage { head, events: Vec::new(), through: head.last_id.max(after) };
    if after >= head.last_id {
        return Ok(page);
    }
    let mut of_runs = OfRuns::new(reader.conn, filter.queue(), head.removed_id);
    let mut get = reader.conn.prepare_cached(sql::EVENTS_GET)?;
    let mut bytes = 0;
    let end = look(reader, filter, Way::Up(after), &mut |entry| {
        if filter.shows(entry.kind, entry.run) && of_runs.shows(entry.id, entry.run)? {
            let event = get.query_row(named_params! {":id": entry.id}, |row| event_from(row, entry.run))?;
            bytes += event.data.len();
            page.events.push(event);
        }
        Ok(page.events.len() < rows_max && bytes < bytes_max)
    })?;
    if let Some(looked_at) = end {
        page.through = looked_at;
    }
    Ok(page)
}

fn newest(reader: &Reader<'_>, filter: &EventFilter, before: EventId, count: usize) -> Result<NewestPiece, StoreError> {
    let mut of_runs = OfRuns::new(reader.conn, filter.queue(), removed_id(reader)?);
    let mut found = 0;
    let down_to = look(reader, filter, Way::Down(before), &mut |entry| {
        if filter.shows(entry.kind, entry.run) && of_runs.shows(entry.id, entry.run)? {
            found += 1;
        }
        Ok(found < count)
    })?;
    Ok(NewestPiece { found, down_to })
}

/// Which way, and from where.
#[derive(Clone, Copy)]
enum Way {
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
struct Entry {
    id: EventId,
    run: RunId,
    kind: Kind,
}

type See<'a> = &'a mut dyn FnMut(Entry) -> Result<bool, StoreError>;

/// Shows `see` every event that the filter might show, in order, until it has had enough or enough was looked at.
/// Answers how far that was; `None` where nothing is left beyond it.
fn look(reader: &Reader<'_>, filter: &EventFilter, way: Way, see: See<'_>) -> Result<Option<EventId>, StoreError> {
    match filter.runs() {
        Some(runs) if filter.wants_output() => look_at_runs(reader, runs, way, see),
        _ if filter.wants_output() => {
            let statement = if way.is_up() { sql::EVENTS_ALL_AFTER } else { sql::EVENTS_ALL_BEFORE };
            look_along(reader, statement, PAGE_ROWS_MAX, way, see)
        }
        _ => {
            let statement = if way.is_up() { sql::EVENTS_TOLD_AFTER } else { sql::EVENTS_TOLD_BEFORE };
            look_along(reader, statement, LOOK_ROWS_MAX, way, see)
        }
    }
}

fn look_along(
    reader: &Reader<'_>,
    statement: &str,
    rows_max: usize,
    way: Way,
    see: See<'_>,
) -> Result<Option<EventId>, StoreError> {
    let mut statement = reader.conn.prepare_cached(statement)?;
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
        if !see(entry)? || count == rows_max || bytes >= PAGE_BYTES_MAX || reader.is_over() {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// The events of several runs, merged by id: each run is read by its own index, some entries ahead.
fn look_at_runs(reader: &Reader<'_>, runs: &[RunId], way: Way, see: See<'_>) -> Result<Option<EventId>, StoreError> {
    let conn = reader.conn;
    let mut walks = runs.iter().map(|run| Walk::start(conn, *run, way)).collect::<Result<Vec<_>, _>>()?;
    let mut count = 0;
    loop {
        let ahead = walks.iter_mut().filter(|walk| !walk.entries.is_empty());
        let next = ahead.min_by_key(|walk| if way.is_up() { walk.entries[0].id.0 } else { -walk.entries[0].id.0 });
        let Some(entry) = next.map(|walk| walk.take(conn)).transpose()?.flatten() else { return Ok(None) };
        let id = entry.id;
        count += 1;
        if !see(entry)? || count == PAGE_ROWS_MAX || reader.is_over() {
            return Ok(Some(id));
        }
    }
}

/// The way through one of several runs.
struct Walk {
    run: RunId,
    way: Way,
    /// The last `seq` that was read.
    seq: Seq,
    /// Empty only where the run has no more.
    entries: VecDeque<Entry>,
}

impl Walk {
    fn start(conn: &Connection, run: RunId, way: Way) -> Result<Walk, StoreError> {
        let seq = match way {
            Way::Up(after) => seq_up_to(conn, run, after)?,
            Way::Down(before) => seq_up_to(conn, run, before.previous())?.next(),
        };
        let mut walk = Walk { run, way, seq, entries: VecDeque::new() };
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

/// What is not told of an event itself: whether its run is there, and in the queue that was named. Each run is looked
/// up once a read.
struct OfRuns<'a> {
    conn: &'a Connection,
    queue: Option<&'a str>,
    /// Up to here a run may be gone, and its events wait to be removed.
    removed_id: EventId,
    known: HashMap<RunId, bool>,
}

impl<'a> OfRuns<'a> {
    fn new(conn: &'a Connection, queue: Option<&'a str>, removed_id: EventId) -> OfRuns<'a> {
        OfRuns { conn, queue, removed_id, known: HashMap::new() }
    }

    fn shows(&mut self, id: EventId, run: RunId) -> Result<bool, StoreError> {
        if self.queue.is_none() && id > self.removed_id {
            return Ok(true);
        }
        if let Some(known) = self.known.get(&run) {
            return Ok(*known);
        }
        let mut statement = self.conn.prepare_cached(sql::RUNS_QUEUE_OF)?;
        let queue = self.queue;
        let is_it = |row: &rusqlite::Row<'_>| {
            Ok(queue.is_none_or(|queue| row.get_ref(0).is_ok_and(|at| at.as_str() == Ok(queue))))
        };
        let shows = statement.query_row(named_params! {":id": run.0}, is_it).optional()?.unwrap_or(false);
        self.known.insert(run, shows);
        Ok(shows)
    }
}
