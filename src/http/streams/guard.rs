//! One open stream, whatever carries it: counted, waited for by the shutdown, and tied to the session that opened it.

use std::time::Duration;

use futures_lite::future;

use crate::http::app::{App, Request};
use crate::http::middleware::grant::Grant;
use crate::http::open_streams::OpenStream;
use crate::metrics::OfTransport;

/// One open stream: counted while this lives.
pub struct StreamGuard {
    app: App,
    grant: Option<Grant>,
    transport: &'static str,
    _open: OpenStream,
}

impl StreamGuard {
    /// Counts a stream for whoever asks, until this is dropped.
    pub fn open(request: &Request, transport: &'static str) -> StreamGuard {
        let app = request.state().clone();
        app.metrics.readers.get_or_create(&OfTransport { transport }).inc();
        StreamGuard { grant: request.ext::<Grant>().cloned(), transport, _open: app.streams.open(), app }
    }

    /// How long the client may take nothing of what is there for it.
    pub fn stall(&self) -> Duration {
        Duration::from_secs(self.app.config.limits.stream_stall_s)
    }

    /// Waits until the session is revoked or has expired; other requests renew it meanwhile.
    pub async fn session_end(&self) {
        match &self.grant {
            Some(grant) => grant.ended().await,
            None => future::pending().await,
        }
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.app.metrics.readers.get_or_create(&OfTransport { transport: self.transport }).dec();
    }
}
