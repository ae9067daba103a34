//! One expression of cron: its grammar, its kind, and the wall-clock times that fit it.
//!
//! croner is the parser and the matcher. What it takes and Debian's cron does not, or takes for something else, is refused
//! here first.

use std::cmp::Ordering;

use croner::errors::CronError;
use croner::parser::{CronParser, Year};
use croner::{CivilDate, CivilDateTime, CivilTime, CronDateTime, Resolution, Weekday};
use jiff::SignedDuration;
use jiff::civil::DateTime;

const MONTHS: &[&str] = &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: &[&str] = &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const NAMES: &[(&str, &str)] = &[
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];
const FORM: &str = "must be minute, hour, day of month, month and day of week, or these with seconds first, like \
    30 2 * * 1-5; or @hourly, @daily, @weekly, @monthly, @yearly, or @every 90s";

/// Years in which each day of the year falls on each day of the week, the leap day too, which does so in 28 years.
const ALL_DAYS: &str = "2000-2039";
const FIRST_OF_ALL_DAYS: DateTime = DateTime::constant(2000, 1, 1, 0, 0, 0, 0);

/// An expression of cron.
#[derive(Clone, Debug)]
pub struct Cron {
    cron: croner::Cron,
    /// Whether any day fits: croner looks for one up to the year 5000, which takes it the better part of a second.
    has_days: bool,
    /// Whether it follows the clock (its minute or hour begins with `*`), rather than to name times of the day.
    pub is_interval: bool,
}

impl Cron {
    /// Reads an expression.
    pub fn parse(text: &str) -> Result<Cron, String> {
        let text = match text.strip_prefix('@') {
            Some(_) => named(text)?,
            None => text,
        };
        let mut fields: Vec<String> = text.split_whitespace().map(str::to_uppercase).collect();
        if !(5..=6).contains(&fields.len()) {
            return Err(format!("has {} fields; it {FORM}", fields.len()));
        }
        // From the end: the seconds may be missing.
        let [.., minute, hour, day, month, weekday] = fields.as_mut_slice() else { return Err(FORM.into()) };
        let is_interval = minute.starts_with('*') || hour.starts_with('*');
        check_letters(day, &[], "day of month", "L and W")?;
        check_letters(month, MONTHS, "month", "names like JAN")?;
        check_letters(weekday, DAYS, "day of week", "names like MON, and L")?;
        // Debian's cron takes a day that fits both where one of the two begins with `*`, and one that fits either else; for
        // croner only a `*` by itself counts.
        let begins = |field: &str| field.starts_with('*') && field != "*";
        if (begins(day) || begins(weekday)) && !weekday.starts_with('+') {
            weekday.insert(0, '+');
        }
        let before_days = fields.len() - 3;
        for (field, name) in fields[..before_days].iter().rev().zip(["hour", "minute", "second"]) {
            check_letters(field, &[], name, "")?;
        }
        for field in &fields {
            if field.split(',').any(str::is_empty) {
                return Err(format!("{field} has a comma with nothing beside it; it {FORM}"));
            }
        }
        let parser = CronParser::builder().year(Year::Disallowed).build();
        let cron = parser.parse(&fields.join(" ")).map_err(|error| said(&error))?;
        let days = fields[fields.len() - 3..].join(" ");
        let within = CronParser::builder().year(Year::Optional).build();
        let probe = within.parse(&format!("0 0 0 {days} {ALL_DAYS}")).map_err(|error| said(&error))?;
        let has_days = probe.find_next_occurrence(&Wall(FIRST_OF_ALL_DAYS), true).is_ok();
        Ok(Cron { cron, has_days, is_interval })
    }

    /// The first wall-clock time at or after this one that fits. `None`: there is none before the calendar's end.
    pub fn at_or_after(&self, from: DateTime) -> Option<DateTime> {
        if !self.has_days {
            return None;
        }
        self.cron.find_next_occurrence(&Wall(from), true).ok().map(|wall| wall.0)
    }
}

fn named(text: &str) -> Result<&'static str, String> {
    if text.eq_ignore_ascii_case("@reboot") {
        return Err("@reboot is no time; have systemd or the daemon's start submit a run".into());
    }
    let found = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, expression)| *expression).ok_or_else(|| format!("{text} is not known; it {FORM}"))
}

/// Refuses letters that are no name in this field: croner takes `MON` for 1 in every field.
fn check_letters(field: &str, names: &[&str], called: &str, allowed: &str) -> Result<(), String> {
    let words = field.split(|letter: char| !letter.is_alphabetic()).filter(|word| !word.is_empty());
    for word in words {
        let is_right = match called {
            "day of month" => ["L", "W", "LW"].contains(&word),
            "day of week" => word == "L" || names.contains(&word.strip_suffix('L').unwrap_or(word)),
            _ => names.contains(&word),
        };
        if !is_right {
            let may = if allowed.is_empty() { "numbers alone".to_owned() } else { format!("numbers, {allowed}") };
            return Err(format!("{word} means nothing as {called}, which takes {may}"));
        }
    }
    Ok(())
}

/// croner's complaint, in a sentence of ours.
fn said(error: &CronError) -> String {
    let said = match error {
        CronError::InvalidPattern(why) | CronError::IllegalCharacters(why) | CronError::ComponentError(why) => why,
        _ => return FORM.into(),
    };
    format!("{}; it {FORM}", said.trim_end_matches('.'))
}

/// A time on a wall clock, to which croner adds and which it compares without knowing a zone.
#[derive(Clone)]
struct Wall(DateTime);

impl CronDateTime for Wall {
    fn to_civil(&self) -> CivilDateTime {
        let part = |part: i8| part.unsigned_abs().into();
        CivilDateTime::new(
            CivilDate::from_parts_unchecked(self.0.year().into(), part(self.0.month()), part(self.0.day())),
            CivilTime::from_parts_unchecked(part(self.0.hour()), part(self.0.minute()), part(self.0.second())),
        )
    }

    fn civil_weekday(&self) -> Weekday {
        Weekday::from_days_from_sunday(self.0.weekday().to_sunday_zero_offset().unsigned_abs().into())
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Wall>, CronError> {
        let small = |part: u32| i8::try_from(part).map_err(|_| CronError::InvalidDate);
        let year = i16::try_from(civil.year()).map_err(|_| CronError::InvalidDate)?;
        let (month, day) = (small(civil.month())?, small(civil.day())?);
        let (hour, minute, second) = (small(civil.hour())?, small(civil.minute())?, small(civil.second())?);
        let time = DateTime::new(year, month, day, hour, minute, second, 0).map_err(|_| CronError::InvalidDate)?;
        Ok(Resolution::Single(Wall(time)))
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Wall> {
        self.0.checked_add(SignedDuration::from_secs(seconds)).ok().map(Wall)
    }

    fn cmp_instant(&self, other: &Wall) -> Ordering {
        self.0.cmp(&other.0)
    }
}
