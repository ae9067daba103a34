//! What an event itself does not tell: whether its run is there, and in which queue.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, named_params};

use crate::numbers::{EventId, RunId};
use crate::scope::EventFilter;
use crate::store::engine::snapshot::Snapshot;
use crate::store::error::StoreError;
use crate::store::sql;
use crate::store::tables::handle::Store;
use crate::store::tables::heads::removed_id;
use crate::store::tables::walk::{Way, walk};

/// A piece of the way back from the newest event.
#[derive(Clone, Copy, Debug)]
pub struct NewestPiece {
    /// How many it found that the filter shows.
    pub found: usize,
    /// The oldest event that it looked at; `None` where there was none left.
    pub down_to: Option<EventId>,
}

impl Store {
    /// Looks for at most so many events that the filter shows, from below `before` down.
    ///
    /// # Errors
    /// Where nothing can be read.
    pub async fn newest(&self, filter: EventFilter, before: EventId, count: usize) -> Result<NewestPiece, StoreError> {
        self.requests.read(move |snapshot| newest(snapshot, &filter, before, count)).await
    }

    /// Which of these runs are in that queue now, or ended there, in the order that they were asked for; and the highest
    /// id that was ever removed, since of a run that is gone nobody knows its queue.
    ///
    /// # Errors
    /// Where nothing can be read.
    pub async fn in_queue(&self, queue: String, runs: Vec<RunId>) -> Result<(Vec<bool>, EventId), StoreError> {
        self.requests
            .read(move |snapshot| {
                let removed_id = removed_id(snapshot.conn)?;
                let mut of_runs = RunsOfEvents::new(snapshot.conn, Some(&queue), removed_id);
                let is_in = runs.into_iter().map(|run| of_runs.shows(EventId(0), run)).collect::<Result<_, _>>()?;
                Ok((is_in, removed_id))
            })
            .await
    }
}

fn newest(
    snapshot: &Snapshot<'_>,
    filter: &EventFilter,
    before: EventId,
    count: usize,
) -> Result<NewestPiece, StoreError> {
    let mut of_runs = RunsOfEvents::new(snapshot.conn, filter.queue(), removed_id(snapshot.conn)?);
    let mut found = 0;
    let down_to = walk(snapshot, filter, Way::Down(before), &mut |entry, _| {
        if filter.shows(entry.kind, entry.run) && of_runs.shows(entry.id, entry.run)? {
            found += 1;
        }
        Ok(found < count)
    })?;
    Ok(NewestPiece { found, down_to })
}

/// What is not told of an event itself: whether its run is there, and in the queue that was named. Each run is looked
/// up once a read.
pub struct RunsOfEvents<'a> {
    conn: &'a Connection,
    queue: Option<&'a str>,
    /// Up to here a run may be gone, and its events wait to be removed.
    removed_id: EventId,
    known: HashMap<RunId, bool>,
}

impl<'a> RunsOfEvents<'a> {
    pub fn new(conn: &'a Connection, queue: Option<&'a str>, removed_id: EventId) -> RunsOfEvents<'a> {
        RunsOfEvents { conn, queue, removed_id, known: HashMap::new() }
    }

    pub fn shows(&mut self, id: EventId, run: RunId) -> Result<bool, StoreError> {
        // What belongs to no single run is of every queue.
        if run == RunId::NONE || self.queue.is_none() && id > self.removed_id {
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
