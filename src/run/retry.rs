//! When a run that failed is tried again, and after how long.

use serde::{Deserialize, Serialize};

use super::outcome::{Outcome, Status};

/// The ends of an attempt after which there can be another.
pub const RETRIED: &[Status] = &[Status::Failed, Status::TimedOut];

/// How often an attempt that fails is followed by another, of the same run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Retry {
    /// Attempts in all, from 1. Those that a shutdown or a lost daemon ended do not count.
    pub attempts: i64,
    /// Seconds to wait before the second attempt.
    pub delay_s: i64,
    /// What each further wait is longer by.
    #[serde(serialize_with = "short")]
    pub factor: f64,
    /// The longest wait in seconds, before chance has its part.
    pub max_delay_s: i64,
    /// Part of a wait by which chance makes it longer or shorter, so that those that failed together do not come back together.
    #[serde(serialize_with = "short")]
    pub jitter: f64,
    /// The ends after which it is tried again: of [`RETRIED`].
    pub on: Vec<Status>,
    /// Exit codes after which it is not.
    pub unless_exit: Vec<i64>,
}

impl Default for Retry {
    fn default() -> Retry {
        Retry {
            attempts: 3,
            delay_s: 10,
            factor: 2.0,
            max_delay_s: 3_600,
            jitter: 0.2,
            on: RETRIED.to_vec(),
            unless_exit: Vec::new(),
        }
    }
}

impl Retry {
    /// Whether another attempt follows one that ended like this, when `failures` before it had counted.
    pub fn follows(&self, outcome: &Outcome, failures: i64) -> bool {
        failures + 1 < self.attempts
            && self.on.contains(&outcome.status)
            && !outcome.exit_code.is_some_and(|code| self.unless_exit.contains(&code))
    }

    /// Milliseconds to wait after this many failed attempts, from 1. `chance` is from 0 to 1.
    pub fn wait_ms(&self, failures: i64, chance: f64) -> i64 {
        let waits_before = i32::try_from(failures - 1).unwrap_or(i32::MAX);
        let wait_s = (self.delay_s as f64 * self.factor.powi(waits_before)).min(self.max_delay_s as f64);
        // Whatever the figures are, a number: a conversion is cut to what there is.
        (wait_s * (1.0 + self.jitter * (2.0 * chance - 1.0)) * 1_000.0) as i64
    }
}

/// Writes a whole number without its point, as people do.
fn short<S: serde::Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if number.fract() == 0.0 { serializer.serialize_i64(*number as i64) } else { serializer.serialize_f64(*number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: Outcome = Outcome { status: Status::Failed, exit_code: Some(1), ..Outcome::QUEUED };

    #[test]
    fn waits_grow_to_their_longest_and_chance_moves_them_both_ways() {
        let retry = Retry { max_delay_s: 60, ..Retry::default() };
        let waits: Vec<i64> = (1..=5).map(|failures| retry.wait_ms(failures, 0.5)).collect();
        assert_eq!(waits, [10_000, 20_000, 40_000, 60_000, 60_000]);
        assert_eq!([0.0, 1.0].map(|chance| retry.wait_ms(1, chance)), [8_000, 12_000]);
        let steep = Retry { factor: 10.0, max_delay_s: i64::MAX, ..Retry::default() };
        assert!(steep.wait_ms(i64::MAX, 1.0) > 0, "no figure leaves the numbers");
        assert_eq!(Retry { delay_s: 0, ..Retry::default() }.wait_ms(3, 1.0), 0);
    }

    #[test]
    fn only_so_many_attempts_that_failed_as_told_are_followed_by_another() {
        let retry = Retry { unless_exit: vec![2], ..Retry::default() };
        let follows = |outcome: &Outcome| [0, 1, 2].map(|failures| retry.follows(outcome, failures));
        assert_eq!(follows(&FAILED), [true, true, false]);
        assert_eq!(follows(&Outcome { status: Status::TimedOut, ..FAILED }), [true, true, false]);
        for never in [
            Outcome { exit_code: Some(2), ..FAILED },
            Outcome { status: Status::Canceled, ..FAILED },
            Outcome { status: Status::Interrupted, ..FAILED },
            Outcome { status: Status::Succeeded, exit_code: Some(0), ..FAILED },
        ] {
            assert_eq!(follows(&never), [false; 3], "{never:?}");
        }
    }
}
