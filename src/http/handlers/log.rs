//! `/v1/runs/:id/log`: what a command printed, as bytes.

use crate::event::Stream;
use crate::http::app::{Answer, Request, query, run_id};
use crate::http::streams::log::{self, Wanted};

/// Lines that can be asked for: more than any log has.
const TAIL_MAX: i64 = 1_000_000_000;

/// `GET /v1/runs/:id/log`
pub async fn read(request: Request) -> Answer {
    let run = run_id(&request)?;
    let mut query = query(&request);
    let stream = query.text("stream", |text| {
        Stream::parse(text)
            .map(drop)
            .ok_or_else(|| "must be stdout, stderr or pty; all of it where it is left out".to_owned())
    });
    let follow = query.boolean("follow").unwrap_or(false);
    let tail = query.integer("tail", 0, TAIL_MAX).map(i64::unsigned_abs);
    query.finish()?;
    let stream = stream.as_deref().and_then(Stream::parse);
    log::answer(&request, run, Wanted { stream, follow, tail }).await
}
