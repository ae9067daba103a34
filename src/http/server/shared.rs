//! What the connections of a server have in common.

use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use event_listener::Event;

use super::bridge::Site;
use crate::wake::Stop;

/// How long answers that are under way may take once everything else has ended.
pub(super) const DRAIN: Duration = Duration::from_millis(500);
/// This many connections at once are a burst, whose memory goes back when the last of them has gone.
pub(super) const BURST: usize = 16;

/// What all connections share.
pub(super) struct Shared<S> {
    pub(super) site: Site<S>,
    pub(super) stop: Stop,
    pub(super) open: Open,
    pub(super) turned_away: AtomicUsize,
}

/// How many connections speak HTTP, how many did since the last burst, and a bell for when one ends.
#[derive(Default)]
pub(super) struct Open {
    pub(super) count: AtomicUsize,
    pub(super) peak: AtomicUsize,
    pub(super) ended: Event,
}
