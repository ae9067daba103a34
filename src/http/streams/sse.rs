//! Server-sent events, for a browser's `EventSource`, which reconnects by itself.

use std::future::Future;

use bytes::Bytes;

use super::body::{framed, response};
use super::following::Following;
use super::guard::StreamGuard;
use crate::http::app::{Answer, Request, nothing};
use crate::http::error::Problem;

/// Time after which a browser reconnects, in milliseconds: long enough for a daemon to restart, too short to notice.
const RETRY_MS: u32 = 2_000;

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
    let instance = request.state().store.instance().to_owned();
    let events = framed(following.batches(true), move |object, rope| {
        let name = object.name;
        let head = match object.cursor {
            Some(cursor) => format!("event: {name}\nid: {instance}-{cursor}\ndata: "),
            None => format!("event: {name}\ndata: "),
        };
        rope.push(head.into());
        rope.push(object.text);
        if name == "hello" {
            rope.push(format!("\nretry: {RETRY_MS}").into());
        }
        rope.push(Bytes::from_static(b"\n\n"));
    });
    Ok(response(guard, "text/event-stream", events))
}
