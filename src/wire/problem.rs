//! How the daemon says no: a problem document by RFC 9457.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The document.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProblemBody<'a> {
    /// Always `about:blank`: the code says what kind it is.
    pub r#type: Cow<'a, str>,
    /// The status in words.
    pub title: Cow<'a, str>,
    /// The HTTP status.
    pub status: u16,
    /// Stable, for programs.
    pub code: Cow<'a, str>,
    /// For people.
    pub detail: Cow<'a, str>,
    /// An object; what it holds depends on the code.
    pub details: Cow<'a, Value>,
}

impl ProblemBody<'_> {
    /// What is wrong with a body or a query, where that is what the problem tells.
    pub fn violations(&self) -> Vec<Violation> {
        let listed = self.details.get("violations").cloned();
        listed.and_then(|listed| serde_json::from_value(listed).ok()).unwrap_or_default()
    }
}

/// One thing that is wrong with a body or a query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Violation {
    /// Which field or parameter; `a.b` and `a[0]` for inner ones.
    pub field: String,
    /// For programs, like `required`, `unknown` or `range`.
    pub reason: Cow<'static, str>,
    /// For people: what is allowed.
    pub message: String,
}

impl Violation {
    /// What is wrong with a field; a name that no field has is told by its beginning.
    pub fn new(field: impl Into<String>, reason: &'static str, message: impl Into<String>) -> Violation {
        let mut field = field.into();
        if let Some((end, _)) = field.char_indices().nth(FIELD_CHARS_MAX) {
            field.truncate(end);
            field.push('…');
        }
        Violation { field, reason: reason.into(), message: message.into() }
    }
}

/// Characters of a field's name that are told.
const FIELD_CHARS_MAX: usize = 128;
