//! What all connections share, and how many of them speak HTTP.

use std::sync::atomic::{AtomicUsize, Ordering};

use event_listener::Event;
use std::time::Duration;

use super::bridge::Site;
use crate::system;
use crate::wake::Stop;

/// Time limit of answers that are under way once everything else has ended.
pub(super) const DRAIN: Duration = Duration::from_millis(500);
/// Connections at once that count as a burst: when the last of them ends, free memory goes back to the system.
const BURST: usize = 16;

/// What all connections share.
pub(super) struct Serving<S> {
    pub site: Site<S>,
    pub stop: Stop,
    open: OpenConnections,
    /// Connections that are being told that there is no place for them.
    pub turned_away: AtomicUsize,
}

/// How many connections speak HTTP, how many did since the last burst, and a bell for when one ends.
#[derive(Default)]
struct OpenConnections {
    count: AtomicUsize,
    peak: AtomicUsize,
    ended: Event,
}

impl<S> Serving<S> {
    /// A site that is served until `stop`.
    pub fn new(site: Site<S>, stop: Stop) -> Serving<S> {
        Serving { site, stop, open: OpenConnections::default(), turned_away: AtomicUsize::new(0) }
    }

    /// Waits until no connection speaks HTTP.
    pub async fn wait_empty(&self) {
        while self.open.count.load(Ordering::SeqCst) > 0 {
            let ended = self.open.ended.listen();
            if self.open.count.load(Ordering::SeqCst) > 0 {
                ended.await;
            }
        }
    }
}

/// Counts a connection that speaks HTTP for as long as it does.
pub(super) struct Counted<'a, S>(&'a Serving<S>);

impl<'a, S> Counted<'a, S> {
    pub fn new(serving: &'a Serving<S>) -> Counted<'a, S> {
        let count = serving.open.count.fetch_add(1, Ordering::SeqCst) + 1;
        serving.open.peak.fetch_max(count, Ordering::SeqCst);
        Counted(serving)
    }
}

impl<S> Drop for Counted<'_, S> {
    fn drop(&mut self) {
        let open = &self.0.open;
        if open.count.fetch_sub(1, Ordering::SeqCst) == 1 && open.peak.swap(0, Ordering::SeqCst) >= BURST {
            system::give_memory_back();
        }
        open.ended.notify(usize::MAX);
    }
}
