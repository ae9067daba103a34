//! Earlier runs of a job that are on their way when it is due again: which is in the way, and which makes way.

use rusqlite::named_params;
use serde_json::json as json_value;

use crate::clock::UnixMs;
use crate::event::Kind;
use crate::job::{Job, Overlap, QUEUED_MAX, Skipped};
use crate::numbers::RunId;
use crate::run::{HeldBy, Hold, Outcome, Reason, Status};
use crate::store::engine::writer::{Fired, Writer};
use crate::store::error::StoreError;
use crate::store::sql;
use crate::store::tables::cancel::{Cancel, cancel};
use crate::store::tables::jobs::tell;
use crate::store::tables::life;
use crate::store::tables::run_row::get_in;

/// A run of a job that has not ended.
struct Alive {
    run: RunId,
    /// Whether it has begun: it runs, or waits to be tried again.
    has_begun: bool,
    scheduled_for: Option<i64>,
}

/// Does what the job's `overlap` says about its runs that are on their way; returns the run that is in the way of another.
pub fn make_way(tx: &mut Writer<'_>, job: &Job) -> Result<Option<RunId>, StoreError> {
    let overlap = job.spec.overlap;
    if overlap == Overlap::Allow {
        return Ok(None);
    }
    let alive: Vec<Alive> = {
        let mut statement = tx.prepare(sql::RUNS_ALIVE_OF_JOB)?;
        let rows = statement.query_map(named_params! {":job": job.name}, |row| {
            let is_running = row.get_ref("status")?.as_str()? == Status::Running.as_str();
            let held_by = HeldBy::from_bits(row.get("held_by")?);
            Ok(Alive {
                run: RunId(row.get("id")?),
                has_begun: is_running || held_by.has(Hold::Retry),
                scheduled_for: row.get("scheduled_for")?,
            })
        })?;
        rows.collect::<Result<_, _>>()?
    };
    let (begun, queued): (Vec<_>, Vec<_>) = alive.iter().partition(|run| run.has_begun);
    match overlap {
        Overlap::One => return Ok(queued.first().map(|run| run.run)),
        Overlap::Skip => return Ok(alive.first().map(|run| run.run)),
        Overlap::All => return Ok(queued.last().filter(|_| queued.len() >= QUEUED_MAX).map(|run| run.run)),
        Overlap::Replace | Overlap::Cancel | Overlap::Allow => {}
    }
    for old in queued {
        let run = get_in(tx, old.run)?;
        life::end_in_queue(tx, &run, &Outcome::ended_in_queue(Reason::Replaced))?;
        if let Some(at) = old.scheduled_for {
            tx.prepare(sql::FIRINGS_REPLACE)?
                .execute(named_params! {":job": job.name, ":scheduled_for": at, ":run": old.run.0})?;
            let data = json_value!({
                "job": job.name, "scheduled_for": UnixMs(at).to_string(), "reason": Skipped::Replaced, "count": 1,
                "run": old.run,
            });
            tell(tx, Kind::JobSkipped, data.to_string())?;
            tx.fired.push(Fired { outcome: Skipped::Replaced.as_str(), late_ms: 0 });
        }
    }
    if overlap == Overlap::Cancel {
        let how = Cancel { reason: Some("its job is due again".into()), now: false };
        for old in begun {
            cancel(tx, old.run, &format!("job:{}", job.name), &how)?;
        }
    }
    Ok(None)
}
