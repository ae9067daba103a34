//! What is done to all runs that a filter finds: a piece a transaction, so that nobody waits for the whole.
//!
//! A run is looked at again when its turn comes: what has started or moved meanwhile and is not meant any more is left alone.

use rusqlite::named_params;

use crate::run::{Run, RunId};
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::refusal::Refusal;
use crate::store::sql;
use crate::store::tables::cancel::{Cancel, cancel};
use crate::store::tables::handle::Store;
use crate::store::tables::lists::Filter;
use crate::store::tables::run_row::get_in;
use crate::store::tables::runs;

/// Runs that one transaction is about.
pub const BULK_RUNS: usize = 50;

/// What is done to each of them.
#[derive(Clone, Debug)]
pub enum Bulk {
    /// Its end is asked for.
    Cancel(Cancel),
    /// It is tried again by a new run, unless it was before.
    Retry,
}

/// What became of a piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BulkDone {
    /// Runs that were canceled, or tried again.
    pub count: usize,
    /// Those of them that still run, and are on their way to their end.
    pub running: usize,
    /// Runs that the filter found and that were left alone: they had been tried again, or their queue is gone.
    pub skipped: usize,
    /// Why it went no further, and at which run.
    pub refused: Option<(RunId, Refusal)>,
}

impl BulkDone {
    /// Adds the next piece.
    pub fn add(&mut self, piece: BulkDone) {
        self.count += piece.count;
        self.running += piece.running;
        self.skipped += piece.skipped;
        self.refused = piece.refused;
    }
}

impl Store {
    /// Does it to those of these runs that the filter still means by status and queue. `dry`: nothing is done, and what would
    /// be is told.
    ///
    /// # Errors
    /// Where nothing can be written. A refusal of one run ends the piece in front of it.
    pub async fn bulk(
        &self,
        runs: Vec<RunId>,
        filter: Filter,
        bulk: Bulk,
        by: String,
        dry: bool,
    ) -> Result<BulkDone, StoreError> {
        self.requests.write_bulk(move |tx| piece(tx, &runs, &filter, &bulk, &by, dry)).await
    }
}

fn piece(
    tx: &mut Writer<'_>,
    runs: &[RunId],
    filter: &Filter,
    bulk: &Bulk,
    by: &str,
    dry: bool,
) -> Result<BulkDone, StoreError> {
    let mut done = BulkDone::default();
    for id in runs {
        let run = match get_in(tx, *id) {
            Ok(run) if is_meant(&run, filter) => run,
            Ok(_) | Err(StoreError::Refused(_)) => continue,
            Err(fault) => return Err(fault),
        };
        let is_skipped = matches!(bulk, Bulk::Retry) && was_retried(tx, *id)?;
        if is_skipped || dry {
            *(if is_skipped { &mut done.skipped } else { &mut done.count }) += 1;
            continue;
        }
        let outcome = match bulk {
            Bulk::Cancel(how) => cancel(tx, run.id, by, how).map(|(_, still_runs)| still_runs),
            Bulk::Retry => runs::retry(tx, run.id, by).map(|_| false),
        };
        match outcome {
            Ok(still_runs) => {
                done.count += 1;
                done.running += usize::from(still_runs);
            }
            Err(StoreError::Refused(Refusal::QueueUnknown(_))) => done.skipped += 1,
            Err(StoreError::Refused(refusal)) => {
                done.refused = Some((*id, refusal));
                break;
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(done)
}

/// Whether the filter means a run as it stands now; what else it asks for does not change by itself.
fn is_meant(run: &Run, filter: &Filter) -> bool {
    let is_status = filter.status.is_empty() || filter.status.contains(&run.outcome.status);
    is_status && filter.queue.as_ref().is_none_or(|queue| *queue == run.spec.queue)
}

fn was_retried(tx: &Writer<'_>, run: RunId) -> Result<bool, StoreError> {
    Ok(tx.prepare(sql::RUNS_WAS_RETRIED)?.exists(named_params! {":id": run})?)
}
