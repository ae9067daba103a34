//! Runs: submit, get, change, cancel, end, retry, delete.

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde_json::{Map, Value, json as json_value};

use super::expiry::Budget;
use super::state::State;
use super::writer::{Writer, json};
use super::{StoreError, events, sql};
use crate::clock::UnixMs;
use crate::event::{Finished, Kind};
use crate::run::{Command, Ending, OnInterrupt, Reason, Run, RunId, Spec, Status};

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
pub(super) fn submit(tx: &mut Writer<'_>, new: &NewRun) -> Result<Submitted, StoreError> {
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
    let id = RunId(tx.state.last_run + 1);
    let ready = spec.not_before.is_none_or(|at| at <= tx.now);
    let (command, script) = match &spec.command {
        Command::Argv(argv) => (Some(json(argv)), None),
        Command::Script(script) => (None, Some(script)),
    };
    tx.prepare(sql::RUNS_INSERT)?.execute(named_params! {
        ":id": id.0, ":name": spec.name, ":queue": spec.queue, ":priority": spec.priority, ":ready": ready,
        ":tags": json(&spec.tags), ":command": command, ":script": script, ":cwd": spec.cwd,
        ":env": json(&spec.env), ":stdin": spec.stdin, ":timeout_s": spec.timeout_s,
        ":not_before": spec.not_before.map(|at| at.0), ":on_interrupt": spec.on_interrupt.as_str(),
        ":keep": spec.keep, ":created_at": tx.now.0, ":retry_of": new.retry_of.map(|run| run.0),
    })?;
    for tag in &spec.tags {
        tx.prepare(sql::RUNS_TAG)?.execute(named_params! {":tag": tag, ":run": id.0})?;
    }
    if let Some(IdempotencyKey { key, request_sha256 }) = &new.idempotency {
        tx.prepare(sql::IDEMPOTENCY_INSERT)?.execute(named_params! {
            ":key": key, ":run": id.0, ":request_sha256": request_sha256, ":now": tx.now.0,
        })?;
    }
    let data = match new.retry_of {
        None => format!(r#"{{"attempt":1,"by":{}}}"#, crate::event::json_string(&new.by)),
        Some(old) => format!(r#"{{"attempt":1,"by":{},"retry_of":{old}}}"#, crate::event::json_string(&new.by)),
    };
    let last_seq = tx.append(id, Kind::Queued, data)?;
    tx.state.last_run = id.0;
    tx.state.count_move(None, Some(Status::Queued));
    enter_queue(tx, &spec.queue, ready);
    Ok(Submitted { run: fresh(id, spec.clone(), last_seq, tx.now, new.retry_of), created: true })
}

fn fresh(id: RunId, spec: Spec, last_seq: i64, now: UnixMs, retry_of: Option<RunId>) -> Run {
    Run {
        id,
        status: Status::Queued,
        reason: None,
        spec,
        attempt: 1,
        exit_code: None,
        signal: None,
        error: None,
        progress: None,
        pid: None,
        last_seq,
        output_bytes: 0,
        created_at: now,
        started_at: None,
        ended_at: None,
        cancel_requested_at: None,
        retry_of,
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
        Some((run, _)) => get(tx.conn, tx.state, RunId(run)).map(Some),
    }
}

/// One run as it stands.
pub(super) fn get(conn: &Connection, state: &State, run: RunId) -> Result<Run, StoreError> {
    let mut statement = conn.prepare_cached(sql::RUNS_GET)?;
    let found = statement.query_row(named_params! {":id": run.0}, |row| from_row(row, state)).optional()?;
    found.ok_or_else(|| absent(state, run))
}

/// Gone or never there: every id up to the last one was given out.
pub(super) fn absent(state: &State, run: RunId) -> StoreError {
    if run.0 >= 1 && run.0 <= state.last_run { StoreError::RunPruned(run) } else { StoreError::RunNotFound(run) }
}

fn from_row(row: &Row<'_>, state: &State) -> rusqlite::Result<Run> {
    let id = RunId(row.get("id")?);
    let status = Status::parse(row.get_ref("status")?.as_str()?).unwrap_or(Status::Interrupted);
    let recorded: i64 = row.get("output_bytes")?;
    let time =
        |column: &str| -> rusqlite::Result<Option<UnixMs>> { Ok(row.get::<_, Option<i64>>(column)?.map(UnixMs)) };
    Ok(Run {
        id,
        status,
        reason: row.get_ref("reason")?.as_str_or_null()?.and_then(Reason::parse),
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
        attempt: row.get("attempt")?,
        exit_code: row.get("exit_code")?,
        signal: row.get("signal")?,
        error: row.get("error")?,
        progress: row.get("progress")?,
        pid: row.get("pid")?,
        last_seq: row.get::<_, Option<i64>>("last_seq")?.unwrap_or(0),
        output_bytes: state.output.get(&id).map_or(recorded, |output| output.printed),
        created_at: UnixMs(row.get("created_at")?),
        started_at: time("started_at")?,
        ended_at: time("ended_at")?,
        cancel_requested_at: time("cancel_requested_at")?,
        retry_of: row.get::<_, Option<i64>>("retry_of")?.map(RunId),
    })
}

/// The command of a row that has the columns `command` and `script`.
pub(super) fn command_from(row: &Row<'_>) -> rusqlite::Result<Command> {
    Ok(match row.get::<_, Option<String>>("script")? {
        Some(script) => Command::Script(script),
        None => Command::Argv(parsed(row.get_ref("command")?.as_str()?)),
    })
}

/// JSON that this program wrote; what somebody else put there reads as empty.
pub(super) fn parsed<T: serde::de::DeserializeOwned + Default>(text: &str) -> T {
    serde_json::from_str(text).unwrap_or_default()
}

/// Changes a run; until it has ended that is an event.
pub(super) fn change(tx: &mut Writer<'_>, id: RunId, change: &Change, by: &str) -> Result<Run, StoreError> {
    let mut run = get(tx.conn, tx.state, id)?;
    if change.needs_queued() && run.status != Status::Queued {
        return Err(StoreError::RunNotQueued(id));
    }
    if let Some(queue) = change.queue.as_ref().filter(|queue| !tx.state.queues.contains_key(*queue)) {
        return Err(StoreError::QueueUnknown(queue.clone()));
    }
    let old = run.spec.clone();
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
    let ready = run.spec.not_before.is_none_or(|at| at <= tx.now);
    let was_ready = is_ready(tx, id)?;
    let ready = if old.not_before == run.spec.not_before { was_ready } else { ready };
    if run.status == Status::Queued {
        leave_queue(tx, &old.queue, was_ready);
        enter_queue(tx, &run.spec.queue, ready);
    }
    write_change(tx, &run, &old, ready)?;
    if run.status.is_terminal() && old.keep != run.spec.keep {
        tx.state.prunable += if run.spec.keep { -1 } else { 1 };
        tx.state.look_up_expiry(tx.conn)?;
    }
    // Beside who asked.
    let is_change = told.len() > 1;
    if is_change && !run.status.is_terminal() {
        run.last_seq = tx.append(id, Kind::Changed, Value::Object(told).to_string())?;
    }
    Ok(run)
}

fn write_change(tx: &Writer<'_>, run: &Run, old: &Spec, ready: bool) -> Result<(), StoreError> {
    let spec = &run.spec;
    tx.prepare(sql::RUNS_CHANGE)?.execute(named_params! {
        ":id": run.id.0, ":name": spec.name, ":tags": json(&spec.tags), ":keep": spec.keep, ":queue": spec.queue,
        ":priority": spec.priority, ":timeout_s": spec.timeout_s, ":not_before": spec.not_before.map(|at| at.0),
        ":ready": ready,
    })?;
    if old.tags != spec.tags {
        for tag in &old.tags {
            tx.prepare(sql::RUNS_UNTAG)?.execute(named_params! {":tag": tag, ":run": run.id.0})?;
        }
        for tag in &spec.tags {
            tx.prepare(sql::RUNS_TAG)?.execute(named_params! {":tag": tag, ":run": run.id.0})?;
        }
    }
    Ok(())
}

fn is_ready(tx: &Writer<'_>, id: RunId) -> Result<bool, StoreError> {
    Ok(tx.prepare(sql::RUNS_IS_READY)?.exists(named_params! {":id": id.0})?)
}

fn enter_queue(tx: &mut Writer<'_>, queue: &str, ready: bool) {
    let queue = tx.state.queue_mut(queue);
    if ready {
        queue.ready += 1;
    } else {
        queue.delayed += 1;
        tx.state.due_changed = true;
    }
}

fn leave_queue(tx: &mut Writer<'_>, queue: &str, was_ready: bool) {
    let queue = tx.state.queue_mut(queue);
    if was_ready {
        queue.ready -= 1;
    } else {
        queue.delayed -= 1;
        tx.state.due_changed = true;
    }
}

/// Records that a run's end is asked for. A queued run ends here; whether a running one must be told is the answer.
pub(super) fn cancel(
    tx: &mut Writer<'_>,
    id: RunId,
    by: &str,
    reason: Option<&str>,
) -> Result<(Run, bool), StoreError> {
    let run = get(tx.conn, tx.state, id)?;
    if run.status.is_terminal() {
        return Ok((run, false));
    }
    if run.cancel_requested_at.is_none() {
        tx.prepare(sql::RUNS_REQUEST_CANCEL)?.execute(named_params! {":id": id.0, ":now": tx.now.0})?;
        tx.append(id, Kind::CancelRequested, json_value!({"by": by, "reason": reason}).to_string())?;
    }
    if run.status == Status::Queued {
        end(tx, &run, &Ending::CANCELED_IN_QUEUE)?;
    }
    Ok((get(tx.conn, tx.state, id)?, run.status == Status::Running))
}

/// Writes a run's end and its last event.
pub(super) fn end(tx: &mut Writer<'_>, run: &Run, ending: &Ending) -> Result<(), StoreError> {
    debug_assert!(run.status.may_become(ending.status));
    let was_ready = is_ready(tx, run.id)?;
    let output_bytes = tx.state.output.get(&run.id).map_or(run.output_bytes, |output| output.printed);
    tx.prepare(sql::RUNS_END)?.execute(named_params! {
        ":id": run.id.0, ":status": ending.status.as_str(), ":reason": ending.reason.as_str(),
        ":exit_code": ending.exit_code, ":signal": ending.signal, ":error": ending.error,
        ":output_bytes": output_bytes, ":now": tx.now.0,
    })?;
    let duration_ms = run.started_at.map(|started| (tx.now.0 - started.0).max(0));
    tx.ended.push((ending.status, duration_ms));
    let finished = Finished {
        status: ending.status,
        reason: ending.reason,
        exit_code: ending.exit_code,
        signal: ending.signal,
        error: ending.error.clone(),
        duration_ms,
        name: run.spec.name.clone(),
        queue: run.spec.queue.clone(),
        tags: run.spec.tags.clone(),
    };
    tx.append(run.id, Kind::Finished, json(&finished))?;
    tx.state.output.remove(&run.id);
    tx.state.count_move(Some(run.status), Some(ending.status));
    if !run.spec.keep {
        tx.state.prunable += 1;
        tx.state.ended(tx.now);
    }
    if run.status == Status::Queued {
        leave_queue(tx, &run.spec.queue, was_ready);
    } else {
        tx.state.queue_mut(&run.spec.queue).running -= 1;
        tx.claim_wanted = true;
    }
    Ok(())
}

/// A new run of the same specification, less key and delay.
pub(super) fn retry(tx: &mut Writer<'_>, id: RunId, by: &str) -> Result<Run, StoreError> {
    let old = get(tx.conn, tx.state, id)?;
    if !old.status.is_terminal() {
        return Err(StoreError::RunNotFinished(id));
    }
    let spec = Spec { not_before: None, ..old.spec };
    let new = NewRun { spec, idempotency: None, retry_of: Some(id), by: by.to_owned() };
    submit(tx, &new).map(|submitted| submitted.run)
}

/// Removes a finished run. Its events go with it where they are few, else in pieces that nobody waits for.
pub(super) fn delete(tx: &mut Writer<'_>, id: RunId) -> Result<(), StoreError> {
    forget(tx, id)?;
    tx.state.look_up_expiry(tx.conn)?;
    events::remove_doomed(tx, &mut Budget::new())?;
    Ok(())
}

/// Removes a finished run but for its events, which are marked to follow.
pub(super) fn forget(tx: &mut Writer<'_>, id: RunId) -> Result<(), StoreError> {
    let run = get(tx.conn, tx.state, id)?;
    if !run.status.is_terminal() {
        return Err(StoreError::RunNotFinished(id));
    }
    for tag in &run.spec.tags {
        tx.prepare(sql::RUNS_UNTAG)?.execute(named_params! {":tag": tag, ":run": id.0})?;
    }
    tx.prepare(sql::ATTEMPTS_DELETE)?.execute(named_params! {":run": id.0})?;
    tx.prepare(sql::TRIMMED_DELETE)?.execute(named_params! {":run": id.0})?;
    tx.prepare(sql::IDEMPOTENCY_RELEASE)?.execute(named_params! {":run": id.0, ":now": tx.now.0})?;
    tx.prepare(sql::RUNS_DELETE)?.execute(named_params! {":id": id.0})?;
    tx.prepare(sql::META_RAISE)?.execute(named_params! {":key": "removed_run_id", ":value": id.0})?;
    events::doom(tx, id)?;
    tx.removed_runs += 1;
    tx.state.doomed = true;
    tx.state.count_move(Some(run.status), None);
    tx.state.prunable -= i64::from(!run.spec.keep);
    Ok(())
}
