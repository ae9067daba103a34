//! Events: what happened to a run, numbered and immutable, with one JSON form for every reader.

use std::fmt::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::clock::UnixMs;
use crate::numbers::{EventId, Position, RunId, Seq};
use crate::run::{FailureContext, Outcome, Usage};
use crate::text::{push_json, push_json_string};
use crate::words::words;

/// The most bytes of a command's output in one event.
pub const OUTPUT_BYTES_MAX: usize = 16 * 1024;
/// The largest object of a stream, in bytes on the wire. Many readers take lines or frames of at most 64 KiB, such as
/// websocat 1.13 and Go's bufio.Scanner.
pub const OBJECT_BYTES_MAX: usize = 60 * 1024;
/// The bytes of it that the text of an `output` event may take; the rest is for the other fields.
pub const OUTPUT_JSON_BYTES_MAX: usize = OBJECT_BYTES_MAX - 256;
/// The largest `data` of an event that a client appends, in bytes of JSON.
pub const DATA_BYTES_MAX: usize = 16 * 1024;
/// The most events that one request appends.
pub const APPEND_MAX: usize = 1_000;

words! {
    /// The kind of an event.
    Kind {
        /// The run was queued, for the attempt in its `data`.
        Queued = "queued",
        /// An attempt was claimed and is being started.
        Started = "started",
        /// A piece of the command's output.
        Output = "output",
        /// A report of the command's progress.
        Progress = "progress",
        /// A message of the command or a client.
        Message = "message",
        /// A client canceled the run.
        CancelRequested = "cancel_requested",
        /// A client changed the run.
        Changed = "changed",
        /// Processes of a run that live on after its end, or were ended with it though they had left its session.
        LeftBehind = "left_behind",
        /// An attempt ended and another follows.
        AttemptEnded = "attempt_ended",
        /// The run ended; its last event.
        Finished = "finished",
        /// Runs were removed, with their events; belongs to none of them.
        Removed = "removed",
        /// A job's schedule was due and made a run; belongs to no single run, as the other two of jobs.
        JobFired = "job_fired",
        /// A job's schedule was due, and there is no run for it.
        JobSkipped = "job_skipped",
        /// A job was made, changed or removed.
        JobChanged = "job_changed",
    }
}

words! {
    /// The output stream of a command that a piece comes from.
    Stream {
        /// Standard output.
        Stdout = "stdout",
        /// Standard error.
        Stderr = "stderr",
        /// A terminal, on which both are one.
        Pty = "pty",
    }
}

/// The data of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// A JSON object, as text.
    Json(String),
    /// A piece of output, byte for byte.
    Output(Stream, Vec<u8>),
}

impl Data {
    /// Its approximate size in bytes, for limits.
    pub fn len(&self) -> usize {
        match self {
            Data::Json(text) => text.len(),
            Data::Output(_, bytes) => bytes.len(),
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One event, as it was committed.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its number among all runs' events.
    pub id: EventId,
    /// Its run; [`RunId::NONE`] where it belongs to no single one.
    pub run: RunId,
    /// Its number in its run.
    pub seq: Seq,
    /// When it happened.
    pub at: UnixMs,
    /// Its kind.
    pub kind: Kind,
    /// Its data.
    pub data: Data,
}

impl Event {
    /// The event in the form that every reader gets: one JSON object on one line.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        self.encode_into(&mut out);
        out
    }

    /// What that form takes, in bytes, of nearly all that there are: room for it is made at once.
    pub fn encoded_room(&self) -> usize {
        160 + self.data.len() + self.data.len() / 16
    }

    /// Appends it in that form.
    pub fn encode_into(&self, out: &mut String) {
        out.reserve(self.encoded_room());
        let _ = write!(
            out,
            r#"{{"type":"event","id":{},"run":{},"seq":{},"at":"{}","kind":"{}","data":"#,
            self.id, self.run, self.seq, self.at, self.kind
        );
        match &self.data {
            Data::Json(text) => push_json(text, out),
            Data::Output(stream, bytes) => {
                let _ = write!(out, r#"{{"stream":"{stream}","#);
                let from = out.len();
                let is_text = std::str::from_utf8(bytes).is_ok_and(|text| {
                    out.push_str("\"text\":");
                    let begin = out.len();
                    push_json_string(text, out);
                    // Older builds stored longer ones; as base64 they are the same bytes, and short enough.
                    out.len() - begin <= OUTPUT_JSON_BYTES_MAX + 2
                });
                if !is_text {
                    out.truncate(from);
                    out.push_str("\"base64\":\"");
                    STANDARD.encode_string(bytes, out);
                    out.push('"');
                }
                out.push('}');
            }
        }
        out.push('}');
    }
}

/// The `data` of a `finished` event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Finished {
    /// How the run ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Milliseconds from the start of the last attempt to its end; null when there was none.
    pub duration_ms: Option<i64>,
    /// The run's name.
    pub name: Option<String>,
    /// The run's queue.
    pub queue: String,
    /// The run's tags.
    pub tags: Vec<String>,
    /// What the last attempt used; null where nobody saw it end.
    #[serde(default)]
    pub usage: Option<Usage>,
    /// How the machine stood, of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<FailureContext>,
    /// The files that it left; absent where it left none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<LeftFiles>,
}

/// The files that a run left to be fetched.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct LeftFiles {
    /// How many.
    pub count: i64,
    /// Their bytes.
    pub bytes: i64,
}

/// The `data` of a `removed` event: what one transaction removed.
#[derive(Clone, Debug, Serialize)]
pub struct RemovedRuns {
    /// How many.
    pub count: usize,
    /// Which: rising, each as long as it can be.
    pub ranges: Vec<RunRange>,
}

/// Runs whose numbers follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RunRange {
    /// The first.
    pub first: RunId,
    /// The last.
    pub last: RunId,
}

impl RemovedRuns {
    /// Of these runs, in any order, each once.
    pub fn of(mut runs: Vec<RunId>) -> RemovedRuns {
        runs.sort_unstable();
        let mut ranges: Vec<RunRange> = Vec::new();
        for run in &runs {
            match ranges.last_mut().filter(|range| range.last.next() == *run) {
                Some(range) => range.last = *run,
                None => ranges.push(RunRange { first: *run, last: *run }),
            }
        }
        RemovedRuns { count: runs.len(), ranges }
    }
}

words! {
    /// Why events are gone.
    GapReason {
        /// Retention or a client removed them.
        Pruned = "pruned",
        /// The run printed more than is kept of one run.
        Quota = "quota",
    }
}

/// A range of events that are gone: of `seq` for one run, of `id` for all runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first of the range.
    pub from: Position,
    /// The last of the range.
    pub to: Position,
    /// Why they are gone.
    pub reason: GapReason,
    /// Whether some events of the range may be left; these follow.
    pub partial: bool,
    /// What the quota took of the run, where it took these.
    pub trimmed: Option<TrimmedOutput>,
}

/// What the output quota took of a run in all, which may be more than lies in one gap: what is no output stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrimmedOutput {
    /// Events.
    pub events: i64,
    /// Line ends; `None` where an older build took some, which did not count them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<i64>,
    /// Bytes of output.
    pub bytes: i64,
}

/// Characters of a database's instance, each of `[a-z0-9]`.
pub const INSTANCE_LEN: usize = 12;

/// The highest ids that a database is known to have given out; it may have given out higher ones since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HighWater {
    /// The database's instance.
    pub instance: String,
    /// The highest id of a run.
    pub run: RunId,
    /// The highest id of an event.
    pub event: EventId,
}

impl HighWater {
    /// Whether this describes an older state of the same database than `had`.
    pub fn is_behind(&self, had: &HighWater) -> bool {
        self.instance == had.instance && (self.run < had.run || self.event < had.event)
    }

    /// Parses the text of its `Display`.
    pub fn parse(text: &str) -> Option<HighWater> {
        let rest = text.strip_prefix("instance ")?;
        let (instance, rest) = rest.split_once(", run ")?;
        let (run, event) = rest.split_once(", event ")?;
        let number = |digits: &str| digits.parse::<i64>().ok().filter(|number| *number >= 0);
        let known = instance.len() == INSTANCE_LEN;
        let (run, event) = (RunId(number(run)?), EventId(number(event)?));
        known.then_some(HighWater { instance: instance.to_owned(), run, event })
    }
}

impl fmt::Display for HighWater {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "instance {}, run {}, event {}", self.instance, self.run, self.event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::RunId;

    /// The piece of output that [`Event::encode`] made into this text, if it is one.
    fn decode_output(text: &[u8]) -> Option<(Stream, Vec<u8>)> {
        #[derive(Deserialize)]
        struct Output {
            data: Piece,
        }
        #[derive(Deserialize)]
        struct Piece {
            stream: Stream,
            text: Option<String>,
            base64: Option<String>,
        }
        let Output { data: Piece { stream, text, base64 } } = serde_json::from_slice(text).ok()?;
        let bytes = match text {
            Some(text) => text.into_bytes(),
            None => STANDARD.decode(base64?).ok()?,
        };
        Some((stream, bytes))
    }

    #[test]
    fn bytes_that_are_not_utf8_travel_as_base64() {
        let event = |bytes: &[u8]| Event {
            id: EventId(1),
            run: RunId(2),
            seq: Seq(3),
            at: UnixMs(0),
            kind: Kind::Output,
            data: Data::Output(Stream::Stderr, bytes.to_vec()),
        };
        for bytes in [&b"a\"\n"[..], b"\xff\xfe", "\0\u{7f}\u{e9}\u{1f600}".as_bytes(), b""] {
            assert_eq!(decode_output(event(bytes).encode().as_bytes()), Some((Stream::Stderr, bytes.to_vec())));
        }
        // A piece of an older build, which fits as base64 alone.
        let long = event(&[0; OUTPUT_BYTES_MAX]).encode();
        assert!(long.len() <= OBJECT_BYTES_MAX && long.contains("base64"), "{}", long.len());
        assert_eq!(decode_output(long.as_bytes()), Some((Stream::Stderr, vec![0; OUTPUT_BYTES_MAX])));
        let message = Event { kind: Kind::Message, data: Data::Json("{}".into()), ..event(b"") };
        assert_eq!(decode_output(message.encode().as_bytes()), None);
        assert!(event(b"a\"\n").encode().ends_with(r#""data":{"stream":"stderr","text":"a\"\n"}}"#));
        assert!(event(b"\xff\xfe").encode().ends_with(r#""data":{"stream":"stderr","base64":"//4="}}"#));
    }
}
