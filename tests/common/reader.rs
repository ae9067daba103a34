//! A reader of one run or of all that insists on the contract while it reads, whatever carries it: `hello` first, then what
//! [`Transcript`] allows, `caught_up` once, the `end` of a run last and nothing behind it.

use std::fmt::Display;
use std::io;
use std::time::{Duration, Instant};

use async_tungstenite::tungstenite::Message;
use memchr::{memchr2_iter, memchr3_iter};
use serde_json::Value;

use super::body::{BodyWire, Framing};
use super::pages::PagesWire;
use super::transcript::{Frame, Scope, Transcript};
use super::ws::WebSocketWire;
use super::{Call, Client, DEADLINE, Response};

/// What carries the events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Via {
    /// Frames.
    #[default]
    WebSocket,
    /// Server-sent events.
    Sse,
    /// Lines.
    Ndjson,
    /// One page after another.
    Pages,
}

impl Via {
    /// The three that are pushed.
    pub const STREAMS: [Via; 3] = [Via::WebSocket, Via::Sse, Via::Ndjson];
    /// All four.
    pub const ALL: [Via; 4] = [Via::WebSocket, Via::Sse, Via::Ndjson, Via::Pages];

    /// How a stream of this kind is closed that has no `end` yet: WebSocket says why, the others just end, or break.
    pub fn closed(self, code: u16) -> Option<u16> {
        match (self, code) {
            (Via::WebSocket, code) => Some(code),
            // What is cut off has no last chunk.
            (_, 4401 | 1011) => None,
            _ => Some(1001),
        }
    }
}

/// The longest object of a stream, in bytes.
const OBJECT_BYTES_MAX: usize = 60 * 1024;

/// An object of a stream, which is a line to everybody, and not too long for anybody.
#[track_caller]
pub(super) fn wire_object(text: &str) -> Value {
    assert!(text.len() <= OBJECT_BYTES_MAX && !text.contains('\n'), "{} bytes: {text:.200}", text.len());
    wire_json(text)
}

/// JSON as the daemon sends it: nothing in it ends a line by Unicode's rules, or is a control character, but for the
/// newlines of the reference.
#[track_caller]
pub fn wire_json(text: &str) -> Value {
    let is_raw = |char: &char| *char != '\n' && char.is_control() || matches!(char, '\u{2028}' | '\u{2029}');
    // Most of a test that reads megabytes would be this look. Bytes that may begin such a character are found many at a
    // time; of those below a blank the parser refuses all but what JSON itself may have between its words.
    let bytes = text.as_bytes();
    let spaces = memchr3_iter(b'\t', b'\r', 0x7f, bytes);
    let raw = spaces.chain(memchr2_iter(0xc2, 0xe2, bytes)).filter_map(|at| text[at..].chars().next()).find(is_raw);
    assert_eq!(raw, None, "{text:.500}");
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// One open stream of events.
pub struct Reader {
    wire: Wire,
    /// What was told so far, over this connection and those before it.
    pub told: Transcript,
    /// The answer to the upgrade.
    pub response: Response,
    /// The first object.
    pub hello: Value,
    caught_up: bool,
    end: Option<Value>,
    closed: bool,
}

impl Reader {
    /// Follows a run from a cursor on, over WebSocket.
    #[track_caller]
    pub fn open(client: &Client, run: i64, after: impl Display) -> Reader {
        Reader::open_by(Via::WebSocket, client, run, after)
    }

    /// Follows a run from a cursor on.
    #[track_caller]
    pub fn open_by(via: Via, client: &Client, run: i64, after: impl Display) -> Reader {
        Reader::try_open(client, Transcript::of(run).by(via), &after.to_string())
            .unwrap_or_else(|error| panic!("run {run} after {after} by {via:?}: {error}"))
    }

    /// Follows all runs that pass a query, from a cursor on; where it is empty, from where the daemon begins by itself.
    #[track_caller]
    pub fn open_all(via: Via, client: &Client, query: &str, after: impl Display) -> Reader {
        Reader::try_open(client, Transcript::of_all(query).by(via), &after.to_string())
            .unwrap_or_else(|error| panic!("{query} after {after} by {via:?}: {error}"))
    }

    /// Goes on where a transcript ends, by the way that it says.
    #[track_caller]
    pub fn resume(client: &Client, told: Transcript) -> Reader {
        let cursor = match told.via {
            // As its last event's id says.
            Via::Sse if !told.instance.is_empty() => told.place(),
            _ => told.cursor.to_string(),
        };
        Reader::try_open(client, told, &cursor).unwrap_or_else(|error| panic!("resume after {cursor}: {error}"))
    }

    /// Goes on with a transcript; an error where the daemon is not there or breaks off before its `hello`.
    #[track_caller]
    pub fn try_open(client: &Client, told: Transcript, after: &str) -> io::Result<Reader> {
        let path = told.scope.path(after);
        let (response, wire) = match (told.via, &told.scope) {
            (Via::WebSocket, _) => {
                let (response, wire) = WebSocketWire::open(client, path)?;
                (response, Wire::WebSocket(Box::new(wire)))
            }
            (Via::Sse, scope) => {
                let call = match after.contains('-') && !after.starts_with('-') {
                    // As a browser comes back: to the same address, which says something else.
                    true => client.call("GET", &scope.path("0")).header("Last-Event-ID", after),
                    false => client.call("GET", &path),
                };
                let (response, wire) = BodyWire::open(call, Framing::Sse)?;
                (response, Wire::Body(wire))
            }
            (Via::Ndjson, _) => {
                let (response, wire) =
                    BodyWire::open(client.call("GET", &format!("{path}&follow=true")), Framing::Ndjson)?;
                (response, Wire::Body(wire))
            }
            (Via::Pages, Scope::Run(run)) => {
                let (response, wire) = PagesWire::open(client, *run, after)?;
                (response, Wire::Pages(wire))
            }
            (Via::Pages, Scope::All(_)) => panic!("pages of all runs are read by `all_events`"),
        };
        Reader::on(wire, response, told)
    }

    /// Reads what a call answers with: a stream that it opens, or the whole of one.
    #[track_caller]
    pub fn of(call: Call, framing: Framing, told: Transcript) -> Reader {
        let (response, wire) = BodyWire::open(call, framing).unwrap();
        let via = if framing == Framing::Sse { Via::Sse } else { Via::Ndjson };
        Reader::on(Wire::Body(wire), response, told.by(via)).unwrap()
    }

    #[track_caller]
    fn on(wire: Wire, response: Response, mut told: Transcript) -> io::Result<Reader> {
        told.connections += 1;
        let mut reader =
            Reader { wire, told, response, hello: Value::Null, caught_up: false, end: None, closed: false };
        match reader.object(DEADLINE) {
            Said::Object(hello) => {
                reader.told.take_hello(&hello);
                reader.hello = hello;
            }
            Said::Nothing => return Err(io::ErrorKind::TimedOut.into()),
            Said::Closed(_) | Said::Lost => return Err(io::ErrorKind::ConnectionReset.into()),
        }
        reader.check_id("hello");
        Ok(reader)
    }

    /// The next frame; fails when none comes in time.
    #[track_caller]
    pub fn next(&mut self) -> Frame {
        let cursor = self.told.cursor;
        self.next_within(DEADLINE).unwrap_or_else(|| panic!("nothing came after {cursor} within {DEADLINE:?}"))
    }

    /// The next frame; `None` when none comes in time.
    #[track_caller]
    pub fn next_within(&mut self, limit: Duration) -> Option<Frame> {
        assert!(!self.closed, "it was closed before");
        let object = match self.object(limit) {
            Said::Object(object) => object,
            Said::Nothing => return None,
            Said::Lost => {
                self.closed = true;
                return Some(Frame::Lost);
            }
            Said::Closed(code) => {
                self.closed = true;
                assert_eq!(code == 1000, self.end.is_some(), "1000 and an end belong together, it was {code}");
                return Some(Frame::Closed(code));
            }
        };
        assert_eq!(self.end, None, "something came after the end: {object}");
        let name = object["type"].as_str().unwrap_or_default().to_owned();
        let frame = self.told.take(object);
        match &frame {
            Frame::CaughtUp(_) => assert!(!std::mem::replace(&mut self.caught_up, true), "caught up twice: {frame:?}"),
            Frame::End(end) => {
                assert!(self.caught_up, "an end before caught_up: {end}");
                self.end = Some(end.clone());
            }
            _ => {}
        }
        self.check_id(&name);
        Some(frame)
    }

    /// What an event of SSE says beside its object: its type, and where its reader stands behind it.
    #[track_caller]
    fn check_id(&self, name: &str) {
        if let Wire::Body(BodyWire { framing: Framing::Sse, event, id, .. }) = &self.wire {
            let place = self.told.place();
            assert_eq!((event.as_str(), id.as_deref()), (name, (name != "heartbeat").then_some(place.as_str())));
        }
    }

    /// Reads on until a frame is like this; answers it. Fails when the stream ends before.
    #[track_caller]
    pub fn until(&mut self, what: &str, mut found: impl FnMut(&Frame) -> bool) -> Frame {
        loop {
            let frame = self.next();
            if found(&frame) {
                return frame;
            }
            assert!(!matches!(frame, Frame::Closed(_) | Frame::Lost), "{frame:?} before {what}");
        }
    }

    /// Reads on until the stored events are out.
    #[track_caller]
    pub fn until_caught_up(&mut self) {
        self.until("caught_up", |frame| matches!(frame, Frame::CaughtUp(_)));
    }

    /// Reads on until a frame is like this; answers the events up to there.
    #[track_caller]
    pub fn events_until(&mut self, what: &str, mut found: impl FnMut(&Frame) -> bool) -> Vec<Value> {
        let mut events = Vec::new();
        self.until(what, |frame| {
            if let Frame::Event(event) = frame {
                events.push(event.clone());
            }
            found(frame)
        });
        events
    }

    /// Reads on until the stored events are out; answers them.
    #[track_caller]
    pub fn stored(&mut self) -> Vec<Value> {
        self.events_until("caught_up", |frame| matches!(frame, Frame::CaughtUp(_)))
    }

    /// Reads on until so many runs have ended; answers the events up to there.
    #[track_caller]
    pub fn until_finished(&mut self, mut count: usize) -> Vec<Value> {
        self.events_until(&format!("{count} runs have ended"), |frame| {
            count -= usize::from(matches!(frame, Frame::Event(event) if event["kind"] == "finished"));
            count == 0
        })
    }

    /// Reads on until an event of a kind; answers it.
    #[track_caller]
    pub fn until_kind(&mut self, kind: &str) -> Value {
        let is_it = |frame: &Frame| matches!(frame, Frame::Event(event) if event["kind"] == kind);
        match self.until(kind, is_it) {
            Frame::Event(event) => event,
            frame => unreachable!("{frame:?}"),
        }
    }

    /// Reads on until the command's standard output so far ends like this.
    #[track_caller]
    pub fn until_stdout(&mut self, end: &str) {
        let until = Instant::now() + DEADLINE;
        while !self.told.stdout.ends_with(end.as_bytes()) {
            let frame = self.next();
            assert!(!matches!(frame, Frame::Closed(_) | Frame::Lost), "{frame:?} before {end:?}");
            assert!(Instant::now() < until, "{end:?} was not printed");
        }
    }

    /// Reads to the end, and to the close of 1000 behind it; answers the `end`.
    #[track_caller]
    pub fn until_end(&mut self) -> Value {
        let code = self.until_closed();
        assert_eq!(code, Some(1000), "closed without an end");
        self.end.clone().unwrap()
    }

    /// Reads until it is closed; answers the code, `None` where the connection broke.
    #[track_caller]
    pub fn until_closed(&mut self) -> Option<u16> {
        loop {
            match self.next() {
                Frame::Closed(code) => return Some(code),
                Frame::Lost => return None,
                _ => {}
            }
        }
    }

    /// Drops the connection without a word; answers what was told so far.
    pub fn disconnect(self) -> Transcript {
        self.told
    }

    /// The last object, where it was told.
    pub fn end(&self) -> Option<&Value> {
        self.end.as_ref()
    }

    /// Sends a message to the daemon, over WebSocket.
    pub fn say(&mut self, message: Message) {
        self.websocket().say(message);
    }

    /// Pings that came.
    pub fn pings(&mut self) -> usize {
        self.websocket().pings
    }

    /// Answers to the pings that were sent.
    pub fn pongs(&mut self) -> &[Vec<u8>] {
        &self.websocket().pongs
    }

    fn websocket(&mut self) -> &mut WebSocketWire {
        match &mut self.wire {
            Wire::WebSocket(wire) => wire,
            _ => panic!("no WebSocket"),
        }
    }

    fn object(&mut self, limit: Duration) -> Said {
        match &mut self.wire {
            Wire::WebSocket(wire) => wire.object(limit),
            Wire::Body(wire) => wire.object(limit),
            Wire::Pages(wire) => wire.object(limit),
        }
    }
}

enum Wire {
    WebSocket(Box<WebSocketWire>),
    Body(BodyWire),
    Pages(PagesWire),
}

/// What a wire has to say.
pub(super) enum Said {
    /// The next object.
    Object(Value),
    /// Nothing in time.
    Nothing,
    /// It was closed, with this code.
    Closed(u16),
    /// It broke.
    Lost,
}

#[test]
fn what_json_must_not_hold_raw_is_found() {
    assert_eq!(wire_json("{\n\"a\": \"\\u2028 \u{2027} \u{a0}\"}")["a"], "\u{2028} \u{2027} \u{a0}");
    let raw =
        (0..0x20).chain(0x7f..0xa0).chain([0x2028, 0x2029]).filter_map(char::from_u32).filter(|char| *char != '\n');
    for char in raw {
        let text = format!("\"x{char}\"");
        assert!(std::panic::catch_unwind(|| wire_json(&text)).is_err(), "{char:?}");
    }
}
