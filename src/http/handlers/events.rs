//! `/v1/runs/:id/events`: a page, a stream, an append.

use serde_json::json;
use tide::StatusCode;

use crate::http::app::{self, Answer, Request, no_query, query, run_id};
use crate::http::error::Problem;
use crate::http::streams::answer::answer;
use crate::http::streams::read_request::ReadRequest;
use crate::http::types::incoming::events_from;
use crate::numbers::Position;
use crate::scope::{Cursor, Scope};
use crate::wire::Violation;

/// `GET /v1/runs/:id/events`: a stream where one is asked for, else a page.
pub async fn read(request: Request) -> Answer {
    let run = run_id(&request)?;
    let mut query = query(&request);
    let read = ReadRequest::read(&request, &mut query, Cursor::After(Position(0)))?.finish(query)?;
    answer(request, Scope::Run(run), read).await
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
