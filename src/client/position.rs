//! Where a reader of a run's events, or of several runs', stands, and what each frame means from there.
//!
//! Pure: frames go in as text, what is new comes out. It never lets an event through twice, out of order, or past one
//! that is missing without the daemon having named the gap.

use std::borrow::Cow;
use std::collections::HashMap;

use async_tungstenite::tungstenite::Utf8Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::outcome::Outcome;
use crate::event::{Kind, Stream};

/// The reader's place in one run's events, or in several runs'.
#[derive(Clone, Debug)]
pub struct Position {
    /// As the first connection asks for it.
    first: String,
    instance: Option<String>,
    /// The newest event that was seen, or passed by.
    seen: Option<i64>,
    /// Of several runs, the newest `seq` of each: ids skip, so that what is missing shows by these alone.
    seqs: Option<HashMap<i64, i64>>,
}

/// Events that are gone, as a frame told it.
#[derive(Debug)]
pub struct Gap {
    /// The first that is gone.
    pub from: i64,
    /// The last that is gone.
    pub to: i64,
    /// Why.
    pub reason: String,
    /// As it came, on one line.
    pub line: Utf8Bytes,
}

/// What a frame told that was new.
#[derive(Debug)]
pub enum Heard {
    /// The stream begins, or begins again.
    Hello,
    /// The next event.
    Event(Told),
    /// Events that are gone.
    Gap(Gap),
    /// All that was stored is out.
    CaughtUp,
    /// The run has ended and nothing follows.
    End(Outcome),
    /// Nothing that matters here.
    Nothing,
}

/// An event.
#[derive(Debug)]
pub struct Told {
    /// Whose it is.
    pub run: i64,
    /// Of several runs: which of its run's events before it are gone, from and to.
    pub gone: Option<(i64, i64)>,
    /// What it tells.
    pub what: What,
    /// As it came, on one line.
    pub line: Utf8Bytes,
}

/// What an event tells, as far as it matters here.
#[derive(Debug)]
pub enum What {
    /// A piece of the command's output.
    Output(Stream, Vec<u8>),
    /// An attempt has been started.
    Started,
    /// The run waits, again.
    Queued,
    /// How it ended.
    Finished(Outcome),
    /// Anything else.
    Other,
}

/// A frame that does not fit: the stream cannot be trusted from here on, and is opened again.
#[derive(Debug, PartialEq, Eq)]
pub struct Misfit(pub String);

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type", borrow)]
    kind_of_frame: Cow<'a, str>,
    #[serde(borrow)]
    instance: Option<Cow<'a, str>>,
    after: Option<i64>,
    id: Option<i64>,
    run: Option<i64>,
    seq: Option<i64>,
    #[serde(default)]
    partial: bool,
    #[serde(borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    from: Option<i64>,
    to: Option<i64>,
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    base64: Option<Cow<'a, str>>,
}

impl Position {
    /// Before anything was heard: `cursor` in any form of the contract.
    pub fn new(cursor: &str) -> Position {
        Position { first: cursor.to_owned(), instance: None, seen: None, seqs: None }
    }

    /// The same for several runs, whose events are told by `id`.
    pub fn of_several(cursor: &str) -> Position {
        Position { seqs: Some(HashMap::new()), ..Position::new(cursor) }
    }

    /// The cursor to connect with: once something was heard, it also says of which database.
    pub fn cursor(&self) -> String {
        match (&self.instance, self.seen) {
            (Some(instance), Some(seen)) => format!("{instance}-{seen}"),
            _ => self.first.clone(),
        }
    }

    /// Whether a stream was opened before.
    pub fn has_begun(&self) -> bool {
        self.instance.is_some()
    }

    /// The newest event seen or passed by.
    pub fn seen(&self) -> i64 {
        self.seen.unwrap_or(0)
    }

    /// What this frame tells that is new.
    ///
    /// # Errors
    /// [`Misfit`] when it is no frame, or an event is missing before it.
    pub fn hear(&mut self, line: &Utf8Bytes) -> Result<Heard, Misfit> {
        let text = line.as_str();
        let unreadable = |error: serde_json::Error| Misfit(format!("a frame that cannot be read: {error}"));
        let frame: Frame = serde_json::from_str(text).map_err(unreadable)?;
        match &*frame.kind_of_frame {
            "hello" => {
                self.instance = frame.instance.map(Cow::into_owned).or(self.instance.take());
                self.seen = self.seen.or(frame.after);
                Ok(Heard::Hello)
            }
            "event" => self.event(&frame, line),
            "gap" => self.gap(&frame, line),
            "caught_up" | "cursor" => {
                if self.seqs.is_some() {
                    self.seen = self.seen.max(frame.id);
                }
                Ok(if frame.kind_of_frame == "cursor" { Heard::Nothing } else { Heard::CaughtUp })
            }
            "end" => Ok(Heard::End(serde_json::from_str(text).map_err(unreadable)?)),
            _ => Ok(Heard::Nothing),
        }
    }

    fn event(&mut self, frame: &Frame, line: &Utf8Bytes) -> Result<Heard, Misfit> {
        let seq = frame.seq.ok_or_else(|| Misfit("an event without a seq".to_owned()))?;
        let run = frame.run.unwrap_or_default();
        let place = match &self.seqs {
            None => seq,
            Some(_) => frame.id.ok_or_else(|| Misfit("an event without an id".to_owned()))?,
        };
        match self.seen {
            Some(seen) if place <= seen => return Ok(Heard::Nothing),
            Some(seen) if place > seen + 1 && self.seqs.is_none() => {
                return Err(Misfit(format!("event {seq} came after {seen}")));
            }
            _ => {}
        }
        let what = match frame.kind.as_deref().and_then(Kind::parse) {
            Some(Kind::Output) => output(frame.data)?,
            Some(Kind::Started) => What::Started,
            Some(Kind::Queued) => What::Queued,
            Some(Kind::Finished) => What::Finished(read(frame.data)?),
            _ => What::Other,
        };
        self.seen = Some(place);
        let gone = self.gone_before(run, seq);
        Ok(Heard::Event(Told { run, gone, what, line: line.clone() }))
    }

    /// Which of a run's events are missing before this one, where it is one of several.
    fn gone_before(&mut self, run: i64, seq: i64) -> Option<(i64, i64)> {
        let seqs = self.seqs.as_mut()?;
        // Who did not begin at the start cannot know with which one a run begins.
        let before = seqs.insert(run, seq).or((self.first == "0").then_some(0))?;
        (seq > before + 1).then_some((before + 1, seq - 1))
    }

    fn gap(&mut self, frame: &Frame, line: &Utf8Bytes) -> Result<Heard, Misfit> {
        let (Some(from), Some(to)) = (frame.from, frame.to) else {
            return Err(Misfit("a gap without its ends".to_owned()));
        };
        if frame.partial {
            // What is left of it follows, and must not be passed over.
            let reason = "pruned".to_owned();
            return Ok(Heard::Gap(Gap { from, to, reason, line: line.clone() }));
        }
        match self.seen {
            Some(seen) if to <= seen => return Ok(Heard::Nothing),
            Some(seen) if from > seen + 1 => return Err(Misfit(format!("a gap from {from} came after {seen}"))),
            _ => {}
        }
        self.seen = Some(to);
        let reason = frame.reason.as_deref().unwrap_or("unknown").to_owned();
        Ok(Heard::Gap(Gap { from, to, reason, line: line.clone() }))
    }
}

fn read<'a, T: Deserialize<'a>>(data: Option<&'a RawValue>) -> Result<T, Misfit> {
    let text = data.map_or("null", RawValue::get);
    serde_json::from_str(text).map_err(|error| Misfit(format!("an event's data: {error}")))
}

fn output(data: Option<&RawValue>) -> Result<What, Misfit> {
    let Output { stream, text, base64 } = read(data)?;
    let bytes = match (text, base64) {
        (Some(text), _) => text.into_owned().into_bytes(),
        (None, Some(base64)) => {
            STANDARD.decode(base64.as_bytes()).map_err(|error| Misfit(format!("an output's base64: {error}")))?
        }
        (None, None) => return Err(Misfit("an output without its bytes".to_owned())),
    };
    match Stream::parse(&stream) {
        Some(stream) => Ok(What::Output(stream, bytes)),
        // A third stream of a newer daemon has no place here.
        None => Ok(What::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(position: &mut Position, text: &str) -> Result<Heard, Misfit> {
        position.hear(&Utf8Bytes::from(text.to_owned()))
    }

    fn hello(after: i64) -> String {
        format!(r#"{{"type":"hello","run":42,"instance":"k3v9x2m7q0tz","after":{after},"first_seq":1,"last_seq":17}}"#)
    }

    fn event(seq: i64, kind: &str, data: &str) -> String {
        format!(
            r#"{{"type":"event","id":1001,"run":42,"seq":{seq},"at":"2026-11-23T06:32:01.123Z","kind":"{kind}","data":{data}}}"#
        )
    }

    #[test]
    fn a_reader_resumes_after_what_it_saw_and_hears_nothing_twice() {
        let mut position = Position::new("-2");
        assert_eq!(position.cursor(), "-2");
        assert!(matches!(hear(&mut position, &hello(4)), Ok(Heard::Hello)));
        for seq in [5, 6] {
            let heard = hear(&mut position, &event(seq, "progress", "{}")).expect("the next event");
            assert!(matches!(heard, Heard::Event(_)) && position.seen() == seq);
        }
        assert_eq!(position.cursor(), "k3v9x2m7q0tz-6");
        assert!(matches!(hear(&mut position, &hello(6)), Ok(Heard::Hello)));
        assert!(matches!(hear(&mut position, &event(6, "progress", "{}")), Ok(Heard::Nothing)));
        assert!(matches!(hear(&mut position, &event(7, "progress", "{}")), Ok(Heard::Event(_))));
    }

    #[test]
    fn a_missing_event_is_never_passed_over() {
        let mut position = Position::new("0");
        hear(&mut position, &hello(0)).expect("hello");
        assert_eq!(hear(&mut position, &event(2, "queued", "{}")).err(), Some(Misfit("event 2 came after 0".into())));
        assert_eq!(position.cursor(), "k3v9x2m7q0tz-0");
    }

    #[test]
    fn a_gap_that_is_named_is_gone_over() {
        let mut position = Position::new("5");
        hear(&mut position, &hello(5)).expect("hello");
        let gap = r#"{"type":"gap","from":3,"to":90,"reason":"pruned"}"#;
        assert!(matches!(hear(&mut position, gap), Ok(Heard::Gap(Gap { from: 3, to: 90, .. }))));
        assert!(matches!(hear(&mut position, gap), Ok(Heard::Nothing)));
        assert!(matches!(
            hear(&mut position, &event(91, "output", r#"{"stream":"stdout","text":"x"}"#)),
            Ok(Heard::Event(_))
        ));
        assert!(hear(&mut position, r#"{"type":"gap","from":93,"to":94,"reason":"quota"}"#).is_err());
    }

    #[test]
    fn of_several_runs_what_is_missing_shows_by_each_runs_own_numbers() {
        let mut position = Position::of_several("0");
        hear(&mut position, r#"{"type":"hello","instance":"k3v9x2m7q0tz","after":0,"first_id":7}"#).expect("hello");
        let mut gone = |id: i64, run: i64, seq: i64| {
            let text = format!(r#"{{"type":"event","id":{id},"run":{run},"seq":{seq},"kind":"queued","data":{{}}}}"#);
            match hear(&mut position, &text) {
                Ok(Heard::Event(told)) => Some(told.gone),
                Ok(Heard::Nothing) => None,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(gone(7, 1, 1), Some(None));
        assert_eq!(gone(9, 2, 4), Some(Some((1, 3))), "the start of run 2 is gone");
        assert_eq!(gone(9, 2, 4), None, "nothing comes twice");
        assert_eq!(gone(20, 1, 2), Some(None), "ids skip");
        let partial = r#"{"type":"gap","from":21,"to":90,"reason":"pruned","partial":true}"#;
        assert!(matches!(hear(&mut position, partial), Ok(Heard::Gap(Gap { from: 21, to: 90, .. }))));
        assert_eq!(position.cursor(), "k3v9x2m7q0tz-20", "what is left of it follows");
        hear(&mut position, r#"{"type":"cursor","id":50}"#).expect("cursor");
        assert_eq!(position.cursor(), "k3v9x2m7q0tz-50");
    }

    #[test]
    fn output_is_the_commands_bytes() {
        let mut position = Position::new("0");
        hear(&mut position, &hello(0)).expect("hello");
        let mut bytes = |seq, data: &str| match hear(&mut position, &event(seq, "output", data)) {
            Ok(Heard::Event(Told { what: What::Output(stream, bytes), .. })) => (stream, bytes),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            bytes(1, r#"{"stream":"stdout","text":"a\u0000\"\n\ud83d\ude00"}"#),
            (Stream::Stdout, "a\0\"\n😀".into())
        );
        assert_eq!(bytes(2, r#"{"stream":"stderr","base64":"//4="}"#), (Stream::Stderr, b"\xff\xfe".to_vec()));
    }

    #[test]
    fn what_is_unknown_is_ignored_and_the_end_is_told() {
        let mut position = Position::new("0");
        hear(&mut position, &hello(0)).expect("hello");
        assert!(matches!(hear(&mut position, r#"{"type":"weather","sky":["blue"]}"#), Ok(Heard::Nothing)));
        assert!(matches!(hear(&mut position, r#"{"type":"heartbeat","last_seq":17}"#), Ok(Heard::Nothing)));
        assert!(matches!(
            hear(&mut position, &event(1, "teleported", "[1]")),
            Ok(Heard::Event(Told { what: What::Other, .. }))
        ));
        let end = r#"{"type":"end","run":42,"status":"failed","reason":"exited","exit_code":7,"last_seq":18}"#;
        assert!(matches!(hear(&mut position, end), Ok(Heard::End(outcome)) if outcome.exit_code() == 7));
        assert!(hear(&mut position, "not json").is_err());
    }
}
