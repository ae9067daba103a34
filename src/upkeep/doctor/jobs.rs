//! Checks the jobs: those that cannot start, those that fail again and again, and those whose times pass without a word.

use super::super::files::count;
use super::finding::{Finding, Subject};
use crate::clock::UnixMs;
use crate::job::JobSpec;
use crate::run::Status;
use crate::schedule::{Schedule, Zone};
use crate::store::OpenError;
use crate::store::beside::{JobSeen, ReadOnlyDatabase, RunEnd};

const CHECK: &str = "jobs";
/// Failures in a row from which a job fails for long.
const FAILURES: usize = 3;
/// Ends of each job that are looked at.
const ENDS: i64 = 100;
/// A time that is over for so long was missed, in milliseconds.
const LATE_MS: i64 = 600_000;
/// Jobs that are named.
const NAMED: usize = 20;

/// Runs all checks of the jobs.
pub(super) fn look(subject: &Subject, beside: &ReadOnlyDatabase) -> Vec<Finding> {
    let found = beside.jobs().and_then(|jobs| {
        let mut wrong = Vec::new();
        for job in &jobs {
            wrong.extend(wrong_with(job, &beside.ends_of_job(&job.name, ENDS)?, subject.is_held(), UnixMs::now()));
        }
        Ok((jobs.len() as i64, wrong))
    });
    match found {
        Ok((0, _)) => Vec::new(),
        Ok((jobs, wrong)) if wrong.is_empty() => {
            vec![Finding::ok(CHECK, format!("{}, none broken or failing", count(jobs, "job")))]
        }
        Ok((_, mut wrong)) => {
            let more = wrong.len().saturating_sub(NAMED);
            wrong.truncate(NAMED);
            if more > 0 {
                wrong.push(Finding::warn(CHECK, format!("and {more} more"), "runabout job ls shows all of them"));
            }
            wrong
        }
        Err(error) => vec![unread(&error)],
    }
}

fn unread(error: &OpenError) -> Finding {
    Finding::fail(CHECK, error.to_string(), "the jobs cannot be read: see what is said of the database")
}

/// What is wrong with a job, the worst of it.
fn wrong_with(job: &JobSeen, ends: &[RunEnd], is_held: bool, now: UnixMs) -> Option<Finding> {
    let name = &job.name;
    let show = format!("`runabout job show {name}` has all of it, and `runabout job set` or `apply` puts it anew");
    let Ok(spec) = serde_json::from_str::<JobSpec>(&job.definition) else {
        return Some(Finding::fail(CHECK, format!("{name} cannot be read: another program has changed it"), show));
    };
    let schedule = match schedule_of(&spec, job.created_at) {
        Ok(schedule) => schedule,
        Err(why) => return Some(Finding::fail(CHECK, format!("{name} is broken and does not start: {why}"), show)),
    };
    if !spec.enabled {
        return None;
    }
    let failed = ends.iter().take_while(|end| is_failure(end.status)).count();
    if failed >= FAILURES {
        let or_more = if failed as i64 == ENDS { " or more" } else { "" };
        let first = &ends[failed - 1];
        let found = format!("{name} fails: its last {failed}{or_more} runs, since {}", first.ended_at);
        return Some(Finding::warn(
            CHECK,
            found,
            format!("`runabout logs {}` has what the last one said", ends[0].run),
        ));
    }
    if !now.is_believed() {
        return None;
    }
    let is_over = |at: &UnixMs| at.0 < now.0 - LATE_MS;
    let first = schedule.and_then(|schedule| schedule.next(job.changed_at)).map(|due| due.at).filter(is_over);
    match (first.filter(|_| !job.has_fired), job.next_at.filter(is_over)) {
        (Some(first), _) => {
            let found = format!("{name} has never fired: it was due at {first} first");
            Some(Finding::warn(CHECK, found, "jobs start while a daemon runs whose clock is right"))
        }
        (None, Some(next)) if is_held => {
            let found = format!("{name} was due at {next} and has not fired since");
            Some(Finding::warn(CHECK, found, "the daemon's log says what keeps it from writing"))
        }
        _ => None,
    }
}

fn is_failure(status: Status) -> bool {
    matches!(status, Status::Failed | Status::TimedOut | Status::Interrupted)
}

fn schedule_of(spec: &JobSpec, created_at: UnixMs) -> Result<Option<Schedule>, String> {
    if spec.schedule.is_empty() {
        return Ok(None);
    }
    let zone = Zone::named(spec.zone.as_deref().unwrap_or("UTC")).map_err(|error| error.to_string())?;
    Schedule::parse(&spec.schedule, zone, created_at).map(Some).map_err(|error| error.to_string())
}
