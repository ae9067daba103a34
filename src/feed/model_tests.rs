//! Random interleavings of commits, pushes, reads, lags and removals over both scopes, held against a model: a follower
//! gives every event once and in order, or tells the range that is gone.

use std::collections::{BTreeMap, BTreeSet};

use async_io::block_on;
use futures_lite::StreamExt as _;
use futures_lite::stream;
use proptest::prelude::*;

use super::*;
use crate::event::{Event, Kind, OUTPUT_BYTES_MAX, Stream};
use crate::feed::test_feed::{FORM, TestFeed};
use crate::numbers::{RunId, Seq};
use crate::scope::EventFilter;
use crate::store::{Cancel, Change, Intake, QueueChange, StoreConfig};
use crate::timer::within;

/// Events that a mailbox holds: few, so that readers lag.
const READER_EVENTS: usize = 4;
/// Output that a run keeps: a few of the longest pieces.
const OUTPUT_BYTES: u64 = 4 * OUTPUT_BYTES_MAX as u64;
/// How long a read waits for what may not come: it bounds the test, and nothing is concluded from it.
const PATIENCE: Duration = Duration::from_millis(5);
/// A follower of all runs is moved on after this long without an event.
const QUIET: Duration = Duration::from_millis(2);

/// What happens next; a `usize` picks one of what is there.
#[derive(Clone, Debug)]
enum Act {
    Submit { in_gpu: bool },
    Say { run: usize, events: usize },
    Print { run: usize, pieces: usize },
    Move { run: usize },
    End { run: usize },
    Delete { run: usize },
    Push { events: usize },
    Follow { scope: usize, after: usize },
    Read { reader: usize, steps: usize },
}

fn act() -> impl Strategy<Value = Act> {
    let pick = || any::<usize>();
    prop_oneof![
        2 => any::<bool>().prop_map(|in_gpu| Act::Submit { in_gpu }),
        4 => (pick(), 1..7_usize).prop_map(|(run, events)| Act::Say { run, events }),
        4 => (pick(), 1..5_usize).prop_map(|(run, pieces)| Act::Print { run, pieces }),
        1 => pick().prop_map(|run| Act::Move { run }),
        1 => pick().prop_map(|run| Act::End { run }),
        1 => pick().prop_map(|run| Act::Delete { run }),
        5 => (1..9_usize).prop_map(|events| Act::Push { events }),
        3 => (pick(), pick()).prop_map(|(scope, after)| Act::Follow { scope, after }),
        6 => (pick(), 1..4_usize).prop_map(|(reader, steps)| Act::Read { reader, steps }),
    ]
}

/// An event as the model remembers it.
#[derive(Clone, Copy, Debug)]
struct Known {
    id: EventId,
    run: RunId,
    seq: Seq,
    kind: Kind,
}

/// What was committed, and who reads it.
struct Model {
    feed: TestFeed,
    runs: Vec<RunId>,
    intakes: BTreeMap<RunId, Intake>,
    deleted: BTreeSet<RunId>,
    /// Every event that was ever committed, in commit order.
    known: Vec<Known>,
    readers: Vec<Reader>,
}

/// One follower, and what it gave.
struct Reader {
    scope: Scope,
    after: Position,
    cursor: Position,
    steps: stream::Boxed<Result<Step, StoreError>>,
    events: BTreeSet<Position>,
    gaps: Vec<Gap>,
    caught_up: bool,
    last: Option<Step>,
}

impl Model {
    fn new() -> Model {
        let config = StoreConfig { output_bytes_per_run: OUTPUT_BYTES, ..StoreConfig::unlimited() };
        let feed = TestFeed::with(READER_EVENTS, config);
        let (runs, intakes) = (Vec::new(), BTreeMap::new());
        Model { feed, runs, intakes, deleted: BTreeSet::new(), known: Vec::new(), readers: Vec::new() }
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Submit { in_gpu } => {
                let run = self.feed.submit(if in_gpu { "gpu" } else { "default" }).await;
                self.intakes.insert(run, self.feed.store().backlog().open(run));
                self.runs.push(run);
            }
            Act::Push { events } => {
                self.push(events);
            }
            Act::Follow { scope, after } => self.follow(scope, after).await,
            Act::Read { reader, steps } => {
                let count = self.readers.len().max(1);
                if let Some(reader) = self.readers.get_mut(reader % count) {
                    reader.read(steps).await;
                }
            }
            Act::Say { run, .. }
            | Act::Print { run, .. }
            | Act::Move { run }
            | Act::End { run }
            | Act::Delete { run } => {
                if let Some(run) = self.runs.get(run % self.runs.len().max(1)).copied() {
                    self.act_on(run, act).await;
                }
            }
        }
    }

    /// What may be refused is: of a run that has ended, or has not.
    async fn act_on(&mut self, run: RunId, act: Act) {
        let store = self.feed.store();
        match act {
            Act::Say { events, .. } => {
                let _ = store.append(run, vec![(Kind::Message, "{}".to_owned()); events]).await;
            }
            Act::Print { pieces, .. } => {
                let Some(intake) = self.intakes.get(&run) else { return };
                for _ in 0..pieces {
                    intake.push(Stream::Stdout, &[b'x'; OUTPUT_BYTES_MAX]);
                }
                store.flush().await.expect("committed");
            }
            Act::Move { .. } => {
                let change = Change { queue: Some("gpu".into()), ..Change::default() };
                let _ = store.change(run, change, "test".into()).await;
            }
            Act::End { .. } => {
                self.intakes.remove(&run);
                let _ = store.cancel(run, "test".into(), Cancel::default()).await;
            }
            _ => {
                let deleted = store.delete(run).await;
                self.deleted.extend(deleted.is_ok().then_some(run));
            }
        }
    }

    /// Pushes so many of the events that are committed, and remembers them: all pass here, also what is removed soon.
    fn push(&mut self, events: usize) {
        let mut left = events;
        while left > 0 {
            // Together, as many as a mailbox may hold.
            let events = self.feed.store().committed().take(left.min(READER_EVENTS), usize::MAX);
            if events.is_empty() {
                return;
            }
            let known = |event: &Event| Known { id: event.id, run: event.run, seq: event.seq, kind: event.kind };
            self.known.extend(events.iter().map(known));
            self.feed.hub.push(&events);
            left -= events.len();
        }
    }

    /// The scopes that are followed by turns.
    fn scope(&self, pick: usize) -> Option<Scope> {
        let run = self.runs.get(pick / 5 % self.runs.len().max(1)).copied();
        let kinds = |kinds: &[Kind]| Some(kinds.to_vec());
        Some(match pick % 5 {
            0 | 1 => Scope::Run(run?),
            2 => Scope::All(EventFilter::new(kinds(Kind::ALL), None, None)),
            3 => Scope::All(EventFilter::new(kinds(&[Kind::Message, Kind::Finished]), None, None)),
            _ => Scope::All(EventFilter::new(None, None, Some(vec![run?]))),
        })
    }

    async fn follow(&mut self, scope: usize, after: usize) {
        let Some(scope) = self.scope(scope) else { return };
        // A deleted run is refused.
        let Ok(head) = self.feed.store().head(scope.clone()).await else { return };
        let after = Position(after as i64 % (head.last().0 + 1));
        let opened = Follower::open(&self.feed.hub, scope.clone(), FORM, &Cursor::After(after)).await;
        let (follower, opening) = opened.expect("a cursor that is not ahead");
        assert_eq!(opening.after, after);
        let follower = Follower { quiet: Quiet::new(QUIET), ..follower };
        let steps = stream::unfold(follower, async |mut follower| Some((follower.next().await, follower))).boxed();
        let (events, gaps) = (BTreeSet::new(), Vec::new());
        self.readers.push(Reader { scope, after, cursor: after, steps, events, gaps, caught_up: false, last: None });
    }

    /// The daemon ends: everything is pushed, and every reader reads to its end and has seen what it was to see.
    async fn finish(mut self) {
        self.push(usize::MAX);
        self.feed.hub.close();
        for mut reader in std::mem::take(&mut self.readers) {
            while reader.last.is_none() {
                reader.read(1).await;
            }
            self.check(&reader).await;
        }
    }

    /// Every event that a reader was to be given it was given, or it is gone and was told as gone.
    async fn check(&self, reader: &Reader) {
        let in_scope = |known: &&Known| match &reader.scope {
            Scope::Run(run) => known.run == *run,
            Scope::All(filter) => filter.shows(known.kind, known.run),
        };
        let last = reader.last.as_ref().expect("it ended");
        if let (Scope::Run(run), Step::Gone) = (&reader.scope, last) {
            assert!(self.deleted.contains(run), "told as deleted, and was not");
            return;
        }
        let there: BTreeSet<EventId> = self.feed.everything().await.iter().map(|event| event.id).collect();
        let mut given = reader.events.clone();
        for known in self.known.iter().filter(in_scope) {
            let position = reader.scope.position(known.id, known.seq);
            if given.remove(&position) || position <= reader.after {
                continue;
            }
            let told = reader.gaps.iter().any(|gap| gap.from <= position && position <= gap.to);
            assert!(told, "{known:?} was neither given nor told as gone: {:?}", reader.gaps);
            assert!(!there.contains(&known.id), "{known:?} was told as gone and is there");
        }
        assert!(given.is_empty(), "given, and never committed: {given:?}");
    }
}

impl Reader {
    /// Takes as many steps, as far as they come.
    async fn read(&mut self, steps: usize) {
        for _ in 0..steps {
            if self.last.is_some() {
                return;
            }
            let Some(Some(step)) = within(PATIENCE, self.steps.next()).await else { return };
            self.take(step.expect("the store can be read"));
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Events(events) => {
                assert!(!events.is_empty());
                for mark in events.iter().flat_map(Part::marks) {
                    let position = self.scope.position(mark.id, mark.seq);
                    assert!(self.scope.continues(self.cursor, position), "{position} behind {}", self.cursor);
                    self.cursor = position;
                    assert!(self.events.insert(position));
                }
            }
            Step::Gap(gap) => {
                assert_eq!(gap.partial, matches!(self.scope, Scope::All(_)));
                // What the filter hides before a partial gap may have been passed in silence; what it shows is looked for
                // at the end.
                let is_next = if gap.partial { gap.from > self.cursor } else { gap.from == self.cursor.next() };
                assert!(is_next && gap.to >= gap.from, "{gap:?} behind {}", self.cursor);
                if !gap.partial {
                    self.cursor = gap.to;
                }
                self.gaps.push(gap);
            }
            Step::Cursor(at) => {
                assert!(matches!(self.scope, Scope::All(_)) && at > self.cursor, "{at} behind {}", self.cursor);
                self.cursor = at;
            }
            Step::CaughtUp(at) => {
                assert!(!std::mem::replace(&mut self.caught_up, true) && at >= self.cursor);
                self.cursor = at;
            }
            Step::End { last, .. } => {
                assert!(matches!(self.scope, Scope::Run(_)) && last == self.cursor && self.caught_up);
                self.last = Some(Step::End { outcome: Outcome::QUEUED, last });
            }
            last => self.last = Some(last),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_event_is_given_once_and_in_order_or_told_as_gone(acts in prop::collection::vec(act(), 1..60)) {
        block_on(async {
            let mut model = Model::new();
            model.feed.store().put_queue("gpu".into(), QueueChange { slots: Some(1), paused: Some(true), ..QueueChange::default() }).await.expect("a queue");
            model.act(Act::Submit { in_gpu: false }).await;
            for act in acts {
                model.act(act).await;
            }
            model.finish().await;
        });
    }
}
