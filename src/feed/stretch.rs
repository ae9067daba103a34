//! Events that follow one another, laid down once in the form that their readers get, and shared by all of them.
//!
//! What a transport writes around an event is its own affair: it brings a [`Framing`], and all readers who have the same
//! get the same bytes.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::budget::Share;
use crate::event::{Data, Event, Finished, Kind, Stream};
use crate::numbers::{EventId, Position, RunId, Seq};
use crate::run::Outcome;
use crate::scope::Scope;

/// One object of a stream, for whoever frames it.
pub struct Shown<'a> {
    /// Its type.
    pub name: &'static str,
    /// Where its reader stands behind it; a heartbeat says nothing of that.
    pub cursor: Option<Position>,
    /// All of it as JSON, on one line.
    pub text: &'a str,
    /// The database that the cursor is of.
    pub instance: &'a str,
}

/// What a transport writes around an object.
#[derive(Clone, Copy)]
pub struct Framing {
    /// By which framings are told apart.
    pub name: &'static str,
    /// Appends an object with what stands around it.
    pub lay: fn(&Shown<'_>, &mut Vec<u8>),
}

impl PartialEq for Framing {
    fn eq(&self, other: &Framing) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// What readers get of an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// All of it, as one JSON object in a framing.
    Framed(Framing),
    /// Of output the bytes that the command wrote, of other events nothing but that they happened: the raw log.
    Bytes,
}

/// Where an event of a stretch ends, and what is known of it besides its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// Its number among all runs' events.
    pub id: EventId,
    /// Whose it is.
    pub run: RunId,
    /// Its number in its run.
    pub seq: Seq,
    /// Which of the command's two outputs it is from, where it is output.
    pub stream: Option<Stream>,
    /// Where its bytes end.
    end: usize,
}

/// Events in one form, shared by all readers who are shown them so.
#[derive(Debug)]
pub struct Stretch {
    bytes: Bytes,
    marks: Vec<Mark>,
    /// How the run of its last event ended, where that is a run's last.
    ended: Option<Outcome>,
}

impl Stretch {
    /// Its events, in order.
    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// What it takes in memory, in bytes.
    pub fn held_bytes(&self) -> usize {
        held_bytes(self.bytes.len(), self.marks.len())
    }
}

/// What a stretch takes besides its bytes and its marks: itself, its counters, and its places in the lists that hand it
/// on.
const OVERHEAD_BYTES: usize = 192;

/// What most framings write around an object.
const FRAME_BYTES: usize = 16;

fn held_bytes(bytes: usize, marks: usize) -> usize {
    bytes + marks * size_of::<Mark>() + OVERHEAD_BYTES
}

/// Bytes that count as long as anybody has some of them, however many do.
struct Counted {
    bytes: Vec<u8>,
    _share: Share,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Some of a stretch's events that follow one another; never none.
#[derive(Clone, Debug)]
pub struct Part {
    stretch: Arc<Stretch>,
    from: usize,
    to: usize,
}

impl Part {
    /// Those from one mark up to before another.
    pub(super) fn new(stretch: Arc<Stretch>, from: usize, to: usize) -> Part {
        debug_assert!(from < to && to <= stretch.marks.len());
        Part { stretch, from, to }
    }

    /// All of a stretch; `None` where that is nothing.
    pub(super) fn all(stretch: Stretch) -> Option<Part> {
        let to = stretch.marks.len();
        (to > 0).then(|| Part::new(Arc::new(stretch), 0, to))
    }

    /// Its events, in order.
    pub fn marks(&self) -> &[Mark] {
        &self.stretch.marks[self.from..self.to]
    }

    /// The bytes of all of its events, one after the other: not copied.
    pub fn bytes(&self) -> Bytes {
        self.stretch.bytes.slice(self.begin(self.from)..self.begin(self.to))
    }

    /// Each of its events with its own bytes.
    pub fn pieces(&self) -> impl Iterator<Item = (Mark, Bytes)> + '_ {
        (self.from..self.to).map(|at| {
            let bytes = self.stretch.bytes.slice(self.begin(at)..self.begin(at + 1));
            (self.stretch.marks[at], bytes)
        })
    }

    /// How the run of its last event ended, where that is a run's last.
    pub(super) fn ended(&self) -> Option<&Outcome> {
        self.stretch.ended.as_ref().filter(|_| self.to == self.stretch.marks.len())
    }

    /// Those of its events that are kept, in as few parts as that takes.
    pub(super) fn kept(&self, mut keeps: impl FnMut(&Mark) -> bool, parts: &mut Vec<Part>) {
        let mut from = None;
        for at in self.from..self.to {
            if keeps(&self.stretch.marks[at]) {
                from.get_or_insert(at);
            } else if let Some(from) = from.take() {
                parts.push(Part::new(self.stretch.clone(), from, at));
            }
        }
        parts.extend(from.map(|from| Part::new(self.stretch.clone(), from, self.to)));
    }

    fn begin(&self, at: usize) -> usize {
        at.checked_sub(1).map_or(0, |before| self.stretch.marks[before].end)
    }
}

/// Lays events down, one after the other.
pub(super) struct Laying<'a> {
    form: Form,
    scope: &'a Scope,
    instance: &'a str,
    bytes: Vec<u8>,
    marks: Vec<Mark>,
    ended: Option<Outcome>,
    /// The text of the event that is being laid down.
    text: String,
}

impl<'a> Laying<'a> {
    /// In a form, with the cursors of a scope of this database.
    pub fn new(form: Form, scope: &'a Scope, instance: &'a str) -> Laying<'a> {
        let (bytes, marks, text) = (Vec::new(), Vec::new(), String::new());
        Laying { form, scope, instance, bytes, marks, ended: None, text }
    }

    /// With room for these events.
    pub fn with_room<'e>(self, events: impl Iterator<Item = &'e Event>) -> Laying<'a> {
        let room_of = |event: &Event| if self.form == Form::Bytes { 0 } else { event.encoded_room() + FRAME_BYTES };
        let (count, room) = events.fold((0, 0), |(count, room), event| (count + 1, room + room_of(event)));
        Laying { marks: Vec::with_capacity(count), bytes: Vec::with_capacity(room), ..self }
    }

    /// Appends an event.
    pub fn event(&mut self, event: Event) {
        match (self.form, event.data) {
            (Form::Framed(_), data) => {
                let event = Event { data, ..event };
                let mut text = std::mem::take(&mut self.text);
                text.clear();
                event.encode_into(&mut text);
                self.encoded(&event, &text);
                self.text = text;
            }
            // One alone is not even copied.
            (Form::Bytes, Data::Output(stream, bytes)) => {
                if self.bytes.is_empty() {
                    self.bytes = bytes;
                } else {
                    self.bytes.extend_from_slice(&bytes);
                }
                self.mark(event.id, event.run, event.seq, Some(stream));
            }
            (Form::Bytes, data) => self.other(&Event { data, ..event }),
        }
    }

    /// Appends an event whose text is there already.
    pub fn encoded(&mut self, event: &Event, text: &str) {
        if let Form::Framed(framing) = self.form {
            let cursor = Some(self.scope.position(event.id, event.seq));
            (framing.lay)(&Shown { name: "event", cursor, text, instance: self.instance }, &mut self.bytes);
        }
        self.other(event);
    }

    /// The same event in bytes, whoever else needs it.
    pub fn copied(&mut self, event: &Event) {
        match &event.data {
            Data::Output(_, bytes) => {
                self.bytes.extend_from_slice(bytes);
                self.other(event);
            }
            Data::Json(_) => self.other(event),
        }
    }

    fn other(&mut self, event: &Event) {
        let stream = match &event.data {
            Data::Output(stream, _) => Some(*stream),
            Data::Json(text) => {
                let ended = (event.kind == Kind::Finished).then(|| serde_json::from_str(text).ok()).flatten();
                self.ended = ended.map(|Finished { outcome, .. }| outcome);
                None
            }
        };
        self.mark(event.id, event.run, event.seq, stream);
    }

    fn mark(&mut self, id: EventId, run: RunId, seq: Seq, stream: Option<Stream>) {
        self.marks.push(Mark { id, run, seq, stream, end: self.bytes.len() });
    }

    /// What this takes in memory so far, in bytes.
    pub fn held_bytes(&self) -> usize {
        held_bytes(self.bytes.len(), self.marks.len())
    }

    /// What was laid down, from now on shared. Somebody else counts it.
    pub fn finish(self) -> Stretch {
        Stretch { bytes: self.bytes.into(), marks: self.marks, ended: self.ended }
    }

    /// The same; it counts until nobody has any of its bytes.
    pub fn counted(self, share: Share) -> Stretch {
        let bytes = Bytes::from_owner(Counted { bytes: self.bytes, _share: share });
        Stretch { bytes, marks: self.marks, ended: self.ended }
    }
}
