//! Pages of the past: the events of a scope after a cursor, one way for one run and for all.
//!
//! Every read is bounded in what it looks at as well as in what it gives, so that no reader makes others wait for it.

use rusqlite::{Rows, named_params};

use crate::event::{Event, Kind};
use crate::numbers::{EventId, Position, RunId, Seq};
use crate::scope::{EventFilter, Scope};
use crate::store::engine::snapshot::Snapshot;
use crate::store::error::StoreError;
use crate::store::numbers::EventKey;
use crate::store::sql;
use crate::store::tables::events::event_from;
use crate::store::tables::handle::Store;
use crate::store::tables::heads::{Head, RunHead, all_head, run_head};
use crate::store::tables::runs_of_events::RunsOfEvents;
use crate::store::tables::walk::{Entry, Way, walk};

/// Rows of one read at most: an open read statement grows the WAL.
pub const PAGE_ROWS_MAX: usize = 500;
/// Bytes of one read at most, for the same reason and for the memory of a reader that catches up.
pub const PAGE_BYTES_MAX: usize = 256 * 1024;

/// How much one page holds at most. One event is always in it, however long.
#[derive(Clone, Copy, Debug)]
pub struct PageLimits {
    /// Events.
    pub rows: usize,
    /// Bytes of what they carry.
    pub bytes: usize,
}

impl PageLimits {
    /// The most that one read gives, or less where there is less room: `bytes`.
    pub fn within(bytes: usize) -> PageLimits {
        PageLimits { rows: PAGE_ROWS_MAX, bytes: bytes.min(PAGE_BYTES_MAX) }
    }
}

/// The events of a scope after a cursor.
#[derive(Clone, Debug)]
pub struct EventPage {
    /// Where the scope stands.
    pub head: Head,
    /// In order.
    pub events: Vec<Event>,
    /// The scope holds nothing but these up to here.
    pub through: Position,
}

impl Store {
    /// A page of a scope's events after a cursor.
    ///
    /// # Errors
    /// Where the run is not there, or nothing can be read.
    pub async fn page(&self, scope: Scope, after: Position, limits: PageLimits) -> Result<EventPage, StoreError> {
        self.requests
            .read(move |snapshot| match &scope {
                Scope::Run(run) => page_of_run(snapshot, *run, Seq(after.0), limits),
                Scope::All(filter) => page_of_all(snapshot, filter, after, limits),
            })
            .await
    }

    /// A run's events before a `seq`, the newest first, and where the run stands.
    ///
    /// # Errors
    /// As [`Store::page`].
    pub async fn page_before(&self, run: RunId, before: Seq) -> Result<(RunHead, Vec<Event>), StoreError> {
        self.requests
            .read(move |snapshot| {
                let head = run_head(snapshot.conn, run)?;
                let mut statement = snapshot.conn.prepare_cached(sql::EVENTS_PAGE_BEFORE)?;
                let rows = PAGE_ROWS_MAX as i64;
                let keys = (EventKey::before(run), EventKey::of(run, before));
                let rows = statement.query(named_params! {":first": keys.0, ":before": keys.1, ":rows": rows})?;
                Ok((head, read_rows(run, rows, PAGE_BYTES_MAX)?))
            })
            .await
    }
}

fn page_of_run(snapshot: &Snapshot<'_>, run: RunId, after: Seq, limits: PageLimits) -> Result<EventPage, StoreError> {
    let head = run_head(snapshot.conn, run)?;
    let mut events = Vec::new();
    if after < head.last_seq {
        let mut statement = snapshot.conn.prepare_cached(sql::EVENTS_PAGE)?;
        let keys = (EventKey::of(run, after), EventKey::last(run));
        let rows = limits.rows as i64;
        let rows = statement.query(named_params! {":after": keys.0, ":last": keys.1, ":rows": rows})?;
        events = read_rows(run, rows, limits.bytes)?;
    }
    let through = events.last().map_or(head.last_seq.max(after), |last| last.seq).into();
    Ok(EventPage { head: Head::Run(head), events, through })
}

fn read_rows(run: RunId, mut rows: Rows<'_>, bytes_max: usize) -> Result<Vec<Event>, StoreError> {
    let mut events = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let event = event_from(row, run)?;
        bytes += event.data.len();
        events.push(event);
        if bytes >= bytes_max {
            break;
        }
    }
    Ok(events)
}

/// An event whose row has not been read yet.
fn read(snapshot: &Snapshot<'_>, entry: &Entry) -> Result<Event, StoreError> {
    let (statement, name, value) = match entry.kind {
        Kind::Output => (sql::OUTPUT_GET, ":event_key", EventKey::of(entry.run, entry.seq).0),
        _ => (sql::EVENTS_GET, ":id", entry.id.0),
    };
    let mut get = snapshot.conn.prepare_cached(statement)?;
    Ok(get.query_row(&[(name, &value)], |row| event_from(row, entry.run))?)
}

fn page_of_all(
    snapshot: &Snapshot<'_>,
    filter: &EventFilter,
    after: Position,
    limits: PageLimits,
) -> Result<EventPage, StoreError> {
    let head = all_head(snapshot.conn)?;
    let mut page = EventPage { head: Head::All(head), events: Vec::new(), through: after.max(head.last_id.into()) };
    if after >= head.last_id.into() {
        return Ok(page);
    }
    let mut of_runs = RunsOfEvents::new(snapshot.conn, filter.queue(), head.removed_id);
    let mut bytes = 0;
    let end = walk(snapshot, filter, Way::Up(EventId(after.0)), &mut |entry, row| {
        if filter.shows(entry.kind, entry.run) && of_runs.shows(entry.id, entry.run)? {
            let event = match row {
                Some(row) => event_from(row, entry.run)?,
                None => read(snapshot, entry)?,
            };
            bytes += event.data.len();
            page.events.push(event);
        }
        Ok(page.events.len() < limits.rows && bytes < limits.bytes)
    })?;
    if let Some(looked_at) = end {
        page.through = looked_at.into();
    }
    Ok(page)
}
