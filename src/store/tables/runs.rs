//! What clients do with runs that are there: get, change, retry, delete. Each is decided before anything is written.

use rusqlite::{Connection, named_params};
use serde_json::{Map, Value, json as json_value};

use crate::clock::UnixMs;
use crate::event::Kind;
use crate::run::{Cause, HeldBy, Hold, Options, Origin, Run, RunId, Spec, Status, TerminalSize};
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::refusal::Refusal;
use crate::store::sql;
use crate::store::tables::events::Budget;
use crate::store::tables::handle::Store;
use crate::store::tables::life::NewRun;
use crate::store::tables::run_row::{get, get_in};
use crate::store::tables::submit::submit;
use crate::store::tables::tags::retag;
use crate::store::tables::{artifacts, events, idempotency, keys, life, needs};

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
    /// The size of its terminal, where it has one.
    pub pty: Option<TerminalSize>,
}

/// What ties a run to others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ties {
    /// Runs that it waits for: those that it needs, and the one of its key whose turn it is.
    pub waits_for: Vec<RunId>,
    /// Some of the runs that wait and need it.
    pub needed_by: Vec<RunId>,
}

/// Most runs that are named as those that need one.
const NEEDED_BY_MAX: i64 = 100;

impl Change {
    fn needs_queued(&self) -> bool {
        self.queue.is_some() || self.priority.is_some() || self.timeout_s.is_some() || self.not_before.is_some()
    }
}

impl Store {
    /// One run.
    pub async fn run(&self, run: RunId) -> Result<Run, StoreError> {
        self.requests.read(move |snapshot| get(snapshot.conn, run, snapshot.printed(run))).await
    }

    /// What a queued run waits for, and who waits for a run.
    pub async fn ties(&self, run: RunId) -> Result<Ties, StoreError> {
        self.requests.read(move |snapshot| ties(snapshot.conn, &get(snapshot.conn, run, None)?)).await
    }

    /// Changes a run.
    pub async fn change(&self, run: RunId, changed: Change, by: String) -> Result<Run, StoreError> {
        self.requests.write(move |tx| change(tx, run, &changed, &by)).await
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

fn ties(conn: &Connection, run: &Run) -> Result<Ties, StoreError> {
    let mut ties = Ties::default();
    if run.held_by.has(Hold::After) {
        ties.waits_for = needs::wanting(conn, run.id)?;
    }
    if let Some(key) = run.spec.key.as_ref().filter(|_| run.held_by.has(Hold::Key)) {
        let first = keys::first(conn, key)?.map(|first| first.id);
        ties.waits_for.extend(first.filter(|first| !ties.waits_for.contains(first)));
    }
    if run.is_needed {
        ties.needed_by = needs::needed_by(conn, run.id, NEEDED_BY_MAX)?;
    }
    Ok(ties)
}

/// Changes a run; with an event, until it has ended, and where anything is another now.
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
    if let Some(size) = change.pty.filter(|_| spec.options.pty.is_some()) {
        spec.options.pty = Some(size);
        told.insert("pty".into(), json_value!(size));
    }
    if old.spec.not_before != run.spec.not_before {
        run.held_by = held_until(&run, tx.now);
    }
    life::change(tx, &old, &run)?;
    retag(tx, id, &old.spec.tags, &run.spec.tags)?;
    let is_over = run.outcome.status.is_terminal();
    if is_over && old.spec.keep != run.spec.keep {
        tx.counters.look_up_next(tx.conn)?;
    }
    if old.spec != run.spec && !is_over {
        run.last_seq = tx.append(id, Kind::Changed, Value::Object(told).to_string())?;
    }
    Ok(run)
}

/// What holds a run back whose time is another now. The time alone: what else holds it back goes on doing so, and what waits to
/// be tried again goes on waiting for that.
fn held_until(run: &Run, now: UnixMs) -> HeldBy {
    let is_held = HeldBy::time_until(run.spec.not_before, now).has(Hold::Time);
    let hold = if run.held_by.has(Hold::Retry) { Hold::Retry } else { Hold::Time };
    run.held_by.set(hold, is_held)
}

/// Makes a new run of the same specification, without what it was to wait for: time, and other runs.
pub fn retry(tx: &mut Writer<'_>, id: RunId, by: &str) -> Result<Run, StoreError> {
    let old = get_in(tx, id)?;
    if !old.outcome.status.is_terminal() {
        return Err(Refusal::RunNotFinished(id).into());
    }
    let options = Options { after: Vec::new(), start_before: None, ..old.spec.options };
    let spec = Spec { not_before: None, options, ..old.spec };
    let new =
        NewRun { spec, idempotency: None, retry_of: Some(id), origin: Origin::of(Cause::Retry), by: by.to_owned() };
    submit(tx, &new).map(|submitted| submitted.run)
}

/// Removes a finished run. Its events are removed at once where they are few, else in pieces.
fn delete(tx: &mut Writer<'_>, id: RunId) -> Result<(), StoreError> {
    forget(tx, id)?;
    tx.counters.look_up_next(tx.conn)?;
    events::remove_deleted(tx, &mut Budget::new())?;
    Ok(())
}

/// Removes a finished run, and marks its events for removal.
pub fn forget(tx: &mut Writer<'_>, id: RunId) -> Result<(), StoreError> {
    let run = get_in(tx, id)?;
    if !run.outcome.status.is_terminal() {
        return Err(Refusal::RunNotFinished(id).into());
    }
    if run.is_needed {
        let by = needs::needed_by(tx.conn, id, 1)?.pop();
        return Err(Refusal::RunNeeded { run: id, by }.into());
    }
    retag(tx, id, &run.spec.tags, &[])?;
    tx.prepare(sql::ATTEMPTS_DELETE)?.execute(named_params! {":run": id.0})?;
    tx.prepare(sql::TRIMMED_DELETE)?.execute(named_params! {":run": id.0})?;
    idempotency::release(tx, id)?;
    artifacts::forget(tx, &run)?;
    life::remove(tx, &run)?;
    events::begin_deleting(tx, id)?;
    tx.counters.deleting = true;
    Ok(())
}
