//! What keeps a queued run from being claimed: a set, so that freeing one hold never frees another.

use crate::clock::UnixMs;
use crate::words::words;

words! {
    /// One reason why a queued run is not claimed.
    Hold {
        /// Its `not_before` has not come yet.
        Time = "time",
        /// An attempt failed, and the wait before the next one is not over.
        Retry = "retry",
        /// A run that has to end first has not ended.
        After = "after",
        /// Another run of its key has not ended.
        Key = "key",
    }
}

impl Hold {
    /// The bit that stands for it in the database; never given another meaning.
    const fn bit(self) -> u8 {
        match self {
            Hold::Time => 1,
            Hold::Retry => 2,
            Hold::After => 4,
            Hold::Key => 8,
        }
    }
}

/// The holds on a run; it is ready to be claimed when there is none. Only a queued run has any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeldBy(u8);

impl HeldBy {
    /// No hold: the run is ready.
    pub const NOTHING: HeldBy = HeldBy(0);

    /// The holds on a run that is to start no earlier than `not_before`.
    pub fn time_until(not_before: Option<UnixMs>, now: UnixMs) -> HeldBy {
        HeldBy::NOTHING.set(Hold::Time, not_before.is_some_and(|at| at > now))
    }

    /// The same holds, with or without this one.
    #[must_use]
    pub const fn set(self, hold: Hold, holds: bool) -> HeldBy {
        HeldBy(if holds { self.0 | hold.bit() } else { self.0 & !hold.bit() })
    }

    /// Whether this hold is among them.
    pub const fn has(self, hold: Hold) -> bool {
        self.0 & hold.bit() != 0
    }

    /// The holds, in the order of the contract.
    pub fn iter(self) -> impl Iterator<Item = Hold> {
        Hold::ALL.iter().copied().filter(move |hold| self.has(*hold))
    }

    /// Whether nothing holds the run back.
    pub const fn is_nothing(self) -> bool {
        self.0 == 0
    }

    /// As the column `runs.held_by` has it: the sum of the holds' bits.
    pub const fn bits(self) -> i64 {
        self.0 as i64
    }

    /// Reads what [`HeldBy::bits`] gave. Bits without a hold are left out, which the column's CHECK keeps away.
    pub fn from_bits(bits: i64) -> HeldBy {
        Hold::ALL.iter().fold(HeldBy::NOTHING, |held, hold| held.set(*hold, bits & i64::from(hold.bit()) != 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_or_freeing_a_hold_touches_no_other() {
        for bits in 0..1 << Hold::ALL.len() {
            let held = HeldBy::from_bits(bits);
            assert_eq!(held.bits(), bits);
            for &hold in Hold::ALL {
                for holds in [true, false] {
                    let changed = held.set(hold, holds);
                    assert_eq!(changed.has(hold), holds);
                    for &other in Hold::ALL.iter().filter(|other| **other != hold) {
                        assert_eq!(changed.has(other), held.has(other), "{hold} of {held:?} changed {other}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_time_that_has_come_holds_nothing() {
        let now = UnixMs(1_000);
        let holds = |not_before| HeldBy::time_until(not_before, now).has(Hold::Time);
        assert_eq!([None, Some(now), Some(UnixMs(1_001))].map(holds), [false, false, true]);
    }
}
