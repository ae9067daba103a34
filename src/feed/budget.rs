//! What waits in memory until clients take it, in bytes, of all of them together.
//!
//! Nobody waits for a share: where little is left it is small, so that those who take nothing slow nobody else down.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A share is at most this part of what is left for shares, so that many who come at once all get one.
const PART: usize = 4;
/// The least share: an event of 16 KiB fits, and five hundred clients' shares are 8 MiB.
const SHARE_BYTES_MIN: usize = 16 * 1_024;

/// A number of bytes that are shared out; clones share the same.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    total: usize,
    held: AtomicUsize,
}

impl Budget {
    /// So many bytes.
    pub fn new(total: usize) -> Budget {
        Budget(Arc::new(Shared { total, held: AtomicUsize::new(0) }))
    }

    /// A share of at most `wanted` bytes. Shares get half of all bytes; the other half is for what comes live, and for
    /// the least shares of those who come when nothing is left.
    pub fn share(&self, wanted: usize) -> Share {
        let left = (self.0.total / 2).saturating_sub(self.held());
        self.hold((left / PART).max(SHARE_BYTES_MIN).min(wanted))
    }

    /// Counts bytes that are there already, whatever is left.
    pub fn hold(&self, bytes: usize) -> Share {
        self.0.held.fetch_add(bytes, Ordering::Relaxed);
        Share { budget: self.clone(), bytes }
    }

    /// Counts bytes that cannot be less, unless half of all are held already. Few bytes always may.
    pub fn whole(&self, bytes: usize) -> Option<Share> {
        let has_room = bytes <= SHARE_BYTES_MIN || self.held() <= self.0.total / 2;
        has_room.then(|| self.hold(bytes))
    }

    /// Counts bytes that there is room for.
    pub fn fits(&self, bytes: usize) -> Option<Share> {
        (self.held() + bytes <= self.0.total).then(|| self.hold(bytes))
    }

    fn give_back(&self, bytes: usize) {
        self.0.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn held(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }
}

/// Bytes that count until this is dropped.
#[derive(Debug)]
pub struct Share {
    budget: Budget,
    bytes: usize,
}

impl Share {
    /// How many.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counts what became of them instead.
    pub fn settle(&mut self, bytes: usize) {
        self.budget.0.held.fetch_add(bytes, Ordering::Relaxed);
        self.budget.give_back(std::mem::replace(&mut self.bytes, bytes));
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_small_and_stay_within_what_there_is() {
        const TOTAL: usize = 8 * 1_024 * 1_024;
        let budget = Budget::new(TOTAL);
        let shares: Vec<Share> = (0..200).map(|_| budget.share(TOTAL)).collect();
        assert_eq!(shares[0].bytes(), TOTAL / 8);
        assert!(shares.iter().all(|share| share.bytes() >= SHARE_BYTES_MIN));
        assert!(budget.held() < TOTAL, "{}", budget.held());
        assert!(budget.fits(TOTAL).is_none() && budget.fits(1).is_some());
        drop(shares);
        assert_eq!(budget.held(), 0);
        let mut share = budget.share(10);
        share.settle(25);
        assert_eq!((share.bytes(), budget.held()), (25, 25));
    }
}
