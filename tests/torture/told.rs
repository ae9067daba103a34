//! The model: what a daemon has acknowledged and shown, and what therefore must hold after whatever happened to it.
//!
//! It knows nothing of how the daemon works. What was sent and not answered may have happened or not; everything else is
//! certain. What was started does not come from the daemon: each command writes its own line into a file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::common::Transcript;

/// A request that can be made again: by its key it is the same one.
#[derive(Clone, Debug)]
pub struct Request {
    pub key: String,
    pub path: String,
    pub body: Value,
}

/// Something that was sent, answered or shown.
#[derive(Clone, Debug)]
pub enum Mark {
    /// A request that is about to be sent.
    Sending(Request),
    /// It was answered with this run.
    Made(Request, i64),
    /// It was refused, and has not happened.
    Refused(Request),
    /// A cancel was answered with 2xx.
    Canceled(i64),
    /// A delete is about to be sent.
    Going(i64),
    /// … and was answered with 2xx.
    Gone(i64),
    /// … or was refused.
    Stays(i64),
    /// An event was appended, with this seq and these data.
    Appended(i64, i64, Value),
    /// An event was shown.
    Seen(Value),
    /// A job is about to be changed, or deleted.
    Changing(String, Option<Value>),
    /// … and that was answered with 2xx.
    Changed(String, Option<Value>),
    /// A session's token was given out.
    Session(String),
    /// A command says that it was started, as this attempt of this run.
    Started(i64, i64),
}

/// What is known of something that has a name and a content.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// What was acknowledged last; none: that it is not there.
    pub sure: Option<Value>,
    /// What was sent since and not answered.
    pub maybe: Vec<Option<Value>>,
}

/// All that was acknowledged and shown.
#[derive(Clone, Default)]
pub struct Book {
    /// Sent and not answered.
    pub open: BTreeMap<String, Request>,
    /// Runs whose making was answered with 2xx, and by which request.
    pub runs: BTreeMap<i64, Request>,
    /// A cancel of it was answered with 2xx.
    pub canceled: BTreeSet<i64>,
    /// A delete of it was sent.
    pub going: BTreeSet<i64>,
    /// … and answered with 2xx.
    pub gone: BTreeSet<i64>,
    /// Events that a client appended, by run and seq, with their data.
    pub appended: BTreeMap<(i64, i64), Value>,
    /// Every event that was shown, by run and seq.
    pub seen: BTreeMap<(i64, i64), Value>,
    /// Which run and seq an event's id was.
    pub ids: BTreeMap<i64, (i64, i64)>,
    /// How a run was shown to have ended.
    pub ended: BTreeMap<i64, Value>,
    pub jobs: BTreeMap<String, Named>,
    /// Tokens of sessions that were given out.
    pub sessions: Vec<String>,
    /// Attempts that were started, by their own word, by run and number.
    pub started: BTreeSet<(i64, i64)>,
}

/// Tells how long what is recorded of the daemon is by now.
type Position = Box<dyn Fn() -> u64 + Send + Sync>;

/// The model, and where commands say that they were started.
pub struct Told {
    book: Mutex<Book>,
    pub side: PathBuf,
    /// Where readers of all runs were when they were cut off.
    readers: Mutex<Vec<Transcript>>,
    keys: AtomicU64,
    /// Whether the clock is set meanwhile: what lives for minutes may have expired before it is used.
    pub clock_is_set: AtomicBool,
    position: Option<Position>,
    /// What was noted, and how long the record was when it was.
    marks: Mutex<Vec<(u64, Mark)>>,
}

impl Told {
    pub fn new(side: PathBuf) -> Told {
        let (book, readers, keys, clock_is_set, marks) = Default::default();
        Told { book, side, readers, keys, clock_is_set, position: None, marks }
    }

    /// One that keeps its marks, each with its place in a record.
    pub fn beside(side: PathBuf, position: Position) -> Told {
        Told { position: Some(position), ..Told::new(side) }
    }

    pub fn book(&self) -> MutexGuard<'_, Book> {
        // A thread that failed has told why; what it noted before stands.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn readers(&self) -> MutexGuard<'_, Vec<Transcript>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes something; fails where it cannot be beside what was noted before.
    #[track_caller]
    pub fn note(&self, mark: Mark) {
        if let Some(position) = &self.position {
            let at = position();
            self.marks.lock().unwrap().push((at, mark.clone()));
        }
        self.book().note(mark);
    }

    /// What was noted, in order.
    pub fn marks(&self) -> Vec<(u64, Mark)> {
        let mut marks = self.marks.lock().unwrap().clone();
        marks.sort_by_key(|(at, _)| *at);
        marks
    }

    /// A request with a key of its own.
    pub fn request(&self, path: &str, body: Value) -> Request {
        let nth = self.keys.fetch_add(1, Ordering::Relaxed);
        Request { key: format!("key-{nth}"), path: path.to_owned(), body }
    }

    /// A command that first says that it was started.
    pub fn script(&self, rest: &str) -> String {
        format!("echo $RUNABOUT_RUN_ID $RUNABOUT_ATTEMPT $$ >>{}\n{rest}", self.side.display())
    }

    /// `(run, attempt)` and the pid of all that was ever started; fails where one was started twice.
    #[track_caller]
    pub fn started(&self) -> BTreeMap<(i64, i64), i32> {
        let mut started = BTreeMap::new();
        let text = std::fs::read_to_string(&self.side).unwrap_or_default();
        // The last line may be on its way.
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let words: Vec<i64> = line.split(' ').map(|word| word.parse().unwrap()).collect();
            let [run, attempt, pid] = words[..] else { panic!("{line:?}") };
            let twice = started.insert((run, attempt), pid as i32);
            assert_eq!(twice, None, "attempt {attempt} of run {run} was started twice");
        }
        started
    }
}

pub fn int(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("no number: {value}"))
}

impl Book {
    /// Notes something; fails where it cannot be beside what was noted before.
    #[track_caller]
    pub fn note(&mut self, mark: Mark) {
        match mark {
            Mark::Sending(request) => _ = self.open.insert(request.key.clone(), request),
            Mark::Made(request, run) => {
                self.open.remove(&request.key);
                let other = self.runs.insert(run, request.clone());
                assert!(other.is_none(), "the id {run} was given out for {other:?} and for {request:?}");
            }
            Mark::Refused(request) => _ = self.open.remove(&request.key),
            Mark::Canceled(run) => _ = self.canceled.insert(run),
            Mark::Going(run) => _ = self.going.insert(run),
            Mark::Stays(run) => _ = self.going.remove(&run),
            Mark::Gone(run) => _ = self.gone.insert(run),
            Mark::Appended(run, seq, data) => _ = self.appended.insert((run, seq), data),
            Mark::Seen(event) => self.see(&event),
            Mark::Changing(job, to) => self.jobs.entry(job).or_default().maybe.push(to),
            Mark::Changed(job, to) => _ = self.jobs.insert(job, Named { sure: to, maybe: Vec::new() }),
            Mark::Session(token) => self.sessions.push(token),
            Mark::Started(run, attempt) => _ = self.started.insert((run, attempt)),
        }
    }

    /// An event was shown; fails where it was given out before as something else.
    #[track_caller]
    fn see(&mut self, event: &Value) {
        let (run, seq, id) = (int(&event["run"]), int(&event["seq"]), int(&event["id"]));
        let known = *self.ids.entry(id).or_insert((run, seq));
        assert_eq!(known, (run, seq), "the id {id} of an event was given out twice");
        let before = self.seen.entry((run, seq)).or_insert_with(|| event.clone());
        assert_eq!(before, event, "seq {seq} of run {run} was given out with another content");
        if event["kind"] == "finished" {
            let data = &event["data"];
            let end = json!([data["status"], data["reason"], data["exit_code"], data["signal"]]);
            self.ended.insert(run, end);
        }
    }

    /// A run that has been asked for and may still be there.
    pub fn pick(&self, nth: u64) -> Option<i64> {
        let there: Vec<i64> = self.runs.keys().copied().filter(|run| !self.going.contains(run)).collect();
        // The newer ones more often: those are at work.
        let newest = &there[there.len().saturating_sub(12)..];
        newest.get(nth as usize % newest.len().max(1)).copied()
    }

    /// The events of a run that were shown, by seq.
    pub fn seen_of(&self, run: i64) -> impl Iterator<Item = (i64, &Value)> {
        self.seen.range((run, 0)..=(run, i64::MAX)).map(|((_, seq), event)| (*seq, event))
    }
}
