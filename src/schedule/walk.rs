//! When an expression is next due by the clock of a zone, through changes of that clock.
//!
//! A zone is a row of periods, each of one offset. Inside a period a wall-clock time is arithmetic; at its end:
//! - The clock goes forward over a gap. An interval owes nothing for it. A fixed schedule is due once at its end for all that
//!   the gap swallowed.
//! - The clock goes back, and a fold of the wall clock comes twice. An interval is due in both passes, a fixed one in the
//!   first alone.
//!
//! This is Debian's rule for changes of the clock, without its limit of three hours. What is asked depends on the time alone,
//! so that a restart in the middle of a fold changes nothing.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::cron::Cron;
use super::zone::{Change, Zone};
use crate::clock::UnixMs;

/// Changes of a clock that are walked through for one answer: two centuries with two a year.
const CHANGES_MAX: usize = 400;

/// A time at which a schedule is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// When.
    pub at: UnixMs,
    /// What a change of the clock did to it.
    pub shift: Option<Shift>,
}

/// What a change of the clock did to a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shift {
    /// Its wall-clock time did not exist; it is due when the gap ends.
    Moved {
        /// The time that no clock showed.
        from: DateTime,
        /// Whether the end of the gap stands for more than one time.
        is_merged: bool,
    },
    /// The wall-clock time came before already; an interval is due in both passes.
    Repeated,
}

impl Shift {
    /// A word for programs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Shift::Moved { is_merged: false, .. } => "moved",
            Shift::Moved { is_merged: true, .. } => "merged",
            Shift::Repeated => "repeated",
        }
    }

    /// A sentence for people.
    pub fn why(&self) -> String {
        match self {
            Shift::Moved { from, is_merged } => {
                let from = from.strftime("%H:%M:%S");
                let more = if *is_merged { ", once for all times that it skips" } else { "" };
                format!("the clock goes forward and never shows {from}: due at the end of the gap{more}")
            }
            Shift::Repeated => "the clock went back and shows this time again: an interval follows it".to_owned(),
        }
    }
}

/// The first time after this one at which an expression is due.
pub fn next(cron: &Cron, zone: &Zone, after: UnixMs) -> Option<Due> {
    let after_s = after.0.div_euclid(1_000);
    let first = Timestamp::from_second(after_s.checked_add(1)?).ok()?;
    let mut offset = zone.offset(first);
    // What an earlier pass of a fold showed is not due again.
    let last = zone.last_change(first);
    // A gap that ends right here.
    if let Some(gap) = last.filter(|change| change.at == first && change.is_gap()) {
        if let Some(due) = swallowed(cron, &gap, cron.at_or_after(gap.at_before())?) {
            return Some(due);
        }
    }
    let shown_before = |last: Option<Change>| last.filter(Change::is_fold).map(|change| change.at_before());
    let mut wall = offset.to_datetime(first);
    if !cron.is_interval {
        wall = shown_before(last).map_or(wall, |shown| wall.max(shown));
    }
    let mut repeats_until = shown_before(last).filter(|_| cron.is_interval);
    let mut at = first;
    let mut fit = cron.at_or_after(wall)?;
    for _ in 0..CHANGES_MAX {
        let Some(change) = zone.next_change(at).filter(|change| change.at_before() <= fit) else {
            let shift = repeats_until.filter(|until| fit < *until).map(|_| Shift::Repeated);
            return Some(Due { at: ms(offset.to_timestamp(fit).ok()?), shift });
        };
        if let Some(due) = swallowed(cron, &change, fit) {
            return Some(due);
        }
        (at, offset) = (change.at, change.after);
        // An interval goes on where the clock does. For a fixed schedule the wall clock only moves on.
        if cron.is_interval {
            fit = cron.at_or_after(change.at_after())?;
            repeats_until = Some(change.at_before()).filter(|_| change.is_fold());
        }
    }
    None
}

/// What a fixed schedule owes at the end of a gap, where `fit` is the first time that fits since the gap began. An interval
/// owes nothing, and neither does anybody at a fold, which has no inside.
fn swallowed(cron: &Cron, gap: &Change, fit: DateTime) -> Option<Due> {
    let end = gap.at_after();
    if cron.is_interval || fit >= end {
        return None;
    }
    let next = fit.checked_add(jiff::SignedDuration::from_secs(1)).ok().and_then(|next| cron.at_or_after(next));
    Some(Due {
        at: ms(gap.at),
        shift: Some(Shift::Moved { from: fit, is_merged: next.is_some_and(|next| next <= end) }),
    })
}

impl Change {
    fn is_gap(&self) -> bool {
        self.after > self.before
    }

    fn is_fold(&self) -> bool {
        self.after < self.before
    }

    /// What clocks would show then, had they not been changed.
    fn at_before(&self) -> DateTime {
        wall(self.before, self.at)
    }

    /// What clocks show then.
    fn at_after(&self) -> DateTime {
        wall(self.after, self.at)
    }
}

fn wall(offset: Offset, at: Timestamp) -> DateTime {
    offset.to_datetime(at)
}

fn ms(at: Timestamp) -> UnixMs {
    UnixMs(at.as_second().saturating_mul(1_000))
}
