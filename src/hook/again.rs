//! When a delivery that was not taken is tried again, as Standard Webhooks recommends.

/// Seconds to wait after each failure; after one more, a delivery is dead.
const WAITS_S: [i64; 8] = [5, 30, 300, 1_800, 7_200, 18_000, 36_000, 86_400];
/// Part of a wait that chance adds, so that what failed together does not come back together.
const JITTER: f64 = 0.2;
/// The longest `Retry-After` that is believed, in seconds: what asks for more is asked again after this.
const RETRY_AFTER_S_MAX: i64 = 86_400;
/// The longest wait that can come of this, in milliseconds. One that seems longer is a clock's that was set back.
pub const LONGEST_WAIT_MS: i64 = 103_680_000;

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It is tried again in so many milliseconds.
    In(i64),
    /// It is dead.
    Never,
}

impl Again {
    /// After this many failures, from 1. `chance` is from 0 to 1; `retry_after_s` is what the target asked for.
    pub fn after(failures: i64, chance: f64, retry_after_s: Option<i64>) -> Again {
        let nth = usize::try_from(failures - 1).unwrap_or(usize::MAX);
        let Some(wait_s) = WAITS_S.get(nth) else { return Again::Never };
        let wait_ms = (*wait_s as f64 * (1.0 + JITTER * chance.clamp(0.0, 1.0)) * 1_000.0) as i64;
        let asked_ms = retry_after_s.unwrap_or(0).clamp(0, RETRY_AFTER_S_MAX) * 1_000;
        Again::In(wait_ms.max(asked_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A target that is there again after this many seconds; returns when it was asked, and whether it took the delivery.
    fn asked_at(down_s: i64, chance: f64) -> (Vec<i64>, bool) {
        let (mut now_ms, mut failures, mut asked) = (0, 0, Vec::new());
        loop {
            asked.push(now_ms / 1_000);
            if now_ms >= down_s * 1_000 {
                return (asked, true);
            }
            failures += 1;
            match Again::after(failures, chance, None) {
                Again::In(wait_ms) => now_ms += wait_ms,
                Again::Never => return (asked, false),
            }
        }
    }

    #[test]
    fn a_target_that_is_away_is_asked_less_and_less_often_and_for_two_days() {
        assert_eq!(asked_at(3_600, 0.0), (vec![0, 5, 35, 335, 2_135, 9_335], true));
        let (asked, is_taken) = asked_at(i64::MAX / 1_000, 0.0);
        assert_eq!((asked.len(), *asked.last().expect("it was asked"), is_taken), (9, 149_735, false));
        assert_eq!(asked_at(0, 1.0), (vec![0], true), "one that is there is asked once");
        // Whatever chance says, no wait is shorter than the plan's and none is longer than the longest.
        for chance in [0.0, 0.3, 1.0, f64::NAN, -1.0, 7.0] {
            for failures in 1..=8 {
                let Again::In(wait_ms) = Again::after(failures, chance, Some(i64::MAX)) else { panic!("dead") };
                assert!((86_400_000..=LONGEST_WAIT_MS).contains(&wait_ms), "{failures} {chance}: {wait_ms}");
                let Again::In(wait_ms) = Again::after(failures, chance, None) else { panic!("dead") };
                let plan_ms = WAITS_S[failures as usize - 1] * 1_000;
                assert!(chance.is_nan() || (plan_ms..=plan_ms * 6 / 5).contains(&wait_ms), "{failures} {chance}");
            }
            assert_eq!(Again::after(9, chance, Some(1)), Again::Never);
        }
    }

    #[test]
    fn a_target_may_ask_for_more_time_within_a_day_and_never_for_less() {
        assert_eq!(Again::after(1, 0.0, Some(60)), Again::In(60_000));
        assert_eq!(Again::after(3, 0.0, Some(60)), Again::In(300_000));
        assert_eq!(Again::after(1, 0.0, Some(-5)), Again::In(5_000));
    }
}
