//! Cancel: what is queued ends at once, what runs is told to stop.

use rusqlite::named_params;
use serde_json::json as json_value;

use crate::event::Kind;
use crate::run::{Ask, Outcome, Reason, Run, RunId, Status};
use crate::store::engine::orders::Order;
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::sql;
use crate::store::tables::handle::Store;
use crate::store::tables::life;
use crate::store::tables::run_row::get_in;

/// How a run is canceled.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    /// For people.
    pub reason: Option<String>,
    /// Kill it at once, also while an earlier cancel, or its timeout, leaves it time to end.
    pub now: bool,
}

impl Store {
    /// Asks for a run's end. Returns the run, and whether it still runs: then the order to stop it is on its way.
    pub async fn cancel(&self, run: RunId, by: String, how: Cancel) -> Result<(Run, bool), StoreError> {
        self.requests.write(move |tx| cancel(tx, run, &by, &how)).await
    }
}

/// Records that a run's end is asked for. A queued run ends here, a running one is ordered to stop. Returns whether it
/// was running.
pub fn cancel(tx: &mut Writer<'_>, id: RunId, by: &str, how: &Cancel) -> Result<(Run, bool), StoreError> {
    let run = get_in(tx, id)?;
    let status = run.outcome.status;
    if status.is_terminal() {
        return Ok((run, false));
    }
    ask(tx, &run, by, how)?;
    if status == Status::Queued {
        life::end_in_queue(tx, &run, &Outcome::ended_in_queue(Reason::Canceled))?;
    }
    Ok((get_in(tx, id)?, status == Status::Running))
}

/// Records who asks for a run's end; where it runs, orders it to stop.
pub fn ask(tx: &mut Writer<'_>, run: &Run, by: &str, how: &Cancel) -> Result<(), StoreError> {
    let id = run.id;
    let is_first = run.cancel_requested_at.is_none();
    if is_first {
        tx.prepare(sql::RUNS_REQUEST_CANCEL)?.execute(named_params! {":id": id.0, ":now": tx.now.0})?;
    }
    // Of a run that does not run yet nothing has to be hurried.
    let output = tx.counters.output.get_mut(&id).filter(|_| how.now);
    let is_hurry = output.is_some_and(|output| !std::mem::replace(&mut output.hurried, true));
    if is_first || is_hurry {
        let mut told = json_value!({"by": by, "reason": how.reason});
        if is_hurry {
            told["now"] = true.into();
        }
        tx.append(id, Kind::CancelRequested, told.to_string())?;
    }
    if run.outcome.status == Status::Running {
        tx.orders.push(Order::Stop { run: id, asked: Ask::Cancel, now: how.now });
    }
    Ok(())
}
