//! Events as rows: append, what a row holds, and the removal of a deleted run's events in pieces.

use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, Row, named_params};

use crate::clock::UnixMs;
use crate::event::{Data, Event, Kind, RemovedRuns, Stream};
use crate::numbers::{EventId, RunId, Seq};
use crate::store::engine::writer::{Writer, json};
use crate::store::error::StoreError;
use crate::store::numbers::{EventKey, block_of};
use crate::store::refusal::Refusal;
use crate::store::sql;
use crate::store::tables::blocks;
use crate::store::tables::handle::Store;
use crate::store::tables::heads::run_head;

/// Most rows of a kind that one transaction removes.
pub const PIECE_ROWS: i64 = 500;
/// Most bytes of events that one transaction removes: a piece of output may be 16 KiB, which are five pages.
pub const PIECE_BYTES: i64 = 1_024 * 1_024;
/// Most events that are kept of those which belong to no single run: of some 100 bytes each, and those of weeks where runs
/// are removed as they come.
const EVENTS_OF_NONE_MAX: i64 = 5_000;
/// Most of them that go with one that comes: there is more than one where a durable cursor held them.
const OLDEST_OF_NONE: i64 = 64;

impl Store {
    /// Appends a client's events, all or none; answers the last `seq`.
    ///
    /// # Errors
    /// Where the run has ended or is not there, and where there is no room.
    pub async fn append(&self, run: RunId, events: Vec<(Kind, String)>) -> Result<Seq, StoreError> {
        self.requests.write_bulk(move |tx| append(tx, run, &events)).await
    }
}

/// Appends a client's events, all or none; answers the last `seq`.
fn append(tx: &mut Writer<'_>, run: RunId, events: &[(Kind, String)]) -> Result<Seq, StoreError> {
    let mut last = run_head(tx.conn, run)?;
    if last.outcome.status.is_terminal() {
        return Err(Refusal::RunFinished(run).into());
    }
    if last.last_seq.0 + events.len() as i64 > EventKey::CLIENTS_SEQ_MAX.0 {
        return Err(Refusal::RunFull(run).into());
    }
    tx.may_add()?;
    tx.room.may_append(tx.conn)?;
    for (kind, data) in events {
        last.last_seq = tx.append(run, *kind, data.clone())?;
    }
    if let Some((_, data)) = events.iter().rev().find(|(kind, _)| *kind == Kind::Progress) {
        tx.prepare(sql::RUNS_SET_PROGRESS)?.execute(named_params! {":id": run.0, ":data": data})?;
    }
    Ok(last.last_seq)
}

/// An event of a row with the columns `id, seq, at, kind, stream, data`.
pub fn event_from(row: &Row<'_>, run: RunId) -> rusqlite::Result<Event> {
    let stream = row.get_ref(4)?.as_str_or_null().unwrap_or_default().and_then(Stream::parse);
    let data = match (stream, row.get_ref(5)?) {
        (Some(stream), ValueRef::Text(data) | ValueRef::Blob(data)) => Data::Output(stream, data.to_vec()),
        (_, ValueRef::Text(data)) => Data::Json(String::from_utf8_lossy(data).into_owned()),
        _ => Data::Json("{}".to_owned()),
    };
    Ok(Event { id: row.get(0)?, run, seq: row.get(1)?, at: UnixMs(row.get(2)?), kind: kind_of(row, 3)?, data })
}

/// The kind that stands in a column.
pub fn kind_of(row: &Row<'_>, column: usize) -> rusqlite::Result<Kind> {
    Ok(Kind::parse(row.get_ref(column)?.as_str().unwrap_or_default()).unwrap_or(Kind::Message))
}

/// Tells readers of all runs which runs this transaction removed.
pub fn tell_removed(tx: &mut Writer<'_>) -> Result<(), StoreError> {
    let removed = RemovedRuns::of(tx.removed_runs.clone());
    append_of_none(tx, Kind::Removed, json(&removed))
}

/// Appends an event that belongs to no single run. No run's end takes these along, so that each that comes takes some of the
/// oldest of too many; while there is room, none that a durable cursor holds.
pub fn append_of_none(tx: &mut Writer<'_>, kind: Kind, data: String) -> Result<(), StoreError> {
    let newest = tx.append(RunId::NONE, kind, data)?;
    let after = EventKey::before(RunId::NONE);
    let too_many = EventKey::of(RunId::NONE, Seq(newest.0 - EVENTS_OF_NONE_MAX));
    if too_many <= after {
        return Ok(());
    }
    let floor = tx.counters.cursors.all.floor(tx.rules.cursor_ms, tx.now);
    let floor = floor.filter(|_| !tx.rules.is_beyond_quota(tx.counters)).unwrap_or(EventId(i64::MAX));
    let mut oldest = tx.prepare(sql::EVENTS_MEASURE)?;
    let mut oldest = oldest.query(named_params! {":after": after, ":last": too_many, ":rows": OLDEST_OF_NONE})?;
    let mut gone: Option<(EventKey, EventId)> = None;
    while let Some(event) = oldest.next()? {
        let id: EventId = event.get("id")?;
        if id > floor {
            break;
        }
        gone = Some((event.get("key")?, id));
    }
    drop(oldest);
    if let Some((to, highest)) = gone {
        raise_removed_to(tx, highest)?;
        tx.removed_events += tx.prepare(sql::EVENTS_DELETE_TO)?.execute(named_params! {":after": after, ":to": to})?;
    }
    Ok(())
}

/// Rest of what one transaction may remove.
pub struct Budget {
    pub events: i64,
    pub bytes: i64,
}

impl Budget {
    /// The budget of a transaction.
    pub fn new() -> Budget {
        Budget { events: PIECE_ROWS, bytes: PIECE_BYTES }
    }

    /// Whether there is nothing left of it.
    pub fn is_spent(&self) -> bool {
        self.events <= 0 || self.bytes <= 0
    }
}

/// Marks a run's events for removal in pieces. From now on all of them count as removed: readers of all runs learn of
/// it before the first is missing.
pub fn begin_deleting(tx: &Writer<'_>, run: RunId) -> Result<(), StoreError> {
    tx.prepare(sql::EVENTS_BEGIN_DELETING)?.execute(named_params! {":run": run.0})?;
    raise_removed(tx, run)
}

fn raise_removed(tx: &Writer<'_>, run: RunId) -> Result<(), StoreError> {
    raise_removed_to(tx, last_of(tx, run)?)
}

/// The last event that is left of a run; 0: none is.
pub fn last_of(tx: &Writer<'_>, run: RunId) -> Result<EventId, StoreError> {
    let all = named_params! {":first": EventKey::before(run), ":last": EventKey::last(run)};
    Ok(tx.prepare(sql::EVENTS_MAX_ID_OF)?.query_row(all, |row| row.get(0))?)
}

fn raise_removed_to(tx: &Writer<'_>, highest: EventId) -> Result<(), StoreError> {
    if highest > EventId(0) {
        tx.prepare(sql::META_RAISE)?.execute(named_params! {":key": "removed_event_id", ":value": highest})?;
    }
    Ok(())
}

/// Removes events of deleted runs within the budget; returns how many. The counters say whether more are left.
pub fn remove_deleted(tx: &mut Writer<'_>, budget: &mut Budget) -> Result<usize, StoreError> {
    let mut removed = 0;
    loop {
        let next = tx.prepare(sql::EVENTS_NEXT_DELETING)?.query_row([], |row| row.get(0)).optional()?;
        tx.counters.deleting = next.is_some();
        match next {
            Some(run) if !budget.is_spent() => removed += remove_piece_of(tx, run, budget)?,
            _ => return Ok(removed),
        }
    }
}

fn remove_piece_of(tx: &mut Writer<'_>, run: RunId, budget: &mut Budget) -> Result<usize, StoreError> {
    raise_removed(tx, run)?;
    let after = EventKey::before(run);
    let (mut to, mut blocks) = (after, Vec::new());
    let mut measure = tx.prepare(sql::EVENTS_MEASURE)?;
    let mut measured =
        measure.query(named_params! {":after": after, ":last": EventKey::last(run), ":rows": budget.events})?;
    while !budget.is_spent() {
        let Some(event) = measured.next()? else { break };
        to = event.get("key")?;
        let block = block_of(event.get("id")?);
        if event.get("is_output")? && blocks.last() != Some(&block) {
            blocks.push(block);
        }
        budget.events -= 1;
        budget.bytes -= event.get::<_, i64>("bytes")?;
    }
    drop(measured);
    let mut removed = 0;
    for statement in [sql::EVENTS_DELETE_TO, sql::OUTPUT_DELETE_TO] {
        removed += tx.prepare(statement)?.execute(named_params! {":after": after, ":to": to})?;
    }
    blocks::leave(tx, run, &blocks)?;
    tx.removed_events += removed;
    if !budget.is_spent() {
        tx.prepare(sql::EVENTS_END_DELETING)?.execute(named_params! {":run": run})?;
    }
    Ok(removed)
}
