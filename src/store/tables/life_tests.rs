//! Random lives of many runs, held against a model: what may be done, where each run stands, what holds it back, and every
//! counter.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_io::block_on;
use futures_lite::future::zip;
use proptest::prelude::*;

use crate::clock::UnixMs;
use crate::dir::Dir;
use crate::event::Kind;
use crate::metrics::Metrics;
use crate::run::{Ask, Cause, Exit, HeldBy, Hold, Measured, OnInterrupt, Origin, RunId, Spec, Status, When};
use crate::store::engine::orders::Order;
use crate::store::error::{Fault, StoreError};
use crate::store::refusal::Refusal;
use crate::store::settings::StoreConfig;
use crate::store::tables::cancel::Cancel;
use crate::store::tables::handle::Store;
use crate::store::tables::life::{self, NewRun};
use crate::store::tables::queues::QueueChange;
use crate::store::tables::run_row::get_in;
use crate::store::tables::runs::Change;
use crate::wake::{Bell, Stop};

mod waits;

use self::waits::{Submit, submit};

const QUEUES: [&str; 2] = ["default", "other"];
const SLOTS: i64 = 2;
/// Beyond the end of any test.
const HOUR_S: i64 = 3_600;

/// What happens next; a `usize` picks one of the runs that were ever made.
#[derive(Clone, Debug)]
enum Act {
    Submit(Submit),
    Claim,
    Finish { run: usize, asked: Option<Ask>, code: i32 },
    Cancel(usize),
    Retry(usize),
    Delete(usize),
    Delay { run: usize, delayed: bool },
    Move { run: usize, queue: usize },
    Keep { run: usize, keep: bool },
    Pause { queue: usize, paused: bool },
}

fn act() -> impl Strategy<Value = Act> {
    let run = || any::<usize>();
    let asked = prop_oneof![Just(None), Just(Some(Ask::Cancel)), Just(Some(Ask::Timeout)), Just(Some(Ask::Shutdown))];
    prop_oneof![
        6 => submit().prop_map(Act::Submit),
        3 => Just(Act::Claim),
        4 => (run(), asked, 0..2_i32).prop_map(|(run, asked, code)| Act::Finish { run, asked, code }),
        2 => run().prop_map(Act::Cancel),
        1 => run().prop_map(Act::Retry),
        2 => run().prop_map(Act::Delete),
        2 => (run(), any::<bool>()).prop_map(|(run, delayed)| Act::Delay { run, delayed }),
        1 => (run(), 0..2_usize).prop_map(|(run, queue)| Act::Move { run, queue }),
        1 => (run(), any::<bool>()).prop_map(|(run, keep)| Act::Keep { run, keep }),
        1 => (0..2_usize, any::<bool>()).prop_map(|(queue, paused)| Act::Pause { queue, paused }),
    ]
}

/// What the model knows of a run.
#[derive(Clone, Debug)]
struct Known {
    status: Status,
    queue: usize,
    held_by: HeldBy,
    attempt: i64,
    requeue: bool,
    canceled: bool,
    retry_s: Option<i64>,
    failures: i64,
    key: Option<usize>,
    /// While it waits for them: which run, how it has to end, whether it has.
    needs: Vec<(i64, When, bool)>,
}

/// The store beside the model of it.
struct World {
    store: Store,
    dir: PathBuf,
    runs: BTreeMap<i64, Known>,
    made: i64,
    paused: [bool; 2],
}

impl World {
    async fn new() -> World {
        let nonce = getrandom::u64().expect("random numbers");
        let dir = std::env::temp_dir().join(format!("runabout-life-{nonce:x}"));
        std::fs::create_dir(&dir).expect("a directory");
        let store = open(&dir);
        store.open_claims(true);
        for queue in QUEUES {
            store
                .put_queue(queue.into(), QueueChange { slots: Some(SLOTS), ..QueueChange::default() })
                .await
                .expect("a queue");
        }
        World { store, dir, runs: BTreeMap::new(), made: 0, paused: [false; 2] }
    }

    /// One of the runs that were made, also one that is gone.
    fn pick(&self, run: usize) -> RunId {
        RunId(1 + (run as i64).rem_euclid(self.made.max(1)))
    }

    async fn act(&mut self, act: &Act) {
        let now = UnixMs::now();
        let not_before = |delayed: bool| delayed.then(|| now.plus_s(HOUR_S));
        match *act {
            Act::Submit(ref submit) => self.submit(submit).await,
            Act::Claim => self.store.claim().await.expect("claimed"),
            Act::Finish { run, asked, code } => self.finish(self.pick(run), asked, code).await,
            Act::Cancel(run) => {
                let run = self.pick(run);
                let answer = self.store.cancel(run, "test".into(), Cancel::default()).await;
                let Some(known) = self.known(run, &answer) else { return };
                match known.status {
                    Status::Queued => self.end(run.0, Status::Canceled),
                    Status::Running => known.canceled = true,
                    _ => {}
                }
            }
            Act::Retry(run) => {
                let run = self.pick(run);
                let answer = self.store.retry(run, "test".into()).await;
                let Some(known) = self.known(run, &answer).cloned() else { return };
                if !known.status.is_terminal() {
                    assert_eq!(answer.err(), Some(Refusal::RunNotFinished(run).into()));
                    return;
                }
                let held_by = HeldBy::NOTHING.set(Hold::Key, known.key.is_some_and(|key| !self.alive(key).is_empty()));
                self.made(answer.expect("tried again").id, Known { held_by, ..known.again() });
            }
            Act::Delete(run) => {
                let run = self.pick(run);
                let answer = self.store.delete(run).await;
                let is_needed = self.is_needed(run.0);
                let Some(known) = self.known(run, &answer) else { return };
                if known.status.is_terminal() && is_needed {
                    assert!(matches!(answer, Err(StoreError::Refused(Refusal::RunNeeded { .. }))), "{answer:?}");
                } else if known.status.is_terminal() {
                    assert_eq!(answer, Ok(()));
                    self.runs.remove(&run.0);
                } else {
                    assert_eq!(answer, Err(Refusal::RunNotFinished(run).into()));
                }
            }
            Act::Delay { run, delayed } => {
                let change = Change { not_before: Some(not_before(delayed)), ..Change::default() };
                let does = |known: &mut Known| {
                    let hold = if known.held_by.has(Hold::Retry) { Hold::Retry } else { Hold::Time };
                    known.held_by = known.held_by.set(hold, delayed);
                };
                self.change(run, change, does).await;
            }
            Act::Move { run, queue } => {
                let change = Change { queue: Some(QUEUES[queue].into()), ..Change::default() };
                self.change(run, change, |known| known.queue = queue).await;
            }
            Act::Keep { run, keep } => {
                let run = self.pick(run);
                let change = Change { keep: Some(keep), ..Change::default() };
                let answer = self.store.change(run, change, "test".into()).await;
                assert_eq!(self.known(run, &answer).is_some(), answer.is_ok());
            }
            Act::Pause { queue, paused } => {
                self.store
                    .put_queue(QUEUES[queue].into(), QueueChange { paused: Some(paused), ..QueueChange::default() })
                    .await
                    .expect("changed");
                self.paused[queue] = paused;
            }
        }
    }

    fn made(&mut self, id: RunId, known: Known) {
        assert_eq!(id.0, self.made + 1, "ids are given out once, in order");
        self.made = id.0;
        self.runs.insert(id.0, known);
    }

    /// The run in the model; where it is gone, or was never there, the answer has to say so.
    fn known<T: std::fmt::Debug>(&mut self, run: RunId, answer: &Result<T, StoreError>) -> Option<&mut Known> {
        let (known, made) = (self.runs.get_mut(&run.0), self.made);
        if known.is_none() {
            let absent = if made == 0 { Refusal::RunNotFound(run) } else { Refusal::RunPruned(run) };
            assert_eq!(answer.as_ref().err(), Some(&absent.into()));
        }
        known
    }

    /// A change that only what is queued takes.
    async fn change(&mut self, run: usize, change: Change, does: impl FnOnce(&mut Known)) {
        let run = self.pick(run);
        let answer = self.store.change(run, change, "test".into()).await;
        let Some(known) = self.known(run, &answer) else { return };
        if known.status == Status::Queued {
            does(known);
            assert!(answer.is_ok(), "{answer:?}");
        } else {
            assert_eq!(answer.err(), Some(Refusal::RunNotQueued(run).into()));
        }
    }

    async fn finish(&mut self, run: RunId, asked: Option<Ask>, code: i32) {
        let attempt = self.runs.get(&run.0).map_or(1, |known| known.attempt);
        let answer = self.store.finish(run, attempt, None, asked, Exit::Code(code), Measured::default()).await;
        let Some(known) = self.known(run, &answer) else { return };
        let outcome = answer.expect("an answer");
        if known.status != Status::Running {
            assert_eq!(outcome, None, "only what runs ends");
            return;
        }
        let again = known.requeue && !known.canceled;
        let status = match (asked, code) {
            (Some(Ask::Cancel), _) => Status::Canceled,
            (Some(Ask::Timeout), _) => Status::TimedOut,
            (Some(_), _) if again => Status::Queued,
            (Some(_), _) => Status::Interrupted,
            (None, 0) => Status::Succeeded,
            (None, _) => Status::Failed,
        };
        let is_failure = matches!(status, Status::Failed | Status::TimedOut) && !known.canceled;
        let retry_s = known.retry_s.filter(|_| is_failure && known.failures == 0);
        let status = if retry_s.is_some() { Status::Queued } else { status };
        if status == Status::Queued {
            known.status = status;
            known.attempt += 1;
            known.failures += i64::from(retry_s.is_some());
            known.held_by = HeldBy::NOTHING.set(Hold::Retry, retry_s.is_some_and(|wait_s| wait_s > 0));
        } else {
            self.end(run.0, status);
        }
        assert_eq!(outcome.map(|outcome| outcome.status), Some(status));
    }

    /// What was claimed meanwhile: the first that was ready, where a slot was free.
    fn take_claims(&mut self) {
        while let Ok(order) = self.store.orders().try_recv() {
            let Order::Start(claimed) = order else { continue };
            let queue = self.runs.get(&claimed.run.0).expect("known").queue;
            let first = self.runs.iter().find(|(_, run)| run.is_ready() && run.queue == queue).map(|(id, _)| *id);
            assert_eq!(first, Some(claimed.run.0), "the first that is ready");
            assert!(!self.paused[queue] && self.count(queue, Known::runs) < SLOTS, "a slot of {}", QUEUES[queue]);
            let known = self.runs.get_mut(&claimed.run.0).expect("known");
            assert_eq!(claimed.attempt, known.attempt);
            known.status = Status::Running;
        }
    }

    fn count(&self, queue: usize, is: fn(&Known) -> bool) -> i64 {
        self.runs.values().filter(|run| run.queue == queue && is(run)).count() as i64
    }

    async fn agrees(&self, store: &Store) {
        let mut counts = [0; Status::ALL.len()];
        self.runs.values().for_each(|run| counts[run.status as usize] += 1);
        assert_eq!(store.counts(), counts);
        for (index, name) in QUEUES.iter().enumerate() {
            let queue = store.queue(name).expect("a queue");
            let counted = (queue.ready, queue.held, queue.running);
            let known = (
                self.count(index, Known::is_ready),
                self.count(index, |run| run.status == Status::Queued && !run.is_ready()),
                self.count(index, Known::runs),
            );
            assert_eq!(counted, known, "ready, held back and running in {name}");
        }
        for (id, known) in &self.runs {
            let run = store.run(RunId(*id)).await.expect("the run");
            let held_by = if known.status == Status::Queued { known.held_by } else { HeldBy::NOTHING };
            let stands = (run.outcome.status, run.held_by, run.is_needed);
            assert_eq!(stands, (known.status, held_by, self.is_needed(*id)), "run {id}");
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

const FRESH: Known = Known {
    status: Status::Queued,
    queue: 0,
    held_by: HeldBy::NOTHING,
    attempt: 1,
    requeue: false,
    canceled: false,
    retry_s: None,
    failures: 0,
    key: None,
    needs: Vec::new(),
};

impl Known {
    fn is_ready(&self) -> bool {
        self.status == Status::Queued && self.held_by.is_nothing()
    }

    fn has_begun(&self) -> bool {
        self.status != Status::Queued || self.attempt > 1
    }

    fn runs(&self) -> bool {
        self.status == Status::Running
    }

    fn again(&self) -> Known {
        Known { queue: self.queue, requeue: self.requeue, retry_s: self.retry_s, key: self.key, ..FRESH }
    }
}

fn open(dir: &std::path::Path) -> Store {
    let (config, file) = (StoreConfig::unlimited(), Arc::new(Dir::open(dir).expect("opened")).file("runabout.db"));
    let bell = Bell::default();
    let stop = Stop::new(bell.clone());
    Store::open(&file, &config, &bell, &stop, &Arc::new(Metrics::new())).expect("a store")
}

#[test]
fn a_move_that_the_table_lacks_takes_back_what_its_request_wrote() {
    block_on(async {
        let world = World::new().await;
        let new = NewRun {
            spec: Spec::plain("other"),
            idempotency: None,
            retry_of: None,
            origin: Origin::of(Cause::Submit),
            by: "test".into(),
        };
        let run = world.store.submit(new).await.expect("submitted").run.id;
        let wrong = world.store.requests.write(move |tx| {
            tx.append(run, Kind::Message, "{}".into())?;
            let queued = get_in(tx, run)?;
            life::remove(tx, &queued)
        });
        let right = world.store.change(run, Change { priority: Some(1), ..Change::default() }, "test".into());
        let (wrong, right) = zip(wrong, right).await;
        let no_such_move = Fault::NoSuchMove { run, from: Some(Status::Queued), to: None }.into();
        assert_eq!(wrong, Err(no_such_move), "it is told");
        // What shared its transaction is done, and numbered as if the other had never been.
        assert_eq!(right.map(|run| run.last_seq.0), Ok(2));
        assert_eq!(world.store.run(run).await.expect("the run").last_seq.0, 2);
        assert!(world.store.published.is_writable(), "the medium is none the worse for it");
        assert_eq!(world.store.queue("other").expect("a queue").ready, 1);
        world.store.close().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_run_stands_where_the_table_allows_and_is_counted_there(acts in prop::collection::vec(act(), 1..60)) {
        block_on(async {
            let mut world = World::new().await;
            for act in &acts {
                world.act(act).await;
                world.tell();
                world.take_claims();
                let has_claimed = matches!(act, Act::Claim);
                assert!(!(has_claimed && world.store.telling()), "all who wait for an end were told of it");
                for (queue, name) in QUEUES.iter().enumerate() {
                    let free = !world.paused[queue] && world.count(queue, Known::runs) < SLOTS;
                    let waits = world.count(queue, Known::is_ready) > 0;
                    assert!(!(has_claimed && free && waits), "a free slot of {name} was left free");
                }
                world.agrees(&world.store).await;
            }
            // What is kept in memory is what is counted anew.
            world.store.close().await;
            let again = open(&world.dir);
            world.agrees(&again).await;
            again.close().await;
        });
    }
}
