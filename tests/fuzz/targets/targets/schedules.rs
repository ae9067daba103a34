//! Schedules: a line `ZONE MILLISECONDS`, then expressions, one a line.
//!
//! The next time is later; between it and the time that it was asked for there is no other, whichever time in between is asked
//! for; where an expression is of numbers alone and the zone is UTC, it is what a walk by the minute finds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runabout::clock::UnixMs;
use runabout::schedule::{Schedule, Zone};
use runabout_fuzz::bounded;

/// Expressions of one input: each that can never be due takes half a second to find that out, as the targets are built.
const EXPRESSIONS: usize = 3;
const MINUTE_MS: i64 = 60_000;
const DAY_MINUTES: i64 = 1_440;
/// How far the walk goes.
const WALK_DAYS: i64 = 5;
/// Milliseconds until 2100: for the walk alone.
const WALKED_UNTIL: i64 = 4_102_444_800_000;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let Some((zone, after)) = lines.next().and_then(|line| line.split_once(' ')) else { return };
    let Ok(after) = after.parse::<i64>() else { return };
    let Ok(zone) = Zone::named(zone) else { return };
    let expressions: Vec<String> = lines.take(EXPRESSIONS).map(str::to_owned).collect();
    let beginning = UnixMs(after.saturating_sub(12_345_678));
    let read = bounded(data, 256 * 1_024, 256, || Schedule::parse(&expressions, zone.clone(), beginning));
    let Ok(schedule) = read else { return };
    let after = UnixMs(after);
    // The daemon refuses such a schedule.
    if schedule.never(after).is_some() {
        return;
    }
    let Some(due) = schedule.next(after) else { return };
    assert!(due.at > after, "{expressions:?} after {after}: {due:?}");
    assert!(!due.shift.as_ref().is_some_and(|shift| shift.why().is_empty() || shift.as_str().is_empty()));
    for asked in [after.0 + (due.at.0 - after.0) / 2, due.at.0 - 1, due.at.0 - 1_000] {
        if asked > after.0 {
            let found = schedule.next(UnixMs(asked)).map(|due| due.at);
            assert_eq!(found, Some(due.at), "{expressions:?} in {} after {asked} and {after}", zone.name());
        }
    }
    let mut third = due.at;
    for _ in 0..2 {
        third = schedule.next(third).map_or(third, |next| next.at);
    }
    let missed = schedule.missed(after, third, 2).expect("one is missed");
    assert_eq!(missed.first, due.at);
    assert!((1..=3).contains(&missed.count) && missed.newest.last() == Some(&third), "{missed:?} until {third}");
    assert!(missed.newest.is_sorted() && missed.newest.len() <= 2, "{missed:?}");
    if let ([one], "UTC") = (expressions.as_slice(), zone.name()) {
        walk(one, after, due.at);
    }
});

/// Holds a time against a walk by the minute.
fn walk(expression: &str, after: UnixMs, found: UnixMs) {
    let Some(fields) = Fields::read(expression) else { return };
    if !(0..WALKED_UNTIL).contains(&after.0) {
        return;
    }
    let first = after.0.div_euclid(MINUTE_MS) + 1;
    let mut minutes = first..first + WALK_DAYS * DAY_MINUTES;
    match minutes.find(|minute| fields.fit(*minute)) {
        Some(minute) => assert_eq!(found, UnixMs(minute * MINUTE_MS), "{expression:?} after {after}"),
        None => assert!(found.0 >= minutes.end * MINUTE_MS, "{expression:?} after {after} is not due at {found}"),
    }
}

/// An expression of five fields of numbers, lists, ranges and steps.
struct Fields {
    sets: [u64; 5],
    /// Whether the day of month or the day of week begins with a star: then both have to fit.
    are_both: bool,
}

impl Fields {
    fn read(expression: &str) -> Option<Fields> {
        let words: Vec<&str> = expression.split_whitespace().collect();
        let [_, _, day, _, weekday] = words.as_slice() else { return None };
        let are_both = day.starts_with('*') || weekday.starts_with('*');
        let mut sets = [0; 5];
        for ((word, set), (low, high)) in words.iter().zip(&mut sets).zip([(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)])
        {
            for part in word.split(',') {
                let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
                let (from, to) = match range.split_once('-') {
                    _ if range == "*" => (low, if high == 7 { 6 } else { high }),
                    Some((from, to)) => (number(from)?, number(to)?),
                    // What a step behind a single number means is not the same everywhere.
                    None if step.is_some() => return None,
                    None => (number(range)?, number(range)?),
                };
                let step = step.map_or(Some(1), number)?;
                if from < low || to > high || from > to || step == 0 {
                    return None;
                }
                for value in (from..=to).step_by(step) {
                    *set |= 1 << if high == 7 { value % 7 } else { value };
                }
            }
        }
        Some(Fields { sets, are_both })
    }

    fn fit(&self, minute: i64) -> bool {
        let (day, of_day) = (minute.div_euclid(DAY_MINUTES), minute.rem_euclid(DAY_MINUTES));
        let (month, of_month) = civil(day);
        let has = |nth: usize, value: i64| self.sets[nth] >> value & 1 == 1;
        // The first of 1970 was a Thursday.
        let (is_day, is_weekday) = (has(2, of_month), has(4, (day + 4).rem_euclid(7)));
        let is_right_day = if self.are_both { is_day && is_weekday } else { is_day || is_weekday };
        has(0, of_day % 60) && has(1, of_day / 60) && has(3, month) && is_right_day
    }
}

fn number(text: &str) -> Option<usize> {
    let is_plain = !text.is_empty() && text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

/// Month and day of month of a day since 1970, counted year by year.
fn civil(mut day: i64) -> (i64, i64) {
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while day >= 365 + i64::from(is_leap(year)) {
        day -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    (month, day + 1)
}
