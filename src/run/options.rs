//! What a submit says about a run that the database is never searched by, and a time that it is.
//!
//! A field that is added here is stored, read, shown, repeated by a retry and handed to the runner without another word: the
//! whole travels as JSON, in a column of the run and as fields of its own in a submit and in a run on the wire.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::limits::Limits;
use super::need::Need;
use super::retry::Retry;
use super::stop::{Left, StopSignal};
use super::terminal::{Stdin, TerminalSize};
use crate::clock::UnixMs;
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
    /// What each attempt may use.
    #[serde(skip_serializing_if = "Limits::is_none")]
    pub limits: Limits,
    /// What asks it to end, before SIGKILL.
    #[serde(skip_serializing_if = "StopSignal::is_usual")]
    pub stop_signal: StopSignal,
    /// What becomes of processes that its leader leaves behind.
    #[serde(skip_serializing_if = "Left::is_usual")]
    pub left: Left,
    /// The terminal that it runs on, as large as it was last; without one it prints to pipes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pty: Option<TerminalSize>,
    /// Whether it takes input while it runs. A text that was given at the submit is a column of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdin: Option<Stdin>,
    /// Whether its command outlives the daemon; `None`: as its queue says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub survive: Option<bool>,
    /// No attempt starts after this time: queued then, it ends as `canceled`, reason `expired`. The row's column of this
    /// name is what the database is searched by; of a job's run it has the schedule's deadline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_before: Option<UnixMs>,
}

impl Options {
    /// Whether its command outlives the daemon, as far as it says so itself.
    pub fn survives(&self) -> bool {
        self.survive == Some(true)
    }

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
