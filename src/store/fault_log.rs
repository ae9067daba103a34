//! What is said in the log of requests that the store does not do: once while they go on failing, and nothing where the
//! store says so itself.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use log::Level;

use crate::store::error::StoreError;

/// Whether it was said already that something fails.
#[derive(Debug)]
pub struct FaultLog {
    level: Level,
    is_said: AtomicBool,
}

impl FaultLog {
    /// Nothing fails yet; what does is said at this level.
    pub const fn new(level: Level) -> FaultLog {
        FaultLog { level, is_said: AtomicBool::new(false) }
    }

    /// A request failed: says what that means and why, unless that was said since the last success.
    pub fn failed(&self, error: &StoreError, what: fmt::Arguments<'_>) {
        if error.is_told_by_the_store() {
            return;
        }
        let level = if self.is_said.swap(true, Ordering::Relaxed) { Level::Debug } else { self.level };
        log::log!(level, "{what}: {error:?}");
    }

    /// A request was done: what fails from now on is said again.
    pub fn over(&self) {
        self.is_said.store(false, Ordering::Relaxed);
    }
}
