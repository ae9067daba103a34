//! NDJSON: one object a line.

use std::future::Future;

use bytes::Bytes;

use super::body::{framed, response};
use super::reader::Following;
use super::seat::Seat;
use crate::http::Problem;
use crate::http::app::{Answer, Request};

/// Answers with the lines of what `opening` opens, up to `caught_up` for a reader that does not stay.
pub async fn answer(
    request: &Request,
    stays: bool,
    opening: impl Future<Output = Result<Following, Problem>>,
) -> Answer {
    let seat = Seat::take(request, "ndjson");
    let batches = opening.await?.tell(stays);
    let lines = framed(batches, |object, rope| {
        rope.push(object.text);
        rope.push(Bytes::from_static(b"\n"));
    });
    Ok(response(seat, "application/x-ndjson", lines))
}
