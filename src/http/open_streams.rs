//! Counts open streams of every transport, so that the shutdown can wait for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use event_listener::Event;

/// The count of open streams; cheap to clone.
#[derive(Clone, Default)]
pub struct OpenStreams(Arc<Count>);

#[derive(Default)]
struct Count {
    open: AtomicUsize,
    ended: Event,
}

impl OpenStreams {
    /// Counts a stream for as long as the answer lives.
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

/// One stream in the count, until this is dropped.
pub struct OpenStream(OpenStreams);

impl Drop for OpenStream {
    fn drop(&mut self) {
        let OpenStreams(count) = &self.0;
        count.open.fetch_sub(1, Ordering::SeqCst);
        count.ended.notify(usize::MAX);
    }
}
