//! `/v1/events`: what happens to all runs, by `id`, filtered.
//!
//! A run's queue is looked up when the event is read: a run that is moved takes its events along. In `runs`, a run that
//! was deleted has no events, and one that never existed is refused.

use crate::event::Kind;
use crate::http::app::{Answer, Request, query};
use crate::http::query::Query;
use crate::http::streams::answer::answer;
use crate::http::streams::read_request::ReadRequest;
use crate::http::types::incoming::queue_name;
use crate::numbers::RunId;
use crate::scope::{Cursor, EventFilter, FILTER_RUNS_MAX, Scope};

/// `GET /v1/events`: a stream where one is asked for, else a page.
pub async fn read(request: Request) -> Answer {
    let mut query = query(&request);
    let read = ReadRequest::read(&request, &mut query, Cursor::Latest)?;
    let filter = filter(&mut query);
    answer(request, Scope::All(filter), read.finish(query)?).await
}

/// The filter of the parameters `kinds`, `runs` and `queue`.
fn filter(query: &mut Query) -> EventFilter {
    let kinds = query.list("kinds", Kind::ALL.len(), Kind::parse, || {
        let all: Vec<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("must be a comma list of {}", all.join(", "))
    });
    let runs = query.list("runs", FILTER_RUNS_MAX, run, || "must be a comma list of runs' numbers".to_owned());
    EventFilter::new(kinds, query.text("queue", queue_name), runs)
}

fn run(text: &str) -> Option<RunId> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| digits && *id > 0).map(RunId)
}
