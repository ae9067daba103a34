//! Logs requests that the store did not do: once while they keep failing, and not at all where the store logs it
//! itself.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use log::Level;

use crate::store::error::StoreError;

/// Remembers whether a failure was logged.
#[derive(Debug)]
pub struct FaultLog {
    level: Level,
    is_said: AtomicBool,
}

impl FaultLog {
    /// Logs failures at this level.
    pub const fn new(level: Level) -> FaultLog {
        FaultLog { level, is_said: AtomicBool::new(false) }
    }

    /// Logs a failed request, unless one was logged since the last success.
    pub fn failed(&self, error: &StoreError, what: fmt::Arguments<'_>) {
        if error.is_told_by_the_store() {
            return;
        }
        let level = if self.is_said.swap(true, Ordering::Relaxed) { Level::Debug } else { self.level };
        log::log!(level, "{what}: {error:?}");
    }

    /// Notes a success: the next failure is logged again.
    pub fn over(&self) {
        self.is_said.store(false, Ordering::Relaxed);
    }
}
