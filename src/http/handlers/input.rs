//! `/v1/runs/:id/stdin` and `/v1/runs/:id/resize`: what is sent to a command that runs.

use std::time::Duration;

use crate::http::app::{self, Answer, Request, by, json_body, no_query, nothing, query, run_id};
use crate::http::error::Problem;
use crate::http::types::terminal::size_from;
use crate::inputs::{INPUT_BYTES_MAX, Sender, Sent, Untaken};
use crate::numbers::RunId;
use crate::run::Status;
use crate::store::Change;
use crate::timer::within;

/// The most characters of what one of several writers calls itself.
const WRITER_CHARS_MAX: usize = 64;
/// How long the start of a command is waited for: what was just submitted is sent something at once.
const START: Duration = Duration::from_secs(2);

/// `POST /v1/runs/:id/stdin`
pub async fn send(request: Request) -> Answer {
    let run = run_id(&request)?;
    let mut query = query(&request);
    let is_last = query.boolean("end").unwrap_or(false);
    let id = query.text("writer", writer);
    let nth = query.integer("nth", 1, i64::MAX);
    let (takes_over, leaves) = (query.boolean("take"), query.boolean("leave"));
    let of_writers = [("nth", nth.is_some()), ("take", takes_over.is_some()), ("leave", leaves.is_some())];
    for (parameter, is_given) in of_writers {
        if is_given && id.is_none() && query.is_right() {
            query.wrong(parameter, "exclusive", "is for who says as which writer it comes");
        }
    }
    query.finish()?;
    let bytes = app::body_of_at_most(&request, INPUT_BYTES_MAX).await?;
    let name = by(&request)?;
    let nth = nth.map_or(0, i64::unsigned_abs);
    let (takes_over, leaves) = (takes_over.unwrap_or(false), leaves.unwrap_or(false));
    let writer = id.as_deref().map(|id| Sender { id, name: &name, nth, takes_over, leaves });
    let sent = Sent { bytes: &bytes, is_last, writer };
    let inputs = &request.state().inputs;
    reached(&request, run, || inputs.send(run, &sent)).await?;
    Ok(nothing())
}

/// `POST /v1/runs/:id/resize`
pub async fn resize(request: Request) -> Answer {
    let run = run_id(&request)?;
    no_query(&request)?;
    let size = size_from(json_body(&request).await?)?;
    let app = request.state();
    if reached(&request, run, || app.inputs.size(run)).await? != size {
        // First for the readers: what is drawn anew follows it.
        app.store.change(run, Change { pty: Some(size), ..Change::default() }, by(&request)?).await?;
        reached(&request, run, || app.inputs.resize(run, size)).await?;
    }
    Ok(nothing())
}

/// What a command under way answers. One that is about to start is waited for.
async fn reached<T>(request: &Request, run: RunId, ask: impl Fn() -> Result<T, Untaken>) -> Result<T, Problem> {
    let app = request.state();
    let started = async {
        loop {
            let opened = app.inputs.listen();
            match ask() {
                Err(Untaken::NotRunning) => {}
                answer => return answer.map_err(|why| Problem::untaken(run, why)),
            }
            let status = app.store.run_head(run).await?.outcome.status;
            match status {
                Status::Queued | Status::Running => opened.await,
                _ => return Err(Problem::run_finished(format!("run {run} has ended; it takes nothing any more"))),
            }
        }
    };
    let late = || Err(Problem::untaken(run, Untaken::NotRunning));
    within(START, started).await.unwrap_or_else(late)
}

/// Whether a text may name a writer.
fn writer(text: &str) -> Result<(), String> {
    let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_visible && (1..=WRITER_CHARS_MAX).contains(&text.len()) {
        return Ok(());
    }
    Err(format!("must be 1 to {WRITER_CHARS_MAX} visible ASCII characters"))
}
