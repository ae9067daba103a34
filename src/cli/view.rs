//! What people are shown of a run: in a few words, in colour, and for how long.

use serde::Deserialize;
use serde_json::Value;

use super::duration;
use super::print::{Colour, shell_words};
use crate::client::failure::Failure;
use crate::clock::UnixMs;
use crate::run::{Hold, Limits, Reason, Status, Usage};
use crate::wire::{RunBody, Word};

/// A run, as it was answered.
pub type RunView = RunBody<'static>;

impl RunView {
    /// What it executes, as one would type it.
    pub fn what(&self) -> String {
        let rest = if self.truncated.iter().any(|field| matches!(&**field, "command" | "script")) { "…" } else { "" };
        match (&self.command, &self.script) {
            (Some(argv), _) => shell_words(argv) + rest,
            (None, Some(script)) => script.trim().to_owned() + rest,
            (None, None) => String::new(),
        }
    }

    /// How it stands, in a few words.
    pub fn standing(&self) -> String {
        let percent = self.progress_value().get("percent").and_then(Value::as_f64);
        let reason = self.reason.as_ref().and_then(Word::known);
        match (self.status.known(), percent) {
            (Some(Status::Running), _) if self.cancel_requested_at.is_some() => "running, canceling".to_owned(),
            (Some(Status::Running), _) if self.detached_since.is_some() => "running, detached".to_owned(),
            (Some(Status::Running), _) if !self.stopped_pids.is_empty() => "running, stopped".to_owned(),
            (Some(Status::Running), Some(percent)) => format!("running {percent:.0}%"),
            (Some(Status::Failed), _) => match (self.exit_code, self.signal, reason) {
                (_, _, Some(Reason::SpawnFailed)) => "failed to start".to_owned(),
                (Some(code), _, _) => format!("failed ({code})"),
                (None, Some(signal), _) => format!("failed (signal {signal})"),
                (None, None, _) => self.status.to_string(),
            },
            (Some(Status::Queued), _) if !self.held_by.is_empty() => {
                let holds: Vec<String> = self.held_by.iter().map(Word::to_string).collect();
                format!("queued ({})", holds.join(", "))
            }
            _ => self.status.to_string(),
        }
    }

    /// What holds it back while it is queued, but for its queue.
    pub fn why_it_waits(&self) -> Option<String> {
        let at = self.not_before.as_deref().unwrap_or_default();
        let mut whys = Vec::new();
        if !self.waits_for_runs.is_empty() {
            let runs: Vec<String> = self.waits_for_runs.iter().map(|run| run.0.to_string()).collect();
            let runs = format!("run{} {}", if runs.len() == 1 { "" } else { "s" }, runs.join(", "));
            whys.push(format!("waits for {runs} to end"));
        }
        for hold in &self.held_by {
            match hold.known() {
                Some(Hold::Time) => whys.push(format!("held back until {at}")),
                Some(Hold::Retry) => whys.push(format!("attempt {} is due at {at}", self.attempt)),
                Some(Hold::Key) => whys.push("one run of its key runs at a time".to_owned()),
                Some(Hold::After) if self.waits_for_runs.is_empty() => whys.push("waits for other runs".to_owned()),
                Some(Hold::After) => {}
                None => whys.push(hold.to_string()),
            }
        }
        (!whys.is_empty()).then(|| whys.join("; "))
    }

    /// The colour of how it stands.
    pub fn colour(&self) -> Colour {
        match self.status.known() {
            Some(Status::Succeeded) => Colour::Green,
            Some(Status::Failed | Status::TimedOut | Status::Interrupted) => Colour::Red,
            Some(Status::Canceled) => Colour::Yellow,
            Some(Status::Running) => Colour::Cyan,
            Some(Status::Queued) | None => Colour::Plain,
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

/// Limits, as one would give them.
pub fn limits_text(limits: &Limits) -> String {
    let Limits { memory_bytes, cpu_percent, tasks } = limits;
    let words = [
        memory_bytes.map(|bytes| format!("memory {}", size_text(bytes))),
        cpu_percent.map(|percent| format!("cpus {}", percent as f64 / 100.0)),
        tasks.map(|tasks| format!("tasks {tasks}")),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// What a run has used, in a few words.
pub fn usage_text(usage: &Usage) -> String {
    let time = format!(
        "{} of its own, {} in the kernel",
        duration::show_ms(usage.user_ms),
        duration::show_ms(usage.system_ms)
    );
    match usage.memory_peak_bytes {
        Some(bytes) => format!("{time}; memory {} at most", size_text(bytes)),
        None => time,
    }
}

/// Bytes, in the largest unit of which there is one at least.
fn size_text(bytes: i64) -> String {
    let units = [("TiB", 1_i64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.iter().find(|(_, size)| bytes >= *size) {
        Some((unit, size)) if bytes % size == 0 => format!("{} {unit}", bytes / size),
        Some((unit, size)) => format!("{:.1} {unit}", bytes as f64 / *size as f64),
        None => format!("{bytes} bytes"),
    }
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
        assert_eq!(run.outcome().exit_code(), 7);
    }
}
