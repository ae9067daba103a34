//! Reads a client's JSON object field by field, and collects every violation.
//!
//! It knows the types of JSON, and no field's meaning.

use serde_json::{Map, Value};

use super::unique::{self, Repeated};
use crate::clock::UnixMs;
use crate::http::error::Problem;
use crate::http::error::VIOLATIONS_MAX;
use crate::numbers;
use crate::wire::Violation;

/// Reads the fields of one object, and remembers everything that is wrong with it.
pub struct Fields {
    pub(super) given: Map<String, Value>,
    prefix: String,
    pub(super) violations: Vec<Violation>,
}

impl Fields {
    /// The fields of a body; an empty body has none.
    ///
    /// # Errors
    /// When it is not JSON, or not an object.
    pub fn of_body(body: &[u8]) -> Result<Fields, Problem> {
        if body.is_empty() {
            return Ok(Fields::of(Map::new(), ""));
        }
        let (mut json, repeated) = (serde_json::Deserializer::from_slice(body), Repeated::default());
        match unique::value(&mut json, &repeated).and_then(|value| json.end().map(|()| value)) {
            Ok(Value::Object(given)) => {
                let mut fields = Fields::of(given, "");
                fields.refuse_repeated(&repeated);
                Ok(fields)
            }
            Ok(_) => Err(Problem::violations(vec![Violation::new("", "type", "the body must be a JSON object")])),
            Err(error) => Err(bad_json(&error)),
        }
    }

    /// The fields of an object; `prefix` goes before their names in what is told.
    pub fn of(given: Map<String, Value>, prefix: impl Into<String>) -> Fields {
        Fields { given, prefix: prefix.into(), violations: Vec::new() }
    }

    /// Notes what was given twice.
    pub(super) fn refuse_repeated(&mut self, repeated: &Repeated) {
        for field in repeated.take() {
            self.wrong(&field, "repeated", "may be given once");
        }
    }

    /// Notes a violation, up to the most that are reported.
    pub fn wrong(&mut self, field: &str, reason: &'static str, message: impl Into<String>) {
        if self.violations.len() >= VIOLATIONS_MAX {
            return;
        }
        self.violations.push(Violation::new(format!("{}{field}", self.prefix), reason, message));
    }

    /// Whether nothing was wrong so far.
    pub fn is_right(&self) -> bool {
        self.violations.is_empty()
    }

    /// Takes fields that came beside the object: those that it does not name itself, not even as null.
    pub fn fill(&mut self, beside: Map<String, Value>) {
        for (field, value) in beside {
            self.given.entry(field).or_insert(value);
        }
    }

    /// Whether the field was given, also as null.
    pub fn has(&self, field: &str) -> bool {
        self.given.contains_key(field)
    }

    /// Whether the field was given and is not null.
    pub fn gives(&self, field: &str) -> bool {
        self.given.get(field).is_some_and(|value| !value.is_null())
    }

    /// Whether the field is a list, and an empty one.
    pub fn gives_nothing_in(&self, field: &str) -> bool {
        self.given.get(field).and_then(Value::as_array).is_some_and(Vec::is_empty)
    }

    /// What was wrong elsewhere with the same request.
    pub fn also_wrong(&mut self, violations: Vec<Violation>) {
        self.violations.extend(violations);
    }

    /// A text, without reading it.
    pub fn peek_text(&self, field: &str) -> Option<&str> {
        self.given.get(field).and_then(Value::as_str)
    }

    /// The field, unless it is missing or null.
    pub(super) fn take(&mut self, field: &str) -> Option<Value> {
        self.given.remove(field).filter(|value| !value.is_null())
    }

    /// A text that `check` finds right; `check` says what is allowed.
    pub fn text(&mut self, field: &str, check: impl Fn(&str) -> Result<(), String>) -> Option<String> {
        match self.take(field)? {
            Value::String(text) => match check(&text) {
                Ok(()) => return Some(text),
                Err(message) => self.wrong(field, "value", message),
            },
            _ => self.wrong(field, "type", "must be a string"),
        }
        None
    }

    /// A whole number in a range; `60.0` is one, as JSON Schema and JavaScript have it.
    pub fn integer(&mut self, field: &str, min: i64, max: i64) -> Option<i64> {
        let value = self.take(field)?;
        self.integer_of(field, &value, min, max)
    }

    /// The same of a value that stands somewhere in a field.
    pub(super) fn integer_of(&mut self, at: &str, value: &Value, min: i64, max: i64) -> Option<i64> {
        match numbers::whole(value) {
            Some(number) if (min..=max).contains(&number) => return Some(number),
            Some(_) => self.wrong(at, "range", format!("must be between {min} and {max}")),
            None => self.wrong(at, "type", format!("must be a whole number between {min} and {max}")),
        }
        None
    }

    /// A number in a range, whole or not.
    pub fn number(&mut self, field: &str, min: f64, max: f64) -> Option<f64> {
        let value = self.take(field)?;
        match value.as_f64() {
            Some(number) if (min..=max).contains(&number) => return Some(number),
            Some(_) => self.wrong(field, "range", format!("must be between {min} and {max}")),
            None => self.wrong(field, "type", format!("must be a number between {min} and {max}")),
        }
        None
    }

    /// A list of whole numbers in a range.
    pub fn integers(&mut self, field: &str, count_max: usize, min: i64, max: i64) -> Option<Vec<i64>> {
        let Value::Array(items) = self.take(field)? else {
            self.wrong(field, "type", "must be an array of whole numbers");
            return None;
        };
        if items.len() > count_max {
            self.wrong(field, "range", format!("must have at most {count_max} items"));
            return None;
        }
        let mut numbers = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let at = format!("{field}[{index}]");
            if item.is_null() {
                self.wrong(&at, "type", "must be a whole number");
                continue;
            }
            numbers.extend(self.integer_of(&at, &item, min, max));
        }
        Some(numbers)
    }

    /// An object of its own, whose fields are read for themselves. Give it to [`Fields::take_back`] afterwards.
    pub fn object(&mut self, field: &str) -> Option<Fields> {
        match self.take(field)? {
            Value::Object(given) => return Some(self.object_of(field, given)),
            _ => self.wrong(field, "type", "must be an object"),
        }
        None
    }

    /// The same of an object that stands somewhere in a field.
    pub(super) fn object_of(&self, at: &str, given: Map<String, Value>) -> Fields {
        Fields::of(given, format!("{}{at}.", self.prefix))
    }

    /// Adds what was wrong with an object of its own, with the fields of it that were not read.
    pub fn take_back(&mut self, mut object: Fields) {
        object.refuse_unknown();
        let room = VIOLATIONS_MAX.saturating_sub(self.violations.len());
        self.violations.extend(object.violations.into_iter().take(room));
    }

    /// True or false.
    pub fn boolean(&mut self, field: &str) -> Option<bool> {
        let value = self.take(field)?;
        if value.as_bool().is_none() {
            self.wrong(field, "type", "must be true or false");
        }
        value.as_bool()
    }

    /// One of some words.
    pub fn word<T: Copy>(&mut self, field: &str, words: &[T], name: impl Fn(T) -> &'static str) -> Option<T> {
        let value = self.take(field)?;
        let found = words.iter().copied().find(|word| value.as_str() == Some(name(*word)));
        if found.is_none() {
            let all: Vec<_> = words.iter().map(|word| name(*word)).collect();
            self.wrong(field, "value", format!("must be one of {}", all.join(", ")));
        }
        found
    }

    /// A list of texts, each of which `check` finds right.
    pub fn texts(
        &mut self,
        field: &str,
        max: usize,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Option<Vec<String>> {
        let value = self.take(field)?;
        let Value::Array(items) = value else {
            self.wrong(field, "type", "must be an array of strings");
            return None;
        };
        if items.len() > max {
            self.wrong(field, "range", format!("must have at most {max} items"));
            return None;
        }
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            match item {
                Value::String(text) => match check(&text) {
                    Ok(()) => texts.push(text),
                    Err(message) => self.wrong(&format!("{field}[{index}]"), "value", message),
                },
                _ => self.wrong(&format!("{field}[{index}]"), "type", "must be a string"),
            }
        }
        Some(texts)
    }

    /// A time, with any offset.
    pub fn time(&mut self, field: &str) -> Option<UnixMs> {
        let text = self.text(field, |text| {
            UnixMs::parse(text).map(|_| ()).ok_or_else(|| "must be a time like 2026-11-23T06:32:01Z".to_owned())
        })?;
        UnixMs::parse(&text)
    }

    /// Remembers every field that was not read as wrong.
    pub(super) fn refuse_unknown(&mut self) {
        let unknown: Vec<_> = std::mem::take(&mut self.given).into_iter().map(|(field, _)| field).collect();
        for field in unknown {
            self.wrong(&field, "unknown", "is not known here");
        }
    }

    /// Refuses unknown fields and those that were wrong.
    ///
    /// # Errors
    /// All violations at once.
    pub fn finish(mut self) -> Result<(), Problem> {
        self.refuse_unknown();
        if self.violations.is_empty() { Ok(()) } else { Err(Problem::violations(self.violations)) }
    }
}

/// 400 for what is not JSON.
pub(super) fn bad_json(error: &serde_json::Error) -> Problem {
    Problem::bad_json(format!("the body is not JSON: {error}"))
}
