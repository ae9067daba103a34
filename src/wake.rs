//! Wakes tasks: [`Bell`] after each commit, [`Stop`] when the daemon shuts down.
//!
//! Neither carries data. Whoever waits takes the listener first, then checks the condition, then waits; in any other order a
//! wake-up is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use event_listener::{Event, EventListener};

use crate::timer::within;

/// Notifies of commits. The scheduler and the fan-out listen to it.
#[derive(Clone, Default)]
pub struct Bell(Arc<Event>);

impl Bell {
    /// Wakes all listeners.
    pub fn ring(&self) {
        self.0.notify(usize::MAX);
    }

    /// A listener that the next ring wakes.
    pub fn listen(&self) -> EventListener {
        self.0.listen()
    }
}

/// How far the shutdown has come. It only advances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// The daemon serves.
    Serving = 0,
    /// No new connections and claims; running commands are told to stop.
    Stopping = 1,
    /// Every run is settled; streams end after the last events of what they follow.
    Closing = 2,
}

/// The phase of the shutdown, shared by all tasks. Raising it also rings the [`Bell`]; waiting for it is not disturbed by
/// commits.
#[derive(Clone)]
pub struct Stop {
    phase: Arc<AtomicU8>,
    raised: Arc<Event>,
    /// The daemon's exit code: 0 unless something failed.
    failed: Arc<AtomicU8>,
    bell: Bell,
}

impl Stop {
    /// Starts at [`Phase::Serving`]; rings `bell` whenever the phase rises.
    pub fn new(bell: Bell) -> Stop {
        Stop { phase: Arc::default(), raised: Arc::default(), failed: Arc::default(), bell }
    }

    /// Raises the phase; never lowers it.
    pub fn raise(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::SeqCst);
        self.raised.notify(usize::MAX);
        self.bell.ring();
    }

    /// Shuts the daemon down because something failed: it will exit with 1.
    pub fn fail(&self) {
        self.failed.store(1, Ordering::SeqCst);
        self.raise(Phase::Stopping);
    }

    /// Whether somebody called [`Stop::fail`].
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst) != 0
    }

    /// Whether the shutdown has come at least this far.
    pub fn reached(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::SeqCst) >= phase as u8
    }

    /// Waits for this phase, at most for `pause`: a sleep that a shutdown cuts short.
    pub async fn wait_at_most(&self, phase: Phase, pause: Duration) {
        let _ = within(pause, self.wait(phase)).await;
    }

    /// Waits for this phase.
    pub async fn wait(&self, phase: Phase) {
        while !self.reached(phase) {
            let raised = self.raised.listen();
            if self.reached(phase) {
                return;
            }
            raised.await;
        }
    }
}
