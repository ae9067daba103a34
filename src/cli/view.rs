//! Runs and queues as the daemon gives them, as far as people are shown them.
//!
//! Every field may be missing or null, and unknown ones are ignored: the daemon may be older or newer than this.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::duration;
use super::print::{Colour, shell_words};
use crate::client::failure::Failure;
use crate::client::outcome::Outcome;
use crate::clock::UnixMs;

/// Whether runs are started, and what is there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct DrainView {
    /// Whether nothing more is.
    pub draining: bool,
    /// How many runs go on.
    pub running: i64,
    /// How many wait.
    pub queued: i64,
}

/// A run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RunView {
    /// Its number.
    pub id: i64,
    /// How it stands or ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// For people.
    pub name: Option<String>,
    /// Where it waits or waited.
    pub queue: String,
    /// High first.
    pub priority: i64,
    /// To filter by.
    pub tags: Vec<String>,
    /// An argument vector, or null.
    pub command: Option<Vec<String>>,
    /// Shell text, or null.
    pub script: Option<String>,
    /// Where it runs.
    pub cwd: Option<String>,
    /// Which variables were given.
    pub env_keys: Vec<String>,
    /// Which attempt.
    pub attempt: i64,
    /// The newest progress.
    pub progress: Value,
    /// While it runs.
    pub pid: Option<i64>,
    /// Which of its processes are stopped.
    pub stopped_pids: Vec<i64>,
    /// The newest event.
    pub last_seq: i64,
    /// What it printed.
    pub output_bytes: i64,
    /// When it was submitted.
    pub created_at: String,
    /// Not started before.
    pub not_before: Option<String>,
    /// When it started.
    pub started_at: Option<String>,
    /// When it ended.
    pub ended_at: Option<String>,
    /// Its limit.
    pub timeout_s: Option<i64>,
    /// When its end was first asked for.
    pub cancel_requested_at: Option<String>,
    /// The run it repeats.
    pub retry_of: Option<i64>,
    /// What the daemon's end does to it.
    pub on_interrupt: String,
    /// Whether it never expires.
    pub keep: bool,
    /// Fields that a list cut short.
    pub truncated: Vec<String>,
}

impl RunView {
    /// What it executes, as one would type it.
    pub fn what(&self) -> String {
        let rest =
            if self.truncated.iter().any(|field| matches!(field.as_str(), "command" | "script")) { "…" } else { "" };
        match (&self.command, &self.script) {
            (Some(argv), _) => shell_words(argv) + rest,
            (None, Some(script)) => script.trim().to_owned() + rest,
            (None, None) => String::new(),
        }
    }

    /// How it stands, in a few words.
    pub fn standing(&self) -> String {
        let Outcome { status, exit_code, signal, reason, .. } = &self.outcome;
        let percent = self.progress.get("percent").and_then(Value::as_f64);
        match (status.as_str(), percent) {
            ("running", _) if self.cancel_requested_at.is_some() => "running, canceling".to_owned(),
            ("running", _) if !self.stopped_pids.is_empty() => "running, stopped".to_owned(),
            ("running", Some(percent)) => format!("running {percent:.0}%"),
            ("failed", _) => match (exit_code, signal, reason.as_deref()) {
                (_, _, Some("spawn_failed")) => "failed to start".to_owned(),
                (Some(code), _, _) => format!("failed ({code})"),
                (None, Some(signal), _) => format!("failed (signal {signal})"),
                (None, None, _) => status.clone(),
            },
            _ => status.clone(),
        }
    }

    /// The colour of how it stands.
    pub fn colour(&self) -> Colour {
        match self.outcome.status.as_str() {
            "succeeded" => Colour::Green,
            "failed" | "timed_out" | "interrupted" => Colour::Red,
            "canceled" => Colour::Yellow,
            "running" => Colour::Cyan,
            _ => Colour::Plain,
        }
    }

    /// For how long it ran, or has been running.
    pub fn took(&self, now: UnixMs) -> Option<String> {
        let started = UnixMs::parse(self.started_at.as_deref()?)?;
        let ended = self.ended_at.as_deref().and_then(UnixMs::parse).unwrap_or(now);
        Some(duration::show_ms(ended.0 - started.0))
    }

    /// For how long it has been there.
    pub fn age(&self, now: UnixMs) -> String {
        UnixMs::parse(&self.created_at).map(|created| duration::show_ms(now.0 - created.0)).unwrap_or_default()
    }
}

/// A queue.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct QueueView {
    /// Its name.
    pub name: String,
    /// How many of it run at once.
    pub slots: i64,
    /// Whether nothing more of it starts.
    pub paused: bool,
    /// How many wait.
    pub queued: i64,
    /// How many run.
    pub running: i64,
}

/// A page of runs, each as it came.
#[derive(Debug, Deserialize)]
pub struct RunsPage {
    /// Newest first.
    pub runs: Vec<Box<RawValue>>,
    /// Where the next page is; null at the end.
    pub next: Option<String>,
}

/// Reads an answer.
///
/// # Errors
/// [`Failure::Own`] when it is not what was asked for.
pub fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(body)
        .map_err(|error| Failure::Own(format!("the daemon's answer cannot be understood: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_whatever_else_is_in_it() {
        let body = br#"{"id":42,"status":"failed","reason":"exited","exit_code":7,"signal":null,"error":null,
            "name":null,"queue":"default","command":["echo","a b"],"script":null,"progress":null,
            "created_at":"2026-11-23T06:32:00.000Z","started_at":"2026-11-23T06:32:01.000Z",
            "ended_at":"2026-11-23T06:32:03.500Z","colour":"blue"}"#;
        let run: RunView = read(body).expect("a run");
        assert_eq!((run.what().as_str(), run.standing().as_str()), ("echo 'a b'", "failed (7)"));
        assert_eq!(run.took(UnixMs(0)).as_deref(), Some("2.5s"));
        assert_eq!(run.outcome.exit_code(), 7);
    }
}
