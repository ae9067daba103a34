//! What a submit says about a run that the database is never searched by.
//!
//! A field that is added here is stored, read, shown, repeated by a retry and handed to the runner without another word: the
//! whole travels as JSON, in a column of the run and as fields of its own in a submit and in a run on the wire.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::need::Need;
use super::retry::Retry;
use crate::text::json;

/// The options of a run. Each field is skipped where it has its default, and is absent from what older builds stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Whether and when it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Runs that have to end before it starts. While it waits, the database has them too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Need>,
}

impl Options {
    /// As the run's row has it.
    pub fn to_column(&self) -> Cow<'static, str> {
        if *self == Options::default() {
            return "{}".into();
        }
        // Its keys are texts, and its numbers JSON's.
        json(self).unwrap_or_else(|_| "{}".to_owned()).into()
    }

    /// What a row has; what another program put there reads as nothing said.
    pub fn from_column(text: &str) -> Options {
        serde_json::from_str(text).unwrap_or_default()
    }
}
