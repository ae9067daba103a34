//! Times that have come and of which nothing is written down: how many, and the newest of them.
//!
//! After a year off a schedule of every second has thirty million of them; they are neither walked through nor kept.

use super::rules::Schedule;
use crate::clock::UnixMs;

/// Times to which they are counted; then there are "more".
pub const COUNTED_MAX: i64 = 1_000;
/// The first stretch that is looked through for the newest, in milliseconds. Each further one is twice as long.
const STRETCH_MS: i64 = 60_000;

/// Times after one and up to another at which a schedule was due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// The first.
    pub first: UnixMs,
    /// How many, up to 1,000.
    pub count: i64,
    /// The newest of them, oldest first: as many as were asked for, or all.
    pub newest: Vec<UnixMs>,
}

impl Schedule {
    /// The times after `after` and up to `until` at which it was due; `None` where there was none.
    pub fn missed(&self, after: UnixMs, until: UnixMs, newest_max: usize) -> Option<Missed> {
        let first = self.next(after)?.at;
        if first > until {
            return None;
        }
        let (mut count, mut at) = (0, after);
        while count < COUNTED_MAX {
            match self.next(at).filter(|due| due.at <= until) {
                Some(due) => at = due.at,
                None => break,
            }
            count += 1;
        }
        Some(Missed { first, count, newest: self.newest(after, until, newest_max) })
    }

    /// The last of them, oldest first.
    fn newest(&self, after: UnixMs, until: UnixMs, max: usize) -> Vec<UnixMs> {
        let mut stretch_ms = STRETCH_MS;
        loop {
            let from = UnixMs(until.0.saturating_sub(stretch_ms)).max(after);
            let mut found = std::collections::VecDeque::with_capacity(max + 1);
            let mut at = from;
            while let Some(due) = self.next(at).filter(|due| due.at <= until) {
                at = due.at;
                found.push_back(at);
                if found.len() > max {
                    found.pop_front();
                }
            }
            if found.len() == max || from == after {
                return found.into();
            }
            stretch_ms = stretch_ms.saturating_mul(2);
        }
    }
}
