//! A reader of all runs over WebSocket that insists on the contract while it reads: `hello` first, ids that rise, gaps
//! that begin where it stands, and never an `end`.

use std::io;
use std::time::Instant;

use async_tungstenite::tungstenite::protocol::Role;
use async_tungstenite::tungstenite::{Error, Message, WebSocket};
use serde_json::Value;

use super::{Client, DEADLINE, Opening, Socket};

/// What a reader of all runs is told.
#[derive(Clone, Debug, PartialEq)]
pub enum AllFrame {
    /// The next event.
    Event(Value),
    /// Some of these are gone.
    Gap(i64, i64),
    /// Nothing that was asked for lies before this.
    Cursor(i64),
    /// The stored ones are out.
    CaughtUp(i64),
    /// Nothing else has happened.
    Heartbeat(i64),
    /// The daemon closed with this code; `None`: without one.
    Closed(Option<u16>),
}

/// One open stream of all runs' events.
pub struct AllReader {
    socket: WebSocket<Socket>,
    /// The first object.
    pub hello: Value,
    /// The last id that was told, or passed by.
    pub cursor: i64,
    caught_up: bool,
}

impl AllReader {
    /// Opens one with this query.
    #[track_caller]
    pub fn open(client: &Client, query: &str) -> AllReader {
        AllReader::try_open(client, query).unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// The same; an error where the daemon is not there or breaks off.
    #[track_caller]
    pub fn try_open(client: &Client, query: &str) -> io::Result<AllReader> {
        let (response, read, socket) = Opening::new(client, format!("/v1/events?{query}")).ask()?;
        response.expect(101);
        let socket = WebSocket::from_partially_read(socket, read, Role::Client, None);
        let mut reader = AllReader { socket, hello: Value::Null, cursor: 0, caught_up: false };
        let hello = reader.object().map_err(|_| io::Error::from(io::ErrorKind::ConnectionReset))?;
        let keys: Vec<&String> = hello.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["type", "instance", "after", "first_id", "last_id"], "{hello}");
        assert_eq!(hello["type"], "hello");
        reader.cursor = hello["after"].as_i64().unwrap();
        reader.hello = hello;
        Ok(reader)
    }

    /// The next frame.
    #[track_caller]
    pub fn next(&mut self) -> AllFrame {
        let object = match self.object() {
            Ok(object) => object,
            Err(code) => return AllFrame::Closed(code),
        };
        let number = |field: &str| object[field].as_i64().unwrap_or_else(|| panic!("no {field} in {object}"));
        match object["type"].as_str() {
            Some("event") => {
                assert!(number("id") > self.cursor, "ids rise, it was at {}: {object}", self.cursor);
                self.cursor = number("id");
                AllFrame::Event(object)
            }
            Some("gap") => {
                let (from, to) = (number("from"), number("to"));
                assert!(from == self.cursor + 1 && to >= from, "{object} at {}", self.cursor);
                assert_eq!((&object["reason"], &object["partial"]), (&"pruned".into(), &true.into()), "{object}");
                AllFrame::Gap(from, to)
            }
            Some("cursor") => {
                assert!(number("id") > self.cursor, "it moves on, it was at {}: {object}", self.cursor);
                self.cursor = number("id");
                AllFrame::Cursor(self.cursor)
            }
            Some("caught_up") => {
                assert!(!std::mem::replace(&mut self.caught_up, true), "caught up twice: {object}");
                assert!(number("id") >= self.cursor, "{object}");
                self.cursor = number("id");
                AllFrame::CaughtUp(self.cursor)
            }
            Some("heartbeat") => AllFrame::Heartbeat(number("last_id")),
            _ => panic!("of no known type: {object}"),
        }
    }

    /// Reads on until all that was stored is out; answers the events before that.
    #[track_caller]
    pub fn until_caught_up(&mut self) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            match self.next() {
                AllFrame::Event(event) => events.push(event),
                AllFrame::CaughtUp(_) => return events,
                AllFrame::Closed(code) => panic!("closed with {code:?} before it had caught up"),
                _ => {}
            }
        }
    }

    /// Reads on until so many runs have ended; answers the events up to there.
    #[track_caller]
    pub fn until_finished(&mut self, mut count: usize) -> Vec<Value> {
        let mut events = Vec::new();
        while count > 0 {
            match self.next() {
                AllFrame::Event(event) => {
                    count -= usize::from(event["kind"] == "finished");
                    events.push(event);
                }
                AllFrame::Closed(code) => panic!("closed with {code:?}, {count} have not ended"),
                _ => {}
            }
        }
        events
    }

    /// The next text, as JSON; the code where it is closed, `None` where it breaks.
    #[track_caller]
    fn object(&mut self) -> Result<Value, Option<u16>> {
        let until = Instant::now() + DEADLINE;
        let mut code = None;
        loop {
            self.socket.get_ref().read_within(until.saturating_duration_since(Instant::now()));
            match self.socket.read() {
                Ok(Message::Text(text)) => return Ok(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(frame)) => code = Some(frame.map_or(1005, |frame| u16::from(frame.code))),
                Ok(_) => {}
                Err(Error::Io(error)) if Socket::is_timeout(&error) && code.is_none() => {
                    assert!(Instant::now() < until, "nothing came after id {} within {DEADLINE:?}", self.cursor);
                }
                Err(_) => return Err(code),
            }
        }
    }
}

impl Client {
    /// Every event that a query shows, by as many pages as it takes.
    #[track_caller]
    pub fn all_events(&self, query: &str, mut after: i64) -> Vec<Value> {
        let mut events: Vec<Value> = Vec::new();
        loop {
            let page = self.get(&format!("/v1/events?{query}&after={after}")).expect(200).json();
            let more = page["events"].as_array().unwrap();
            let Some(last) = more.last() else { return events };
            assert!(more.windows(2).all(|two| two[0]["id"].as_i64() < two[1]["id"].as_i64()), "ids rise: {page}");
            after = last["id"].as_i64().unwrap();
            events.extend(more.iter().cloned());
        }
    }
}
