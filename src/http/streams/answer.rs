//! The answer to whoever reads events: a page or a stream of a scope, as the request asks.

use super::following::Following;
use super::read_request::{Form, ReadRequest};
use super::{ndjson, page, sse, websocket};
use crate::http::app::{Answer, Request};
use crate::scope::Scope;

/// Answers with the events of a scope in the form that is asked for. Every refusal comes before the first byte.
pub async fn answer(request: Request, scope: Scope, read: ReadRequest) -> Answer {
    let ReadRequest { form, cursor, comes_back, stays, limit } = read;
    if form == Form::Page {
        return page::answer(&request, &scope, &cursor, limit).await;
    }
    let app = request.state().clone();
    let opening = |framing| async move { Following::open(&app, scope, &cursor, framing).await };
    match form {
        Form::WebSocket => websocket::answer(request, opening(websocket::FRAMING)).await,
        Form::Sse => sse::answer(&request, comes_back, opening(sse::FRAMING)).await,
        Form::Ndjson | Form::Page => ndjson::answer(&request, stays, opening(ndjson::FRAMING)).await,
    }
}
