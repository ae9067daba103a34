//! `/v1/runs/:id/events`: a page, a stream, an append.

use serde_json::json;
use tide::StatusCode;

use crate::event::{Cursor, Gap};
use crate::feed::{OpenError, resolve};
use crate::http::app::{self, Answer, Request, no_query, query, run_id, shared_json};
use crate::http::streams::{self, Asked, Following, Form};
use crate::http::types::{Frame, events_from};
use crate::http::{Problem, Violation};
use crate::numbers::Position;
use crate::run::{Outcome, RunId};
use crate::store::{Head, PAGE_BYTES_MAX as READ_BYTES_MAX, PAGE_ROWS_MAX};
use crate::text;

/// Events that a page shows unless told otherwise.
pub(super) const PAGE_DEFAULT: i64 = 1_000;
/// Events that a page shows at most.
pub(super) const PAGE_MAX: i64 = 10_000;
/// Bytes of events at which a page is cut short: 1 MiB. It is less where many are on their way to clients that do not
/// take them.
pub(super) const PAGE_BYTES_MAX: usize = 1_048_576;

/// `GET /v1/runs/:id/events`: a stream where one is asked for, else a page.
pub async fn read(request: Request) -> Answer {
    let run = run_id(&request)?;
    let mut query = query(&request);
    let asked = Asked::read(&request, &mut query, Cursor::After(Position(0)))?;
    if asked.form == Form::Page {
        let limit = query.integer("limit", 1, PAGE_MAX).unwrap_or(PAGE_DEFAULT);
        query.finish()?;
        return page(&request, run, &asked.cursor, limit as usize).await;
    }
    query.finish()?;
    let (app, cursor) = (request.state().clone(), asked.cursor.clone());
    streams::answer(request, &asked, async move { Following::run(&app, run, &cursor).await }).await
}

async fn page(request: &Request, run: RunId, cursor: &Cursor, limit: usize) -> Answer {
    let store = &request.state().store;
    store.catch_up(&[run]).await;
    let mut head = store.head(run).await?;
    let mut after = resolve(cursor, &head, store.instance()).map_err(|error| refusal(error, store.instance()))?;
    let share = request.state().hub.budget().share(PAGE_BYTES_MAX);
    let mut text = PageText::default();
    'full: while text.count() < limit {
        let rows = (limit - text.count()).min(PAGE_ROWS_MAX);
        let piece = store.page(run, after, rows, READ_BYTES_MAX.min(share.bytes())).await?;
        head = piece.head;
        if piece.events.is_empty() {
            break;
        }
        for event in &piece.events {
            if !text.event(&event.encode(), share.bytes()) {
                break 'full;
            }
            if event.seq != after.next() {
                text.gap(&head.gap(after.next(), event.seq.previous()));
            }
            after = event.seq;
        }
    }
    let Head { first_seq, last_seq, outcome: Outcome { status, .. }, .. } = head;
    let rest = format!(r#""first_seq":{first_seq},"last_seq":{last_seq},"status":"{status}""#);
    Ok(shared_json(StatusCode::Ok, text.finish(&rest), share))
}

/// A page under construction, as the text that it becomes: events are encoded once and never parsed again.
#[derive(Default)]
pub(super) struct PageText {
    events: String,
    gaps: Vec<String>,
    count: usize,
}

impl PageText {
    /// Events that are in it.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Adds an event, unless it is full with those before. Measured as it is sent: control bytes are six times as long
    /// in JSON.
    pub(super) fn event(&mut self, encoded: &str, bytes_max: usize) -> bool {
        if self.count > 0 {
            if self.events.len() + encoded.len() > bytes_max {
                return false;
            }
            self.events.push(',');
        }
        self.events.push_str(encoded);
        self.count += 1;
        true
    }

    pub(super) fn gap(&mut self, gap: &Gap) {
        self.gaps.push(text::json(&Frame::gap(gap)).unwrap_or_default());
    }

    /// The page, with the fields that say where things stand.
    pub(super) fn finish(self, rest: &str) -> String {
        format!(r#"{{"events":[{}],"gaps":[{}],{rest}}}"#, self.events, self.gaps.join(","))
    }
}

/// Why a cursor cannot be followed, for a client.
pub fn refusal(error: OpenError, instance: &str) -> Problem {
    match error {
        OpenError::CursorAhead { last_seq } => {
            Problem::cursor_ahead(format!("the cursor is beyond the newest event, which is {last_seq}"))
                .with_details(json!({"last_seq": last_seq, "instance": instance}))
        }
        OpenError::InstanceChanged { last_seq } => {
            Problem::instance_changed(format!("the cursor is of another database; this one is {instance}"))
                .with_details(json!({"last_seq": last_seq, "instance": instance}))
        }
        OpenError::Store(error) => error.into(),
    }
}

/// `POST /v1/runs/:id/events`
pub async fn append(request: Request) -> Answer {
    let run = run_id(&request)?;
    no_query(&request)?;
    let content_type = app::content_type(&request)?;
    if !matches!(content_type.as_str(), "application/json" | "application/x-ndjson") {
        return Err(app::unsupported(&content_type, "application/json' or 'Content-Type: application/x-ndjson"));
    }
    let body = app::body(&request).await?;
    if std::str::from_utf8(&body).is_err() {
        return Err(Problem::violations(vec![Violation::new("", "value", "the body must be UTF-8")]));
    }
    let last_seq = request.state().store.append(run, events_from(&body)?).await?;
    app::json(StatusCode::Created, &json!({ "last_seq": last_seq }))
}
