//! A reader over WebSocket that insists on the contract while it reads: `hello` first, then every `seq` once and in
//! order or told as a gap, `caught_up` once, `end` last and nothing behind it.

use std::fmt::Display;
use std::io;
use std::time::{Duration, Instant};

use async_tungstenite::tungstenite::protocol::Role;
use async_tungstenite::tungstenite::{Error, Message, WebSocket};
use serde_json::Value;

use super::runs::output_bytes;
use super::{Client, DEADLINE, Response, Socket};

/// The longest piece of output that is one event.
const OUTPUT_BYTES_MAX: usize = 16 * 1024;

/// What one or several connections have told of a run, in one piece.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    /// Whose it is.
    pub run: i64,
    /// The last `seq` that was seen or told as gone.
    pub cursor: i64,
    /// The bytes that the command wrote to its standard output.
    pub stdout: Vec<u8>,
    /// … and to its standard error.
    pub stderr: Vec<u8>,
    /// `(seq, id, kind)` of each event.
    pub events: Vec<(i64, i64, String)>,
    /// What was told as gone, from and to.
    pub gaps: Vec<(i64, i64)>,
    /// How many connections there were.
    pub connections: usize,
}

impl Transcript {
    /// The transcript of a run of which nothing was seen.
    pub fn of(run: i64) -> Transcript {
        Transcript { run, ..Transcript::default() }
    }
}

/// What a reader is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// The next event.
    Event(Value),
    /// Events that are gone, from and to.
    Gap(i64, i64),
    /// The stored ones are out.
    CaughtUp(i64),
    /// Nothing else has happened.
    Heartbeat(Value),
    /// The run has ended.
    End(Value),
    /// The daemon closed with this code.
    Closed(u16),
    /// The connection broke without a close.
    Lost,
}

/// How a stream is asked for.
pub struct Opening<'a> {
    client: &'a Client,
    path: String,
    headers: Vec<(String, String)>,
}

impl<'a> Opening<'a> {
    /// A path, with its query.
    pub fn new(client: &'a Client, path: String) -> Opening<'a> {
        let headers = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Opening { client, path, headers }
    }

    /// Adds a header or replaces the one of that name.
    pub fn header(mut self, name: &str, value: &str) -> Opening<'a> {
        self = self.without(name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Leaves a header out.
    pub fn without(mut self, name: &str) -> Opening<'a> {
        self.headers.retain(|(have, _)| !have.eq_ignore_ascii_case(name));
        self
    }

    /// Asks: the answer's head (with its body, where it is no upgrade), what was read behind it, the connection.
    pub fn ask(self) -> io::Result<(Response, Vec<u8>, Socket)> {
        let call = self.client.call("GET", &self.path);
        self.headers.iter().fold(call, |call, (name, value)| call.header(name, value)).open()
    }

    /// Asks, where an upgrade must not be the answer.
    #[track_caller]
    pub fn refused(self) -> Response {
        let (response, _, _) = self.ask().unwrap();
        assert_ne!(response.status, 101, "upgraded");
        response
    }
}

/// One open stream of a run's events.
pub struct Reader {
    socket: WebSocket<Socket>,
    /// What was told so far, over this connection and those before it.
    pub told: Transcript,
    /// The answer to the upgrade.
    pub response: Response,
    /// The first object.
    pub hello: Value,
    caught_up: bool,
    end: Option<Value>,
    closed: bool,
    /// Pings that came.
    pub pings: usize,
    /// Answers to the pings that were sent.
    pub pongs: Vec<Vec<u8>>,
}

impl Reader {
    /// Follows a run from a cursor on.
    #[track_caller]
    pub fn open(client: &Client, run: i64, after: impl Display) -> Reader {
        Reader::try_open(client, Transcript::of(run), &after.to_string())
            .unwrap_or_else(|error| panic!("run {run} after {after}: {error}"))
    }

    /// Follows a run where a transcript ends.
    #[track_caller]
    pub fn resume(client: &Client, told: Transcript) -> Reader {
        let cursor = told.cursor.to_string();
        Reader::try_open(client, told, &cursor).unwrap_or_else(|error| panic!("resume after {cursor}: {error}"))
    }

    /// Follows a run; an error where the daemon is not there or breaks off before its `hello`.
    #[track_caller]
    pub fn try_open(client: &Client, mut told: Transcript, after: &str) -> io::Result<Reader> {
        let path = format!("/v1/runs/{}/events?after={after}", told.run);
        let (response, read, socket) = Opening::new(client, path).ask()?;
        let response = response.expect(101);
        told.connections += 1;
        let socket = WebSocket::from_partially_read(socket, read, Role::Client, None);
        let mut reader = Reader {
            socket,
            told,
            response,
            hello: Value::Null,
            caught_up: false,
            end: None,
            closed: false,
            pings: 0,
            pongs: Vec::new(),
        };
        match reader.object(DEADLINE) {
            Said::Object(hello) => reader.take_hello(hello),
            Said::Nothing => return Err(io::ErrorKind::TimedOut.into()),
            Said::Closed(_) | Said::Lost => return Err(io::ErrorKind::ConnectionReset.into()),
        }
        Ok(reader)
    }

    /// The next frame; fails when none comes in time.
    #[track_caller]
    pub fn next(&mut self) -> Frame {
        let cursor = self.told.cursor;
        self.next_within(DEADLINE).unwrap_or_else(|| panic!("nothing came after seq {cursor} within {DEADLINE:?}"))
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
        Some(match object["type"].as_str() {
            Some("event") => self.take_event(object),
            Some("gap") => self.take_gap(&object),
            Some("caught_up") => {
                assert!(!std::mem::replace(&mut self.caught_up, true), "caught up twice: {object}");
                assert_eq!(object["seq"], self.told.cursor, "{object}");
                Frame::CaughtUp(self.told.cursor)
            }
            Some("heartbeat") => {
                assert_eq!(object["last_seq"], self.told.cursor, "{object}");
                Frame::Heartbeat(object)
            }
            Some("end") => {
                assert!(self.caught_up, "an end before caught_up: {object}");
                assert_eq!((&object["run"], &object["last_seq"]), (&self.told.run.into(), &self.told.cursor.into()));
                self.end = Some(object.clone());
                Frame::End(object)
            }
            _ => panic!("of no known type: {object}"),
        })
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

    /// Sends a message to the daemon.
    pub fn say(&mut self, message: Message) {
        self.socket.send(message).unwrap();
    }

    fn take_hello(&mut self, hello: Value) {
        assert_eq!((&hello["type"], &hello["run"]), (&"hello".into(), &self.told.run.into()), "{hello}");
        let after = hello["after"].as_i64().unwrap();
        if self.told.cursor == 0 {
            self.told.cursor = after;
        }
        assert_eq!(after, self.told.cursor, "{hello}");
        self.hello = hello;
    }

    fn take_event(&mut self, event: Value) -> Frame {
        let told = &mut self.told;
        let (seq, id) = (event["seq"].as_i64().unwrap(), event["id"].as_i64().unwrap());
        assert_eq!(seq, told.cursor + 1, "the next one is due, it was {event}");
        assert_eq!(event["run"], told.run, "{event}");
        assert!(told.events.last().is_none_or(|(_, last, _)| id > *last), "ids rise: {event}");
        assert!(told.events.last().is_none_or(|(_, _, kind)| kind != "finished"), "after the last one: {event}");
        told.cursor = seq;
        let kind = event["kind"].as_str().unwrap();
        told.events.push((seq, id, kind.to_owned()));
        if kind == "output" {
            let stream = match event["data"]["stream"].as_str() {
                Some("stdout") => &mut told.stdout,
                Some("stderr") => &mut told.stderr,
                _ => panic!("output of no stream: {event}"),
            };
            let bytes = output_bytes(&event["data"]);
            assert!((1..=OUTPUT_BYTES_MAX).contains(&bytes.len()), "{} bytes in {event}", bytes.len());
            stream.extend(bytes);
        }
        Frame::Event(event)
    }

    fn take_gap(&mut self, gap: &Value) -> Frame {
        let (from, to) = (gap["from"].as_i64().unwrap(), gap["to"].as_i64().unwrap());
        assert!(from == self.told.cursor + 1 && to >= from, "{gap} after {}", self.told.cursor);
        assert!(gap["reason"] == "pruned" || gap["reason"] == "quota", "{gap}");
        self.told.cursor = to;
        self.told.gaps.push((from, to));
        Frame::Gap(from, to)
    }

    /// The next text, as JSON; what WebSocket itself says is answered and passed over.
    fn object(&mut self, limit: Duration) -> Said {
        let until = Instant::now() + limit;
        let mut code = None;
        loop {
            self.socket.get_ref().read_within(until.saturating_duration_since(Instant::now()));
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    return Said::Object(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")));
                }
                Ok(Message::Close(frame)) => code = Some(frame.map_or(1005, |frame| u16::from(frame.code))),
                Ok(Message::Ping(_)) => self.pings += 1,
                Ok(Message::Pong(payload)) => self.pongs.push(payload.to_vec()),
                Ok(other) => panic!("not a text: {other:?}"),
                Err(Error::Io(error)) if Socket::is_timeout(&error) && code.is_none() => {
                    if Instant::now() >= until {
                        return Said::Nothing;
                    }
                }
                Err(Error::Capacity(error)) => panic!("{error}"),
                Err(_) => return code.map_or(Said::Lost, Said::Closed),
            }
        }
    }
}

enum Said {
    Object(Value),
    Nothing,
    Closed(u16),
    Lost,
}
