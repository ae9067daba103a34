//! Where a reader of a run's events, or of several runs', stands, and what each frame means from there.
//!
//! Pure: frames go in as text, what is new comes out. It never lets an event through twice, out of order, or past one
//! that is missing without the daemon having named the gap.

use std::borrow::Cow;
use std::collections::HashMap;

use super::event::{Misfit, Object, ReceivedEvent, ReceivedGap};
use super::outcome::OutcomeBody;
use crate::numbers::{RunId, Seq};

/// The reader's place in one run's events, or in several runs'.
#[derive(Clone, Debug)]
pub struct Bookmark {
    /// As the first connection asks for it.
    first: String,
    instance: Option<String>,
    /// The newest event that was seen, or passed by.
    seen: Option<i64>,
    numbers: Numbers,
}

/// How the events are numbered, and what shows that one is missing.
#[derive(Clone, Debug)]
enum Numbers {
    /// One run's, by `seq`, in which there is no hole.
    OneRun,
    /// All of several runs', by `id`, which skips; what is missing shows by the newest `seq` of each.
    SeveralRuns(HashMap<RunId, Seq>),
    /// Some of many runs', by `id`: which numbers are left out is the filter's affair.
    Filtered,
}

/// What a frame told that was new.
#[derive(Debug)]
pub enum Heard {
    /// The stream begins, or begins again.
    Hello,
    /// The next event.
    Event(ReceivedEvent),
    /// Events that are gone.
    Gap(ReceivedGap),
    /// All that was stored is out.
    CaughtUp,
    /// The run has ended and nothing follows.
    End(OutcomeBody),
    /// Nothing that matters here.
    Nothing,
}

impl Bookmark {
    /// Before anything was heard: `cursor` in any form of the contract.
    pub fn new(cursor: &str) -> Bookmark {
        Bookmark { first: cursor.to_owned(), instance: None, seen: None, numbers: Numbers::OneRun }
    }

    /// The same for several runs, of which all events are told, by `id`.
    pub fn of_several(cursor: &str) -> Bookmark {
        Bookmark { numbers: Numbers::SeveralRuns(HashMap::new()), ..Bookmark::new(cursor) }
    }

    /// The same for what a filter shows of all runs, by `id`.
    pub fn filtered(cursor: &str) -> Bookmark {
        Bookmark { numbers: Numbers::Filtered, ..Bookmark::new(cursor) }
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
    pub fn hear(&mut self, text: &str) -> Result<Heard, Misfit> {
        let unreadable = |error: serde_json::Error| Misfit(format!("a frame that cannot be read: {error}"));
        let object: Object = serde_json::from_str(text).map_err(unreadable)?;
        match &*object.kind_of_object {
            "hello" => {
                self.instance = object.instance.map(Cow::into_owned).or(self.instance.take());
                self.seen = self.seen.or(object.after);
                Ok(Heard::Hello)
            }
            "event" => self.event(&object),
            "gap" => self.gap(&object),
            "caught_up" | "cursor" => {
                if !self.is_of_one() {
                    self.seen = self.seen.max(object.id);
                }
                Ok(if object.kind_of_object == "cursor" { Heard::Nothing } else { Heard::CaughtUp })
            }
            "end" => Ok(Heard::End(serde_json::from_str(text).map_err(unreadable)?)),
            _ => Ok(Heard::Nothing),
        }
    }

    fn is_of_one(&self) -> bool {
        matches!(self.numbers, Numbers::OneRun)
    }

    fn event(&mut self, object: &Object) -> Result<Heard, Misfit> {
        let seq = object.seq.ok_or_else(|| Misfit("an event without a seq".to_owned()))?;
        let place = if self.is_of_one() { Some(seq) } else { object.id };
        let place = place.ok_or_else(|| Misfit("an event without an id".to_owned()))?;
        match self.seen {
            Some(seen) if place <= seen => return Ok(Heard::Nothing),
            Some(seen) if place > seen + 1 && self.is_of_one() => {
                return Err(Misfit(format!("event {seq} came after {seen}")));
            }
            _ => {}
        }
        let mut event = object.event()?;
        self.seen = Some(place);
        event.gone = self.gone_before(event.run, event.seq);
        Ok(Heard::Event(event))
    }

    /// Which of a run's events are missing before this one, where it is one of several.
    fn gone_before(&mut self, run: RunId, seq: Seq) -> Option<(Seq, Seq)> {
        let Numbers::SeveralRuns(seqs) = &mut self.numbers else { return None };
        // Who did not begin at the start cannot know with which one a run begins.
        let before = seqs.insert(run, seq).or((self.first == "0").then_some(Seq(0)))?;
        (seq > before.next()).then_some((before.next(), seq.previous()))
    }

    fn gap(&mut self, object: &Object) -> Result<Heard, Misfit> {
        let (Some(from), Some(to)) = (object.from, object.to) else {
            return Err(Misfit("a gap without its ends".to_owned()));
        };
        let reason = object.reason.as_deref().unwrap_or("unknown").to_owned();
        let heard = Heard::Gap(ReceivedGap { from, to, reason, trimmed: object.trimmed });
        if object.partial {
            // What is left of it follows, and must not be passed over.
            return Ok(heard);
        }
        match self.seen {
            Some(seen) if to <= seen => return Ok(Heard::Nothing),
            Some(seen) if from > seen + 1 => return Err(Misfit(format!("a gap from {from} came after {seen}"))),
            _ => {}
        }
        self.seen = Some(to);
        Ok(heard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMs;
    use crate::event::{Data, Event, Gap, GapReason, Kind, Stream, TrimmedOutput};
    use crate::numbers::{EventId, Position};
    use crate::run::Status;
    use crate::wire::{At, Frame, Last, Stands, What};

    fn hear(bookmark: &mut Bookmark, text: &str) -> Result<Heard, Misfit> {
        bookmark.hear(text)
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
        let mut bookmark = Bookmark::new("-2");
        assert_eq!(bookmark.cursor(), "-2");
        assert!(matches!(hear(&mut bookmark, &hello(4)), Ok(Heard::Hello)));
        for seq in [5, 6] {
            let heard = hear(&mut bookmark, &event(seq, "progress", "{}")).expect("the next event");
            assert!(matches!(heard, Heard::Event(_)) && bookmark.seen() == seq);
        }
        assert_eq!(bookmark.cursor(), "k3v9x2m7q0tz-6");
        assert!(matches!(hear(&mut bookmark, &hello(6)), Ok(Heard::Hello)));
        assert!(matches!(hear(&mut bookmark, &event(6, "progress", "{}")), Ok(Heard::Nothing)));
        assert!(matches!(hear(&mut bookmark, &event(7, "progress", "{}")), Ok(Heard::Event(_))));
    }

    #[test]
    fn a_missing_event_is_never_passed_over() {
        let mut bookmark = Bookmark::new("0");
        hear(&mut bookmark, &hello(0)).expect("hello");
        assert_eq!(hear(&mut bookmark, &event(2, "queued", "{}")).err(), Some(Misfit("event 2 came after 0".into())));
        assert_eq!(bookmark.cursor(), "k3v9x2m7q0tz-0");
    }

    #[test]
    fn a_gap_that_is_named_is_gone_over() {
        let mut bookmark = Bookmark::new("5");
        hear(&mut bookmark, &hello(5)).expect("hello");
        let gap = r#"{"type":"gap","from":3,"to":90,"reason":"pruned"}"#;
        assert!(matches!(hear(&mut bookmark, gap), Ok(Heard::Gap(ReceivedGap { from: 3, to: 90, .. }))));
        assert!(matches!(hear(&mut bookmark, gap), Ok(Heard::Nothing)));
        assert!(matches!(
            hear(&mut bookmark, &event(91, "output", r#"{"stream":"stdout","text":"x"}"#)),
            Ok(Heard::Event(_))
        ));
        assert!(hear(&mut bookmark, r#"{"type":"gap","from":93,"to":94,"reason":"quota"}"#).is_err());
    }

    #[test]
    fn of_several_runs_what_is_missing_shows_by_each_runs_own_numbers() {
        let mut bookmark = Bookmark::of_several("0");
        hear(&mut bookmark, r#"{"type":"hello","instance":"k3v9x2m7q0tz","after":0,"first_id":7}"#).expect("hello");
        let mut gone = |id: i64, run: i64, seq: i64| {
            let text = format!(r#"{{"type":"event","id":{id},"run":{run},"seq":{seq},"kind":"queued","data":{{}}}}"#);
            match hear(&mut bookmark, &text) {
                Ok(Heard::Event(told)) => Some(told.gone),
                Ok(Heard::Nothing) => None,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(gone(7, 1, 1), Some(None));
        assert_eq!(gone(9, 2, 4), Some(Some((Seq(1), Seq(3)))), "the start of run 2 is gone");
        assert_eq!(gone(9, 2, 4), None, "nothing comes twice");
        assert_eq!(gone(20, 1, 2), Some(None), "ids skip");
        let partial = r#"{"type":"gap","from":21,"to":90,"reason":"pruned","partial":true}"#;
        assert!(matches!(hear(&mut bookmark, partial), Ok(Heard::Gap(ReceivedGap { from: 21, to: 90, .. }))));
        assert_eq!(bookmark.cursor(), "k3v9x2m7q0tz-20", "what is left of it follows");
        hear(&mut bookmark, r#"{"type":"cursor","id":50}"#).expect("cursor");
        assert_eq!(bookmark.cursor(), "k3v9x2m7q0tz-50");
    }

    #[test]
    fn output_is_the_commands_bytes() {
        let mut bookmark = Bookmark::new("0");
        hear(&mut bookmark, &hello(0)).expect("hello");
        let mut bytes = |seq, data: &str| match hear(&mut bookmark, &event(seq, "output", data)) {
            Ok(Heard::Event(ReceivedEvent { what: What::Output(stream, bytes), .. })) => (stream, bytes),
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
        let mut bookmark = Bookmark::new("0");
        hear(&mut bookmark, &hello(0)).expect("hello");
        assert!(matches!(hear(&mut bookmark, r#"{"type":"weather","sky":["blue"]}"#), Ok(Heard::Nothing)));
        assert!(matches!(hear(&mut bookmark, r#"{"type":"heartbeat","last_seq":17}"#), Ok(Heard::Nothing)));
        assert!(matches!(
            hear(&mut bookmark, &event(1, "teleported", "[1]")),
            Ok(Heard::Event(ReceivedEvent { what: What::Other, .. }))
        ));
        let end = r#"{"type":"end","run":42,"status":"failed","reason":"exited","exit_code":7,"last_seq":18}"#;
        assert!(
            matches!(hear(&mut bookmark, end), Ok(Heard::End(end)) if end.status.known() == Some(Status::Failed) && end.exit_code == Some(7))
        );
        assert!(hear(&mut bookmark, "not json").is_err());
    }

    #[test]
    fn what_one_end_writes_the_other_reads() {
        let written = |frame: &Frame| serde_json::to_string(frame).expect("JSON");
        let at = |seq| Position(seq);
        let stands = Stands::Run { first_seq: Seq(1), last_seq: Seq(3), status: "running" };
        let opening = Frame::Hello { run: Some(RunId(42)), instance: "k3v9x2m7q0tz", after: at(1), stands };
        let trimmed = Some(TrimmedOutput { events: 2, lines: Some(70), bytes: 4_000 });
        let gap = Gap { from: at(2), to: at(3), reason: GapReason::Quota, partial: false, trimmed };
        let end = Frame::End {
            run: RunId(42),
            status: "failed",
            reason: Some("exited"),
            exit_code: Some(7),
            last_seq: at(5),
        };
        let event = Event {
            id: EventId(9),
            run: RunId(42),
            seq: Seq(4),
            at: UnixMs(0),
            kind: Kind::Output,
            data: Data::Output(Stream::Stderr, b"\xff\n".to_vec()),
        };
        let mut bookmark = Bookmark::new("1");
        let mut heard = |text: &str| bookmark.hear(text).expect("a frame");
        assert!(matches!(heard(&written(&opening)), Heard::Hello));
        let gone = ReceivedGap { from: 2, to: 3, reason: "quota".to_owned(), trimmed };
        assert!(matches!(heard(&written(&Frame::gap(&gap))), Heard::Gap(gap) if gap == gone));
        assert!(matches!(heard(&written(&Frame::Heartbeat { last: Last::LastSeq(at(3)) })), Heard::Nothing));
        match heard(&event.encode()) {
            Heard::Event(ReceivedEvent { id, run, what: What::Output(Stream::Stderr, bytes), .. }) => {
                assert_eq!((id, run, bytes), (event.id, event.run, b"\xff\n".to_vec()));
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(heard(&written(&Frame::CaughtUp { at: At::Seq(at(4)) })), Heard::CaughtUp));
        assert!(matches!(heard(&written(&end)), Heard::End(OutcomeBody { exit_code: Some(7), .. })));
        assert_eq!(bookmark.cursor(), "k3v9x2m7q0tz-4");
        let mut several = Bookmark::filtered("0");
        several.hear(&written(&Frame::Cursor { id: at(50) })).expect("a frame");
        assert_eq!(several.seen(), 50);
    }
}
