//! A stream as the body of an answer: it is read as its client takes it, and cut when its session ends.

use std::io;
use std::sync::Arc;

use futures_lite::{StreamExt as _, future, stream};
use tide::{Response, StatusCode};

use super::following::{Batch, Ending};
use super::guard::StreamGuard;
use crate::http::server::reply::Streamed;
use crate::http::server::rope::Rope;

/// An answer with these ropes as its body.
pub(super) fn response(
    guard: StreamGuard,
    content_type: &str,
    ropes: impl stream::Stream<Item = io::Result<Rope>> + Send + 'static,
) -> Response {
    let guard = Arc::new(guard);
    let held = guard.clone();
    // The stream is over when nothing more is asked for.
    let ropes = ropes.map(move |rope| {
        let _held = &held;
        rope
    });
    let mut response = Response::new(StatusCode::Ok);
    response.insert_ext(Streamed::new(ropes, async move { guard.session_end().await }));
    response.insert_header("content-type", content_type);
    // A proxy that gathers what it passes on, or that waits until it can compress it, would hold back what is live.
    response.insert_header("x-accel-buffering", "no");
    response.insert_header("cache-control", "no-store, no-transform");
    response
}

/// What a reader is sent, as it is framed. The body ends normally in any case; a reader that saw no `end` connects again.
pub(super) fn ropes(batches: stream::Boxed<Batch>) -> impl stream::Stream<Item = io::Result<Rope>> + Send + 'static {
    batches.then(
        async |Batch { bytes, ending }| {
            if ending == Some(Ending::Broken) { Err(broken_off().await) } else { Ok(bytes.into_iter().collect()) }
        },
    )
}

/// The error that breaks off a body, after what was written before has been handed on.
pub(super) async fn broken_off() -> io::Error {
    future::yield_now().await;
    io::Error::other("broken off before its end")
}
