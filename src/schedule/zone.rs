//! Zones: their names, where their data comes from, and their periods of constant offset.
//!
//! The system's data is asked first, since it is kept current; what it lacks is in the binary. A zone without data is an
//! error and never UTC.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};

/// Characters of a zone's name.
const NAME_CHARS_MAX: usize = 64;

/// A zone of the IANA database.
#[derive(Clone, Debug)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

/// Why there is no such zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZoneError {
    /// Neither the system nor the binary has data of that name.
    Unknown(String),
    /// The machine's own zone has no name: /etc/localtime is no link, and TZ no name.
    Nameless,
}

impl fmt::Display for ZoneError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ZoneError::Unknown(name) => {
                write!(out, "no zone {name:?}; it must be a name like Europe/Berlin or UTC")
            }
            ZoneError::Nameless => out.write_str(
                "the daemon's machine has a zone without a name (/etc/localtime is a file, not a link); say which one, \
                 like Europe/Berlin or UTC",
            ),
        }
    }
}

/// A time since which a clock has had one offset, and what it had before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub at: Timestamp,
    pub before: Offset,
    pub after: Offset,
}

impl Zone {
    /// The zone of that name, in the case in which the database has it.
    pub fn named(name: &str) -> Result<Zone, ZoneError> {
        let unknown = || ZoneError::Unknown(name.chars().take(NAME_CHARS_MAX).collect());
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-/".contains(&byte);
        if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.bytes().all(is_name) {
            return Err(unknown());
        }
        let zone = jiff::tz::db().get(name).or_else(|_| TimeZoneDatabase::bundled().get(name));
        let zone = zone.ok().filter(|zone| !zone.is_unknown()).ok_or_else(unknown)?;
        let name = zone.iana_name().unwrap_or(name).to_owned();
        Ok(Zone { name, zone })
    }

    /// The zone of this machine: TZ, else /etc/localtime. A machine that says nothing has UTC.
    pub fn of_system() -> Result<Zone, ZoneError> {
        let says_nothing = std::env::var_os("TZ").is_none_or(|tz| tz.is_empty())
            && std::fs::symlink_metadata("/etc/localtime").is_err();
        if says_nothing {
            return Zone::named("UTC");
        }
        let zone = TimeZone::try_system().map_err(|_| ZoneError::Nameless)?;
        Zone::named(zone.iana_name().filter(|_| !zone.is_unknown()).ok_or(ZoneError::Nameless)?)
    }

    /// UTC, which needs no data.
    pub fn utc() -> Zone {
        Zone { name: "UTC".into(), zone: TimeZone::UTC }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The time on its clocks, with their offset: RFC 3339 to the second.
    pub fn show(&self, at: crate::clock::UnixMs) -> String {
        let at = Timestamp::from_millisecond(at.0).unwrap_or(Timestamp::MAX);
        let offset = self.offset(at);
        let minutes = offset.seconds().div_euclid(60);
        let sign = if minutes < 0 { '-' } else { '+' };
        let (hours, minutes) = (minutes.abs() / 60, minutes.abs() % 60);
        format!("{}{sign}{hours:02}:{minutes:02}", offset.to_datetime(at).strftime("%Y-%m-%dT%H:%M:%S"))
    }

    /// The offset at a time.
    pub(super) fn offset(&self, at: Timestamp) -> Offset {
        self.zone.to_offset(at)
    }

    /// The first change of its clock after a time.
    pub(super) fn next_change(&self, after: Timestamp) -> Option<Change> {
        // Many changes are of the name alone.
        let mut before = self.offset(after);
        for change in self.zone.following(after) {
            if change.offset() != before {
                return Some(Change { at: change.timestamp(), before, after: change.offset() });
            }
            before = change.offset();
        }
        None
    }

    /// The last change of its clock at or before a time.
    pub(super) fn last_change(&self, until: Timestamp) -> Option<Change> {
        let past = until.checked_add(jiff::SignedDuration::from_nanos(1)).ok()?;
        for change in self.zone.preceding(past) {
            let earlier = change.timestamp().checked_sub(jiff::SignedDuration::from_nanos(1)).ok()?;
            let before = self.offset(earlier);
            if before != change.offset() {
                return Some(Change { at: change.timestamp(), before, after: change.offset() });
            }
        }
        None
    }

    /// Looks at the data anew, which is new on the disk.
    pub fn forget_all() {
        jiff::tz::db().reset();
    }
}
