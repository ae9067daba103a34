//! Lines of output that have a text.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::word::Word;
use crate::event::Stream;
use crate::numbers::{RunId, Seq};

/// A line that has it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HitBody<'a> {
    /// The run that printed it.
    pub run: RunId,
    /// The run's name.
    pub name: Option<Cow<'a, str>>,
    /// The event in which the text begins.
    pub seq: Seq,
    /// When it was printed, RFC 3339 in UTC.
    pub at: String,
    /// Where to.
    pub stream: Word<Stream>,
    /// The line, or what stands around the text in it.
    pub line: Cow<'a, str>,
    /// Whether the line is longer.
    pub cut: bool,
}

/// A page of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchBody<'a> {
    /// The newest first.
    pub hits: Vec<HitBody<'a>>,
    /// Path and query of what is left; `None`: all was looked through.
    pub next: Option<String>,
    /// Where enough was looked through before the page was full: when the run there was submitted.
    pub looked_back_to: Option<String>,
}
