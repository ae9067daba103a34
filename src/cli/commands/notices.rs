//! What a person is told where the command's own bytes do not say it.

use crate::event::TrimmedOutput;
use crate::text::printable;
use crate::wire::{OutcomeBody, ReceivedGap};

/// What a person is told about a command that printed nothing because it never was.
pub fn start_text(run: i64, outcome: &OutcomeBody) -> String {
    format!("run {run} could not start: {}", outcome.complaint(run).unwrap_or_default())
}

/// What a person is told about events that are gone.
pub fn gap_text(gap: &ReceivedGap) -> String {
    let ReceivedGap { from, to, reason, trimmed } = gap;
    let text = format!("events {from} to {to} are gone ({})", printable(reason));
    match trimmed {
        Some(TrimmedOutput { lines: Some(lines), bytes, .. }) => {
            format!("{text}; of this run {lines} lines are missing in all, {bytes} bytes")
        }
        Some(TrimmedOutput { bytes, .. }) => format!("{text}; of this run {bytes} bytes are missing in all"),
        None => text,
    }
}
