//! `/v1/cursors`: how far readers of all events have come, so that retention waits for them.

use serde_json::json;
use tide::StatusCode;

use crate::clock::UnixMs;
use crate::http::app::{self, Answer, App, Request, json_body, no_query, nothing};
use crate::http::audit::did;
use crate::http::types::cursors::cursor_from;
use crate::http::types::incoming::queue_name;
use crate::metrics::OfCursor;
use crate::store::Refusal;
use crate::wire::CursorBody;

fn name_of(request: &Request) -> String {
    request.param("name").unwrap_or_default().to_owned()
}

/// `GET /v1/cursors`
pub async fn list(request: Request) -> Answer {
    no_query(&request)?;
    let seen = request.state().store.cursors();
    let bodies = seen.all.0.iter().map(|(name, cursor)| CursorBody::new(name, cursor, seen.last, seen.hold_ms));
    app::json(StatusCode::Ok, &json!({ "cursors": bodies.collect::<Vec<_>>() }))
}

/// `GET /v1/cursors/:name`
pub async fn get(request: Request) -> Answer {
    no_query(&request)?;
    let (name, seen) = (name_of(&request), request.state().store.cursors());
    let cursor = seen.all.0.get(&name).ok_or_else(|| Refusal::CursorNotFound(name.clone()))?;
    app::json(StatusCode::Ok, &CursorBody::new(&name, cursor, seen.last, seen.hold_ms))
}

/// `PUT /v1/cursors/:name`
///
/// A move is no line of the log: it comes every few seconds.
pub async fn put(request: Request) -> Answer {
    no_query(&request)?;
    let name = name_of(&request);
    let mut fields = json_body(&request).await?;
    if let Err(message) = queue_name(&name) {
        fields.wrong("name", "value", message);
    }
    let (id, instance) = cursor_from(fields)?;
    let store = &request.state().store;
    let (cursor, created) = store.put_cursor(name.clone(), id, instance).await?;
    let seen = store.cursors();
    let status = if created { StatusCode::Created } else { StatusCode::Ok };
    let response = app::json(status, &CursorBody::new(&name, &cursor, seen.last, seen.hold_ms))?;
    Ok(if created { did(response, format_args!("cursor {name} was made")) } else { response })
}

/// `DELETE /v1/cursors/:name`
pub async fn delete(request: Request) -> Answer {
    no_query(&request)?;
    let name = name_of(&request);
    request.state().store.delete_cursor(name.clone()).await?;
    Ok(did(nothing(), format_args!("cursor {name} was removed")))
}

/// Sets the figures of the cursors that there are, and of no others.
pub(super) fn measure(app: &App) {
    let (seen, now) = (app.store.cursors(), UnixMs::now());
    let (behind, age) = (&app.metrics.cursor_behind, &app.metrics.cursor_age);
    behind.clear();
    age.clear();
    for (name, cursor) in &seen.all.0 {
        let of = OfCursor { cursor: name.clone() };
        behind.get_or_create(&of).set((seen.last.0 - cursor.id.0).max(0));
        age.get_or_create(&of).set((now.0 - cursor.moved_at.0).max(0) / 1_000);
    }
}
