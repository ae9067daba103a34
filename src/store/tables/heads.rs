//! Where the events of a scope stand: the oldest that is there, the newest, and what is gone between them.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use crate::event::{Gap, GapReason, TrimmedOutput};
use crate::numbers::{EventId, Position, RunId, Seq};
use crate::run::Outcome;
use crate::scope::Scope;
use crate::store::error::StoreError;
use crate::store::refusal::Refusal;
use crate::store::sql;
use crate::store::tables::handle::Store;
use crate::store::tables::run_row::{absent, last_run, outcome_from};

/// Where the events of a scope stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// Those of one run.
    Run(RunHead),
    /// Those of all runs, whatever a filter shows of them.
    All(AllHead),
}

/// Where a run's events stand, and the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunHead {
    /// Where the run stands, and how its last attempt ended.
    pub outcome: Outcome,
    /// The oldest event that is still there.
    pub first_seq: Seq,
    /// The newest event.
    pub last_seq: Seq,
    /// Between these two events the output quota took what it could, which is this: after the first, up to the second.
    pub trimmed: Option<(Seq, Seq, TrimmedOutput)>,
}

/// Where the events of all runs stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllHead {
    /// The oldest event that is still there.
    pub first_id: EventId,
    /// The newest event that ever was.
    pub last_id: EventId,
    /// The highest id that was ever removed, or is about to be.
    pub removed_id: EventId,
}

impl Head {
    /// The oldest event that is still there.
    pub fn first(&self) -> Position {
        match self {
            Head::Run(head) => head.first_seq.into(),
            Head::All(head) => head.first_id.into(),
        }
    }

    /// The newest event that ever was.
    pub fn last(&self) -> Position {
        match self {
            Head::Run(head) => head.last_seq.into(),
            Head::All(head) => head.last_id.into(),
        }
    }

    /// How the run ended, where it is one run and has ended.
    pub fn ended(&self) -> Option<&Outcome> {
        match self {
            Head::Run(RunHead { outcome, .. }) => Some(outcome).filter(|outcome| outcome.status.is_terminal()),
            Head::All(_) => None,
        }
    }

    /// What is gone between a cursor and the next event that is there: in a run every number was given out, of all runs
    /// a missing one says nothing.
    pub fn gap_between(&self, cursor: Position, next: Position) -> Option<Gap> {
        let Head::Run(RunHead { trimmed, .. }) = self else { return None };
        let (from, to) = (cursor.next(), next.previous());
        let by_quota =
            |(after, last, _): &(Seq, Seq, TrimmedOutput)| Position::from(*after) < from && to <= (*last).into();
        let trimmed = trimmed.filter(by_quota).map(|(.., trimmed)| trimmed);
        let reason = if trimmed.is_some() { GapReason::Quota } else { GapReason::Pruned };
        (from <= to).then_some(Gap { from, to, reason, partial: false, trimmed })
    }

    /// What may be gone behind a cursor, of all runs: some between it and the highest id that was ever removed is, the
    /// rest is there.
    pub fn gap_behind(&self, cursor: Position) -> Option<Gap> {
        match self {
            Head::Run(_) => None,
            Head::All(head) => partial_gap(cursor, head.removed_id),
        }
    }
}

/// Some of what lies between a cursor and the highest id that was ever removed is gone; the rest is there.
pub fn partial_gap(cursor: Position, removed_id: EventId) -> Option<Gap> {
    let gap =
        Gap { from: cursor.next(), to: removed_id.into(), reason: GapReason::Pruned, partial: true, trimmed: None };
    (cursor < gap.to).then_some(gap)
}

impl Store {
    /// Where the events of a scope stand.
    ///
    /// # Errors
    /// Where the run is not there, or the filter names one that never was; where nothing can be read.
    pub async fn head(&self, scope: Scope) -> Result<Head, StoreError> {
        self.requests
            .read(move |snapshot| match scope {
                Scope::Run(run) => run_head(snapshot.conn, run).map(Head::Run),
                Scope::All(filter) => {
                    let last_run = last_run(snapshot.conn)?;
                    let is_unknown = |run: &&RunId| run.0 < 1 || **run > last_run;
                    match filter.runs().and_then(|runs| runs.iter().find(is_unknown)) {
                        Some(run) => Err(Refusal::RunNotFound(*run).into()),
                        None => all_head(snapshot.conn).map(Head::All),
                    }
                }
            })
            .await
    }

    /// Where a run's events stand.
    ///
    /// # Errors
    /// Where the run is not there, or cannot be read.
    pub async fn run_head(&self, run: RunId) -> Result<RunHead, StoreError> {
        self.requests.read(move |snapshot| run_head(snapshot.conn, run)).await
    }
}

/// Where a run's events stand.
pub fn run_head(conn: &Connection, run: RunId) -> Result<RunHead, StoreError> {
    let mut statement = conn.prepare_cached(sql::RUNS_HEAD)?;
    let found = statement
        .query_row(named_params! {":id": run}, |row| {
            let (first_seq, last_seq): (Seq, Seq) = (row.get("first_seq")?, row.get("last_seq")?);
            Ok(RunHead {
                outcome: outcome_from(row)?,
                first_seq: if first_seq == Seq(0) { last_seq.next() } else { first_seq },
                last_seq,
                trimmed: trimmed_from(row)?,
            })
        })
        .optional()?;
    found.map_or_else(|| Err(absent(conn, run)?.into()), Ok)
}

/// What the quota took, where it took something.
fn trimmed_from(row: &Row<'_>) -> rusqlite::Result<Option<(Seq, Seq, TrimmedOutput)>> {
    let Some(after) = row.get("trimmed_after")? else { return Ok(None) };
    let trimmed = TrimmedOutput {
        events: row.get("trimmed_events")?,
        lines: row.get("trimmed_lines")?,
        bytes: row.get("trimmed_bytes")?,
    };
    Ok(Some((after, row.get("trimmed_to")?, trimmed)))
}

/// Where the events of all runs stand.
pub fn all_head(conn: &Connection) -> Result<AllHead, StoreError> {
    let one = |statement: &str| -> rusqlite::Result<Option<EventId>> {
        conn.prepare_cached(statement)?.query_row([], |row| row.get(0))
    };
    let removed_id = removed_id(conn)?;
    // Asked of the database, not of what is in memory: an id whose commit failed may be given out again.
    let last_id = one(sql::EVENTS_MAX_ID)?.unwrap_or_default().max(removed_id);
    Ok(AllHead { first_id: one(sql::EVENTS_MIN_ID)?.unwrap_or(last_id.next()), last_id, removed_id })
}

/// The highest id that was ever removed, or is about to be.
pub fn removed_id(conn: &Connection) -> Result<EventId, StoreError> {
    let mut get = conn.prepare_cached(sql::META_GET)?;
    Ok(get.query_row(named_params! {":key": "removed_event_id"}, |row| row.get(0))?)
}
