//! A query string, checked whole like a body: all violations at once, unknown parameters included.

use std::borrow::Cow;

use super::error::{Problem, VIOLATIONS_MAX};
use crate::clock::UnixMs;
use crate::wire::Violation;

/// Reads the parameters of one request.
pub struct Query {
    given: Vec<(String, String)>,
    violations: Vec<Violation>,
}

impl Query {
    /// The parameters as they came, decoded.
    pub fn of(raw: Option<&str>) -> Query {
        let mut query = Query { given: Vec::new(), violations: Vec::new() };
        for pair in raw.unwrap_or_default().split('&') {
            for (parameter, value) in form_urlencoded::parse(pair.as_bytes()) {
                if is_utf8(pair.as_bytes()) {
                    query.given.push((Cow::into_owned(parameter), Cow::into_owned(value)));
                } else {
                    query.wrong(&parameter, "value", "must be UTF-8");
                }
            }
        }
        query
    }

    /// Notes a violation, up to the most that are reported.
    pub fn wrong(&mut self, parameter: &str, reason: &'static str, message: impl Into<String>) {
        if self.violations.len() >= VIOLATIONS_MAX {
            return;
        }
        self.violations.push(Violation::new(parameter, reason, message));
    }

    /// Whether nothing was wrong so far.
    pub fn is_right(&self) -> bool {
        self.violations.is_empty()
    }

    /// A parameter that may come once.
    pub fn text(&mut self, parameter: &str, check: impl Fn(&str) -> Result<(), String>) -> Option<String> {
        let mut values = self.all(parameter);
        if values.len() > 1 {
            self.wrong(parameter, "repeated", "may be given once");
        }
        let value = values.pop()?;
        match check(&value) {
            Ok(()) => Some(value),
            Err(message) => {
                self.wrong(parameter, "value", message);
                None
            }
        }
    }

    /// A parameter that may come often.
    pub fn all(&mut self, parameter: &str) -> Vec<String> {
        let (wanted, rest) = std::mem::take(&mut self.given).into_iter().partition(|(key, _)| key == parameter);
        self.given = rest;
        let wanted: Vec<(String, String)> = wanted;
        wanted.into_iter().map(|(_, value)| value).collect()
    }

    /// A list of at most `max` different items, with commas between them, repeated, or both: generated clients write
    /// either. `None` where it was not given, or something is wrong with it; `allowed` says what may stand in it.
    pub fn list<T: PartialEq>(
        &mut self,
        parameter: &str,
        max: usize,
        parse: impl Fn(&str) -> Option<T>,
        allowed: impl Fn() -> String,
    ) -> Option<Vec<T>> {
        let given = self.all(parameter);
        let mut items = Vec::new();
        for item in given.iter().flat_map(|list| list.split(',')) {
            match parse(item) {
                Some(item) if items.contains(&item) => {}
                Some(_) if items.len() >= max => {
                    self.wrong(parameter, "range", format!("must be at most {max} {parameter}"));
                    return None;
                }
                Some(item) => items.push(item),
                None => {
                    self.wrong(parameter, "value", allowed());
                    return None;
                }
            }
        }
        (!given.is_empty()).then_some(items)
    }

    /// A whole number in a range.
    pub fn integer(&mut self, parameter: &str, min: i64, max: i64) -> Option<i64> {
        let number = |text: &str| text.parse::<i64>().ok().filter(|number| (min..=max).contains(number));
        let text = self.text(parameter, |text| {
            number(text).map(drop).ok_or_else(|| format!("must be a whole number between {min} and {max}"))
        })?;
        number(&text)
    }

    /// A time, with any offset.
    pub fn time(&mut self, parameter: &str) -> Option<UnixMs> {
        let text = self.text(parameter, |text| {
            UnixMs::parse(text).map(drop).ok_or_else(|| "must be a time like 2026-11-23T06:32:01Z".to_owned())
        })?;
        UnixMs::parse(&text)
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, parameter: &str) -> Option<bool> {
        let boolean = |text: &str| text.parse::<bool>().ok();
        let text =
            self.text(parameter, |text| boolean(text).map(drop).ok_or_else(|| "must be true or false".to_owned()))?;
        boolean(&text)
    }

    /// Refuses unknown parameters and those that were wrong.
    ///
    /// # Errors
    /// All violations at once.
    pub fn finish(self) -> Result<(), Problem> {
        let violations = self.into_violations();
        if violations.is_empty() { Ok(()) } else { Err(Problem::violations(violations)) }
    }

    /// The violations, unknown parameters included.
    pub fn into_violations(mut self) -> Vec<Violation> {
        for (parameter, _) in std::mem::take(&mut self.given) {
            self.wrong(&parameter, "unknown", "is not known here");
        }
        self.violations
    }
}

/// Whether what is percent-encoded here is UTF-8. Decoding replaces what is not by another character, which would be looked
/// for.
fn is_utf8(encoded: &[u8]) -> bool {
    let digit = |at: usize| encoded.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut at = 0;
    while let Some(byte) = encoded.get(at) {
        let decoded = match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => u8::try_from(high * 16 + low).ok(),
            _ => None,
        };
        bytes.push(decoded.unwrap_or(*byte));
        at += if decoded.is_some() { 3 } else { 1 };
    }
    std::str::from_utf8(&bytes).is_ok()
}
