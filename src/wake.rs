//! How one part tells another that there is something to look at: `Bell`, and `Stop`, which is sticky.
//!
//! Neither carries data. Listen before you look: take the listener, check the condition, then wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use async_io::Timer;
use event_listener::{Event, EventListener};
use futures_lite::FutureExt as _;

/// The one Event of the daemon: "something was committed". It wakes the scheduler and the push alike.
#[derive(Clone, Default)]
pub struct Bell(Arc<Event>);

impl Bell {
    /// Wakes everyone who listens.
    pub fn ring(&self) {
        self.0.notify(usize::MAX);
    }

    /// Takes a place among those who are woken by the next ring.
    pub fn listen(&self) -> EventListener {
        self.0.listen()
    }
}

/// How far the daemon is on its way out. It only ever rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// It serves.
    Serving = 0,
    /// No new connections and claims; running commands are told.
    Stopping = 1,
    /// Every run is settled: streams end after the last events of what they follow.
    Closing = 2,
}

/// A sticky flag that everything cooperative looks at. Whoever sleeps at the Bell is woken when it rises; whoever waits for
/// it alone is not woken by commits.
#[derive(Clone)]
pub struct Stop {
    phase: Arc<AtomicU8>,
    raised: Arc<Event>,
    /// Exit code that the first one to ask for the end wants; 0 unless something failed.
    failed: Arc<AtomicU8>,
    bell: Bell,
}

impl Stop {
    /// A flag that is not set, which rings `bell` when it is.
    pub fn new(bell: Bell) -> Stop {
        Stop { phase: Arc::default(), raised: Arc::default(), failed: Arc::default(), bell }
    }

    /// Raises the flag; never lowers it.
    pub fn raise(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::SeqCst);
        self.raised.notify(usize::MAX);
        self.bell.ring();
    }

    /// Asks for the end because something failed: the daemon will exit with 1.
    pub fn fail(&self) {
        self.failed.store(1, Ordering::SeqCst);
        self.raise(Phase::Stopping);
    }

    /// Whether somebody called [`Stop::fail`].
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst) != 0
    }

    /// Whether the daemon is at least this far on its way out.
    pub fn reached(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::SeqCst) >= phase as u8
    }

    /// Waits until it is, or for this long: a pause that the end cuts short.
    pub async fn wait_at_most(&self, phase: Phase, pause: Duration) {
        let over = async {
            Timer::after(pause).await;
        };
        self.wait(phase).or(over).await;
    }

    /// Waits until it is.
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
