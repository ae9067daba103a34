//! Streams that are open: the shutdown waits for them.
//!
//! Counts whatever carries them alike; a place is given back when it is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use event_listener::Event;

/// Streams that are open; cheap to clone.
#[derive(Clone, Default)]
pub struct OpenStreams(Arc<Count>);

#[derive(Default)]
struct Count {
    open: AtomicUsize,
    ended: Event,
}

impl OpenStreams {
    /// Notes a stream for as long as the answer lives.
    pub fn open(&self) -> OpenStream {
        self.0.open.fetch_add(1, Ordering::SeqCst);
        OpenStream(self.clone())
    }

    /// Waits until the last one is gone.
    pub async fn wait_empty(&self) {
        loop {
            let ended = self.0.ended.listen();
            if self.0.open.load(Ordering::SeqCst) == 0 {
                return;
            }
            ended.await;
        }
    }
}

/// One stream's place; dropped, it is forgotten.
pub struct OpenStream(OpenStreams);

impl Drop for OpenStream {
    fn drop(&mut self) {
        let OpenStreams(count) = &self.0;
        count.open.fetch_sub(1, Ordering::SeqCst);
        count.ended.notify(usize::MAX);
    }
}
