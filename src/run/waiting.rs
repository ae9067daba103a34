//! Why a queued run waits, beside what holds it back: the queue and the daemon, which are the same for many runs.

use crate::numbers::RunId;
use crate::words::words;

words! {
    /// One reason why a queued run has not started that its own holds do not tell.
    WaitsFor {
        /// The daemon drains: it starts nothing until the drain is taken back.
        Drain = "drain",
        /// Its queue is paused.
        Pause = "pause",
        /// All slots of its queue are taken.
        Slot = "slot",
    }
}

/// Why a queued run waits, beside what holds it back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// All that it waits for.
    pub waits_for: Vec<WaitsFor>,
    /// Where it waits for a slot: of the runs that have one, the first.
    pub behind: Option<RunId>,
}
