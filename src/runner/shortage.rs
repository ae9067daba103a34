//! A lack of descriptors, processes or memory, which is temporary: nothing is claimed until a pause is over.
//!
//! The pauses bound what a machine without resources records: each try is an attempt with its events.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The first pause; each further one is twice as long …
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// … but never longer than this.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Whether resources are lacking; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Shortage(Arc<Mutex<Option<Pause>>>);

#[derive(Clone, Copy, Debug)]
struct Pause {
    length: Duration,
    until: Instant,
}

impl Shortage {
    /// Notes that a command could not be started. Returns when it is tried again, and whether it is the first in this pause.
    pub(super) fn note(&self) -> (Duration, bool) {
        let now = Instant::now();
        let mut pause = self.lock();
        let length = match *pause {
            // Claimed together with the one that noted it first.
            Some(Pause { until, .. }) if until > now => return (until - now, false),
            Some(Pause { length, .. }) => (2 * length).min(PAUSE_MAX),
            None => PAUSE_MIN,
        };
        *pause = Some(Pause { length, until: now + length });
        (length, true)
    }

    /// Notes that a command was started.
    pub(super) fn is_over(&self) {
        let mut pause = self.lock();
        if pause.is_some_and(|pause| pause.until <= Instant::now()) {
            *pause = None;
        }
    }

    /// How long nothing should be claimed; `None` when there is no shortage.
    pub fn left(&self) -> Option<Duration> {
        self.lock().and_then(|pause| pause.until.checked_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Pause>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_fail_together_share_a_pause() {
        let shortage = Shortage::default();
        assert_eq!(shortage.left(), None);
        assert_eq!(shortage.note(), (PAUSE_MIN, true));
        let (left, is_first) = shortage.note();
        assert!(left <= PAUSE_MIN && !is_first && shortage.left().is_some());
        // One that was under way already says nothing of the next.
        shortage.is_over();
        assert!(shortage.left().is_some());
    }
}
