//! How long to wait before asking again.

use std::time::Duration;

use smol::Timer;

use super::failure::Failure;

const FIRST_MS: u64 = 100;
const LONGEST_MS: u64 = 5_000;

/// Waits that double up to five seconds, each shortened by chance so that many clients do not come back at once.
#[derive(Debug)]
pub struct Backoff {
    next_ms: u64,
}

impl Backoff {
    /// From the shortest wait.
    pub fn new() -> Backoff {
        Backoff { next_ms: FIRST_MS }
    }

    /// The next wait, between half and all of what it may be.
    pub fn step(&mut self) -> Duration {
        let whole_ms = self.next_ms;
        self.next_ms = (whole_ms * 2).min(LONGEST_MS);
        // Without random numbers there is no jitter; nothing else depends on it.
        let chance = getrandom::u32().unwrap_or(u32::MAX);
        let half_ms = whole_ms / 2;
        Duration::from_millis(half_ms + half_ms * u64::from(chance) / u64::from(u32::MAX))
    }

    /// Waits.
    pub async fn wait(&mut self) {
        Timer::after(self.step()).await;
    }

    /// Things go well: starts over.
    pub fn reset(&mut self) {
        self.next_ms = FIRST_MS;
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff::new()
    }
}

/// A failure in one line, without the advice for those who never had a daemon.
pub fn first_line(failure: &Failure) -> String {
    failure.to_string().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_seconds() {
        let mut backoff = Backoff::new();
        for whole_ms in [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
            let wait = backoff.step();
            assert!(wait >= Duration::from_millis(whole_ms / 2) && wait <= Duration::from_millis(whole_ms), "{wait:?}");
        }
        backoff.reset();
        assert!(backoff.step() <= Duration::from_millis(100));
    }
}
