//! NDJSON: one object a line.

use std::future::Future;

use bytes::Bytes;

use super::body::{framed, response};
use super::following::Following;
use super::guard::StreamGuard;
use crate::http::app::{Answer, Request};
use crate::http::error::Problem;

/// Answers with the lines of what `opening` opens, up to `caught_up` for a reader that does not stay.
pub async fn answer(
    request: &Request,
    stays: bool,
    opening: impl Future<Output = Result<Following, Problem>>,
) -> Answer {
    let guard = StreamGuard::open(request, "ndjson");
    let batches = opening.await?.batches(stays);
    let lines = framed(batches, |object, rope| {
        rope.push(object.text);
        rope.push(Bytes::from_static(b"\n"));
    });
    Ok(response(guard, "application/x-ndjson", lines))
}
