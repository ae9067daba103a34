//! A reader of all runs that insists on the contract while it reads, whatever carries it: `hello` first, ids that rise,
//! gaps that begin where it stands, and never an `end`.

use std::io;

use serde_json::Value;

use super::body::{BodyWire, Framing};
use super::reader::{Said, Via};
use super::ws::WebSocketWire;
use super::{Client, DEADLINE};

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
    /// The daemon closed with this code; `None`: it broke. What has no codes is closed with 1001.
    Closed(Option<u16>),
}

enum Wire {
    WebSocket(Box<WebSocketWire>),
    Body(BodyWire),
}

/// One open stream of all runs' events.
pub struct AllReader {
    wire: Wire,
    /// The first object.
    pub hello: Value,
    /// The last id that was told, or passed by.
    pub cursor: i64,
    caught_up: bool,
}

impl AllReader {
    /// Opens one with this query, over WebSocket.
    #[track_caller]
    pub fn open(client: &Client, query: &str) -> AllReader {
        AllReader::open_by(Via::WebSocket, client, query)
    }

    /// Opens one with this query.
    #[track_caller]
    pub fn open_by(via: Via, client: &Client, query: &str) -> AllReader {
        AllReader::try_open(via, client, query).unwrap_or_else(|error| panic!("{query} by {via:?}: {error}"))
    }

    /// The same; an error where the daemon is not there or breaks off.
    #[track_caller]
    pub fn try_open(via: Via, client: &Client, query: &str) -> io::Result<AllReader> {
        let path = format!("/v1/events?{query}");
        let wire = match via {
            Via::WebSocket => Wire::WebSocket(Box::new(WebSocketWire::open(client, path)?.1)),
            Via::Sse => {
                // As a browser comes back: to the same address, with what it was told last beside it.
                let last =
                    query.split('&').find_map(|pair| pair.strip_prefix("after=")).filter(|after| after.contains('-'));
                let call = client.call("GET", &path);
                let call = last.map_or(client.call("GET", &path), |last| call.header("Last-Event-ID", last));
                Wire::Body(BodyWire::open(call, Framing::Sse)?.1)
            }
            Via::Ndjson => {
                let call = client.call("GET", &format!("{path}&follow=true"));
                Wire::Body(BodyWire::open(call, Framing::Ndjson)?.1)
            }
            Via::Pages => panic!("pages are read by `all_events`"),
        };
        let mut reader = AllReader { wire, hello: Value::Null, cursor: 0, caught_up: false };
        let hello = reader.object().map_err(|_| io::Error::from(io::ErrorKind::ConnectionReset))?;
        let keys: Vec<&String> = hello.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["type", "instance", "after", "first_id", "last_id"], "{hello}");
        assert_eq!(hello["type"], "hello");
        reader.cursor = hello["after"].as_i64().unwrap();
        reader.hello = hello;
        reader.check_id("hello");
        Ok(reader)
    }

    /// The next frame.
    #[track_caller]
    pub fn next(&mut self) -> AllFrame {
        let object = match self.object() {
            Ok(object) => object,
            Err(code) => return AllFrame::Closed(code),
        };
        let frame = self.take(&object);
        self.check_id(object["type"].as_str().unwrap());
        frame
    }

    #[track_caller]
    fn take(&mut self, object: &Value) -> AllFrame {
        let number = |field: &str| object[field].as_i64().unwrap_or_else(|| panic!("no {field} in {object}"));
        match object["type"].as_str() {
            Some("event") => {
                assert!(number("id") > self.cursor, "ids rise, it was at {}: {object}", self.cursor);
                self.cursor = number("id");
                AllFrame::Event(object.clone())
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

    /// What stands beside an object in SSE: its type, and where its reader stands behind it. What is left of a partial gap
    /// follows, so that it moves nobody.
    #[track_caller]
    fn check_id(&self, name: &str) {
        if let Wire::Body(BodyWire { framing: Framing::Sse, event, id, .. }) = &self.wire {
            let place = format!("{}-{}", self.hello["instance"].as_str().unwrap(), self.cursor);
            assert_eq!((event.as_str(), id.as_deref()), (name, (name != "heartbeat").then_some(place.as_str())));
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

    /// The next object; the code where it is closed, `None` where it breaks.
    #[track_caller]
    fn object(&mut self) -> Result<Value, Option<u16>> {
        let said = match &mut self.wire {
            Wire::WebSocket(wire) => wire.object(DEADLINE),
            Wire::Body(wire) => wire.object(DEADLINE),
        };
        match said {
            Said::Object(object) => Ok(object),
            Said::Closed(code) => Err(Some(code)),
            Said::Lost => Err(None),
            Said::Nothing => panic!("nothing came after id {} within {DEADLINE:?}", self.cursor),
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
