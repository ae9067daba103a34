//! What happened to a run: numbered, immutable, and with one textual form that every reader gets.

use std::fmt::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::clock::UnixMs;
use crate::numbers::{EventId, Position, RunId, Seq};
use crate::run::Outcome;
use crate::text::{fits_json, json_string, push_json};
use crate::words::words;

/// The largest `output` event, in bytes of the command's output.
pub const OUTPUT_BYTES_MAX: usize = 16 * 1024;
/// The largest object of a stream, in bytes as it is sent. Readers that take lines or frames up to 64 KiB are common:
/// websocat 1.13's buffer, bufio.MaxScanTokenSize of Go.
pub const OBJECT_BYTES_MAX: usize = 60 * 1024;
/// What of that the text of an `output` event may take; the rest is for the fields around it.
pub const OUTPUT_JSON_BYTES_MAX: usize = OBJECT_BYTES_MAX - 256;
/// The largest `data` of an event that a client appends, in bytes of JSON.
pub const DATA_BYTES_MAX: usize = 16 * 1024;
/// The most events that one request appends.
pub const APPEND_MAX: usize = 1_000;

words! {
    /// What an event tells.
    Kind {
        /// The run waits; its `data` names the attempt to come.
        Queued = "queued",
        /// An attempt was claimed and is being started.
        Started = "started",
        /// A piece of what the command printed.
        Output = "output",
        /// How far it is, in its own words.
        Progress = "progress",
        /// Something it has to say.
        Message = "message",
        /// Somebody asked for its end.
        CancelRequested = "cancel_requested",
        /// Somebody changed it.
        Changed = "changed",
        /// An attempt ended and another follows.
        AttemptEnded = "attempt_ended",
        /// The last event of a run.
        Finished = "finished",
    }
}

words! {
    /// Which of a command's two outputs a piece comes from.
    Stream {
        /// Standard output.
        Stdout = "stdout",
        /// Standard error.
        Stderr = "stderr",
    }
}

/// What an event carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// A JSON object, as text.
    Json(String),
    /// A piece of output, byte for byte.
    Output(Stream, Vec<u8>),
}

impl Data {
    /// About how much memory and JSON it takes, for the limits in bytes.
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
    /// Whose it is.
    pub run: RunId,
    /// Its number in its run.
    pub seq: Seq,
    /// When it happened.
    pub at: UnixMs,
    /// What it tells.
    pub kind: Kind,
    /// What it carries.
    pub data: Data,
}

impl Event {
    /// The event as every reader gets it: one JSON object on one line.
    pub fn encode(&self) -> String {
        let mut out = String::with_capacity(128 + self.data.len());
        let _ = write!(
            out,
            r#"{{"type":"event","id":{},"run":{},"seq":{},"at":"{}","kind":"{}","data":"#,
            self.id, self.run, self.seq, self.at, self.kind
        );
        match &self.data {
            Data::Json(text) => push_json(text, &mut out),
            Data::Output(stream, bytes) => {
                let _ = write!(out, r#"{{"stream":"{stream}","#);
                match std::str::from_utf8(bytes) {
                    // Older builds stored longer ones; as base64 they are the same bytes, and short enough.
                    Ok(text) if fits_json(bytes, OUTPUT_JSON_BYTES_MAX) == bytes.len() => {
                        out.push_str("\"text\":");
                        out.push_str(&json_string(text));
                    }
                    _ => {
                        out.push_str("\"base64\":\"");
                        STANDARD.encode_string(bytes, &mut out);
                        out.push('"');
                    }
                }
                out.push('}');
            }
        }
        out.push('}');
        out
    }
}

/// The `data` of a `finished` event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Finished {
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// From the start of the last attempt to its end; null when there was none.
    pub duration_ms: Option<i64>,
    /// The run's name.
    pub name: Option<String>,
    /// The run's queue.
    pub queue: String,
    /// The run's tags.
    pub tags: Vec<String>,
}

words! {
    /// Why events are gone.
    GapReason {
        /// Retention, or somebody, removed them.
        Pruned = "pruned",
        /// The run printed more than is kept of one.
        Quota = "quota",
    }
}

/// Events that are gone, ends included: by `seq` for a run, by `id` for all runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first.
    pub from: Position,
    /// The last.
    pub to: Position,
    /// Why.
    pub reason: GapReason,
    /// Some of the range may be left, and follows.
    pub partial: bool,
}

/// Characters in the name of a database's instance, each of `[a-z0-9]`.
pub const INSTANCE_LEN: usize = 12;

/// How far a database has come: a lower bound of the ids that it has given out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HighWater {
    /// Which database.
    pub instance: String,
    /// The newest run.
    pub run: RunId,
    /// The newest event.
    pub event: EventId,
}

impl HighWater {
    /// Whether this is an older state of the same database.
    pub fn is_behind(&self, had: &HighWater) -> bool {
        self.instance == had.instance && (self.run < had.run || self.event < had.event)
    }

    /// Reads what its `Display` wrote.
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
