//! Asking again: when a request may be repeated, and how long to wait before.
//!
//! Only for requests whose repetition changes nothing: reads, cancels, and submits with a key. A daemon that was
//! never met is not waited for.

use std::time::{Duration, Instant};

use async_io::Timer;
use hyper::body::Bytes;

use super::connection::{Ask, Daemon};
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

/// How far a daemon's absence is borne.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Whether a daemon has been met there, so that its absence is a restart and not a wrong address.
    pub met: bool,
    /// For how long; `None` is for ever.
    pub at_most: Option<Duration>,
}

/// Asks until there is an answer. `tell` is told, for people, once when it has to ask again and once when that helped.
///
/// # Errors
/// What asking again cannot change, and what outlasts the patience.
pub async fn ask_until_answered(
    daemon: &Daemon,
    ask: &Ask,
    patience: &mut Patience,
    tell: impl Fn(&str),
) -> Result<Bytes, Failure> {
    let started = Instant::now();
    let mut backoff = Backoff::new();
    let mut said = false;
    loop {
        let failure = match daemon.ask(ask).await {
            Ok(answer) => {
                patience.met = true;
                if said {
                    tell("the daemon is back");
                }
                return Ok(answer);
            }
            Err(failure) => failure,
        };
        patience.met |= matches!(failure, Failure::Lost(_));
        let worn_out = patience.at_most.is_some_and(|most| started.elapsed() > most);
        if !patience.met || !failure.may_pass() || worn_out {
            return Err(failure);
        }
        if !said {
            tell(&format!("{}; trying again", first_line(&failure)));
            said = true;
        }
        backoff.wait().await;
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
