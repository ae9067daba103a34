//! Durable cursors: how far readers of all events have come, so that retention waits for them.
//!
//! A cursor is an event's id: its reader has all up to it, and retention keeps what comes after. One that nobody moves for long
//! holds nothing, so that a reader that is gone does not fill the database. It knows no table and no clock of its own.

use std::collections::BTreeMap;

use crate::clock::{BUILT, UnixMs};
use crate::numbers::EventId;

/// How many cursors there may be: each is a row, some 100 bytes of memory, and a few lines of the metrics.
pub const CURSORS_MAX: usize = 1_000;
/// A cursor that is put again where it was counts as moved, and is written at most this often, in milliseconds.
pub const CONFIRM_MS: i64 = 3_600_000;

/// How far a reader of all events has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurableCursor {
    /// The last event that it has.
    pub id: EventId,
    /// The database's name when it was put: after a restore it is another.
    pub instance: String,
    /// When it was made.
    pub created_at: UnixMs,
    /// When it was last put.
    pub moved_at: UnixMs,
}

impl DurableCursor {
    /// Until when it holds what comes after it; `None`: until it is moved. A time from before this binary was built may be any
    /// since then.
    pub fn holds_until(&self, hold_ms: Option<i64>) -> Option<UnixMs> {
        hold_ms.map(|hold_ms| UnixMs(self.moved_at.max(BUILT).0.saturating_add(hold_ms)))
    }

    /// Whether it holds what comes after it. By a clock that cannot be right it does.
    pub fn holds(&self, hold_ms: Option<i64>, now: UnixMs) -> bool {
        !now.is_believed() || self.holds_until(hold_ms).is_none_or(|until| now < until)
    }
}

/// All cursors, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursors(pub BTreeMap<String, DurableCursor>);

impl Cursors {
    /// The event up to which nothing is held; `None`: nothing is held at all.
    pub fn floor(&self, hold_ms: Option<i64>, now: UnixMs) -> Option<EventId> {
        self.0.values().filter(|cursor| cursor.holds(hold_ms, now)).map(|cursor| cursor.id).min()
    }

    /// From when on nobody holds this event, where no cursor is moved: 0 where nobody does; `None`: never.
    pub fn free_at(&self, id: EventId, hold_ms: Option<i64>) -> Option<UnixMs> {
        let holding = self.0.values().filter(|cursor| cursor.id < id);
        holding.map(|cursor| cursor.holds_until(hold_ms)).try_fold(UnixMs(0), |latest, until| Some(latest.max(until?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    fn cursor(id: i64, moved_at: i64) -> DurableCursor {
        let at = UnixMs(moved_at);
        DurableCursor { id: EventId(id), instance: "abcdefghijkl".into(), created_at: at, moved_at: at }
    }

    fn cursors(all: &[(&str, i64, i64)]) -> Cursors {
        Cursors(all.iter().map(|(name, id, moved_at)| ((*name).to_owned(), cursor(*id, BUILT.0 + moved_at))).collect())
    }

    #[test]
    fn the_lowest_that_holds_decides() {
        let (now, days) = (UnixMs(BUILT.0 + 40 * DAY_MS), Some(30 * DAY_MS));
        assert_eq!(Cursors::default().floor(days, now), None);
        let all = cursors(&[("a", 70, 39 * DAY_MS), ("b", 50, 20 * DAY_MS), ("gone", 3, 5 * DAY_MS)]);
        assert_eq!(all.floor(days, now), Some(EventId(50)));
        assert_eq!(all.floor(None, now), Some(EventId(3)), "0 days: for ever");
        assert_eq!(all.floor(days, UnixMs(BUILT.0 + 90 * DAY_MS)), None);
        assert_eq!(all.floor(days, UnixMs(0)), Some(EventId(3)), "no clock, no age");
    }

    #[test]
    fn what_is_held_is_free_when_the_last_of_its_holders_is_too_old() {
        let days = Some(30 * DAY_MS);
        let all = cursors(&[("a", 70, 39 * DAY_MS), ("b", 50, 20 * DAY_MS)]);
        assert_eq!(all.free_at(EventId(50), days), Some(UnixMs(0)), "it has been read");
        assert_eq!(all.free_at(EventId(60), days), Some(UnixMs(BUILT.0 + 50 * DAY_MS)));
        assert_eq!(all.free_at(EventId(80), days), Some(UnixMs(BUILT.0 + 69 * DAY_MS)));
        assert_eq!(all.free_at(EventId(60), None), None);
        // At that time, and not before, it is no longer held.
        for id in [60, 80] {
            let at = all.free_at(EventId(id), days).expect("some day");
            assert!(all.floor(days, UnixMs(at.0 - 1)).is_some_and(|floor| floor < EventId(id)), "{id}");
            assert!(all.floor(days, at).is_none_or(|floor| floor >= EventId(id)), "{id}");
        }
    }

    #[test]
    fn a_time_that_is_not_believed_is_no_age() {
        let (days, moved_in_1970) = (Some(DAY_MS), cursor(1, 1_000));
        assert!(moved_in_1970.holds(days, UnixMs(500_000_000)), "the clock is still wrong");
        assert!(moved_in_1970.holds(days, UnixMs(BUILT.0 + DAY_MS - 1)));
        assert!(!moved_in_1970.holds(days, UnixMs(BUILT.0 + DAY_MS)));
    }
}
