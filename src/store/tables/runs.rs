//! What clients do with runs: submit, get, change, cancel, retry, delete. Each is decided before anything is written.

use rusqlite::named_params;
use serde_json::{Map, Value, json as json_value};

use crate::clock::UnixMs;
use crate::event::Kind;
use crate::numbers::Seq;
use crate::run::{Ask, Cause, HeldBy, Hold, Origin, Outcome, Run, RunId, Spec, Status};
use crate::store::engine::orders::Order;
use crate::store::engine::writer::Writer;
use crate::store::error::{Fault, StoreError};
use crate::store::numbers::EventKey;
use crate::store::refusal::Refusal;
use crate::store::sql;
use crate::store::tables::events::Budget;
use crate::store::tables::handle::Store;
use crate::store::tables::life::NewRun;
use crate::store::tables::run_row::{get, get_in};
use crate::store::tables::{events, idempotency, life};

/// The answer to a submit.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// The run.
    pub run: Run,
    /// False where its idempotency key stood for it already.
    pub created: bool,
}

/// What a client changes; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Exempt from retention.
    pub keep: Option<bool>,
    /// The label.
    pub name: Option<Option<String>>,
    /// The tags, all of them.
    pub tags: Option<Vec<String>>,
    /// Only while queued.
    pub queue: Option<String>,
    /// Only while queued.
    pub priority: Option<i64>,
    /// Only while queued.
    pub timeout_s: Option<Option<i64>>,
    /// Only while queued.
    pub not_before: Option<Option<UnixMs>>,
}

impl Change {
    fn needs_queued(&self) -> bool {
        self.queue.is_some() || self.priority.is_some() || self.timeout_s.is_some() || self.not_before.is_some()
    }
}

/// How a run is canceled.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    /// For people.
    pub reason: Option<String>,
    /// Kill it at once, also while an earlier cancel, or its timeout, leaves it time to end.
    pub now: bool,
}

impl Store {
    /// Makes a run, or finds the one of its idempotency key.
    pub async fn submit(&self, new: NewRun) -> Result<Submitted, StoreError> {
        self.requests.write(move |tx| submit(tx, &new)).await
    }

    /// One run.
    pub async fn run(&self, run: RunId) -> Result<Run, StoreError> {
        self.requests.read(move |snapshot| get(snapshot.conn, run, snapshot.printed(run))).await
    }

    /// Changes a run.
    pub async fn change(&self, run: RunId, changed: Change, by: String) -> Result<Run, StoreError> {
        self.requests.write(move |tx| change(tx, run, &changed, &by)).await
    }

    /// Asks for a run's end. Returns the run, and whether it still runs: then the order to stop it is on its way.
    pub async fn cancel(&self, run: RunId, by: String, how: Cancel) -> Result<(Run, bool), StoreError> {
        self.requests.write(move |tx| cancel(tx, run, &by, &how)).await
    }

    /// Makes a new run of an ended one's specification.
    pub async fn retry(&self, run: RunId, by: String) -> Result<Run, StoreError> {
        self.requests.write(move |tx| retry(tx, run, &by)).await
    }

    /// Removes an ended run and its events.
    pub async fn delete(&self, run: RunId) -> Result<(), StoreError> {
        self.requests.write(move |tx| delete(tx, run)).await
    }
}

/// Makes a run with its first event, or finds the one of its idempotency key.
pub fn submit(tx: &mut Writer<'_>, new: &NewRun) -> Result<Submitted, StoreError> {
    if let Some(key) = &new.idempotency {
        if let Some(found) = idempotency::find(tx, key)? {
            return Ok(Submitted { run: get_in(tx, found)?, created: false });
        }
    }
    let spec = &new.spec;
    if !tx.counters.queues.contains_key(&spec.queue) {
        return Err(Refusal::QueueUnknown(spec.queue.clone()).into());
    }
    if tx.counters.queued() >= tx.rules.queued_runs_max {
        return Err(Refusal::QueueFull { limit: tx.rules.queued_runs_max }.into());
    }
    tx.may_grow()?;
    let id = tx.counters.last_run.next();
    if id > EventKey::RUN_MAX {
        return Err(Fault::Unavailable(format!("{} was the last run's id", EventKey::RUN_MAX)).into());
    }
    let held_by = HeldBy::time_until(spec.not_before, tx.now);
    let last_seq = life::enter(tx, id, new, held_by)?;
    retag(tx, id, &[], &spec.tags)?;
    if let Some(key) = &new.idempotency {
        idempotency::insert(tx, key, id)?;
    }
    Ok(Submitted { run: fresh(id, new, held_by, last_seq, tx.now), created: true })
}

fn fresh(id: RunId, new: &NewRun, held_by: HeldBy, last_seq: Seq, now: UnixMs) -> Run {
    Run {
        id,
        outcome: Outcome::QUEUED,
        spec: new.spec.clone(),
        held_by,
        attempt: 1,
        progress: None,
        pid: None,
        last_seq,
        output_bytes: 0,
        created_at: now,
        started_at: None,
        ended_at: None,
        cancel_requested_at: None,
        retry_of: new.retry_of,
        origin: new.origin.clone(),
    }
}

/// Changes a run; with an event, until it has ended.
fn change(tx: &mut Writer<'_>, id: RunId, change: &Change, by: &str) -> Result<Run, StoreError> {
    let mut run = get_in(tx, id)?;
    if change.needs_queued() && run.outcome.status != Status::Queued {
        return Err(Refusal::RunNotQueued(id).into());
    }
    if let Some(queue) = change.queue.as_ref().filter(|queue| !tx.counters.queues.contains_key(*queue)) {
        return Err(Refusal::QueueUnknown(queue.clone()).into());
    }
    let old = run.clone();
    let mut told = Map::new();
    told.insert("by".into(), by.into());
    let spec = &mut run.spec;
    if let Some(keep) = change.keep {
        spec.keep = keep;
        told.insert("keep".into(), keep.into());
    }
    if let Some(name) = &change.name {
        spec.name.clone_from(name);
        told.insert("name".into(), json_value!(name));
    }
    if let Some(tags) = &change.tags {
        spec.tags.clone_from(tags);
        told.insert("tags".into(), json_value!(tags));
    }
    if let Some(queue) = &change.queue {
        spec.queue.clone_from(queue);
        told.insert("queue".into(), json_value!(queue));
    }
    if let Some(priority) = change.priority {
        spec.priority = priority;
        told.insert("priority".into(), priority.into());
    }
    if let Some(timeout_s) = change.timeout_s {
        spec.timeout_s = timeout_s;
        told.insert("timeout_s".into(), json_value!(timeout_s));
    }
    if let Some(not_before) = change.not_before {
        spec.not_before = not_before;
        told.insert("not_before".into(), json_value!(not_before.map(|at| at.to_string())));
    }
    if old.spec.not_before != run.spec.not_before {
        // The time alone: what else holds it back goes on doing so.
        let is_held = HeldBy::time_until(run.spec.not_before, tx.now).has(Hold::Time);
        run.held_by = run.held_by.set(Hold::Time, is_held);
    }
    life::change(tx, &old, &run)?;
    retag(tx, id, &old.spec.tags, &run.spec.tags)?;
    let is_over = run.outcome.status.is_terminal();
    if is_over && old.spec.keep != run.spec.keep {
        tx.counters.look_up_expiry(tx.conn)?;
    }
    // ReadOnlyDatabase who asked.
    let is_change = told.len() > 1;
    if is_change && !is_over {
        run.last_seq = tx.append(id, Kind::Changed, Value::Object(told).to_string())?;
    }
    Ok(run)
}

fn retag(tx: &Writer<'_>, id: RunId, old: &[String], new: &[String]) -> Result<(), StoreError> {
    if old != new {
        for tag in old {
            tx.prepare(sql::RUNS_UNTAG)?.execute(named_params! {":tag": tag, ":run": id.0})?;
        }
        for tag in new {
            tx.prepare(sql::RUNS_TAG)?.execute(named_params! {":tag": tag, ":run": id.0})?;
        }
    }
    Ok(())
}

/// Records that a run's end is asked for. A queued run ends here, a running one is ordered to stop. Returns whether it
/// was running.
pub fn cancel(tx: &mut Writer<'_>, id: RunId, by: &str, how: &Cancel) -> Result<(Run, bool), StoreError> {
    let run = get_in(tx, id)?;
    let status = run.outcome.status;
    if status.is_terminal() {
        return Ok((run, false));
    }
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
    if status == Status::Queued {
        life::end(tx, &run, &Outcome::CANCELED_IN_QUEUE)?;
    }
    let still_runs = status == Status::Running;
    if still_runs {
        tx.orders.push(Order::Stop { run: id, asked: Ask::Cancel, now: how.now });
    }
    Ok((get_in(tx, id)?, still_runs))
}

/// Makes a new run of the same specification, without key and delay.
pub fn retry(tx: &mut Writer<'_>, id: RunId, by: &str) -> Result<Run, StoreError> {
    let old = get_in(tx, id)?;
    if !old.outcome.status.is_terminal() {
        return Err(Refusal::RunNotFinished(id).into());
    }
    let spec = Spec { not_before: None, ..old.spec };
    let new =
        NewRun { spec, idempotency: None, retry_of: Some(id), origin: Origin::of(Cause::Retry), by: by.to_owned() };
    submit(tx, &new).map(|submitted| submitted.run)
}

/// Removes a finished run. Its events are removed at once where they are few, else in pieces.
fn delete(tx: &mut Writer<'_>, id: RunId) -> Result<(), StoreError> {
    forget(tx, id)?;
    tx.counters.look_up_expiry(tx.conn)?;
    events::remove_deleted(tx, &mut Budget::new())?;
    Ok(())
}

/// Removes a finished run, and marks its events for removal.
pub fn forget(tx: &mut Writer<'_>, id: RunId) -> Result<(), StoreError> {
    let run = get_in(tx, id)?;
    if !run.outcome.status.is_terminal() {
        return Err(Refusal::RunNotFinished(id).into());
    }
    retag(tx, id, &run.spec.tags, &[])?;
    tx.prepare(sql::ATTEMPTS_DELETE)?.execute(named_params! {":run": id.0})?;
    tx.prepare(sql::TRIMMED_DELETE)?.execute(named_params! {":run": id.0})?;
    idempotency::release(tx, id)?;
    life::remove(tx, &run)?;
    events::begin_deleting(tx, id)?;
    tx.counters.deleting = true;
    Ok(())
}
