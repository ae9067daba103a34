//! What a submit says.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::run::{OnConflict, OnInterrupt, Options, Stdin};

/// A new run, as it is asked for. What is `None` or empty is left to the daemon; exactly one of `command` and `script` is
/// given. What is allowed is in the reference (`GET /v1/openapi.json`, schema `Submit`), and the daemon checks it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Submit {
    /// Text for `/bin/sh -c`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// Program and arguments, without a shell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// A label for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The queue to wait in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// -1000 to 1000, high first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// Labels to filter by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// An absolute directory to run in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Added to the daemon's environment.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Standard input, as text. For one that stays open: `options`.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text_of_stdin")]
    pub stdin: Option<String>,
    /// Seconds from the start of an attempt to SIGTERM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<i64>,
    /// Seconds before which it is not started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_s: Option<i64>,
    /// What the daemon's end does to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_interrupt: Option<OnInterrupt>,
    /// Whether it never expires.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
    /// What it works on: one run of a key runs at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What becomes of a run of the same key that has not begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<OnConflict>,
    /// Seconds that a debounced run waits after the newest of its submits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debounce_s: Option<i64>,
    /// Seconds after the first of its submits that a debounced run waits at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debounce_max_s: Option<i64>,
    /// What else there is to say.
    #[serde(flatten)]
    pub options: Options,
}

impl Submit {
    /// Shell text for `/bin/sh -c`, and nothing else said.
    pub fn script(script: impl Into<String>) -> Submit {
        Submit { script: Some(script.into()), ..Submit::default() }
    }

    /// A program with its arguments, and nothing else said.
    pub fn command(argv: impl IntoIterator<Item = impl Into<String>>) -> Submit {
        Submit { command: Some(argv.into_iter().map(Into::into).collect()), ..Submit::default() }
    }
}

/// A text that would be read as the word for an input that stays open is given as an object.
fn text_of_stdin<S: Serializer>(stdin: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
    match stdin.as_deref() {
        Some(Stdin::OPEN) => to.collect_map([("text", Stdin::OPEN)]),
        text => text.serialize(to),
    }
}
