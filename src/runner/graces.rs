//! How long an end may take, from the first signal to the last look.

use std::time::Duration;

/// What only a background child adds after its leader's end is read for this long, and what is left
/// of a terminated session lives for this long.
pub(super) const AFTERMATH: Duration = Duration::from_millis(250);
/// A process that SIGKILL has not ended by now is stuck in the kernel; its run is settled without it.
pub(super) const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// From SIGTERM to SIGKILL.
#[derive(Clone, Copy, Debug)]
pub struct Graces {
    /// `kill_grace_s`: after a cancel or a timeout, and for what a dead daemon left.
    pub kill: Duration,
    /// `shutdown_grace_s`.
    pub shutdown: Duration,
}
