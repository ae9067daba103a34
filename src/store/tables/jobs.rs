//! Jobs: make, change, read, remove. What their schedules do is in `firings`.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde_json::json as json_value;

use crate::clock::UnixMs;
use crate::event::Kind;
use crate::job::{AFTER_JOB_DEPTH_MAX, Job, JobSpec, LastRun};
use crate::numbers::RunId;
use crate::run::Status;
use crate::schedule::{Schedule, Zone};
use crate::store::engine::writer::{Writer, json};
use crate::store::error::StoreError;
use crate::store::refusal::Refusal;
use crate::store::sql;
use crate::store::tables::events::append_of_none;
use crate::store::tables::handle::Store;

/// Jobs that there may be.
pub const JOBS_MAX: i64 = 10_000;

/// On which condition a job is changed or removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum IfMatch {
    /// Whatever it is.
    #[default]
    Always,
    /// Where there is one.
    Exists,
    /// Where there is none.
    Absent,
    /// Where it is one of these versions.
    Versions(Vec<i64>),
    /// Where it is none of these versions, or is not there.
    Others(Vec<i64>),
}

/// What a PUT came to.
#[derive(Clone, Debug)]
pub struct PutJob {
    /// The job.
    pub job: Job,
    /// Whether it is new.
    pub created: bool,
    /// Whether anything of it is new.
    pub changed: bool,
}

impl Store {
    /// One job.
    pub async fn job(&self, name: String) -> Result<Job, StoreError> {
        self.requests.read(move |snapshot| with_last(snapshot.conn, get(snapshot.conn, &name)?.job)).await
    }

    /// Jobs by name, at most so many, from behind one.
    pub async fn jobs(&self, after: String, max: usize) -> Result<Vec<Job>, StoreError> {
        self.requests.read(move |snapshot| list(snapshot.conn, &after, max)).await
    }

    /// Those of these jobs that there are, by name, at most so many, from behind one.
    pub async fn jobs_among(&self, names: BTreeSet<String>, after: String, max: usize) -> Result<Vec<Job>, StoreError> {
        self.requests
            .read(move |snapshot| {
                let mut jobs = Vec::new();
                for name in names.iter().filter(|name| **name > after) {
                    if jobs.len() == max {
                        break;
                    }
                    if let Some(row) = find(snapshot.conn, name)? {
                        jobs.push(with_last(snapshot.conn, row.job)?);
                    }
                }
                Ok(jobs)
            })
            .await
    }

    /// Makes or changes a job.
    pub async fn put_job(
        &self,
        name: String,
        spec: JobSpec,
        condition: IfMatch,
        by: String,
    ) -> Result<PutJob, StoreError> {
        self.requests
            .write(move |tx| {
                let put = put(tx, &name, &spec, &condition, &by)?;
                Ok(PutJob { job: with_last(tx.conn, put.job)?, ..put })
            })
            .await
    }

    /// Lets a job's schedule start it, or not.
    pub async fn enable_job(
        &self,
        name: String,
        enabled: bool,
        condition: IfMatch,
        by: String,
    ) -> Result<Job, StoreError> {
        self.requests
            .write(move |tx| {
                let spec = JobSpec { enabled, ..get(tx.conn, &name)?.job.spec };
                let put = put(tx, &name, &spec, &condition, &by)?;
                with_last(tx.conn, put.job)
            })
            .await
    }

    /// Removes a job; its runs stay.
    pub async fn delete_job(&self, name: String, condition: IfMatch, by: String) -> Result<(), StoreError> {
        self.requests.write(move |tx| delete(tx, &name, &condition, &by)).await
    }

    /// The job of a run.
    pub async fn job_of_run(&self, run: RunId) -> Result<Option<String>, StoreError> {
        self.requests
            .read(move |snapshot| {
                let mut statement = snapshot.conn.prepare_cached(sql::RUNS_JOB_OF)?;
                let found = statement.query_row(named_params! {":id": run.0}, |row| row.get(0)).optional()?;
                Ok(found.flatten())
            })
            .await
    }
}

/// A job as its row has it, with what only firings ask.
pub struct JobRow {
    pub job: Job,
    /// Up to here every time is accounted for.
    pub accounted_at: UnixMs,
    /// The highest that this ever was since the schedule is as it is; 0 where nothing was fired yet.
    pub highest_at: UnixMs,
    /// No time up to here is fired again.
    pub pruned_at: UnixMs,
}

/// Reads a job.
pub fn get(conn: &Connection, name: &str) -> Result<JobRow, StoreError> {
    find(conn, name)?.ok_or_else(|| Refusal::JobNotFound(name.to_owned()).into())
}

fn find(conn: &Connection, name: &str) -> Result<Option<JobRow>, StoreError> {
    let mut statement = conn.prepare_cached(sql::JOBS_GET)?;
    let found = statement.query_row(named_params! {":name": name}, from_row).optional()?;
    Ok(found.flatten())
}

/// `None` where the definition cannot be read, which only another program can have brought about.
fn from_row(row: &Row<'_>) -> rusqlite::Result<Option<JobRow>> {
    let time = |column: &str| row.get(column).map(UnixMs);
    let Ok(spec) = serde_json::from_str(row.get_ref("definition")?.as_str()?) else { return Ok(None) };
    let job = Job {
        name: row.get("name")?,
        spec,
        version: row.get("version")?,
        created_at: time("created_at")?,
        changed_at: time("changed_at")?,
        next_at: row.get::<_, Option<i64>>("next_at")?.map(UnixMs),
        last: None,
    };
    Ok(Some(JobRow {
        job,
        accounted_at: time("accounted_at")?,
        highest_at: time("highest_at")?,
        pruned_at: time("pruned_at")?,
    }))
}

/// With its newest run.
fn with_last(conn: &Connection, job: Job) -> Result<Job, StoreError> {
    let mut statement = conn.prepare_cached(sql::RUNS_LAST_OF_JOB)?;
    let last = statement
        .query_row(named_params! {":job": job.name}, |row| {
            let time = |column: &str| row.get::<_, Option<i64>>(column).map(|at| at.map(UnixMs));
            Ok(LastRun {
                run: RunId(row.get("id")?),
                status: Status::parse(row.get_ref("status")?.as_str()?).unwrap_or(Status::Interrupted),
                scheduled_for: time("scheduled_for")?,
                ended_at: time("ended_at")?,
            })
        })
        .optional()?;
    Ok(Job { last, ..job })
}

fn list(conn: &Connection, after: &str, max: usize) -> Result<Vec<Job>, StoreError> {
    rows(conn, after, max)?.into_iter().map(|row| with_last(conn, row.job)).collect()
}

/// Jobs by name, at most so many, from behind one.
pub fn rows(conn: &Connection, after: &str, max: usize) -> Result<Vec<JobRow>, StoreError> {
    let mut statement = conn.prepare_cached(sql::JOBS_LIST)?;
    let rows = statement.query_map(named_params! {":after": after, ":rows": max as i64}, from_row)?;
    Ok(rows.filter_map(Result::transpose).collect::<Result<_, _>>()?)
}

/// The schedule of a job; `None` where it has none.
///
/// # Errors
/// Why it is broken, for people: its zone or an expression is not known any more.
pub fn schedule_of(job: &Job) -> Result<Option<Schedule>, String> {
    if job.spec.schedule.is_empty() {
        return Ok(None);
    }
    let zone = Zone::named(job.spec.zone.as_deref().unwrap_or("UTC")).map_err(|error| error.to_string())?;
    Schedule::parse(&job.spec.schedule, zone, job.created_at).map(Some).map_err(|error| error.to_string())
}

/// When a job is due next after a time, if it is enabled and not broken.
pub fn next_after(job: &Job, after: UnixMs) -> Option<UnixMs> {
    if !job.spec.enabled {
        return None;
    }
    schedule_of(job).ok().flatten().and_then(|schedule| schedule.next(after)).map(|due| due.at)
}

fn check(condition: &IfMatch, name: &str, known: Option<&Job>) -> Result<(), StoreError> {
    let holds = match condition {
        IfMatch::Always => true,
        IfMatch::Exists => known.is_some(),
        IfMatch::Absent => known.is_none(),
        IfMatch::Versions(versions) => known.is_some_and(|job| versions.contains(&job.version)),
        IfMatch::Others(versions) => known.is_none_or(|job| !versions.contains(&job.version)),
    };
    if holds { Ok(()) } else { Err(Refusal::JobChanged(name.to_owned()).into()) }
}

/// Makes or changes a job. A schedule that is new, or enabled anew, owes nothing for the time before.
pub fn put(
    tx: &mut Writer<'_>,
    name: &str,
    spec: &JobSpec,
    condition: &IfMatch,
    by: &str,
) -> Result<PutJob, StoreError> {
    let known = find(tx.conn, name)?;
    check(condition, name, known.as_ref().map(|row| &row.job))?;
    if let Some(row) = known.as_ref().filter(|row| row.job.spec == *spec) {
        return Ok(PutJob { job: row.job.clone(), created: false, changed: false });
    }
    if !tx.counters.queues.contains_key(&spec.run.queue) {
        return Err(Refusal::QueueUnknown(spec.run.queue.clone()).into());
    }
    check_followed(tx.conn, name, spec)?;
    if known.is_none() && tx.counters.jobs >= JOBS_MAX {
        return Err(Refusal::TooManyJobs { limit: JOBS_MAX }.into());
    }
    tx.may_grow()?;
    let is_same_time = known.as_ref().is_some_and(|row| {
        let old = &row.job.spec;
        (&old.schedule, &old.zone, old.enabled) == (&spec.schedule, &spec.zone, spec.enabled)
    });
    let now = tx.now;
    let created_at = known.as_ref().map_or(now, |row| row.job.created_at);
    let same = known.as_ref().filter(|_| is_same_time);
    let accounted_at = same.map_or(now, |row| row.accounted_at);
    // Of what a clock that was ahead had accounted for, nothing was accounted for by this schedule.
    let highest_at = same.map_or(0, |row| row.highest_at.0);
    let verb = if known.is_some() { "changed" } else { "made" };
    let version = tell(tx, Kind::JobChanged, json_value!({"job": name, "what": verb, "by": by}).to_string())?;
    let mut job = Job {
        name: name.to_owned(),
        spec: spec.clone(),
        version,
        created_at,
        changed_at: now,
        next_at: None,
        last: None,
    };
    job.next_at = next_after(&job, accounted_at);
    tx.prepare(sql::JOBS_PUT)?.execute(named_params! {
        ":name": name, ":definition": json(spec), ":after_job": spec.after_job.as_ref().map(|after| &after.job),
        ":version": version, ":now": now.0, ":accounted_at": accounted_at.0,
        ":highest_at": highest_at, ":next_at": job.next_at.map(|at| at.0),
    })?;
    tx.counters.look_up_jobs(tx.conn)?;
    Ok(PutJob { job, created: known.is_none(), changed: true })
}

/// Refuses a job that follows none, or itself by way of others.
fn check_followed(conn: &Connection, name: &str, spec: &JobSpec) -> Result<(), StoreError> {
    let mut followed = spec.after_job.as_ref().map(|after| after.job.clone());
    for _ in 0..AFTER_JOB_DEPTH_MAX {
        let Some(job) = followed else { return Ok(()) };
        if job == name {
            return Err(Refusal::JobFollowsItself(name.to_owned()).into());
        }
        let Some(row) = find(conn, &job)? else { return Err(Refusal::JobToFollowUnknown(job).into()) };
        followed = row.job.spec.after_job.map(|after| after.job);
    }
    Err(Refusal::JobFollowsTooMany { limit: AFTER_JOB_DEPTH_MAX }.into())
}

fn delete(tx: &mut Writer<'_>, name: &str, condition: &IfMatch, by: &str) -> Result<(), StoreError> {
    let row = get(tx.conn, name)?;
    check(condition, name, Some(&row.job))?;
    let follower = tx
        .prepare(sql::JOBS_FOLLOWERS)?
        .query_row(named_params! {":job": name}, |row| row.get::<_, String>(0))
        .optional()?;
    if let Some(follower) = follower {
        return Err(Refusal::JobFollowed { job: name.to_owned(), follower }.into());
    }
    tell(tx, Kind::JobChanged, json_value!({"job": name, "what": "removed", "by": by}).to_string())?;
    tx.prepare(sql::JOBS_DELETE)?.execute(named_params! {":name": name})?;
    tx.counters.look_up_jobs(tx.conn)?;
    Ok(())
}

/// Tells of a job in the events of all runs; returns the event's id.
pub fn tell(tx: &mut Writer<'_>, kind: Kind, data: String) -> Result<i64, StoreError> {
    append_of_none(tx, kind, data)?;
    Ok(tx.events.last().map_or(0, |event| event.id.0))
}
