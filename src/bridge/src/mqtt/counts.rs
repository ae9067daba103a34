//! What is counted.

use std::cell::Cell;

/// The counts. All is on one thread.
#[derive(Default)]
pub struct Counts {
    /// 1 while the broker is connected.
    pub connected: Cell<u64>,
    /// Connections to the broker.
    pub sessions: Cell<u64>,
    /// Messages that the broker has acknowledged.
    pub published: Cell<u64>,
    /// Messages that the broker forbade.
    pub forbidden: Cell<u64>,
    /// Ends of runs that were told.
    pub ends: Cell<u64>,
    /// Ends of runs that were not told, because it would have been too late.
    pub ends_late: Cell<u64>,
    /// Presses that started a job, or had done so already.
    pub presses: Cell<u64>,
    /// Presses that started nothing.
    pub presses_refused: Cell<u64>,
}

impl Counts {
    /// Counts one more.
    pub fn add(counter: &Cell<u64>) {
        counter.set(counter.get() + 1);
    }

    /// As Prometheus reads them.
    pub fn text(&self) -> String {
        crate::metrics::text(&[
            ("connected", "gauge", self.connected.get()),
            ("sessions", "counter", self.sessions.get()),
            ("published", "counter", self.published.get()),
            ("forbidden", "counter", self.forbidden.get()),
            ("ends", "counter", self.ends.get()),
            ("ends_late", "counter", self.ends_late.get()),
            ("presses", "counter", self.presses.get()),
            ("presses_refused", "counter", self.presses_refused.get()),
        ])
    }
}
