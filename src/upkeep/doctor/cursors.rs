//! Checks the durable cursors: how far behind each is, how long ago it was put, and whether it holds what it is to hold.

use super::super::files::count;
use super::finding::{Finding, Subject};
use crate::clock::UnixMs;
use crate::cursor::DurableCursor;
use crate::numbers::EventId;
use crate::store::beside::ReadOnlyDatabase;

const CHECK: &str = "cursors";
/// Cursors that are named.
const NAMED: usize = 20;
/// A cursor that is behind and was not put for so long has a reader that is gone, or cannot get on.
const LATE_MS: i64 = 2 * DAY_MS;
const DAY_MS: i64 = 86_400_000;

/// The cursors of an open database whose newest event this is; nothing where it has none.
pub(super) fn look(subject: &Subject, beside: &ReadOnlyDatabase, last: EventId) -> Option<Finding> {
    let cursors = match beside.cursors() {
        Ok(cursors) if cursors.0.is_empty() => return None,
        Ok(cursors) => cursors.0,
        Err(error) => return Some(Finding::warn(CHECK, format!("they cannot be read: {error}"), "see the database")),
    };
    let days = i64::try_from(subject.config.retention.cursor_days).unwrap_or(i64::MAX);
    let hold_ms = Some(days.saturating_mul(DAY_MS)).filter(|ms| *ms > 0);
    let now = UnixMs::now();
    let is_late = |cursor: &DurableCursor| cursor.id < last && age_ms(cursor, now) >= LATE_MS;
    // Those to look at first.
    let mut all: Vec<(&String, &DurableCursor)> = cursors.iter().collect();
    all.sort_by_key(|(_, cursor)| (!is_late(cursor), cursor.id));
    let told = |(name, cursor): &(&String, &DurableCursor)| {
        let behind = count((last.0 - cursor.id.0).max(0), "id");
        let stale = if cursor.holds(hold_ms, now) { "" } else { ", so that it holds nothing any more" };
        format!("{name} is {behind} behind, put {} ago{stale}", long(age_ms(cursor, now)))
    };
    let mut found: Vec<String> = all.iter().take(NAMED).map(told).collect();
    if all.len() > NAMED {
        found.push(format!("and {} more", all.len() - NAMED));
    }
    let found = found.join("; ");
    Some(if all.first().is_some_and(|(_, cursor)| is_late(cursor)) {
        let advice =
            "look at its reader; `runabout cursor rm NAME` where that is gone, since what it holds fills the database";
        Finding::warn(CHECK, found, advice)
    } else {
        Finding::ok(CHECK, found)
    })
}

fn age_ms(cursor: &DurableCursor, now: UnixMs) -> i64 {
    (now.0 - cursor.moved_at.0).max(0)
}

/// A time in its largest unit.
fn long(ms: i64) -> String {
    match ms / 1_000 {
        s @ 0..120 => count(s, "second"),
        s @ 120..7_200 => count(s / 60, "minute"),
        s @ 7_200..172_800 => count(s / 3_600, "hour"),
        s => count(s / 86_400, "day"),
    }
}
