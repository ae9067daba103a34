//! A request's body, read through a limit in bytes and a deadline.
//!
//! It is never in memory beyond the limit, and a body that is refused is not read further: the connection closes instead.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::http::header::{CONTENT_ENCODING, HeaderMap};

use crate::http::error::Problem;
use crate::timer::within;

/// The body of one request, stored in the extensions of tide's request. It can be read once.
pub struct Body {
    incoming: Mutex<Option<Incoming>>,
    bytes_max: usize,
    /// Whether the limit is lower than that of the configuration.
    is_lowered: bool,
    deadline: Duration,
    /// The content coding, if any.
    coding: Option<String>,
    ended: Arc<AtomicBool>,
}

impl Body {
    /// The body of a request with these headers: at most `bytes_max` bytes, complete within `deadline` once it is read.
    pub fn new(incoming: Incoming, headers: &HeaderMap, bytes_max: usize, deadline: Duration) -> Body {
        let ended = Arc::new(AtomicBool::new(incoming.is_end_stream()));
        let (incoming, coding) = (Mutex::new(Some(incoming)), coding(headers));
        Body { incoming, bytes_max, is_lowered: false, deadline, coding, ended }
    }

    /// The same with the limit of those who have shown no token, where that is lower.
    #[must_use]
    pub fn of_a_stranger(self, bytes_max: usize) -> Body {
        Body { bytes_max: self.bytes_max.min(bytes_max), is_lowered: bytes_max < self.bytes_max, ..self }
    }

    /// Whether it is known to have no bytes, before it is read.
    pub fn is_empty(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Whether the head announces a body. One that comes in chunks may still be empty.
    pub fn is_announced(&self) -> bool {
        let incoming = self.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        incoming.as_ref().is_some_and(|incoming| incoming.size_hint().lower() > 0)
    }

    /// Becomes true when all of it has been read.
    pub fn ended(&self) -> Arc<AtomicBool> {
        self.ended.clone()
    }

    /// The whole body; empty on a second call. A client that sent `Expect: 100-continue` is told to send by this call:
    /// whatever can be refused without the body is to be refused first.
    ///
    /// # Errors
    /// 415 where it is encoded; 413 where it is longer than the limit, at once where its declared length is; 408 where it
    /// took too long; 400 where it is not sent as HTTP says.
    pub async fn read(&self) -> Result<Vec<u8>, Problem> {
        self.read_at_most(self.bytes_max).await
    }

    /// The same with another limit, where that is lower.
    ///
    /// # Errors
    /// As [`Body::read`].
    pub async fn read_at_most(&self, bytes_max: usize) -> Result<Vec<u8>, Problem> {
        let bytes_max = bytes_max.min(self.bytes_max);
        let taken = self.incoming.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(incoming) = taken else { return Ok(Vec::new()) };
        if let Some(coding) = self.coding.as_ref().filter(|_| !incoming.is_end_stream()) {
            let problem = Problem::unsupported_media_type(format!(
                "a body of the Content-Encoding {coding:?} is not read here; send it as it is"
            ));
            return Err(problem.with_header("accept-encoding", "identity"));
        }
        if incoming.size_hint().lower() > bytes_max as u64 {
            return Err(self.too_large(bytes_max));
        }
        let late = || Problem::body_timeout(format!("the body did not come within {} s", self.deadline.as_secs()));
        let bytes = within(self.deadline, self.collect(incoming, bytes_max)).await.ok_or_else(late)??;
        self.ended.store(true, Ordering::Relaxed);
        Ok(bytes)
    }

    async fn collect(&self, mut incoming: Incoming, bytes_max: usize) -> Result<Vec<u8>, Problem> {
        let mut bytes = Vec::new();
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|_| Problem::bad_request("the body is not sent as HTTP says"))?;
            // Trailers are nobody's business.
            let Ok(data) = frame.into_data() else { continue };
            if data.len() > bytes_max - bytes.len() {
                return Err(self.too_large(bytes_max));
            }
            bytes.extend_from_slice(&data);
            if incoming.is_end_stream() {
                // Its length was declared: nothing is waited for, not even the end.
                break;
            }
        }
        Ok(bytes)
    }

    fn too_large(&self, bytes_max: usize) -> Problem {
        let setting = if bytes_max < self.bytes_max {
            ", in as many requests as it takes"
        } else if self.is_lowered {
            ", where no token is needed"
        } else {
            ": limits.body_bytes"
        };
        Problem::body_too_large(format!("a body may have {bytes_max} bytes here{setting}"))
    }
}

/// The content coding of the body, where it has one.
fn coding(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(CONTENT_ENCODING).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let all = values.collect::<Vec<_>>().join(",");
    let mut codings = all.split(',').map(str::trim);
    codings.find(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity")).map(str::to_owned)
}
