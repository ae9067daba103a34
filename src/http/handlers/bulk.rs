//! `/v1/runs/cancel` and `/v1/runs/retry`: what is done to all runs that a filter finds.
//!
//! The work is done in pieces, each a transaction, for as long as a client waits; `next` goes on. To ask once more is safe:
//! what was canceled is not found again, and what was tried again is left alone.

use std::time::{Duration, Instant};

use tide::StatusCode;

use super::runs::cancel_from;
use crate::http::app::{Answer, Request, by, json, json_body, query};
use crate::http::audit::did;
use crate::http::error::Problem;
use crate::http::query::Query;
use crate::http::types::filter::{filter_from, parameters, path_with};
use crate::run::{RunId, Status};
use crate::store::{BULK_RUNS, Bulk, BulkDone, Filter};
use crate::wire::{BulkBody, Violation};

/// How long one request goes on, so that no client or proxy gives it up.
const BULK_TIME: Duration = Duration::from_secs(5);
/// Runs that are looked for at once: what waits is gone through for each time.
const FOUND_AT_ONCE: usize = 500;
/// What can be canceled.
const LIVE: &[Status] = &[Status::Queued, Status::Running];
/// What is tried again unless other statuses are named.
const FAILED: &[Status] = &[Status::Failed, Status::TimedOut, Status::Interrupted];

/// What a request is about, beside what is done.
struct About {
    filter: Filter,
    dry_run: bool,
    /// Neither a filter was given, nor that all are meant.
    is_of_everything: bool,
}

/// `POST /v1/runs/cancel`
pub async fn cancel(request: Request) -> Answer {
    let about = about(query(&request), LIVE, |status| !status.is_terminal())?;
    let how = cancel_from(&request).await?;
    about.must_be_meant()?;
    over_all(request, about, "/v1/runs/cancel", Bulk::Cancel(how)).await
}

/// `POST /v1/runs/retry`
pub async fn retry(request: Request) -> Answer {
    let about = about(query(&request), FAILED, Status::is_terminal)?;
    json_body(&request).await?.finish()?;
    about.must_be_meant()?;
    over_all(request, about, "/v1/runs/retry", Bulk::Retry).await
}

impl About {
    fn must_be_meant(&self) -> Result<(), Problem> {
        let message = "give a filter, or all=true for every one of them";
        if self.is_of_everything {
            Err(Problem::violations(vec![Violation::new("all", "required", message)]))
        } else {
            Ok(())
        }
    }
}

fn about(mut query: Query, usual: &[Status], may_be: fn(Status) -> bool) -> Result<About, Problem> {
    let mut filter = filter_from(&mut query);
    let dry_run = query.boolean("dry_run").unwrap_or(false);
    let all = query.boolean("all").unwrap_or(false);
    if filter.status.iter().any(|status| !may_be(*status)) {
        let words: Vec<_> =
            Status::ALL.iter().filter(|status| may_be(**status)).map(|status| status.as_str()).collect();
        query.wrong("status", "value", format!("must be a comma list of {}", words.join(", ")));
    }
    filter.before = query.integer("before", 1, i64::MAX).map(RunId);
    query.finish()?;
    let is_of_everything = parameters(&filter).is_empty() && !all;
    if filter.status.is_empty() {
        filter.status = usual.to_vec();
    }
    Ok(About { filter: Filter { limit: FOUND_AT_ONCE, ..filter }, dry_run, is_of_everything })
}

async fn over_all(request: Request, about: About, path: &str, bulk: Bulk) -> Answer {
    let About { mut filter, dry_run, .. } = about;
    let (store, by, until) = (&request.state().store, by(&request)?, Instant::now() + BULK_TIME);
    let (mut done, mut is_over) = (BulkDone::default(), false);
    while !is_over {
        let turn = request.state().searches.acquire().await;
        let (ids, before) = store.run_ids(filter.clone()).await?;
        drop(turn);
        filter.before = before;
        // Also where nothing is found for long.
        is_over = before.is_none() || Instant::now() >= until;
        for piece in ids.chunks(BULK_RUNS) {
            done.add(store.bulk(piece.to_vec(), filter.clone(), bulk.clone(), by.clone(), dry_run).await?);
            match &done.refused {
                Some((_, refusal)) if done.count == 0 => return Err(refusal.clone().into()),
                // The one that was refused is the first of what is next.
                Some((run, _)) => filter.before = Some(run.next()),
                None if Instant::now() < until => continue,
                None if piece.last() == ids.last() => {}
                None => filter.before = piece.last().copied(),
            }
            is_over = true;
            break;
        }
    }
    let next = filter.before.map(|before| {
        let dry_run = dry_run.then(|| ("dry_run", "true".to_owned()));
        let rest = dry_run.into_iter().chain([("before", before.to_string())]);
        path_with(path, parameters(&filter).into_iter().chain(rest))
    });
    let BulkDone { count, running, skipped, .. } = done;
    let what = if matches!(bulk, Bulk::Retry) { "tried again" } else { "canceled" };
    let response = json(StatusCode::Ok, &BulkBody { count, running, skipped, next })?;
    Ok(if dry_run || count == 0 { response } else { did(response, format_args!("{count} runs were {what}")) })
}
