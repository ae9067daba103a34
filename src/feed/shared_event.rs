//! An event in the form that its readers get, made once and shared by all of them.

use bytes::Bytes;

use crate::event::{Data, Event, Finished, Kind, Stream};
use crate::numbers::{EventId, RunId, Seq};
use crate::run::Outcome;

/// What readers get of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// All of it, as one JSON object.
    Json,
    /// Of output the bytes that the command wrote, of other events nothing but that they happened: the raw log.
    Bytes,
}

/// An event in one of the forms, shared by all readers who get it so.
#[derive(Debug)]
pub struct SharedEvent {
    /// Its number among all runs' events.
    pub id: EventId,
    /// Whose it is.
    pub run: RunId,
    /// Its number in its run.
    pub seq: Seq,
    /// Which of the command's two outputs it is from, where it is output.
    pub stream: Option<Stream>,
    /// What the form says: one JSON object without a newline, or bytes of output.
    pub body: Bytes,
    /// How the run ended, where this is its last event.
    pub ended: Option<Outcome>,
}

impl SharedEvent {
    /// What this takes besides its body, in bytes: itself, its counters, and its place in the lists that hand it on.
    const OVERHEAD_BYTES: usize = 256;

    /// An event in a form.
    pub fn new(event: Event, form: Form) -> SharedEvent {
        match form {
            Form::Json => SharedEvent::json(&event),
            Form::Bytes => SharedEvent::bytes(event),
        }
    }

    /// An event as one JSON object.
    pub fn json(event: &Event) -> SharedEvent {
        SharedEvent { body: event.encode().into(), ..SharedEvent::without_body(event) }
    }

    /// What the command wrote, where the event is output.
    pub fn bytes(event: Event) -> SharedEvent {
        let bare = SharedEvent::without_body(&event);
        match event.data {
            Data::Output(_, bytes) => SharedEvent { body: bytes.into(), ..bare },
            Data::Json(_) => bare,
        }
    }

    fn without_body(event: &Event) -> SharedEvent {
        let Event { id, run, seq, .. } = *event;
        let (stream, ended) = match (&event.data, event.kind) {
            (Data::Output(stream, _), _) => (Some(*stream), None),
            (Data::Json(text), Kind::Finished) => (None, serde_json::from_str(text).ok()),
            (Data::Json(_), _) => (None, None),
        };
        let ended = ended.map(|Finished { outcome, .. }| outcome);
        SharedEvent { id, run, seq, stream, body: Bytes::new(), ended }
    }

    /// What it takes in memory, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.body.len() + SharedEvent::OVERHEAD_BYTES
    }
}
