//! Lengths of time as people write and read them.
//!
//! Everything else speaks whole seconds or milliseconds: no other file may parse or format one.

/// Reads `90`, `90s`, `15m`, `2h`, `1d` or a sum like `1h30m`, in seconds.
///
/// # Errors
/// What is allowed, for people.
pub fn parse_s(text: &str) -> Result<i64, String> {
    let wrong = || "it must be seconds, or a number with s, m, h or d, like 90s, 15m or 1h30m".to_owned();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map_err(|_| "it is too long".to_owned());
    }
    let mut total_s: i64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.bytes().position(|byte| !byte.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = rest.split_at(end);
        let unit_s = match unit.chars().next() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3_600,
            Some('d') => 86_400,
            _ => return Err(wrong()),
        };
        let count: i64 = number.parse().map_err(|_| wrong())?;
        let part_s = count.checked_mul(unit_s).and_then(|part_s| total_s.checked_add(part_s));
        total_s = part_s.ok_or_else(|| "it is too long".to_owned())?;
        rest = &unit[1..];
    }
    if text.is_empty() { Err(wrong()) } else { Ok(total_s) }
}

/// `0.3s`, `42s`, `3m12s`, `2h05m`, `3d04h`.
pub fn show_ms(ms: i64) -> String {
    let ms = ms.max(0);
    let seconds = ms / 1_000;
    match seconds {
        0..=9 => format!("{}.{}s", seconds, ms % 1_000 / 100),
        10..=59 => format!("{seconds}s"),
        60..=3_599 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..=86_399 => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_forms_are_read() {
        for (text, seconds) in [("0", 0), ("90", 90), ("90s", 90), ("15m", 900), ("2h", 7_200), ("1d", 86_400)] {
            assert_eq!(parse_s(text), Ok(seconds), "{text}");
        }
        assert_eq!(parse_s("1h30m"), Ok(5_400));
    }

    #[test]
    fn everything_else_is_refused() {
        for text in ["", "s", "-1", "+1", "1.5h", "1w", "1h30", "5 m", "h1", "9223372036854775807d", "1é"] {
            assert!(parse_s(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn two_units_are_shown_at_most() {
        let shown: Vec<String> = [-5, 340, 42_000, 192_000, 7_500_000, 273_600_000].map(show_ms).into();
        assert_eq!(shown, ["0.0s", "0.3s", "42s", "3m12s", "2h05m", "3d04h"]);
    }
}
