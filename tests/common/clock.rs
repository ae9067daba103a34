//! A daemon's wall clock in the test's hand: a month takes a minute. Only a debug build lets it be taken.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Builder, DEADLINE, Daemon, TempDir, eventually};

/// Milliseconds since 1970 by the machine's own clock.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// The clock that a daemon goes by.
pub struct Clock(PathBuf);

impl Clock {
    /// Starts a daemon whose clock shows this time.
    #[track_caller]
    pub fn start(builder: Builder, at_ms: i64) -> (Daemon, Clock) {
        let dir = TempDir::new();
        let clock = Clock(dir.path().join("clock"));
        clock.write(at_ms);
        let daemon = builder.env("RUNABOUT_TEST_CLOCK", clock.0.to_str().unwrap()).start_in(dir);
        (daemon, clock)
    }

    /// Sets it, and waits until the daemon has noticed. It goes on from there.
    #[track_caller]
    pub fn set(&self, daemon: &Daemon, at_ms: i64) {
        let jumps = || daemon.log().matches("the clock was set").count();
        let before = jumps();
        self.write(at_ms);
        eventually(DEADLINE, "it notices that the clock was set", || jumps() > before);
    }

    /// Has the daemon start next with this time.
    pub fn write_for_next_start(&self, at_ms: i64) {
        self.write(at_ms);
    }

    fn write(&self, at_ms: i64) {
        std::fs::write(&self.0, (at_ms - now_ms()).to_string()).unwrap();
    }
}
