//! `/v1/sessions` and `/v1/session`: all sessions, the requester's own, and their end.

use serde_json::json;
use tide::StatusCode;

use crate::access::{How, Identity};
use crate::http::app::{self, Answer, Request, identity, no_query, nothing, query};
use crate::http::audit::did;
use crate::http::error::Problem;
use crate::http::middleware::grant::Grant;
use crate::http::middleware::who::Peer;
use crate::http::middleware::who::{cookie_name, forget_cookie};
use crate::wire::SessionBody;

/// Sessions that a page of the list has, unless fewer are asked for.
const LIST_MAX: i64 = 1_000;

/// `GET /v1/sessions`
pub async fn list(request: Request) -> Answer {
    let mut query = query(&request);
    let limit = query.integer("limit", 1, LIST_MAX).unwrap_or(LIST_MAX);
    let before = query.integer("before", 1, i64::MAX).unwrap_or(i64::MAX);
    query.finish()?;
    let own = identity(&request)?.session;
    let page = request.state().store.sessions(before, limit).await?;
    let bodies: Vec<_> = page.sessions.iter().map(|session| SessionBody::new(session, own)).collect();
    let next = page.next.map(|before| format!("/v1/sessions?limit={limit}&before={before}"));
    app::json(StatusCode::Ok, &json!({ "sessions": bodies, "next": next }))
}

/// `DELETE /v1/sessions/:id`
pub async fn revoke(request: Request) -> Answer {
    no_query(&request)?;
    let id = app::id(&request, |text| Problem::not_found(format!("no session {text}")))?;
    request.state().store.delete_session(id).await?;
    Ok(did(nothing(), format_args!("session {id} was revoked")))
}

/// `GET /v1/session`: the session, or over the Unix socket who asks, in the same shape.
pub async fn who_am_i(request: Request) -> Answer {
    no_query(&request)?;
    let Identity { role, name, session, .. } = identity(&request)?;
    match request.ext::<Grant>() {
        Some(Grant::Session(own)) => app::json(StatusCode::Ok, &SessionBody::new(&own.session(), *session)),
        _ => app::json(StatusCode::Ok, &SessionBody::without_session(name, *role)),
    }
}

/// `DELETE /v1/session`
pub async fn log_out(request: Request) -> Answer {
    no_query(&request)?;
    let Identity { session, how, .. } = identity(&request)?;
    let app = request.state();
    let Some(id) = *session else {
        return Err(Problem::not_found("there is no session to end: the Unix socket needs none"));
    };
    app.store.delete_session(id).await?;
    let mut response = nothing();
    if *how == How::Cookie {
        let https = request.ext::<Peer>().is_some_and(|peer| peer.https);
        response.insert_header("set-cookie", forget_cookie(&cookie_name(&app.store), https));
    }
    Ok(did(response, format_args!("session {id} was ended")))
}
