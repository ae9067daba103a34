//! Streams that are open: the shutdown waits for them, and a revoked session ends those that it opened.
//!
//! Counts whatever carries them alike; a place is given back when it is dropped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_channel::{Receiver, Sender};
use event_listener::Event;

/// Streams that are open: the shutdown waits for them, and a revoked session ends those that it opened.
#[derive(Clone, Default)]
pub struct OpenStreams(Arc<Shared>);

#[derive(Default)]
struct Shared {
    open: Mutex<Open>,
    ended: Event,
}

#[derive(Default)]
struct Open {
    count: usize,
    by_session: HashMap<i64, Vec<Sender<()>>>,
}

impl OpenStreams {
    /// Notes a stream; the receiver closes when its session is revoked. Without a session it never does.
    pub fn open(&self, session: Option<i64>) -> StreamOfSession {
        let (revoke, revoked) = async_channel::bounded(1);
        let mut open = self.lock();
        open.count += 1;
        let kept = match session {
            Some(session) => {
                open.by_session.entry(session).or_default().push(revoke);
                None
            }
            None => Some(revoke),
        };
        drop(open);
        StreamOfSession { revoked, session, streams: self.clone(), _kept: kept }
    }

    /// Ends every stream of a session.
    pub fn end_of_session(&self, session: i64) {
        self.lock().by_session.remove(&session);
    }

    /// Waits until the last one is gone.
    pub async fn wait_empty(&self) {
        loop {
            let ended = self.0.ended.listen();
            if self.lock().count == 0 {
                return;
            }
            ended.await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One stream's place; dropped, it is forgotten.
pub struct StreamOfSession {
    revoked: Receiver<()>,
    session: Option<i64>,
    streams: OpenStreams,
    _kept: Option<Sender<()>>,
}

impl StreamOfSession {
    /// Waits until the session is revoked.
    pub async fn revoked(&self) {
        let _ = self.revoked.recv().await;
    }
}

impl Drop for StreamOfSession {
    fn drop(&mut self) {
        self.revoked.close();
        let mut open = self.streams.lock();
        open.count -= 1;
        if let Some(session) = self.session {
            let others = open.by_session.remove(&session).map(|mut of_session| {
                of_session.retain(|revoke| !revoke.is_closed());
                of_session
            });
            if let Some(others) = others.filter(|others| !others.is_empty()) {
                open.by_session.insert(session, others);
            }
        }
        drop(open);
        self.streams.0.ended.notify(usize::MAX);
    }
}
