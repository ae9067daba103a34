//! Firings: what becomes of each time at which a job is due. One transaction writes the firing, its run or the reason why
//! there is none, and when the job is due next.
//!
//! Whether a time was fired is asked of the table and never of a clock: a crash fires nothing twice, and neither does a clock
//! that is set back. A time is missed when nothing is written down of it, not when it is over.

use rusqlite::{OptionalExtension, named_params};
use serde_json::{Map, Value, json as json_value};

use crate::clock::UnixMs;
use crate::event::Kind;
use crate::job::{CatchUp, Firing, Job, QUEUED_MAX, Skipped, check_values, offset_ms};
use crate::numbers::RunId;
use crate::run::{Cause, Origin};
use crate::schedule::Schedule;
use crate::store::engine::writer::{Fired, Writer};
use crate::store::error::StoreError;
use crate::store::refusal::Refusal;
use crate::store::sql;
use crate::store::tables::followers::{new_run, start_followers};
use crate::store::tables::handle::Store;
use crate::store::tables::idempotency::IdempotencyKey;
use crate::store::tables::jobs::{self, JobRow, tell};
use crate::store::tables::life::NewRun;
use crate::store::tables::overlap::make_way;
use crate::store::tables::submit::{Submitted, submit};

/// A firing this much later than its time is on time: the daemon was busy, not away. In milliseconds.
const ON_TIME_MS: i64 = 60_000;
/// Jobs that one transaction looks at.
const PIECE_JOBS: usize = 64;
/// Runs after which a transaction looks at no further job.
const PIECE_RUNS: usize = 100;
/// What was missed at a start is caught up with a second apart for each job, and within this, in milliseconds.
const SPREAD_MAX_MS: i64 = 60_000;

impl Store {
    /// When the first job is due.
    pub fn next_firing(&self) -> Option<UnixMs> {
        self.published.next_firing().filter(|_| UnixMs::now().is_believed())
    }

    /// Fires jobs that are due, and starts those that follow a run that ended: a piece of them.
    pub async fn fire(&self) -> Result<(), StoreError> {
        let instance = self.instance.clone();
        self.requests.write(move |tx| fire(tx, &instance)).await
    }

    /// Looks anew when each job is due, from behind one on: the clock was set, or zones have new data. Returns the last that
    /// was looked at; `None` where that were all.
    pub async fn look_at_schedules(&self, after: String) -> Result<Option<String>, StoreError> {
        if !self.published.has_jobs() {
            return Ok(None);
        }
        self.requests.write(move |tx| look_again(tx, &after)).await
    }

    /// Starts a job by hand.
    pub async fn start_job(
        &self,
        name: String,
        values: Map<String, Value>,
        idempotency: Option<IdempotencyKey>,
        by: String,
    ) -> Result<Submitted, StoreError> {
        self.requests.write(move |tx| start(tx, &name, &values, idempotency.clone(), &by)).await
    }

    /// A job's firings before a time, the newest first.
    pub async fn firings(&self, job: String, before: UnixMs, max: usize) -> Result<Vec<Firing>, StoreError> {
        self.requests
            .read(move |snapshot| {
                jobs::get(snapshot.conn, &job)?;
                let mut statement = snapshot.conn.prepare_cached(sql::FIRINGS_LIST)?;
                let values = named_params! {":job": job, ":before": before.0, ":rows": max as i64};
                let rows = statement.query_map(values, |row| {
                    Ok(Firing {
                        scheduled_for: UnixMs(row.get("scheduled_for")?),
                        run: row.get::<_, Option<i64>>("run")?.map(RunId),
                        skipped: row.get_ref("skipped")?.as_str_or_null()?.and_then(Skipped::parse),
                        count: row.get("count")?,
                        at: UnixMs(row.get("at")?),
                        behind: row.get::<_, Option<i64>>("behind")?.map(RunId),
                    })
                })?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }
}

/// Fires a piece of what is due.
pub fn fire(tx: &mut Writer<'_>, instance: &str) -> Result<(), StoreError> {
    if !tx.now.is_believed() {
        return Ok(());
    }
    // Before anything is written: without room all of it stays due.
    tx.may_grow()?;
    start_followers(tx)?;
    let due: Vec<String> = {
        let mut statement = tx.prepare(sql::JOBS_DUE)?;
        let rows =
            statement.query_map(named_params! {":now": tx.now.0, ":rows": PIECE_JOBS as i64}, |row| row.get(0))?;
        rows.collect::<Result<_, _>>()?
    };
    let spread_ms = ((due.len() as i64 - 1) * 1_000).clamp(0, SPREAD_MAX_MS);
    let before = tx.events.len();
    for name in &due {
        if tx.events.len() - before >= 2 * PIECE_RUNS {
            break;
        }
        let row = jobs::get(tx.conn, name)?;
        FiringJob { instance, job: &row.job, spread_ms }.fire(tx, &row)?;
    }
    tx.claim_wanted = true;
    tx.counters.look_up_firing(tx.conn)?;
    Ok(())
}

/// A job whose schedule is due.
struct FiringJob<'a> {
    instance: &'a str,
    job: &'a Job,
    spread_ms: i64,
}

impl FiringJob<'_> {
    fn fire(&self, tx: &mut Writer<'_>, row: &JobRow) -> Result<(), StoreError> {
        let now = tx.now;
        let schedule = match jobs::schedule_of(self.job) {
            Ok(Some(schedule)) => schedule,
            Ok(None) => return advance(tx, self.job, now, false, None),
            Err(why) => {
                log::warn!("job {} is broken and does not start: {why}", self.job.name);
                return advance(tx, self.job, row.accounted_at, false, None);
            }
        };
        let after = owed_since(row, now);
        if let Some(missed) = schedule.missed(after, now, QUEUED_MAX) {
            if missed.first.0 < now.0 - ON_TIME_MS {
                self.catch_up(tx, &schedule, after)?;
            } else {
                for at in missed.newest {
                    self.at(tx, at, 1, false)?;
                }
            }
        }
        advance(tx, self.job, now, true, schedule.next(now).map(|due| due.at))
    }

    /// What was missed while nobody was there.
    fn catch_up(&self, tx: &mut Writer<'_>, schedule: &Schedule, after: UnixMs) -> Result<(), StoreError> {
        let now = tx.now;
        // Of what is left out one record says how much it was: its newest time, and how many.
        let leave_out = |tx: &mut Writer<'_>, until: UnixMs| match self.newest(tx, schedule, after, until)? {
            Some((newest, count)) => self.skip(tx, newest, count, Skipped::CatchUp, None),
            None => Ok(()),
        };
        match self.job.spec.catch_up {
            CatchUp::Latest => match self.newest(tx, schedule, after, now)? {
                Some((newest, count)) => self.at(tx, newest, count, true),
                None => Ok(()),
            },
            CatchUp::None => {
                let late = UnixMs(now.0 - ON_TIME_MS - 1);
                leave_out(tx, late)?;
                let on_time = schedule.missed(late, now, QUEUED_MAX);
                on_time.map_or(Ok(()), |missed| missed.newest.into_iter().try_for_each(|at| self.at(tx, at, 1, false)))
            }
            CatchUp::All => {
                let Some(missed) = schedule.missed(after, now, QUEUED_MAX) else { return Ok(()) };
                leave_out(tx, UnixMs(missed.newest[0].0 - 1))?;
                missed.newest.into_iter().try_for_each(|at| self.at(tx, at, 1, true))
            }
        }
    }

    /// The newest time of which nothing is written down, and how many there were up to it: a clock that was ahead may have
    /// fired later ones.
    fn newest(
        &self,
        tx: &Writer<'_>,
        schedule: &Schedule,
        after: UnixMs,
        mut until: UnixMs,
    ) -> Result<Option<(UnixMs, i64)>, StoreError> {
        let mut looked_at = 1;
        while let Some(missed) = schedule.missed(after, until, looked_at) {
            for at in missed.newest.iter().rev() {
                if !is_written(tx, self.job, *at)? {
                    return Ok(schedule.missed(after, *at, 1).map(|missed| (*at, missed.count)));
                }
            }
            (until, looked_at) = (UnixMs(missed.newest[0].0 - 1), QUEUED_MAX);
        }
        Ok(None)
    }

    /// One firing: its run, or why there is none. `count` times are meant by it.
    fn at(&self, tx: &mut Writer<'_>, at: UnixMs, count: i64, is_missed: bool) -> Result<(), StoreError> {
        let (job, spec) = (self.job, &self.job.spec);
        if is_written(tx, job, at)? {
            return Ok(());
        }
        let start_at = UnixMs(at.0 + offset_ms(self.instance, &job.name, spec.jitter_s * 1_000));
        let start_before = spec.start_deadline_s.map(|deadline_s| start_at.plus_s(deadline_s));
        if start_before.is_some_and(|deadline| tx.now > deadline) {
            return self.skip(tx, at, count, Skipped::Deadline, None);
        }
        if let Some(behind) = make_way(tx, job)? {
            return self.skip(tx, at, count, Skipped::Overlap, Some(behind));
        }
        let spread_ms = if is_missed { offset_ms(self.instance, &job.name, self.spread_ms + 1) } else { 0 };
        let not_before = start_at.max(UnixMs(tx.now.0 + spread_ms));
        let origin = Origin {
            cause: Cause::Schedule,
            job: Some(job.name.clone()),
            scheduled_for: Some(at),
            missed: is_missed.then_some(count),
        };
        let env = match check_values(&spec.params, Map::new()) {
            Ok(env) => env,
            Err(_) => return self.skip(tx, at, count, Skipped::Refused, None),
        };
        let not_before = Some(not_before).filter(|at| *at > tx.now);
        let new = new_run(job, env, not_before, origin, format!("job:{}", job.name));
        let run = match submit(tx, &new) {
            Ok(submitted) => submitted.run.id,
            Err(StoreError::Refused(
                Refusal::QueueUnknown(_) | Refusal::QueueFull { .. } | Refusal::NeedUnknown { .. },
            )) => {
                return self.skip(tx, at, count, Skipped::Refused, None);
            }
            Err(error) => return Err(error),
        };
        if let Some(start_before) = start_before {
            tx.prepare(sql::RUNS_SET_START_BEFORE)?
                .execute(named_params! {":id": run, ":start_before": start_before.0})?;
            tx.counters.due_changed = true;
        }
        write(tx, job, &Firing { scheduled_for: at, run: Some(run), skipped: None, count, at: tx.now, behind: None })?;
        let late_ms = (tx.now.0 - at.0).max(0);
        let missed = is_missed.then_some(count);
        let data = json_value!({
            "job": job.name, "scheduled_for": at.to_string(), "run": run, "missed": missed, "late_ms": late_ms,
        });
        tell(tx, Kind::JobFired, data.to_string())?;
        tx.fired.push(Fired { outcome: "run", late_ms });
        Ok(())
    }

    fn skip(
        &self,
        tx: &mut Writer<'_>,
        at: UnixMs,
        count: i64,
        why: Skipped,
        behind: Option<RunId>,
    ) -> Result<(), StoreError> {
        if is_written(tx, self.job, at)? {
            return Ok(());
        }
        let firing = Firing { scheduled_for: at, run: None, skipped: Some(why), count, at: tx.now, behind };
        write(tx, self.job, &firing)?;
        let data = json_value!({
            "job": self.job.name, "scheduled_for": at.to_string(), "reason": why, "count": count, "behind": behind,
        });
        tell(tx, Kind::JobSkipped, data.to_string())?;
        tx.fired.push(Fired { outcome: why.as_str(), late_ms: (tx.now.0 - at.0).max(0) });
        Ok(())
    }
}

/// Since when times are owed: what a clock that was ahead had accounted for counts once the clock is there again.
fn owed_since(row: &JobRow, now: UnixMs) -> UnixMs {
    let highest = if row.highest_at <= now { row.highest_at } else { row.accounted_at };
    row.accounted_at.max(highest).max(row.pruned_at)
}

fn is_written(tx: &Writer<'_>, job: &Job, at: UnixMs) -> Result<bool, StoreError> {
    let found = tx
        .prepare(sql::FIRINGS_EXISTS)?
        .query_row(named_params! {":job": job.name, ":scheduled_for": at.0}, |_| Ok(()))
        .optional()?;
    Ok(found.is_some())
}

fn write(tx: &mut Writer<'_>, job: &Job, firing: &Firing) -> Result<(), StoreError> {
    tx.prepare(sql::FIRINGS_INSERT)?.execute(named_params! {
        ":job": job.name, ":scheduled_for": firing.scheduled_for.0, ":now": firing.at.0,
        ":run": firing.run.map(|run| run.0), ":skipped": firing.skipped.map(Skipped::as_str), ":count": firing.count,
        ":behind": firing.behind.map(|run| run.0),
    })?;
    tx.counters.firings += 1;
    tx.counters.oldest_firing.get_or_insert(firing.at);
    Ok(())
}

/// `has_fired`: what was due up to there is written down, and not only owed to nobody.
fn advance(
    tx: &Writer<'_>,
    job: &Job,
    accounted_at: UnixMs,
    has_fired: bool,
    next_at: Option<UnixMs>,
) -> Result<(), StoreError> {
    let fired_at = if has_fired { accounted_at.0 } else { 0 };
    tx.prepare(sql::JOBS_ADVANCE)?.execute(named_params! {
        ":name": job.name, ":accounted_at": accounted_at.0, ":fired_at": fired_at,
        ":next_at": next_at.map(|at| at.0),
    })?;
    Ok(())
}

fn start(
    tx: &mut Writer<'_>,
    name: &str,
    values: &Map<String, Value>,
    idempotency: Option<IdempotencyKey>,
    by: &str,
) -> Result<Submitted, StoreError> {
    let job = jobs::get(tx.conn, name)?.job;
    let env = check_values(&job.spec.params, values.clone()).map_err(Refusal::ParamsInvalid)?;
    let origin = Origin { job: Some(name.to_owned()), ..Origin::of(Cause::Trigger) };
    submit(tx, &NewRun { idempotency, ..new_run(&job, env, None, origin, by.to_owned()) })
}

/// Looks anew when each job is due, from behind one on; returns the last that was looked at, `None` where that were all.
pub fn look_again(tx: &mut Writer<'_>, after: &str) -> Result<Option<String>, StoreError> {
    let now = tx.now;
    let rows = jobs::rows(tx.conn, after, PIECE_JOBS)?;
    let last = rows.last().map(|row| row.job.name.clone()).filter(|_| rows.len() == PIECE_JOBS);
    if now.is_believed() {
        tx.may_add()?;
        for row in rows {
            // A time from before this binary was built, as a machine has that starts in 1970, owes nothing. A clock that was
            // set back looks ahead from where it is.
            let accounted_at = if row.accounted_at.is_believed() { row.accounted_at.min(now) } else { now };
            let accounted_at = accounted_at.max(row.pruned_at);
            let next_at = jobs::next_after(&row.job, accounted_at);
            if next_at != row.job.next_at || accounted_at != row.accounted_at {
                advance(tx, &row.job, accounted_at, false, next_at)?;
            }
            if let (true, Err(why)) = (row.job.spec.enabled, jobs::schedule_of(&row.job)) {
                log::warn!("job {} is broken and does not start: {why}", row.job.name);
            }
        }
        tx.counters.look_up_firing(tx.conn)?;
    }
    Ok(last)
}
