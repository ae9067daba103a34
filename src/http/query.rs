//! A query string, checked whole like a body: all violations at once, unknown parameters included.

use std::borrow::Cow;

use super::error::{Problem, VIOLATIONS_MAX};
use crate::wire::Violation;

/// Reads the parameters of one request.
pub struct Query {
    given: Vec<(String, String)>,
    violations: Vec<Violation>,
}

impl Query {
    /// The parameters as they came, decoded.
    pub fn of(raw: Option<&str>) -> Query {
        let pairs = form_urlencoded::parse(raw.unwrap_or_default().as_bytes());
        let given = pairs.map(|(key, value)| (Cow::into_owned(key), Cow::into_owned(value))).collect();
        Query { given, violations: Vec::new() }
    }

    /// Notes a violation, up to the most that are reported.
    pub fn wrong(&mut self, parameter: &str, reason: &'static str, message: impl Into<String>) {
        if self.violations.len() >= VIOLATIONS_MAX {
            return;
        }
        self.violations.push(Violation::new(parameter, reason, message));
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
