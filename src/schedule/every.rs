//! `@every 90s`: due again and again after the same time, whatever clocks on walls show.

use crate::clock::UnixMs;

/// The longest time between two, in seconds: ten years.
const EVERY_MAX_S: i64 = 315_360_000;
const FORM: &str = "@every takes a time like 90s, 15m, 1h30m or 2d, of at least a second and at most ten years";

/// So many seconds after each other, from a beginning.
#[derive(Clone, Copy, Debug)]
pub struct Every {
    beginning_s: i64,
    every_s: i64,
}

impl Every {
    /// Reads `@every 90s`.
    pub fn parse(text: &str, beginning: UnixMs) -> Result<Every, String> {
        let every_s = text.get("@every".len()..).and_then(|rest| seconds(rest.trim())).ok_or(FORM)?;
        if !(1..=EVERY_MAX_S).contains(&every_s) {
            return Err(FORM.into());
        }
        Ok(Every { beginning_s: beginning.0.div_euclid(1_000), every_s })
    }

    /// The first time after this one.
    pub fn next(&self, after: UnixMs) -> Option<UnixMs> {
        let passed_s = after.0.div_euclid(1_000).checked_sub(self.beginning_s)?;
        // The beginning itself is not one of them.
        let nth = passed_s.div_euclid(self.every_s).max(0).checked_add(1)?;
        let at_s = nth.checked_mul(self.every_s)?.checked_add(self.beginning_s)?;
        at_s.checked_mul(1_000).map(UnixMs)
    }
}

/// A sum of numbers with units, in seconds.
fn seconds(text: &str) -> Option<i64> {
    let (mut rest, mut total_s) = (text, 0_i64);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = rest.split_at(digits);
        let unit_s = match unit.chars().next()? {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return None,
        };
        total_s = number.parse::<i64>().ok()?.checked_mul(unit_s)?.checked_add(total_s)?;
        rest = &unit[1..];
    }
    Some(total_s)
}
