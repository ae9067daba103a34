//! Jobs that start when a run of another job has ended.
//!
//! That it ended is written down by the transaction that ends it, so that no crash loses a start and none comes twice.

use rusqlite::named_params;
use serde_json::Map;

use crate::clock::UnixMs;
use crate::job::{Job, Overlap, check_values};
use crate::numbers::RunId;
use crate::run::{Cause, Origin, Spec};
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::sql;
use crate::store::tables::jobs;
use crate::store::tables::life::NewRun;
use crate::store::tables::run_row::get_in;
use crate::store::tables::submit::submit;

/// Ends that one transaction looks at.
const PIECE_ENDS: usize = 100;

/// Starts the jobs that follow runs that ended, a piece of them.
pub fn start_followers(tx: &mut Writer<'_>) -> Result<(), StoreError> {
    for _ in 0..PIECE_ENDS {
        let next: Option<i64> = tx.prepare(sql::JOBS_NEXT_FOLLOWED_END)?.query_row([], |row| row.get(0))?;
        let Some(id) = next.map(RunId) else { return Ok(()) };
        tx.prepare(sql::JOBS_END_FOLLOWED_END)?.execute(named_params! {":run": id.0})?;
        // What was removed meanwhile is followed by nothing.
        let Ok(ended) = get_in(tx, id) else { continue };
        let Some(followed) = ended.origin.job.as_deref() else { continue };
        let followers: Vec<String> = {
            let mut statement = tx.prepare(sql::JOBS_FOLLOWERS)?;
            let rows = statement.query_map(named_params! {":job": followed}, |row| row.get(0))?;
            rows.collect::<Result<_, _>>()?
        };
        for name in followers {
            let job = jobs::get(tx.conn, &name)?.job;
            let fits = job.spec.after_job.as_ref().is_some_and(|after| after.when.fits(ended.outcome.status));
            if !job.spec.enabled || !fits {
                continue;
            }
            let Ok(mut env) = check_values(&job.spec.params, Map::new()) else {
                // Put by an earlier version; one today is refused.
                log::warn!("job {name} could not follow run {id}: a parameter has no default");
                continue;
            };
            env.push(("RUNABOUT_CAUSE_RUN".into(), id.to_string()));
            env.push(("RUNABOUT_CAUSE_JOB".into(), followed.to_owned()));
            env.push(("RUNABOUT_CAUSE_STATUS".into(), ended.outcome.status.to_string()));
            let origin = Origin { job: Some(name.clone()), ..Origin::of(Cause::Job) };
            let new = new_run(&job, env, None, origin, format!("job:{followed}"));
            match submit(tx, &new) {
                Ok(_) => {}
                Err(StoreError::Refused(why)) => log::warn!("job {name} could not follow run {id}: {why}"),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// The submit of a job's run.
pub fn new_run(
    job: &Job,
    env: Vec<(String, String)>,
    not_before: Option<UnixMs>,
    origin: Origin,
    by: String,
) -> NewRun {
    let mut spec = Spec { not_before, ..job.spec.run.clone() };
    spec.name = spec.name.or_else(|| Some(job.name.clone()));
    spec.env.extend(env);
    if job.spec.overlap != Overlap::Allow {
        // One of them runs at a time, however many slots the queue has.
        spec.key.get_or_insert_with(|| format!("job/{}", job.name));
    }
    NewRun { spec, idempotency: None, retry_of: None, origin, by }
}
