//! `/v1/drain`: no run is started until the drain is ended or the daemon stops; submits are still queued.

use std::time::Duration;

use tide::StatusCode;

use super::runs::WAIT_MAX_S;
use crate::http::app::{self, Answer, App, Request, json_body, no_query, nothing, query};
use crate::http::audit::did;
use crate::http::error::Problem;
use crate::run::Status;
use crate::timer::within;
use crate::wire::DrainBody;

/// `GET /v1/drain`
pub async fn get(request: Request) -> Answer {
    let wait_s = wait_s(&request)?;
    wait_idle(&request, wait_s).await?;
    show(request.state())
}

/// `PUT /v1/drain`
pub async fn put(request: Request) -> Answer {
    let wait_s = wait_s(&request)?;
    json_body(&request).await?.finish()?;
    let app = request.state();
    let changed = app.store.drain(true).await?;
    // Whoever is thrown out while it waits is told so; what it did is told to the log all the same.
    let answer = match wait_idle(&request, wait_s).await {
        Ok(()) => show(app)?,
        Err(thrown_out) => thrown_out.into(),
    };
    Ok(if changed { did(answer, "the daemon was drained") } else { answer })
}

/// `DELETE /v1/drain`
pub async fn delete(request: Request) -> Answer {
    no_query(&request)?;
    let changed = request.state().store.drain(false).await?;
    Ok(if changed { did(nothing(), "the drain was taken back") } else { nothing() })
}

fn wait_s(request: &Request) -> Result<Option<i64>, Problem> {
    let mut query = query(request);
    let wait_s = query.integer("wait_s", 1, WAIT_MAX_S);
    query.finish()?;
    Ok(wait_s)
}

/// Waits until nothing runs, at most so long.
async fn wait_idle(request: &Request, wait_s: Option<i64>) -> Result<(), Problem> {
    let Some(wait_s) = wait_s else { return Ok(()) };
    let idle = async {
        let _ = within(Duration::from_secs(wait_s.unsigned_abs()), request.state().store.wait_idle()).await;
        Ok(())
    };
    app::while_let_in(request, idle).await
}

fn show(app: &App) -> Answer {
    let counts = app.store.counts();
    let of = |status: Status| counts[status as usize];
    let (draining, running, queued) = (app.store.draining(), of(Status::Running), of(Status::Queued));
    app::json(StatusCode::Ok, &DrainBody { draining, running, queued })
}
