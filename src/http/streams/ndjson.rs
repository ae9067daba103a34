//! NDJSON: one object a line.

use std::future::Future;

use super::body::{response, ropes};
use super::following::Following;
use super::guard::StreamGuard;
use crate::feed::{Framing, Shown};
use crate::http::app::{Answer, Request};
use crate::http::error::Problem;

/// A line each.
pub(super) const FRAMING: Framing = Framing { name: "ndjson", lay };

/// Answers with the lines of what `opening` opens, up to `caught_up` for a reader that does not stay.
pub async fn answer(
    request: &Request,
    stays: bool,
    opening: impl Future<Output = Result<Following, Problem>>,
) -> Answer {
    let guard = StreamGuard::open(request, "ndjson");
    let batches = opening.await?.batches(stays);
    Ok(response(guard, "application/x-ndjson", ropes(batches)))
}

fn lay(shown: &Shown<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(shown.text.as_bytes());
    out.push(b'\n');
}
