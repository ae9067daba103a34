//! A reader's place, whatever carries it: counted, waited for by the shutdown, and tied to the session that opened it.
//!
//! Taken before anything is waited for, so that a session that is revoked from there on ends the stream too.

use std::time::Duration;

use async_io::Timer;
use futures_lite::{FutureExt as _, future};

use super::open::StreamOfSession;
use crate::access::Identity;
use crate::clock::UnixMs;
use crate::http::app::{App, Request};
use crate::metrics::OfTransport;

/// One reader's place; dropped, it is given back.
pub(super) struct Seat {
    app: App,
    session: StreamOfSession,
    identity: Option<Identity>,
    transport: &'static str,
}

impl Seat {
    /// A place for whoever asks.
    pub fn take(request: &Request, transport: &'static str) -> Seat {
        let app = request.state().clone();
        let identity = request.ext::<Identity>().cloned();
        app.metrics.readers.get_or_create(&OfTransport { transport }).inc();
        let session = app.streams.open(identity.as_ref().and_then(|identity| identity.session));
        Seat { app, session, identity, transport }
    }

    /// How long the client may take nothing of what is there for it.
    pub fn stall(&self) -> Duration {
        Duration::from_secs(self.app.config.limits.stream_stall_s)
    }

    /// Waits until the session is revoked or has expired; other requests may renew it meanwhile.
    pub async fn session_end(&self) {
        let expired = async {
            let mut expires_at = self.identity.as_ref().and_then(|identity| identity.expires_at);
            while let Some(at) = expires_at {
                let left_ms = (at.0 - UnixMs::now().0).max(0).unsigned_abs();
                Timer::after(Duration::from_millis(left_ms)).await;
                let session = self.identity.as_ref().and_then(|identity| identity.session);
                let known = self.app.store.sessions().await.unwrap_or_default();
                match known.into_iter().find(|known| Some(known.id) == session) {
                    Some(renewed) if renewed.expires_at != Some(at) => expires_at = renewed.expires_at,
                    _ => return,
                }
            }
            future::pending().await
        };
        self.session.revoked().or(expired).await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.app.metrics.readers.get_or_create(&OfTransport { transport: self.transport }).dec();
    }
}
