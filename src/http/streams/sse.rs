//! Server-sent events, for a browser's `EventSource`, which reconnects by itself.

use std::future::Future;
use std::io::Write as _;

use super::body::{response, ropes};
use super::following::Following;
use super::guard::StreamGuard;
use crate::feed::{Framing, Shown};
use crate::http::app::{Answer, Request, nothing};
use crate::http::error::Problem;

/// Time after which a browser reconnects, in milliseconds: long enough for a daemon to restart, too short to notice.
const RETRY_MS: u32 = 2_000;

/// An event each, of the object's type, with the cursor behind it.
pub(super) const FRAMING: Framing = Framing { name: "sse", lay };

/// Answers with the events of what `opening` opens. A browser that reconnects behind the end gets 204, the one answer
/// after which it does not try again.
pub async fn answer(
    request: &Request,
    comes_back: bool,
    opening: impl Future<Output = Result<Following, Problem>>,
) -> Answer {
    let guard = StreamGuard::open(request, "sse");
    let following = opening.await?;
    if comes_back && following.is_over() {
        return Ok(nothing());
    }
    Ok(response(guard, "text/event-stream", ropes(following.batches(true))))
}

fn lay(shown: &Shown<'_>, out: &mut Vec<u8>) {
    let Shown { name, cursor, text, instance } = *shown;
    // Writing into memory cannot fail.
    let _ = match cursor {
        Some(cursor) => write!(out, "event: {name}\nid: {instance}-{cursor}\ndata: {text}"),
        None => write!(out, "event: {name}\ndata: {text}"),
    };
    if name == "hello" {
        let _ = write!(out, "\nretry: {RETRY_MS}");
    }
    out.extend_from_slice(b"\n\n");
}
