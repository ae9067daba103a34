//! The wall clock, for display and for times that people set; order and timers never use it.
//!
//! It is the only source of wall time. A clock that shows a time before this binary was built is wrong; whoever removes by
//! age asks [`UnixMs::is_believed`] first.

use std::fmt;
#[cfg(debug_assertions)]
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Milliseconds since 1970, UTC. Shown as RFC 3339 with milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixMs(pub i64);

/// When this binary was built, according to `build.rs`.
pub const BUILT: UnixMs = UnixMs(number(env!("RUNABOUT_BUILT_S")) * 1_000);

/// Milliseconds added to the system's clock. Only in debug builds, for tests in which a month takes a minute.
#[cfg(debug_assertions)]
static OFFSET_MS: AtomicI64 = AtomicI64::new(0);

/// Adds this many milliseconds to the system's clock in every later [`UnixMs::now`].
#[cfg(debug_assertions)]
pub fn set_offset_ms(offset_ms: i64) {
    OFFSET_MS.store(offset_ms, Ordering::SeqCst);
}

impl UnixMs {
    /// The time now.
    pub fn now() -> UnixMs {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        #[cfg(debug_assertions)]
        let now = now.saturating_add(OFFSET_MS.load(Ordering::SeqCst)).max(0);
        UnixMs(now)
    }

    /// Whether a clock that shows this time may be right: it is not before this binary was built.
    pub fn is_believed(self) -> bool {
        self >= BUILT
    }

    /// This many seconds later; saturates.
    pub fn plus_s(self, seconds: i64) -> UnixMs {
        UnixMs(self.0.saturating_add(seconds.saturating_mul(1_000)))
    }

    /// Parses RFC 3339, with any offset, and no other format: some of those cannot be shown in RFC 3339 again.
    pub fn parse(text: &str) -> Option<UnixMs> {
        if !is_rfc3339(text.as_bytes()) {
            return None;
        }
        text.parse::<Timestamp>().ok().map(|time| UnixMs(time.as_millisecond()))
    }
}

/// A moment by a clock that nobody sets, and that goes on while the machine sleeps: milliseconds since its start.
#[cfg(feature = "daemon")]
#[derive(Clone, Copy, Debug)]
pub struct Uptime(i64);

#[cfg(feature = "daemon")]
impl Uptime {
    /// A difference between the clocks from which on the wall clock was set: less is slewing, and what lies between two looks.
    const SET_MS: u64 = 1_000;

    /// The moment now.
    pub fn now() -> Uptime {
        let since = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let ms = i128::from(since.tv_sec) * 1_000 + i128::from(since.tv_nsec) / 1_000_000;
        Uptime(i64::try_from(ms).unwrap_or(i64::MAX))
    }

    /// How long it is since then, in milliseconds, where the wall clock says so many: those, unless it was set meanwhile.
    pub fn elapsed_ms(self, shown_ms: i64) -> i64 {
        lasted_ms(shown_ms, Uptime::now().0.saturating_sub(self.0))
    }
}

#[cfg(feature = "daemon")]
fn lasted_ms(shown_ms: i64, passed_ms: i64) -> i64 {
    if shown_ms.abs_diff(passed_ms) >= Uptime::SET_MS { passed_ms } else { shown_ms }
}

/// Whether a text has the form of RFC 3339: `2026-11-23T06:32:01`, a fraction or none, and `Z` or an offset.
fn is_rfc3339(text: &[u8]) -> bool {
    let has_form = |text: &[u8], form: &[u8]| {
        let fits = |(byte, form): (&u8, &u8)| match form {
            b'0' => byte.is_ascii_digit(),
            form => byte.eq_ignore_ascii_case(form),
        };
        text.len() == form.len() && text.iter().zip(form).all(fits)
    };
    let Some((time, mut zone)) = text.split_at_checked(19) else { return false };
    if let Some(fraction) = zone.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return false;
        }
        zone = &fraction[digits..];
    }
    let is_zone = has_form(zone, b"z") || has_form(zone, b"+00:00") || has_form(zone, b"-00:00");
    has_form(time, b"0000-00-00t00:00:00") && is_zone
}

impl fmt::Display for UnixMs {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Timestamp::from_millisecond(self.0).unwrap_or(Timestamp::MAX);
        write!(out, "{time:.3}")
    }
}

impl Serialize for UnixMs {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UnixMs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<UnixMs, D::Error> {
        let text = String::deserialize(from)?;
        UnixMs::parse(&text).ok_or_else(|| de::Error::custom("a time like 2026-11-23T06:32:01Z is wanted"))
    }
}

/// Decimal digits as a number, for a constant.
const fn number(digits: &str) -> i64 {
    let (digits, mut number, mut index) = (digits.as_bytes(), 0, 0);
    while index < digits.len() {
        number = number * 10 + (digits[index] - b'0') as i64;
        index += 1;
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_before_the_build_is_not_believed() {
        assert!(!UnixMs(0).is_believed() && !UnixMs(BUILT.0 - 1).is_believed());
        assert!(BUILT.is_believed() && UnixMs::now().is_believed(), "built {BUILT}, now {}", UnixMs::now());
    }

    #[test]
    #[cfg(feature = "daemon")]
    fn what_has_passed_is_the_wall_clock_s_word_unless_that_was_set() {
        assert_eq!((lasted_ms(5_400, 5_000), lasted_ms(4_600, 5_000)), (5_400, 4_600));
        for set in [0, -31_536_000_000, 31_536_000_000, i64::MAX, i64::MIN] {
            assert_eq!(lasted_ms(set, 5_000), 5_000);
        }
        assert!(Uptime::now().elapsed_ms(i64::MAX) < 3_600_000, "a moment ago");
    }

    #[test]
    fn milliseconds_are_always_shown() {
        assert_eq!(UnixMs(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            UnixMs::parse("2026-11-23T07:32:01.5+01:00").map(|at| at.to_string()).as_deref(),
            Some("2026-11-23T06:32:01.500Z")
        );
    }

    #[test]
    fn only_rfc_3339_is_a_time() {
        for right in ["2026-11-23T06:32:01Z", "2026-11-23t06:32:01z", "2026-11-23T06:32:01.123456789-11:30"] {
            assert!(UnixMs::parse(right).is_some(), "{right}");
        }
        for wrong in [
            "",
            "2026-11-23",
            "2026-11-23T06:32:01",
            "2026-11-23T06:32Z",
            "2026-11-23 06:32:01Z",
            "20261123T063201Z",
            "2026-11-23T06:32:01,5Z",
            "2026-11-23T06:32:01.Z",
            "2026-11-23T06:32:01+01",
            "2026-11-23T06:32:01+01:00[Europe/Berlin]",
            "-002026-11-23T06:32:01Z",
            "2026-13-23T06:32:01Z",
            "2026-11-23T06:32:0\u{661}Z",
        ] {
            assert_eq!(UnixMs::parse(wrong), None, "{wrong}");
        }
    }
}
