//! `/v1/sessions` and `/v1/session`: who was let in, who am I, and out again.

use serde_json::json;
use tide::StatusCode;

use crate::access::{How, Identity};
use crate::http::app::{self, Answer, Request, by, identity, no_query, nothing};
use crate::http::middleware::{cookie_name, forget_cookie};
use crate::http::types::SessionBody;
use crate::http::{Peer, Problem};

/// `GET /v1/sessions`
pub async fn list(request: Request) -> Answer {
    no_query(&request)?;
    let own = identity(&request)?.session;
    let sessions = request.state().store.sessions().await?;
    let bodies: Vec<_> = sessions.iter().map(|session| SessionBody::new(session, own)).collect();
    app::json(StatusCode::Ok, &json!({ "sessions": bodies }))
}

/// `DELETE /v1/sessions/:id`
pub async fn revoke(request: Request) -> Answer {
    no_query(&request)?;
    let id = app::id(&request, |text| Problem::not_found(format!("no session {text}")))?;
    let app = request.state();
    app.store.delete_session(id).await?;
    app.streams.end_of_session(id);
    log::info!("session {id} was revoked by {}", by(&request)?);
    Ok(nothing())
}

/// `GET /v1/session`: the session, or over the Unix socket who asks, in the same shape.
pub async fn who_am_i(request: Request) -> Answer {
    no_query(&request)?;
    let Identity { role, name, session, .. } = identity(&request)?;
    let sessions = match session {
        Some(_) => request.state().store.sessions().await?,
        None => Vec::new(),
    };
    let body = match sessions.iter().find(|known| Some(known.id) == *session) {
        Some(own) => SessionBody::new(own, *session),
        None => SessionBody::without_session(name, *role),
    };
    app::json(StatusCode::Ok, &body)
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
    app.streams.end_of_session(id);
    log::info!("session {id} was ended by {}", by(&request)?);
    let mut response = nothing();
    if *how == How::Cookie {
        let https = request.ext::<Peer>().is_some_and(|peer| peer.https);
        response.insert_header("set-cookie", forget_cookie(&cookie_name(app.store.instance()), https));
    }
    Ok(response)
}
