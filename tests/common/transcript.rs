//! What a reader has been told, and the rules that it holds each object to: in one run every `seq` comes once and in order or
//! is told as a gap; over all runs ids rise, and a gap begins where the reader stands.

use serde_json::Value;

use super::reader::Via;
use super::runs::output_bytes;

/// The longest piece of output that is one event.
const OUTPUT_BYTES_MAX: usize = 16 * 1024;

/// Whose events are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those of one run, numbered by `seq`.
    Run(i64),
    /// Those of all runs that pass this query, numbered by `id`.
    All(String),
}

impl Scope {
    /// Where they are asked for, after a cursor of any form; where it is empty, none is said.
    pub(super) fn path(&self, after: &str) -> String {
        let after = if after.is_empty() { String::new() } else { format!("after={after}") };
        match self {
            Scope::Run(run) => format!("/v1/runs/{run}/events?{after}"),
            Scope::All(query) if query.is_empty() || after.is_empty() => format!("/v1/events?{query}{after}"),
            Scope::All(query) => format!("/v1/events?{query}&{after}"),
        }
    }

    /// What a position is called, and what the newest one is.
    fn names(&self) -> (&'static str, &'static str) {
        match self {
            Scope::Run(_) => ("seq", "last_seq"),
            Scope::All(_) => ("id", "last_id"),
        }
    }
}

/// What one or several connections have told, in one piece.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// Of whom.
    pub scope: Scope,
    /// The last position that was seen, passed by or told as gone.
    pub cursor: i64,
    /// The bytes that were written to standard output, of all runs that are read.
    pub stdout: Vec<u8>,
    /// … and to standard error.
    pub stderr: Vec<u8>,
    /// `(seq, id, kind)` of each event.
    pub events: Vec<(i64, i64, String)>,
    /// What was told as gone, from and to.
    pub gaps: Vec<(i64, i64)>,
    /// How many connections there were.
    pub connections: usize,
    /// What carries it, on the next connection.
    pub via: Via,
    /// Of which database it is, once that was said.
    pub instance: String,
}

/// What a reader is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// The next event.
    Event(Value),
    /// Events that are gone, from and to; of all runs, some of these.
    Gap(i64, i64),
    /// Of all runs: nothing that was asked for lies before this.
    Cursor(i64),
    /// The stored ones are out.
    CaughtUp(i64),
    /// Nothing else has happened.
    Heartbeat(Value),
    /// The run has ended.
    End(Value),
    /// The daemon closed with this code; what has no codes is closed with 1000 behind an `end`, else with 1001.
    Closed(u16),
    /// The connection broke without a close.
    Lost,
}

impl Transcript {
    /// The transcript of a run of which nothing was seen.
    pub fn of(run: i64) -> Transcript {
        Transcript::over(Scope::Run(run))
    }

    /// The transcript of all runs that pass a query, of which nothing was seen.
    pub fn of_all(query: &str) -> Transcript {
        Transcript::over(Scope::All(query.to_owned()))
    }

    fn over(scope: Scope) -> Transcript {
        let (stdout, stderr, events, gaps) = Default::default();
        let (via, instance) = Default::default();
        Transcript { scope, cursor: 0, stdout, stderr, events, gaps, connections: 0, via, instance }
    }

    /// The same, by another way than WebSocket.
    pub fn by(self, via: Via) -> Transcript {
        Transcript { via, ..self }
    }

    /// Where it ends, as SSE says it: `INSTANCE-POSITION`.
    pub fn place(&self) -> String {
        format!("{}-{}", self.instance, self.cursor)
    }

    /// The first object of a connection.
    #[track_caller]
    pub(super) fn take_hello(&mut self, hello: &Value) {
        let keys: Vec<&str> = hello.as_object().unwrap().keys().map(String::as_str).collect();
        match &self.scope {
            Scope::Run(run) => {
                assert_eq!((&hello["type"], &hello["run"]), (&"hello".into(), &(*run).into()), "{hello}")
            }
            Scope::All(_) => assert_eq!(keys, ["type", "instance", "after", "first_id", "last_id"], "{hello}"),
        }
        assert_eq!(hello["type"], "hello");
        let after = hello["after"].as_i64().unwrap();
        if self.cursor == 0 {
            self.cursor = after;
        }
        assert_eq!(after, self.cursor, "{hello}");
        let instance = hello["instance"].as_str().unwrap();
        assert!(self.instance.is_empty() || self.instance == instance, "{hello}");
        self.instance = instance.to_owned();
    }

    /// An object behind it. What a connection may say only once is for its reader to see.
    #[track_caller]
    pub(super) fn take(&mut self, object: Value) -> Frame {
        let (position, newest) = self.scope.names();
        let number = |field: &str| object[field].as_i64().unwrap_or_else(|| panic!("no {field} in {object}"));
        match (object["type"].as_str(), &self.scope) {
            (Some("event"), _) => self.take_event(object),
            (Some("gap"), _) => self.take_gap(&object),
            (Some("caught_up"), scope) => {
                let at = number(position);
                let is_there = if let Scope::Run(_) = scope { at == self.cursor } else { at >= self.cursor };
                assert!(is_there, "{object} at {}", self.cursor);
                self.cursor = at;
                Frame::CaughtUp(at)
            }
            (Some("heartbeat"), scope) => {
                let at = number(newest);
                assert!(matches!(scope, Scope::All(_)) || at == self.cursor, "{object} at {}", self.cursor);
                Frame::Heartbeat(object)
            }
            (Some("cursor"), Scope::All(_)) => {
                assert!(number("id") > self.cursor, "it moves on, it was at {}: {object}", self.cursor);
                self.cursor = number("id");
                Frame::Cursor(self.cursor)
            }
            (Some("end"), Scope::Run(run)) => {
                assert_eq!((number("run"), number("last_seq")), (*run, self.cursor));
                Frame::End(object)
            }
            _ => panic!("of no known type: {object}"),
        }
    }

    #[track_caller]
    fn take_event(&mut self, event: Value) -> Frame {
        let (seq, id) = (event["seq"].as_i64().unwrap(), event["id"].as_i64().unwrap());
        assert!(self.events.last().is_none_or(|(_, last, _)| id > *last), "ids rise: {event}");
        match &self.scope {
            Scope::Run(run) => {
                assert_eq!(seq, self.cursor + 1, "the next one is due, it was {event}");
                assert_eq!(event["run"], *run, "{event}");
                assert!(
                    self.events.last().is_none_or(|(_, _, kind)| kind != "finished"),
                    "after the last one: {event}"
                );
                self.cursor = seq;
            }
            Scope::All(_) => {
                assert!(id > self.cursor, "ids rise, it was at {}: {event}", self.cursor);
                self.cursor = id;
            }
        }
        let kind = event["kind"].as_str().unwrap();
        self.events.push((seq, id, kind.to_owned()));
        if kind == "output" {
            let stream = match event["data"]["stream"].as_str() {
                Some("stdout") => &mut self.stdout,
                Some("stderr") => &mut self.stderr,
                // What a terminal shows is its standard output for all that look at one.
                Some("pty") => &mut self.stdout,
                _ => panic!("output of no stream: {event}"),
            };
            let bytes = output_bytes(&event["data"]);
            assert!((1..=OUTPUT_BYTES_MAX).contains(&bytes.len()), "{} bytes in {event}", bytes.len());
            stream.extend(bytes);
        }
        Frame::Event(event)
    }

    #[track_caller]
    fn take_gap(&mut self, gap: &Value) -> Frame {
        let (from, to) = (gap["from"].as_i64().unwrap(), gap["to"].as_i64().unwrap());
        assert!(from == self.cursor + 1 && to >= from, "{gap} after {}", self.cursor);
        match self.scope {
            Scope::Run(_) => {
                assert!(gap["reason"] == "pruned" || gap["reason"] == "quota", "{gap}");
                self.cursor = to;
            }
            // What is left of it follows, so that it moves nobody.
            Scope::All(_) => assert_eq!((&gap["reason"], &gap["partial"]), (&"pruned".into(), &true.into()), "{gap}"),
        }
        self.gaps.push((from, to));
        Frame::Gap(from, to)
    }
}
