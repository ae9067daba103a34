//! The daemon itself: health, figures, maintenance.

use serde_json::{Map, json};
use tide::StatusCode;

use super::cursors;
use crate::http::accept::weight_of;
use crate::http::app::{self, Answer, Request, head, json_body, no_query, text};
use crate::http::audit::did;
use crate::http::error::Problem;
use crate::http::middleware::who::Peer;
use crate::metrics::OfRoute;
use crate::run::Status;
use crate::wake::Phase;

/// `GET /healthz`
pub async fn healthz(request: Request) -> Answer {
    no_query(&request)?;
    Ok(text(StatusCode::Ok, "ok"))
}

/// `GET /readyz`
pub async fn readyz(request: Request) -> Answer {
    no_query(&request)?;
    let app = request.state();
    if app.stop.reached(Phase::Stopping) {
        return Err(Problem::unavailable("the daemon is stopping"));
    }
    // Whatever keeps it from being written: what waits for it is to wait.
    app.store.probe().await.map_err(|error| Problem::storage_unavailable(error.to_string()).retry_after_s(1))?;
    Ok(text(StatusCode::Ok, "ok"))
}

/// `GET /v1/system`
pub async fn system(request: Request) -> Answer {
    no_query(&request)?;
    let app = request.state();
    let counts = app.store.counts();
    let runs: Map<_, _> =
        Status::ALL.iter().map(|status| (status.to_string(), counts[*status as usize].into())).collect();
    let unavailable =
        app.limits.enforced.each().into_iter().filter_map(|(name, why)| Some((name.to_owned(), why?.into())));
    let limits_unavailable: Map<_, _> = unavailable.collect();
    app::json(
        StatusCode::Ok,
        &json!({
            "version": env!("CARGO_PKG_VERSION"),
            "instance": app.store.instance(),
            "started_at": app.started_at.to_string(),
            "database_bytes": app.database_bytes(),
            "disk_free_bytes": app.disk_free_bytes(),
            "runs": runs,
            "draining": app.store.draining(),
            "readers": app.metrics.readers_now(),
            "url": app.page.map(|page| page.url()),
            "limits_unavailable": limits_unavailable,
            "user": app.user,
            "silent_proxies": request.ext::<Peer>().map(Peer::silent_proxies).unwrap_or_default(),
        }),
    )
}

/// `GET /metrics`
pub async fn metrics(request: Request) -> Answer {
    no_query(&request)?;
    let app = request.state();
    app.metrics.database_bytes.set(app.database_bytes());
    app.metrics.disk_free_bytes.set(app.disk_free_bytes());
    app.metrics.hook_queue.set(app.store.pending_deliveries());
    app.metrics.job_next.set(app.store.next_firing().map_or(0, |at| at.0 / 1_000));
    app.metrics.draining.set(app.store.draining().into());
    cursors::measure(app);
    // The first who asks finds every figure, too: this request is counted when it has been answered.
    drop(app.metrics.http_requests.get_or_create(&OfRoute { route: "/metrics", status: 200 }));
    let accept = head(&request)?.accept()?.unwrap_or_default();
    let likes_text = weight_of(accept, "text/plain") > weight_of(accept, "application/openmetrics-text");
    let (figures, content_type) = match likes_text {
        true => (app.metrics.encode_as_text(), "text/plain; version=0.0.4; charset=utf-8"),
        false => (app.metrics.encode(), "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    };
    Ok(app::whole(StatusCode::Ok, figures, content_type))
}

/// `POST /v1/maintenance`
pub async fn maintenance(request: Request) -> Answer {
    no_query(&request)?;
    json_body(&request).await?.finish()?;
    let app = request.state();
    let removed = app::while_let_in(&request, async { Ok(app.maintenance.pass().await?) }).await?;
    let response = app::json(
        StatusCode::Ok,
        &json!({
            "sessions": removed.sessions,
            "enrollment_tokens": removed.enrollment_tokens,
            "idempotency_keys": removed.idempotency_keys,
            "runs": removed.runs,
            "events": removed.events,
            "artifacts": removed.artifacts,
            "freed_bytes": removed.freed_bytes,
        }),
    )?;
    Ok(did(response, "maintenance was done"))
}
