//! Converts tide's response into hyper's.
//!
//! Never sends a header with a control byte, and forbids caches to store an answer unless its handler allows it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures_lite::future::Boxed;
use futures_lite::stream::{self, StreamExt};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::rope::Rope;
use super::transport::ConnectionState;
use crate::feed::Share;
use crate::http::error::PROBLEM_JSON;
use crate::http::error::Problem;

/// Bytes of a body that are handed to the wire at a time, and no more before those have left: what a client does not take
/// waits here, shared and counted, and not there, copied.
const PIECE_BYTES: usize = 16 * 1_024;

/// A body that is there, with its type, in the extensions of tide's response: tide's own body would be a stream of bytes
/// in a box, with its type as a header and as the parts of one.
pub struct Whole {
    /// All of it.
    pub bytes: Bytes,
    /// Its `Content-Type`, whatever tide thinks of an answer that has no body of tide's.
    pub content_type: &'static str,
}

/// A body that comes bit by bit, in the extensions of tide's response. It is asked for more when the client takes it.
pub struct Streamed(Mutex<Option<Stream>>);

struct Stream {
    ropes: stream::Boxed<io::Result<Rope>>,
    until: Boxed<()>,
    /// How many bytes it has, if that is known.
    length: Option<u64>,
}

impl Streamed {
    /// These bytes, one after the other; an error cuts the connection. It is cut too when `until` is over: also where
    /// the client takes nothing, so that nobody asks for more.
    pub fn new(
        ropes: impl stream::Stream<Item = io::Result<Rope>> + Send + 'static,
        until: impl Future<Output = ()> + Send + 'static,
    ) -> Streamed {
        Streamed(Mutex::new(Some(Stream { ropes: ropes.boxed(), until: Box::pin(until), length: None })))
    }

    /// The same, which has so many bytes: a client is told so, and sees whether it has them all.
    pub fn of_length(self, length: u64) -> Streamed {
        let stream = self.take().map(|stream| Stream { length: Some(length), ..stream });
        Streamed(Mutex::new(stream))
    }

    fn take(self) -> Option<Stream> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of an answer, which is under way as long as this lives.
pub(super) struct Reply {
    content: Content,
    /// When a stream must end, until the connection knows.
    until: Option<Boxed<()>>,
    busy: Option<Busy>,
    /// Its bytes in the budget, while it is under way.
    _share: Option<Share>,
}

/// Marks the transport as busy with an answer.
pub(super) struct Busy(Arc<ConnectionState>);

impl Busy {
    pub fn new(state: Arc<ConnectionState>) -> Busy {
        state.is_busy.store(true, Ordering::Relaxed);
        Busy(state)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.is_busy.store(false, Ordering::Relaxed);
        self.0.sent();
        self.0.cut_after(None);
    }
}

impl Reply {
    /// All of it.
    pub fn whole(bytes: impl Into<Bytes>) -> Reply {
        Reply { content: Content::Whole(bytes.into()), until: None, busy: None, _share: None }
    }

    fn streamed(Stream { ropes, until, length }: Stream) -> Reply {
        let content = Content::Stream { ropes, ahead: Rope::default(), left: length };
        Reply { content, until: Some(until), busy: None, _share: None }
    }

    /// Ends `busy` when this has been handed to the wire, and cuts the connection where it must end before.
    pub fn until_sent(mut self, busy: Busy) -> Reply {
        if let Some(until) = self.until.take() {
            busy.0.cut_after(Some(until));
        }
        Reply { busy: Some(busy), ..self }
    }
}

enum Content {
    /// The whole body; empty once it is sent.
    Whole(Bytes),
    /// A stream, what came of it but was not asked for yet, and how many bytes are left to send, if that is known.
    Stream { ropes: stream::Boxed<io::Result<Rope>>, ahead: Rope, left: Option<u64> },
}

impl Body for Reply {
    type Data = Rope;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Rope>, io::Error>>> {
        let Reply { content, busy, .. } = self.get_mut();
        let state = busy.as_ref().map(|busy| &busy.0);
        if let Some(state) = state {
            ready!(state.poll_sent(cx));
        }
        let piece = match content {
            Content::Whole(bytes) if bytes.is_empty() => return Poll::Ready(None),
            Content::Whole(bytes) => bytes.split_to(PIECE_BYTES.min(bytes.len())).into(),
            Content::Stream { ropes, ahead, left } => {
                while ahead.is_empty() {
                    match ready!(ropes.poll_next(cx)) {
                        Some(Ok(rope)) => *ahead = rope,
                        Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                        None => return Poll::Ready(None),
                    }
                }
                let piece = ahead.split_front(PIECE_BYTES);
                *left = left.map(|left| left.saturating_sub(piece.len() as u64));
                piece
            }
        };
        if let Some(state) = state {
            state.sending();
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Stream { left, .. } => *left == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Stream { left, .. } => left.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

/// A refusal as hyper's response.
pub(super) fn problem(problem: &Problem) -> Response<Reply> {
    let mut response = Response::new(Reply::whole(problem.to_json()));
    *response.status_mut() = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    set(response.headers_mut(), header::CONTENT_TYPE, PROBLEM_JSON);
    for (name, value) in &problem.headers {
        set(response.headers_mut(), HeaderName::from_static(name), value);
    }
    response
}

/// tide's answer as hyper's; for a HEAD request a stream is left without a body.
///
/// # Errors
/// 500 for what must not leave, and the problem for a refusal that tide made without a body.
pub(super) fn from_tide(mut answer: tide::http::Response, is_head: bool) -> Result<Response<Reply>, Problem> {
    let status = StatusCode::from_u16(u16::from(answer.status()))
        .map_err(|_| Problem::internal("an answer without a status"))?;
    let body = answer.take_body();
    let whole = answer.ext_mut().remove::<Whole>();
    let is_error = status.is_client_error() || status.is_server_error();
    if is_error && whole.is_none() && body.is_empty() == Some(true) {
        return Err(of_bare(status));
    }
    let streamed = answer.ext_mut().remove::<Streamed>().and_then(Streamed::take);
    let share = answer.ext_mut().remove::<Share>();
    let length = streamed.as_ref().and_then(|stream| stream.length).filter(|_| is_head);
    let has_body = !status.is_informational() && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let content_type = whole.as_ref().filter(|_| has_body).map(|whole| whole.content_type);
    let body = match (streamed, whole, body.len()) {
        _ if !has_body => Reply::whole(Bytes::new()),
        (Some(_), _, _) if is_head => Reply::whole(Bytes::new()),
        (Some(stream), _, _) => Reply::streamed(stream),
        (None, Some(whole), _) => Reply::whole(whole.bytes),
        (None, None, Some(length)) => Reply::whole(read_whole(body, length)?),
        (None, None, None) => return Err(Problem::internal("an answer whose length nobody knows")),
    };
    if !has_body || content_type.is_some() {
        answer.remove_header("content-type");
    }
    let mut response = Response::new(Reply { _share: share, ..body });
    *response.status_mut() = status;
    if let Some(length) = length {
        // Of the body that is not sent; one that is sent says so itself.
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    if let Some(content_type) = content_type {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    for (name, values) in answer.iter() {
        let name = HeaderName::from_bytes(name.as_str().as_bytes());
        for value in values.iter() {
            let value = HeaderValue::from_str(value.as_str());
            let (Ok(name), Ok(value)) = (&name, value) else {
                return Err(Problem::internal("an answer with a header that must not leave"));
            };
            // The length and how it is sent are the wire's business.
            if *name != header::CONTENT_LENGTH && *name != header::TRANSFER_ENCODING {
                response.headers_mut().append(name.clone(), value);
            }
        }
    }
    Ok(response)
}

/// A body whose length is known lies in memory: reading it never waits.
fn read_whole(body: tide::Body, length: usize) -> Result<Bytes, Problem> {
    let broken = || Problem::internal("an answer's body could not be read");
    let mut read = std::pin::pin!(body.into_bytes());
    match read.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())) {
        Poll::Ready(Ok(bytes)) if bytes.len() == length => Ok(bytes.into()),
        _ => Err(broken()),
    }
}

/// The problem for an error that tide answers without a body.
fn of_bare(status: StatusCode) -> Problem {
    match status {
        StatusCode::NOT_FOUND => Problem::not_found("no such path"),
        StatusCode::METHOD_NOT_ALLOWED => Problem::method_not_allowed("this path does not take this method"),
        other if other.is_client_error() => Problem::bad_request("the request is not understood"),
        other => Problem::internal(format!("an answer {other} without words")),
    }
}

/// Headers of every answer, unless its handler set another value: no caching, no guessing of types, no frames, no
/// scripts, no referrer to other sites.
const ALWAYS: [(HeaderName, &str); 4] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "same-origin"),
];

/// Adds [`ALWAYS`].
pub(super) fn finish(headers: &mut HeaderMap) {
    for (name, value) in ALWAYS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// Sets a header, unless its value must not leave.
pub(super) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_) => log::error!("the header {name} was to leave with a control byte"),
    }
}
