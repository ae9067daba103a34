//! Submit: what becomes of a run that is asked for. A new one, or one that stands for it.
//!
//! Decided before anything is written, so that a refusal leaves nothing behind. A run that has begun never stands for a new
//! submit: it may have seen the world as it was before.

use serde_json::json as json_value;

use crate::clock::UnixMs;
use crate::event::Kind;
use crate::numbers::Seq;
use crate::run::{HeldBy, Hold, Need, OnConflict, Outcome, Reason, Run, RunId, Spec, Status};
use crate::store::engine::writer::Writer;
use crate::store::error::{Fault, StoreError};
use crate::store::numbers::EventKey;
use crate::store::refusal::Refusal;
use crate::store::tables::cancel::Cancel;
use crate::store::tables::handle::Store;
use crate::store::tables::keys::Twin;
use crate::store::tables::life::NewRun;
use crate::store::tables::run_row::get_in;
use crate::store::tables::tags::retag;
use crate::store::tables::{cancel, dependents, idempotency, keys, life, needs};

/// Runs of a key that one submit takes the place of, at most: of those that wait the newest.
const REPLACED_MAX: i64 = 1_000;

/// What a submit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// A new run.
    New,
    /// A run that was there and stays as it is: this very request made it, or it stands for this one too.
    Known,
    /// A run that was there, and is what this one asks for now.
    Changed,
}

/// The answer to a submit.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// The run.
    pub run: Run,
    /// What the submit came to.
    pub became: Became,
}

impl Store {
    /// Makes a run, or finds the one that stands for it.
    pub async fn submit(&self, new: NewRun) -> Result<Submitted, StoreError> {
        self.requests.write(move |tx| submit(tx, &new)).await
    }
}

/// Makes a run with its first event, or finds the one that stands for it.
pub fn submit(tx: &mut Writer<'_>, new: &NewRun) -> Result<Submitted, StoreError> {
    if let Some(key) = &new.idempotency {
        if let Some(found) = idempotency::find(tx, key)? {
            return Ok(Submitted { run: get_in(tx, found)?, became: Became::Known });
        }
    }
    let spec = &new.spec;
    if !tx.counters.queues.contains_key(&spec.queue) {
        return Err(Refusal::QueueUnknown(spec.queue.clone()).into());
    }
    let twins = twins(tx, spec)?;
    let waiting = twins.iter().filter(|twin| !twin.has_begun);
    match (spec.conflict.on_conflict, waiting.clone().next()) {
        (OnConflict::Join, Some(twin)) => return join(tx, new, twin.id),
        (OnConflict::Debounce, Some(twin)) => return debounce(tx, new, twin.id),
        _ => {}
    }
    let takes_places = matches!(spec.conflict.on_conflict, OnConflict::Replace | OnConflict::Cancel);
    let replaced: Vec<RunId> = waiting.filter(|_| takes_places).map(|twin| twin.id).collect();
    let replaced_count = i64::try_from(replaced.len()).unwrap_or(i64::MAX);
    if tx.counters.queued() - replaced_count >= tx.rules.queued_runs_max {
        return Err(Refusal::QueueFull { limit: tx.rules.queued_runs_max }.into());
    }
    tx.may_grow()?;
    let id = tx.counters.last_run.next();
    if id > EventKey::RUN_MAX {
        return Err(Fault::Unavailable(format!("{} was the last run's id", EventKey::RUN_MAX)).into());
    }
    needed_runs(tx, &spec.options.after)?;
    give_way(tx, new, id, &replaced)?;
    // One that gave way may be needed.
    let needed = needed_runs(tx, &spec.options.after)?;
    enter(tx, id, new, &needed)
}

/// Those of its key that have not ended, as many as matter; the newest first.
fn twins(tx: &Writer<'_>, spec: &Spec) -> Result<Vec<Twin>, StoreError> {
    let Some(key) = &spec.key else { return Ok(Vec::new()) };
    let rows = match spec.conflict.on_conflict {
        OnConflict::Replace | OnConflict::Cancel => REPLACED_MAX,
        OnConflict::Wait | OnConflict::Join | OnConflict::Debounce => 1,
    };
    keys::newest(tx, key, rows)
}

/// A twin that waits stands for this one too.
fn join(tx: &mut Writer<'_>, new: &NewRun, twin: RunId) -> Result<Submitted, StoreError> {
    note_request(tx, new, twin)?;
    Ok(Submitted { run: get_in(tx, twin)?, became: Became::Known })
}

/// Has the request's own key stand for a run, so that the request can be repeated.
fn note_request(tx: &Writer<'_>, new: &NewRun, run: RunId) -> Result<(), StoreError> {
    let Some(key) = &new.idempotency else { return Ok(()) };
    tx.may_add()?;
    idempotency::insert(tx, key, run)
}

/// A twin that waits becomes what this one says, and waits anew.
fn debounce(tx: &mut Writer<'_>, new: &NewRun, twin: RunId) -> Result<Submitted, StoreError> {
    tx.may_grow()?;
    let old = get_in(tx, twin)?;
    let not_before = debounced_until(tx, &new.spec, old.created_at);
    let spec = Spec { not_before: Some(not_before), ..new.spec.clone() };
    let held_by = old.held_by.set(Hold::Time, not_before > tx.now).set(Hold::After, false);
    let mut run = Run { spec, held_by, ..old.clone() };
    if old.held_by.has(Hold::After) {
        life::needs_nothing_more(tx, twin)?;
    }
    life::take(tx, &old, &run)?;
    retag(tx, twin, &old.spec.tags, &run.spec.tags)?;
    note_request(tx, new, twin)?;
    let told = json_value!({"by": new.by, "debounced": true, "not_before": not_before.to_string()});
    run.last_seq = tx.append(twin, Kind::Changed, told.to_string())?;
    Ok(Submitted { run, became: Became::Changed })
}

/// Until when a debounced run waits, whose first submit came then.
fn debounced_until(tx: &Writer<'_>, spec: &Spec, first_at: UnixMs) -> UnixMs {
    let until = tx.now.plus_s(spec.conflict.debounce_s);
    spec.conflict.debounce_max_s.map_or(until, |max_s| until.min(first_at.plus_s(max_s)))
}

/// The runs that it needs, each with what it needs of it.
fn needed_runs(tx: &Writer<'_>, after: &[Need]) -> Result<Vec<(Need, Run)>, StoreError> {
    let run_of = |(index, need): (usize, &Need)| match get_in(tx, need.run) {
        Err(StoreError::Refused(absent)) => Err(Refusal::NeedUnknown { index, absent: Box::new(absent) }.into()),
        other => other.map(|run| (*need, run)),
    };
    after.iter().enumerate().map(run_of).collect()
}

/// Ends those whose place the new one takes; where it says so, has the one that has begun stop.
fn give_way(tx: &mut Writer<'_>, new: &NewRun, id: RunId, replaced: &[RunId]) -> Result<(), StoreError> {
    let replaced_by =
        Outcome { error: Some(format!("run {id} took its place")), ..Outcome::ended_in_queue(Reason::Replaced) };
    for twin in replaced {
        let twin = get_in(tx, *twin)?;
        life::end_in_queue(tx, &twin, &replaced_by)?;
    }
    let stops = new.spec.conflict.on_conflict == OnConflict::Cancel;
    let Some(key) = new.spec.key.as_ref().filter(|_| stops) else { return Ok(()) };
    let Some(first) = keys::first(tx.conn, key)?.filter(|first| first.has_begun) else { return Ok(()) };
    let first = get_in(tx, first.id)?;
    if first.outcome.status == Status::Queued {
        return life::end_in_queue(tx, &first, &replaced_by);
    }
    let how = Cancel { reason: Some(format!("run {id} takes its place")), now: false };
    cancel::ask(tx, &first, &new.by, &how)
}

/// Writes the run, with what holds it back; where it needs what cannot come true, or comes too late, it ends at once.
fn enter(tx: &mut Writer<'_>, id: RunId, new: &NewRun, needed: &[(Need, Run)]) -> Result<Submitted, StoreError> {
    let mut new = new.clone();
    let spec = &mut new.spec;
    if spec.conflict.on_conflict == OnConflict::Debounce {
        spec.not_before = Some(debounced_until(tx, spec, tx.now));
    }
    let is_behind = spec.key.as_ref().map(|key| keys::first(tx.conn, key)).transpose()?.flatten().is_some();
    let is_over = |run: &Run| run.outcome.status.is_terminal();
    let unmet = needed.iter().find(|(need, run)| is_over(run) && !need.when.is_met_by(run.outcome.status));
    let waits = unmet.is_none() && needed.iter().any(|(_, run)| !is_over(run));
    let held_by = HeldBy::time_until(spec.not_before, tx.now).set(Hold::Key, is_behind).set(Hold::After, waits);
    let last_seq = life::enter(tx, id, &new, held_by)?;
    retag(tx, id, &[], &new.spec.tags)?;
    note_request(tx, &new, id)?;
    for (need, run) in needed.iter().filter(|_| waits) {
        needs::add(tx, id, need, is_over(run))?;
        if !run.is_needed {
            life::need(tx, run)?;
        }
    }
    let is_late = new.spec.options.start_before.is_some_and(|at| at <= tx.now);
    let mut run = fresh(id, new, held_by, last_seq, tx.now);
    let unmet = unmet.map(|(need, ended)| dependents::unmet(need, ended.outcome.status));
    if let Some(outcome) = unmet.or_else(|| is_late.then(|| Outcome::ended_in_queue(Reason::Expired))) {
        life::end_in_queue(tx, &run, &outcome)?;
        run = get_in(tx, id)?;
    }
    Ok(Submitted { run, became: Became::New })
}

fn fresh(id: RunId, new: NewRun, held_by: HeldBy, last_seq: Seq, now: UnixMs) -> Run {
    Run {
        id,
        outcome: Outcome::QUEUED,
        spec: new.spec,
        held_by,
        is_needed: false,
        failures: 0,
        attempt: 1,
        progress: None,
        pid: None,
        last_seq,
        output_bytes: 0,
        artifacts: 0,
        artifact_bytes: 0,
        created_at: now,
        started_at: None,
        ended_at: None,
        cancel_requested_at: None,
        usage: None,
        retry_of: new.retry_of,
        origin: new.origin,
    }
}
