//! What follows for others when a run has ended: those who need it are freed, or end too, and so on down.
//!
//! In pieces, the first in the transaction that ends the run: a run may be needed by all that are queued, and each of those
//! by others. Which ends are still to be told is on the medium, so that a crash in between loses none and tells none twice.

use crate::run::{Hold, Need, Outcome, Reason, RunId, Status, When};
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::tables::{life, needs, run_row};

/// How much one transaction does: a run that is told counts one, and one more for each that it needed.
const PIECE_STEPS: usize = 250;

/// Tells a piece of the ends that are still to be told.
pub fn tell(tx: &mut Writer<'_>) -> Result<(), StoreError> {
    let mut left = PIECE_STEPS;
    while left > 0 {
        let Some((ended, status)) = needs::next_to_tell(tx)? else {
            tx.counters.telling = false;
            return Ok(());
        };
        let next = if status.is_some() { needs::next_untold(tx, ended)? } else { None };
        let steps = match (status, next) {
            (Some(status), Some((run, when))) => tell_one(tx, run, Need { run: ended, when }, status)?,
            _ => {
                needs::end_telling(tx, ended)?;
                1
            }
        };
        left = left.saturating_sub(steps);
    }
    Ok(())
}

/// Tells one run how one that it needs has ended; returns how much there was to do.
fn tell_one(tx: &mut Writer<'_>, id: RunId, need: Need, status: Status) -> Result<usize, StoreError> {
    if !need.when.is_met_by(status) {
        let run = run_row::get_in(tx, id)?;
        let steps = 1 + run.spec.options.after.len();
        life::end_in_queue(tx, &run, &unmet(&need, status))?;
        return Ok(steps);
    }
    if needs::meet(tx, id, need.run)? {
        return Ok(1);
    }
    life::free(tx, id, Hold::After)?;
    Ok(1 + life::needs_nothing_more(tx, id)?)
}

/// How a run ends that needs what cannot come true.
pub fn unmet(need: &Need, status: Status) -> Outcome {
    let Need { run, when } = need;
    let how = match (status, when) {
        (Status::Failed, When::Succeeded) => "failed".to_owned(),
        _ => format!("ended as {status}"),
    };
    let error = Some(format!("run {run} {how}, and {}", when.wish()));
    Outcome { error, ..Outcome::ended_in_queue(Reason::Dependency) }
}
