//! Runs: what a client may do with one, decided before anything is written: submit, get, change, cancel, retry, delete.

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde_json::{Map, Value, json as json_value};

use crate::clock::UnixMs;
use crate::event::Kind;
use crate::numbers::Seq;
use crate::run::{Ask, Command, HeldBy, Hold, OnInterrupt, Outcome, Reason, Run, RunId, Spec, Status};
use crate::store::engine::orders::Order;
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::sql;
use crate::store::tables::expiry::Budget;
use crate::store::tables::{events, life};

/// A run to be made.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// What it is.
    pub spec: Spec,
    /// Which request it came by, if the client said so.
    pub idempotency: Option<IdempotencyKey>,
    /// The run that it repeats.
    pub retry_of: Option<RunId>,
    /// Who asks.
    pub by: String,
}

/// A client's name for a request, and what the request was.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    /// 1 to 255 visible ASCII characters.
    pub key: String,
    /// Of content type, query and body.
    pub request_sha256: [u8; 32],
}

/// The answer to a submit.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// The run.
    pub run: Run,
    /// False where the idempotency key stood for it already.
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

/// Makes a run with its first event, or finds the one its key stands for.
pub(in crate::store) fn submit(tx: &mut Writer<'_>, new: &NewRun) -> Result<Submitted, StoreError> {
    if let Some(found) = find_by_key(tx, new)? {
        return Ok(Submitted { run: found, created: false });
    }
    let spec = &new.spec;
    if !tx.state.queues.contains_key(&spec.queue) {
        return Err(StoreError::QueueUnknown(spec.queue.clone()));
    }
    if tx.state.queued() >= tx.queued_runs_max {
        return Err(StoreError::QueueFull { limit: tx.queued_runs_max });
    }
    tx.may_grow()?;
    let id = tx.state.last_run.next();
    let held_by = HeldBy::time_until(spec.not_before, tx.now);
    let last_seq = life::enter(tx, id, new, held_by)?;
    retag(tx, id, &[], &spec.tags)?;
    if let Some(IdempotencyKey { key, request_sha256 }) = &new.idempotency {
        tx.prepare(sql::IDEMPOTENCY_INSERT)?.execute(named_params! {
            ":key": key, ":run": id.0, ":request_sha256": request_sha256, ":now": tx.now.0,
        })?;
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
    }
}

fn find_by_key(tx: &mut Writer<'_>, new: &NewRun) -> Result<Option<Run>, StoreError> {
    let Some(IdempotencyKey { key, request_sha256 }) = &new.idempotency else { return Ok(None) };
    let known: Option<(i64, Vec<u8>)> = tx
        .prepare(sql::IDEMPOTENCY_GET)?
        .query_row(named_params! {":key": key}, |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match known {
        None => Ok(None),
        Some((_, sha256)) if sha256 != request_sha256 => Err(StoreError::IdempotencyMismatch),
        Some((run, _)) => get_in(tx, RunId(run)).map(Some),
    }
}

/// One run as it stands. `printed`: what the store's memory says of its output while it runs.
pub(in crate::store) fn get(conn: &Connection, run: RunId, printed: Option<i64>) -> Result<Run, StoreError> {
    let mut statement = conn.prepare_cached(sql::RUNS_GET)?;
    let found = statement.query_row(named_params! {":id": run.0}, |row| from_row(row, printed)).optional()?;
    found.map_or_else(|| Err(absent(conn, run)?), Ok)
}

/// One run as it stands in a transaction.
pub(in crate::store) fn get_in(tx: &Writer<'_>, run: RunId) -> Result<Run, StoreError> {
    get(tx.conn, run, tx.state.output.get(&run).map(|output| output.printed))
}

/// What is said of a run that is not there: gone or never there, since every id up to the last one was given out.
pub(in crate::store) fn absent(conn: &Connection, run: RunId) -> Result<StoreError, StoreError> {
    let was_there = run >= RunId(1) && run <= last_run(conn)?;
    Ok(if was_there { StoreError::RunPruned(run) } else { StoreError::RunNotFound(run) })
}

/// The highest id of a run that was ever given out.
pub(in crate::store) fn last_run(conn: &Connection) -> Result<RunId, StoreError> {
    let newest: Option<RunId> = conn.prepare_cached(sql::RUNS_MAX_ID)?.query_row([], |row| row.get(0))?;
    let mut removed = conn.prepare_cached(sql::META_GET)?;
    let removed: RunId = removed.query_row(named_params! {":key": "removed_run_id"}, |row| row.get(0))?;
    Ok(newest.unwrap_or_default().max(removed))
}

fn from_row(row: &Row<'_>, printed: Option<i64>) -> rusqlite::Result<Run> {
    let outcome = outcome_from(row)?;
    // Of a run that does not run its row is right, and the memory may be of before.
    let printed = printed.filter(|_| outcome.status == Status::Running);
    let time =
        |column: &str| -> rusqlite::Result<Option<UnixMs>> { Ok(row.get::<_, Option<i64>>(column)?.map(UnixMs)) };
    Ok(Run {
        id: RunId(row.get("id")?),
        outcome,
        spec: Spec {
            command: command_from(row)?,
            name: row.get("name")?,
            queue: row.get("queue")?,
            priority: row.get("priority")?,
            tags: parsed(row.get_ref("tags")?.as_str()?),
            cwd: row.get("cwd")?,
            env: parsed(row.get_ref("env")?.as_str()?),
            stdin: row.get("stdin")?,
            timeout_s: row.get("timeout_s")?,
            not_before: time("not_before")?,
            on_interrupt: OnInterrupt::parse(row.get_ref("on_interrupt")?.as_str()?).unwrap_or(OnInterrupt::Fail),
            keep: row.get("keep")?,
        },
        held_by: HeldBy::from_bits(row.get("held_by")?),
        attempt: row.get("attempt")?,
        progress: row.get("progress")?,
        pid: row.get("pid")?,
        last_seq: row.get::<_, Option<Seq>>("last_seq")?.unwrap_or_default(),
        output_bytes: printed.map_or_else(|| row.get("output_bytes"), Ok)?,
        created_at: UnixMs(row.get("created_at")?),
        started_at: time("started_at")?,
        ended_at: time("ended_at")?,
        cancel_requested_at: time("cancel_requested_at")?,
        retry_of: row.get::<_, Option<i64>>("retry_of")?.map(RunId),
    })
}

/// The outcome of a row that has its five columns.
pub(in crate::store) fn outcome_from(row: &Row<'_>) -> rusqlite::Result<Outcome> {
    Ok(Outcome {
        status: Status::parse(row.get_ref("status")?.as_str()?).unwrap_or(Status::Interrupted),
        reason: row.get_ref("reason")?.as_str_or_null()?.and_then(Reason::parse),
        exit_code: row.get("exit_code")?,
        signal: row.get("signal")?,
        error: row.get("error")?,
    })
}

/// The command of a row that has the columns `command` and `script`.
pub(in crate::store) fn command_from(row: &Row<'_>) -> rusqlite::Result<Command> {
    Ok(match row.get::<_, Option<String>>("script")? {
        Some(script) => Command::Script(script),
        None => Command::Argv(parsed(row.get_ref("command")?.as_str()?)),
    })
}

/// JSON that this program wrote; what somebody else put there reads as empty.
pub(in crate::store) fn parsed<T: serde::de::DeserializeOwned + Default>(text: &str) -> T {
    serde_json::from_str(text).unwrap_or_default()
}

/// Changes a run; until it has ended that is an event.
pub(in crate::store) fn change(tx: &mut Writer<'_>, id: RunId, change: &Change, by: &str) -> Result<Run, StoreError> {
    let mut run = get_in(tx, id)?;
    if change.needs_queued() && run.outcome.status != Status::Queued {
        return Err(StoreError::RunNotQueued(id));
    }
    if let Some(queue) = change.queue.as_ref().filter(|queue| !tx.state.queues.contains_key(*queue)) {
        return Err(StoreError::QueueUnknown(queue.clone()));
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
        tx.state.look_up_expiry(tx.conn)?;
    }
    // Beside who asked.
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

/// Records that a run's end is asked for. A queued run ends here, a running one is ordered to stop; whether it was running is
/// the answer.
pub(in crate::store) fn cancel(
    tx: &mut Writer<'_>,
    id: RunId,
    by: &str,
    reason: Option<&str>,
) -> Result<(Run, bool), StoreError> {
    let run = get_in(tx, id)?;
    let status = run.outcome.status;
    if status.is_terminal() {
        return Ok((run, false));
    }
    if run.cancel_requested_at.is_none() {
        tx.prepare(sql::RUNS_REQUEST_CANCEL)?.execute(named_params! {":id": id.0, ":now": tx.now.0})?;
        tx.append(id, Kind::CancelRequested, json_value!({"by": by, "reason": reason}).to_string())?;
    }
    if status == Status::Queued {
        life::end(tx, &run, &Outcome::CANCELED_IN_QUEUE)?;
    }
    let still_runs = status == Status::Running;
    if still_runs {
        tx.orders.push(Order::Stop { run: id, asked: Ask::Cancel });
    }
    Ok((get_in(tx, id)?, still_runs))
}

/// A new run of the same specification, less key and delay.
pub(in crate::store) fn retry(tx: &mut Writer<'_>, id: RunId, by: &str) -> Result<Run, StoreError> {
    let old = get_in(tx, id)?;
    if !old.outcome.status.is_terminal() {
        return Err(StoreError::RunNotFinished(id));
    }
    let spec = Spec { not_before: None, ..old.spec };
    let new = NewRun { spec, idempotency: None, retry_of: Some(id), by: by.to_owned() };
    submit(tx, &new).map(|submitted| submitted.run)
}

/// Removes a finished run. Its events go with it where they are few, else in pieces that nobody waits for.
pub(in crate::store) fn delete(tx: &mut Writer<'_>, id: RunId) -> Result<(), StoreError> {
    forget(tx, id)?;
    tx.state.look_up_expiry(tx.conn)?;
    events::remove_doomed(tx, &mut Budget::new())?;
    Ok(())
}

/// Removes a finished run but for its events, which are marked to follow.
pub(in crate::store) fn forget(tx: &mut Writer<'_>, id: RunId) -> Result<(), StoreError> {
    let run = get_in(tx, id)?;
    if !run.outcome.status.is_terminal() {
        return Err(StoreError::RunNotFinished(id));
    }
    retag(tx, id, &run.spec.tags, &[])?;
    tx.prepare(sql::ATTEMPTS_DELETE)?.execute(named_params! {":run": id.0})?;
    tx.prepare(sql::TRIMMED_DELETE)?.execute(named_params! {":run": id.0})?;
    tx.prepare(sql::IDEMPOTENCY_RELEASE)?.execute(named_params! {":run": id.0, ":now": tx.now.0})?;
    life::remove(tx, &run)?;
    events::doom(tx, id)?;
    tx.state.doomed = true;
    Ok(())
}
