//! A request's body, read through a limit in bytes and a deadline.
//!
//! It is never in memory beyond the limit, and a body that is refused is not read further: the connection closes instead.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_lite::FutureExt;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use smol::Timer;

use super::Problem;

/// The body of one request, in the extensions of tide's; it can be read once.
pub struct Body {
    incoming: Mutex<Option<Incoming>>,
    bytes_max: usize,
    deadline: Duration,
    ended: Arc<AtomicBool>,
}

impl Body {
    /// A body of at most `bytes_max` bytes that must have come `deadline` after it is asked for.
    pub fn new(incoming: Incoming, bytes_max: usize, deadline: Duration) -> Body {
        let ended = Arc::new(AtomicBool::new(incoming.is_end_stream()));
        Body { incoming: Mutex::new(Some(incoming)), bytes_max, deadline, ended }
    }

    /// The same with a lower limit, where it is lower.
    #[must_use]
    pub fn at_most(self, bytes_max: usize) -> Body {
        Body { bytes_max: self.bytes_max.min(bytes_max), ..self }
    }

    /// Becomes true when all of it has been read.
    pub fn ended(&self) -> Arc<AtomicBool> {
        self.ended.clone()
    }

    /// All of it. A second call gets nothing.
    ///
    /// # Errors
    /// 413 where it is longer than the limit, at once where its declared length is; 408 where it took too long; 400 where it
    /// is not sent as HTTP says.
    pub async fn read(&self) -> Result<Vec<u8>, Problem> {
        let taken = self.incoming.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(incoming) = taken else { return Ok(Vec::new()) };
        if incoming.size_hint().lower() > self.bytes_max as u64 {
            return Err(self.too_large());
        }
        let late = async {
            Timer::after(self.deadline).await;
            Err(Problem::body_timeout(format!("the body did not come within {} s", self.deadline.as_secs())))
        };
        let bytes = self.collect(incoming).or(late).await?;
        self.ended.store(true, Ordering::Relaxed);
        Ok(bytes)
    }

    async fn collect(&self, mut incoming: Incoming) -> Result<Vec<u8>, Problem> {
        let mut bytes = Vec::new();
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|_| Problem::bad_request("the body is not sent as HTTP says"))?;
            // Trailers are nobody's business.
            let Ok(data) = frame.into_data() else { continue };
            if data.len() > self.bytes_max - bytes.len() {
                return Err(self.too_large());
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes)
    }

    fn too_large(&self) -> Problem {
        Problem::body_too_large(format!("a body may have {} bytes here: limits.body_bytes", self.bytes_max))
    }
}
