//! Events: append, page, and the removal of a deleted run's in pieces.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::runs::absent;
use super::state::State;
use super::thread::Reader;
use super::writer::Writer;
use super::{StoreError, sql};
use crate::clock::UnixMs;
use crate::event::{Data, Event, Kind, Stream};
use crate::run::{Reason, RunId, Status};

/// Rows of one read at most: an open read statement grows the WAL.
pub const PAGE_ROWS_MAX: usize = 500;
/// Bytes of one read at most, for the same reason and for the memory of a reader that catches up.
pub const PAGE_BYTES_MAX: usize = 256 * 1024;
/// Events that one transaction removes at most, so that nobody waits for it.
const REMOVE_PIECE: i64 = 500;

/// What a reader of events needs to know of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Where it stands.
    pub status: Status,
    /// Why it ended.
    pub reason: Option<Reason>,
    /// How its last attempt exited.
    pub exit_code: Option<i64>,
    /// The oldest event that is still there.
    pub first_seq: i64,
    /// The newest event.
    pub last_seq: i64,
}

/// A run's events after a cursor.
#[derive(Clone, Debug)]
pub struct EventPage {
    /// Where the run stands.
    pub head: Head,
    /// In order; holes are events that are gone.
    pub events: Vec<Event>,
}

/// Appends a client's events, all or none; answers the last `seq`.
pub(super) fn append(tx: &mut Writer<'_>, run: RunId, events: &[(Kind, String)]) -> Result<i64, StoreError> {
    let mut last = head(tx.conn, tx.state, run)?;
    if last.status.is_terminal() {
        return Err(StoreError::RunFinished(run));
    }
    for (kind, data) in events {
        last.last_seq = tx.append(run, *kind, data.clone())?;
    }
    if let Some((_, data)) = events.iter().rev().find(|(kind, _)| *kind == Kind::Progress) {
        tx.prepare(sql::RUNS_SET_PROGRESS)?.execute(named_params! {":id": run.0, ":data": data})?;
    }
    Ok(last.last_seq)
}

/// Where a run stands.
pub(super) fn head(conn: &Connection, state: &State, run: RunId) -> Result<Head, StoreError> {
    let mut statement = conn.prepare_cached(sql::RUNS_HEAD)?;
    let found = statement
        .query_row(named_params! {":id": run.0}, |row| {
            let last_seq = row.get::<_, Option<i64>>("last_seq")?.unwrap_or(0);
            Ok(Head {
                status: Status::parse(row.get_ref("status")?.as_str()?).unwrap_or(Status::Interrupted),
                reason: row.get_ref("reason")?.as_str_or_null()?.and_then(Reason::parse),
                exit_code: row.get("exit_code")?,
                first_seq: row.get::<_, Option<i64>>("first_seq")?.unwrap_or(last_seq + 1),
                last_seq,
            })
        })
        .optional()?;
    found.ok_or_else(|| absent(state, run))
}

/// A page of a run's events, bounded in rows and bytes.
pub(super) fn page(
    reader: &Reader<'_>,
    run: RunId,
    after: i64,
    rows_max: usize,
    bytes_max: usize,
) -> Result<EventPage, StoreError> {
    let head = head(reader.conn, reader.state, run)?;
    let mut events = Vec::new();
    if after < head.last_seq {
        let mut statement = reader.conn.prepare_cached(sql::EVENTS_PAGE)?;
        let mut rows = statement.query(named_params! {":run": run.0, ":after": after, ":rows": rows_max as i64})?;
        let mut bytes = 0;
        while let Some(row) = rows.next()? {
            let event = event_from(row, run)?;
            bytes += event.data.len();
            events.push(event);
            if bytes >= bytes_max {
                break;
            }
        }
    }
    Ok(EventPage { head, events })
}

/// An event of a row with the columns `id, seq, at, kind, stream, data`.
pub(super) fn event_from(row: &Row<'_>, run: RunId) -> rusqlite::Result<Event> {
    let stream = row.get_ref(4)?.as_str_or_null().unwrap_or_default().and_then(Stream::parse);
    let data = match (stream, row.get_ref(5)?) {
        (Some(stream), ValueRef::Text(data) | ValueRef::Blob(data)) => Data::Output(stream, data.to_vec()),
        (_, ValueRef::Text(data)) => Data::Json(String::from_utf8_lossy(data).into_owned()),
        _ => Data::Json("{}".to_owned()),
    };
    Ok(Event { id: row.get(0)?, run, seq: row.get(1)?, at: UnixMs(row.get(2)?), kind: kind_of(row, 3)?, data })
}

/// The kind that stands in a column.
pub(super) fn kind_of(row: &Row<'_>, column: usize) -> rusqlite::Result<Kind> {
    Ok(Kind::parse(row.get_ref(column)?.as_str().unwrap_or_default()).unwrap_or(Kind::Message))
}

/// A run's events are to go, in pieces. From here on they count as removed, whichever of them are still there: readers
/// of all runs are told so before they miss the first.
pub(super) fn doom(tx: &Writer<'_>, run: RunId) -> Result<(), StoreError> {
    tx.prepare(sql::EVENTS_DOOM)?.execute(named_params! {":run": run.0})?;
    raise_removed(tx, run.0)
}

fn raise_removed(tx: &Writer<'_>, run: i64) -> Result<(), StoreError> {
    let highest: Option<i64> =
        tx.prepare(sql::EVENTS_MAX_ID_OF)?.query_row(named_params! {":run": run}, |row| row.get(0)).optional()?;
    if let Some(highest) = highest {
        tx.prepare(sql::META_RAISE)?.execute(named_params! {":key": "removed_event_id", ":value": highest})?;
    }
    Ok(())
}

/// Removes a piece of the next deleted run's events; answers how many, 0 when none are left of any.
pub(super) fn remove_piece(tx: &mut Writer<'_>) -> Result<usize, StoreError> {
    let mut removed = 0;
    while let Some(run) = next_doomed(tx)? {
        // The events of this one may have gone with the piece before, to the last: then it is the next one's turn.
        if removed > 0 {
            tx.state.doomed = true;
            break;
        }
        removed = remove_piece_of(tx, run)?;
    }
    Ok(removed)
}

fn next_doomed(tx: &Writer<'_>) -> Result<Option<i64>, StoreError> {
    Ok(tx.prepare(sql::EVENTS_NEXT_DOOMED)?.query_row([], |row| row.get(0)).optional()?)
}

fn remove_piece_of(tx: &mut Writer<'_>, run: i64) -> Result<usize, StoreError> {
    raise_removed(tx, run)?;
    let removed = tx.prepare(sql::EVENTS_DELETE_PIECE)?.execute(named_params! {":run": run, ":rows": REMOVE_PIECE})?;
    tx.removed_events += removed;
    if removed < REMOVE_PIECE as usize {
        tx.prepare(sql::EVENTS_UNDOOM)?.execute(named_params! {":run": run})?;
    }
    Ok(removed)
}
