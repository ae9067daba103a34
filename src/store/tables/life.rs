//! The transitions of a run: into its queue, into an attempt, back, to its end, and out. All of them are here.
//!
//! Each function here looks its move up in the table of `run`, moves the counters, and writes the run's row and event. No
//! other file counts runs, and no statement but those under `sql/life/` writes a run's status or what holds it back.

use rusqlite::{OptionalExtension, Row, named_params};

use crate::clock::{UnixMs, Uptime};
use crate::event::{Finished, Kind, LeftFiles};
use crate::numbers::{EventId, Seq};
use crate::run::{Command, HeldBy, Hold, Measured, Origin, Outcome, Reason, Run, RunId, Spec, Status, may_follow};
use crate::store::engine::counters::Standing;
use crate::store::engine::writer::{Writer, json};
use crate::store::error::{Fault, StoreError};
use crate::store::sql;
use crate::store::tables::idempotency::IdempotencyKey;
use crate::store::tables::run_row::get_in;
use crate::store::tables::{deliveries, keys, needs};
use crate::text::json_string;

/// Runs that have ended are filed so many at a time: three indexes have then a page or two for all of them together, and
/// whoever lists runs has so many to look through beside those indexes.
const FILED_TOGETHER: usize = 64;

/// A run to be made.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// What it is.
    pub spec: Spec,
    /// Which request it came by, if the client said so.
    pub idempotency: Option<IdempotencyKey>,
    /// The run that it repeats.
    pub retry_of: Option<RunId>,
    /// What makes it.
    pub origin: Origin,
    /// Who asks.
    pub by: String,
}

/// Checks a transition and moves the counters; `None` is a run that does not exist.
///
/// # Errors
/// When the table has no such move. What was written before is rolled back with the transaction.
fn moved(
    tx: &mut Writer<'_>,
    run: RunId,
    from: Option<Standing<'_>>,
    to: Option<Standing<'_>>,
) -> Result<(), StoreError> {
    let status = |standing: Option<Standing<'_>>| standing.map(|standing| standing.status);
    if !may_follow(status(from), status(to)) {
        return Err(Fault::NoSuchMove { run, from: status(from), to: status(to) }.into());
    }
    for (standing, by) in [(from, -1), (to, 1)] {
        if let Some(standing) = standing {
            tx.counters.count_run(standing, by);
        }
    }
    let is_in = |standing: Option<Standing<'_>>, is: fn(Status) -> bool| standing.is_some_and(|run| is(run.status));
    let runs = |status| status == Status::Running;
    // It may have a time after which it does not start again.
    tx.counters.due_changed |= is_in(from, runs) && to.is_some_and(|run| run.status == Status::Queued);
    tx.claim_wanted |= is_in(from, runs) && !is_in(to, runs);
    if is_in(to, Status::is_terminal) && !is_in(from, Status::is_terminal) && to.is_some_and(|run| !run.keep) {
        tx.counters.ended(tx.now);
    }
    Ok(())
}

/// Submit: writes the run's row and its first event; returns the event's `seq`.
pub fn enter(tx: &mut Writer<'_>, id: RunId, new: &NewRun, held_by: HeldBy) -> Result<Seq, StoreError> {
    let (spec, origin) = (&new.spec, &new.origin);
    let queued = Standing { status: Status::Queued, queue: &spec.queue, held_by, keep: spec.keep };
    moved(tx, id, None, Some(queued))?;
    let (command, script) = command_columns(&spec.command);
    tx.prepare(sql::LIFE_ENTER)?.execute(named_params! {
        ":id": id.0, ":name": spec.name, ":queue": spec.queue, ":priority": spec.priority, ":held_by": held_by.bits(),
        ":tags": json(&spec.tags), ":command": command, ":script": script, ":cwd": spec.cwd,
        ":env": json(&spec.env), ":stdin": spec.stdin, ":timeout_s": spec.timeout_s,
        ":not_before": spec.not_before.map(|at| at.0), ":on_interrupt": spec.on_interrupt.as_str(),
        ":keep": spec.keep, ":created_at": tx.now.0, ":retry_of": new.retry_of.map(|run| run.0),
        ":options": spec.options.to_column(), ":cause": origin.cause.as_str(), ":job": origin.job,
        ":scheduled_for": origin.scheduled_for.map(|at| at.0), ":missed": origin.missed,
        ":key": spec.key, ":start_before": spec.options.start_before.map(|at| at.0),
    })?;
    tx.counters.due_changed |= spec.options.start_before.is_some();
    tx.counters.last_run = id;
    let by = json_string(&new.by);
    let data = match new.retry_of {
        None => format!(r#"{{"attempt":1,"by":{by}}}"#),
        Some(old) => format!(r#"{{"attempt":1,"by":{by},"retry_of":{old}}}"#),
    };
    tx.append(id, Kind::Queued, data)
}

/// Admits due runs: their time no longer holds them back.
pub fn admit(tx: &mut Writer<'_>) -> Result<(), StoreError> {
    while tx.counters.next_due.is_some_and(|due| due <= tx.now) {
        let mut statement = tx.prepare(sql::LIFE_ADMIT)?;
        let mut rows = statement.query(named_params! {":now": tx.now.0})?;
        while let Some(row) = rows.next()? {
            let due = Standing {
                status: Status::Queued,
                queue: row.get_ref("queue")?.as_str().unwrap_or_default(),
                held_by: HeldBy::from_bits(row.get("held_by")?),
                keep: false,
            };
            let waited = Standing { held_by: due.held_by.set(Hold::Time, true), ..due };
            moved(tx, RunId(row.get("id")?), Some(waited), Some(due))?;
        }
        tx.counters.look_up_due(tx.conn)?;
    }
    Ok(())
}

/// Expire: queued runs that were to start by now are not started any more.
pub fn expire(tx: &mut Writer<'_>) -> Result<(), StoreError> {
    loop {
        let expired: Vec<RunId> = {
            let mut statement = tx.prepare(sql::RUNS_EXPIRED)?;
            let rows = statement.query_map(named_params! {":now": tx.now.0}, |row| row.get(0))?;
            rows.collect::<Result<_, _>>()?
        };
        for run in &expired {
            let run = get_in(tx, *run)?;
            end_in_queue(tx, &run, &Outcome::ended_in_queue(Reason::Expired))?;
            tx.counters.due_changed = true;
        }
        if expired.is_empty() {
            return Ok(());
        }
    }
}

/// Claim: begins the next attempt of the first ready run of a queue; returns what `read` makes of its row, or `None`
/// where no run is ready.
pub fn start<T>(
    tx: &mut Writer<'_>,
    queue: &str,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, StoreError> {
    let mut statement = tx.prepare(sql::LIFE_START)?;
    let claimed = statement
        .query_row(named_params! {":queue": queue, ":now": tx.now.0}, |row| {
            Ok((RunId(row.get("id")?), row.get::<_, i64>("attempt")?, read(row)?))
        })
        .optional()?;
    let Some((id, attempt, claimed)) = claimed else { return Ok(None) };
    let ready = Standing { status: Status::Queued, queue, held_by: HeldBy::NOTHING, keep: false };
    moved(tx, id, Some(ready), Some(Standing { status: Status::Running, ..ready }))?;
    tx.counters.begun.insert(id, Uptime::now());
    tx.append(id, Kind::Started, format!(r#"{{"attempt":{attempt}}}"#))?;
    Ok(Some(claimed))
}

/// When the attempt after one that is over may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// At once: the daemon's end interrupted it.
    Now,
    /// After so many milliseconds: something was wanting to start it.
    Postponed(i64),
    /// After so many milliseconds: it failed, which counts.
    Retried(i64),
}

/// Requeue: an attempt is over and another follows.
pub fn requeue(
    tx: &mut Writer<'_>,
    run: &Run,
    outcome: &Outcome,
    measured: &Measured,
    again: Again,
) -> Result<(), StoreError> {
    let running = Standing::of(run);
    let (hold, wait_ms) = match again {
        Again::Now => (Hold::Time, None),
        Again::Postponed(ms) => (Hold::Time, Some(ms)),
        Again::Retried(ms) => (Hold::Retry, Some(ms)),
    };
    let not_before = wait_ms.map(|ms| tx.now.0.saturating_add(ms));
    let claims_wanted_before = tx.claim_wanted;
    let held_by = HeldBy::NOTHING.set(hold, not_before.is_some_and(|at| at > tx.now.0));
    moved(tx, run.id, Some(running), Some(Standing { status: Status::Queued, held_by, ..running }))?;
    if matches!(again, Again::Postponed(_)) {
        // What is wanting for this one is wanting for the next.
        tx.claim_wanted = claims_wanted_before;
    }
    let failures = run.failures + i64::from(matches!(again, Again::Retried(_)));
    let Outcome { reason, exit_code, signal, error, .. } = outcome;
    let output_bytes = tx.counters.output.remove(&run.id).unwrap_or_default().printed;
    tx.prepare(sql::ATTEMPTS_KEEP)?.execute(named_params! {
        ":run": run.id, ":now": tx.now.0, ":exit_code": exit_code, ":signal": signal,
        ":reason": reason.map(|reason| reason.as_str()),
    })?;
    tx.prepare(sql::LIFE_REQUEUE)?.execute(named_params! {
        ":id": run.id.0, ":output_bytes": output_bytes, ":error": error, ":not_before": not_before,
        ":held_by": held_by.bits(), ":failures": failures,
    })?;
    let mut told = serde_json::json!({
        "attempt": run.attempt, "reason": reason, "exit_code": exit_code, "signal": signal,
    });
    if let Some(error) = error {
        told["error"] = error.as_str().into();
    }
    told["usage"] = serde_json::to_value(&measured.usage).unwrap_or_default();
    if let Some(context) = &measured.context {
        told["context"] = serde_json::to_value(context).unwrap_or_default();
    }
    tx.append(run.id, Kind::AttemptEnded, told.to_string())?;
    let next = run.attempt + 1;
    let told = match not_before {
        Some(at) if hold == Hold::Retry => format!(r#"{{"attempt":{next},"not_before":"{}"}}"#, UnixMs(at)),
        _ => format!(r#"{{"attempt":{next}}}"#),
    };
    tx.append(run.id, Kind::Queued, told)?;
    Ok(())
}

/// End of a run that waits: nothing was measured.
pub fn end_in_queue(tx: &mut Writer<'_>, run: &Run, outcome: &Outcome) -> Result<(), StoreError> {
    end(tx, run, outcome, &Measured::default())
}

/// End: writes the run's row and its last event.
pub fn end(tx: &mut Writer<'_>, run: &Run, outcome: &Outcome, measured: &Measured) -> Result<(), StoreError> {
    let before = Standing::of(run);
    moved(tx, run.id, Some(before), Some(Standing { status: outcome.status, ..before }))?;
    let output_bytes = tx.counters.output.remove(&run.id).map_or(run.output_bytes, |output| output.printed);
    tx.prepare(sql::LIFE_END)?.execute(named_params! {
        ":id": run.id.0, ":status": outcome.status.as_str(), ":reason": outcome.reason.map(|reason| reason.as_str()),
        ":exit_code": outcome.exit_code, ":signal": outcome.signal, ":error": outcome.error,
        ":output_bytes": output_bytes, ":now": tx.now.0, ":usage": measured.usage.as_ref().map(json),
    })?;
    let begun = tx.counters.begun.remove(&run.id);
    let duration_ms = run.started_at.map(|started| {
        let shown_ms = tx.now.0 - started.0;
        begun.map_or(shown_ms, |begun| begun.elapsed_ms(shown_ms)).max(0)
    });
    tx.ended.push((outcome.status, duration_ms));
    let Spec { name, queue, tags, .. } = run.spec.clone();
    let Measured { usage, context } = measured.clone();
    let artifacts = LeftFiles { count: run.artifacts, bytes: run.artifact_bytes };
    let artifacts = Some(artifacts).filter(|left| left.count > 0);
    let finished = Finished { outcome: outcome.clone(), duration_ms, name, queue, tags, usage, context, artifacts };
    tx.append(run.id, Kind::Finished, json(&finished))?;
    if !tx.counters.hooks.enabled.is_empty() {
        let event = tx.events.last().map_or(EventId(0), |event| event.id);
        deliveries::write_end(tx, run, &finished, event)?;
    }
    if run.origin.job.as_ref().is_some_and(|job| tx.counters.followed.contains(job)) {
        tx.prepare(sql::JOBS_FOLLOWED_END)?.execute(named_params! {":run": run.id})?;
        tx.counters.next_firing = Some(UnixMs(0));
    }
    tx.counters.fresh_ended.insert(run.id, tx.now);
    what_follows(tx, run)?;
    // Where there is no room an end takes no more of it than it must.
    let is_due = tx.counters.fresh_ended.len() >= FILED_TOGETHER && tx.may_add().is_ok();
    if is_due { file(tx) } else { Ok(()) }
}

/// What the end of a run does to others: it needs none of them any more, those who need it are told, and the next of its
/// key has its turn.
fn what_follows(tx: &mut Writer<'_>, run: &Run) -> Result<(), StoreError> {
    if run.held_by.has(Hold::After) {
        needs_nothing_more(tx, run.id)?;
    }
    if run.is_needed {
        needs::begin_telling(tx, run.id)?;
    }
    let key = run.spec.key.as_ref().filter(|_| !run.held_by.has(Hold::Key));
    if let Some(next) = key.map(|key| keys::next_to_free(tx.conn, key)).transpose()?.flatten() {
        free(tx, next, Hold::Key)?;
    }
    Ok(())
}

/// Frees one hold of a queued run.
pub fn free(tx: &mut Writer<'_>, id: RunId, hold: Hold) -> Result<(), StoreError> {
    let mut statement = tx.prepare(sql::LIFE_FREE)?;
    let bit = HeldBy::NOTHING.set(hold, true).bits();
    let freed = statement.query_row(named_params! {":id": id, ":hold": bit}, |row| {
        Ok((row.get::<_, String>("queue")?, HeldBy::from_bits(row.get("held_by")?)))
    });
    let (queue, held_by) = freed?;
    let after = Standing { status: Status::Queued, queue: &queue, held_by, keep: false };
    moved(tx, id, Some(Standing { held_by: held_by.set(hold, true), ..after }), Some(after))?;
    tx.claim_wanted |= held_by.is_nothing();
    Ok(())
}

/// Notes that a run that waits needs this one.
pub fn need(tx: &mut Writer<'_>, run: &Run) -> Result<(), StoreError> {
    let before = Standing::of(run);
    moved(tx, run.id, Some(before), Some(Standing { keep: true, ..before }))?;
    tx.prepare(sql::LIFE_NEED)?.execute(named_params! {":id": run.id})?;
    Ok(())
}

/// Notes that a run needs nothing more; returns how many it needed. Those that nobody needs now are retention's again.
pub fn needs_nothing_more(tx: &mut Writer<'_>, id: RunId) -> Result<usize, StoreError> {
    let (unneeded, count) = needs::forget(tx, id)?;
    for needed in unneeded {
        let mut statement = tx.prepare(sql::LIFE_UNNEED)?;
        let mut rows = statement.query(named_params! {":id": needed})?;
        // Gone with a row that another program removed.
        let Some(row) = rows.next()? else { continue };
        let after = Standing {
            status: Status::parse(row.get_ref("status")?.as_str().unwrap_or_default()).unwrap_or(Status::Interrupted),
            queue: row.get_ref("queue")?.as_str().unwrap_or_default(),
            held_by: HeldBy::from_bits(row.get("held_by")?),
            keep: row.get("keep")?,
        };
        moved(tx, needed, Some(Standing { keep: true, ..after }), Some(after))?;
        if let (Some(ended_at), false) = (row.get("ended_at")?, after.keep) {
            tx.counters.ended(UnixMs(ended_at));
            tx.counters.cursors.look_again();
        }
    }
    Ok(count)
}

/// Files what has ended: from now on lists find it by their indexes, and retention by its own.
pub fn file(tx: &mut Writer<'_>) -> Result<(), StoreError> {
    let mut file = tx.prepare(sql::LIFE_FILE)?;
    for run in std::mem::take(&mut tx.counters.fresh_ended).into_keys() {
        file.execute(named_params! {":id": run})?;
    }
    Ok(())
}

/// Change by a client: the status stays; queue, holds and retention may change.
pub fn change(tx: &mut Writer<'_>, old: &Run, new: &Run) -> Result<(), StoreError> {
    moved(tx, new.id, Some(Standing::of(old)), Some(Standing::of(new)))?;
    let spec = &new.spec;
    tx.prepare(sql::LIFE_CHANGE)?.execute(named_params! {
        ":id": new.id.0, ":name": spec.name, ":tags": json(&spec.tags), ":keep": spec.keep, ":queue": spec.queue,
        ":priority": spec.priority, ":timeout_s": spec.timeout_s, ":not_before": spec.not_before.map(|at| at.0),
        ":held_by": new.held_by.bits(), ":options": spec.options.to_column(),
    })?;
    Ok(())
}

/// Another submit of its key takes a queued run over: it keeps its number and its place.
pub fn take(tx: &mut Writer<'_>, old: &Run, new: &Run) -> Result<(), StoreError> {
    moved(tx, new.id, Some(Standing::of(old)), Some(Standing::of(new)))?;
    let spec = &new.spec;
    let (command, script) = command_columns(&spec.command);
    tx.prepare(sql::LIFE_TAKE)?.execute(named_params! {
        ":id": new.id, ":name": spec.name, ":queue": spec.queue, ":priority": spec.priority,
        ":held_by": new.held_by.bits(), ":tags": json(&spec.tags), ":command": command, ":script": script,
        ":cwd": spec.cwd, ":env": json(&spec.env), ":stdin": spec.stdin, ":timeout_s": spec.timeout_s,
        ":not_before": spec.not_before.map(|at| at.0), ":on_interrupt": spec.on_interrupt.as_str(),
        ":keep": spec.keep, ":options": spec.options.to_column(),
        ":start_before": spec.options.start_before.map(|at| at.0),
    })?;
    tx.counters.due_changed = true;
    Ok(())
}

/// The columns `command` and `script`, of which one is null.
fn command_columns(command: &Command) -> (Option<String>, Option<&str>) {
    match command {
        Command::Argv(argv) => (Some(json(argv)), None),
        Command::Script(script) => (None, Some(script)),
    }
}

/// Removal of a finished run's row.
pub fn remove(tx: &mut Writer<'_>, run: &Run) -> Result<(), StoreError> {
    moved(tx, run.id, Some(Standing::of(run)), None)?;
    tx.counters.fresh_ended.remove(&run.id);
    tx.prepare(sql::LIFE_REMOVE)?.execute(named_params! {":id": run.id.0})?;
    tx.prepare(sql::META_RAISE)?.execute(named_params! {":key": "removed_run_id", ":value": run.id.0})?;
    tx.removed_runs.push(run.id);
    Ok(())
}
