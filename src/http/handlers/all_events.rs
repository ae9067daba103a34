//! `/v1/events`: what happens to all runs, by `id`, filtered.
//!
//! A queue is looked up when the event is read: a run that is moved takes its events along. A run in `runs` that is gone
//! tells nothing, and one that never was is refused.

use serde_json::json;
use tide::StatusCode;

use super::events::{PAGE_BYTES_MAX, PAGE_DEFAULT, PAGE_MAX, PageText};
use crate::event::{Cursor, EventFilter, FILTER_RUNS_MAX, Kind};
use crate::feed::{AllHello, OpenError, partial_gap, resolve_all};
use crate::http::Problem;
use crate::http::app::{Answer, Request, query, shared_json};
use crate::http::query::Query;
use crate::http::streams::{self, Asked, Following, Form};
use crate::http::types::queue_name;
use crate::run::RunId;
use crate::store::{PAGE_BYTES_MAX as READ_BYTES_MAX, PAGE_ROWS_MAX};

/// `GET /v1/events`: a stream where one is asked for, else a page.
pub async fn read(request: Request) -> Answer {
    let mut query = query(&request);
    let asked = Asked::read(&request, &mut query, Cursor::Latest)?;
    let filter = filter(&mut query);
    if asked.form == Form::Page {
        let limit = query.integer("limit", 1, PAGE_MAX).unwrap_or(PAGE_DEFAULT);
        query.finish()?;
        return page(&request, filter, &asked.cursor, limit as usize).await;
    }
    query.finish()?;
    let (app, cursor) = (request.state().clone(), asked.cursor.clone());
    streams::answer(request, &asked, async move { Following::all(&app, filter, &cursor).await }).await
}

/// What the three filters let through.
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

async fn page(request: &Request, filter: EventFilter, cursor: &Cursor, limit: usize) -> Answer {
    let app = request.state();
    let named = filter.runs().filter(|_| filter.wants_output()).unwrap_or_default();
    app.store.catch_up(named).await;
    let hello = resolve_all(&app.hub, &filter, cursor).await.map_err(|error| refusal(error, app.store.instance()))?;
    let AllHello { mut after, mut head } = hello;
    let share = app.hub.budget().share(PAGE_BYTES_MAX);
    let mut text = PageText::default();
    'full: while text.count() < limit {
        let rows = (limit - text.count()).min(PAGE_ROWS_MAX);
        let piece = app.store.all_page(filter.clone(), after, rows, READ_BYTES_MAX.min(share.bytes())).await?;
        head = piece.head;
        for event in &piece.events {
            if !text.event(&event.encode(), share.bytes()) {
                break 'full;
            }
        }
        after = piece.through;
        if after >= head.last_id {
            break;
        }
    }
    // Who wants the newest does not ask for what is gone.
    if let (false, Some(gap)) = (matches!(cursor, Cursor::Newest(_)), partial_gap(hello.after, head.removed_id)) {
        text.gap(&gap);
    }
    let (first_id, last_id) = (head.first_id, head.last_id);
    let rest = format!(r#""first_id":{first_id},"last_id":{last_id}"#);
    Ok(shared_json(StatusCode::Ok, text.finish(&rest), share))
}

/// Why a cursor cannot be followed, for a client.
pub fn refusal(error: OpenError, instance: &str) -> Problem {
    match error {
        OpenError::CursorAhead { last_seq: last_id } => {
            Problem::cursor_ahead(format!("the cursor is beyond the newest event, which is {last_id}"))
                .with_details(json!({"last_id": last_id, "instance": instance}))
        }
        OpenError::InstanceChanged { last_seq: last_id } => {
            Problem::instance_changed(format!("the cursor is of another database; this one is {instance}"))
                .with_details(json!({"last_id": last_id, "instance": instance}))
        }
        OpenError::Store(error) => error.into(),
    }
}
