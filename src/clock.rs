//! The wall clock, for display and for what a person set by it; order and timers never use it.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Milliseconds since 1970, UTC. Shown as RFC 3339 with milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixMs(pub i64);

impl UnixMs {
    /// The time now.
    pub fn now() -> UnixMs {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// This much later; saturates.
    pub fn plus_s(self, seconds: i64) -> UnixMs {
        UnixMs(self.0.saturating_add(seconds.saturating_mul(1_000)))
    }

    /// Reads RFC 3339, with any offset.
    pub fn parse(text: &str) -> Option<UnixMs> {
        text.parse::<Timestamp>().ok().map(|time| UnixMs(time.as_millisecond()))
    }
}

impl fmt::Display for UnixMs {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Timestamp::from_millisecond(self.0).unwrap_or(Timestamp::MAX);
        write!(out, "{time:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_always_shown() {
        assert_eq!(UnixMs(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            UnixMs::parse("2026-11-23T07:32:01.5+01:00").map(|at| at.to_string()).as_deref(),
            Some("2026-11-23T06:32:01.500Z")
        );
    }
}
