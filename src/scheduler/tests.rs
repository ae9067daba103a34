//! The orders that the store gives, whatever submits, cancels and ends come between each other, against what each of them
//! may follow.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use async_io::block_on;
use futures_lite::future;
use proptest::prelude::*;

use super::*;
use crate::dir::Dir;
use crate::run::{Ask, Cause, Exit, Measured, Origin, RunId, Spec, Status};
use crate::store::{Cancel, DEFAULT_QUEUE, NewRun, StoreConfig};

/// What a client or the runner does next; a `usize` picks one of the runs that were made.
#[derive(Clone, Debug)]
enum Act {
    Submit,
    Cancel(usize),
    /// The attempt of a run that was ordered to start is over.
    End(usize),
    /// Others have their turn: the scheduler may claim.
    Yield,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::Submit),
        4 => any::<usize>().prop_map(Act::Cancel),
        3 => any::<usize>().prop_map(Act::End),
        2 => Just(Act::Yield),
    ]
}

/// What was ordered, in the order in which it came.
#[derive(Default)]
struct Ordered {
    /// The attempt that was ordered to start.
    started: BTreeMap<RunId, i64>,
    stopped: BTreeSet<RunId>,
}

impl Ordered {
    fn take(&mut self, order: &Order) {
        match order {
            Order::Start(claimed) => {
                let before = self.started.insert(claimed.run, claimed.attempt);
                assert_eq!(before, None, "run {} was started twice", claimed.run);
            }
            Order::RemoveArtifacts(run) => panic!("run {run} leaves nothing"),
            Order::Stop { run, asked, .. } => {
                assert!(self.started.contains_key(run), "run {run} was to stop before it was to start");
                assert_eq!(*asked, Ask::Cancel);
                self.stopped.insert(*run);
            }
        }
    }
}

/// Does these acts beside a scheduler; answers the runs whose cancel was answered with what it must have ordered.
async fn play(
    store: &Store,
    stop: &Stop,
    acts: &[Act],
    ordered: &RefCell<Ordered>,
) -> (BTreeSet<RunId>, BTreeSet<RunId>) {
    let (mut made, mut ended) = (Vec::new(), BTreeSet::new());
    let (mut to_be_stopped, mut never_to_start) = (BTreeSet::new(), BTreeSet::new());
    for act in acts {
        let pick = |run: usize| made.get(run % made.len().max(1)).copied();
        match *act {
            Act::Submit => {
                let new = NewRun {
                    spec: Spec::plain(DEFAULT_QUEUE),
                    idempotency: None,
                    retry_of: None,
                    origin: Origin::of(Cause::Submit),
                    by: "test".into(),
                };
                made.push(store.submit(new).await.expect("submitted").run.id);
            }
            Act::Cancel(run) => {
                let Some(run) = pick(run) else { continue };
                let (canceled, still_runs) = store.cancel(run, "test".into(), Cancel::default()).await.expect("there");
                assert_eq!(still_runs, canceled.outcome.status == Status::Running);
                if still_runs {
                    to_be_stopped.insert(run);
                } else if !ended.contains(&run) {
                    never_to_start.insert(run);
                }
            }
            Act::End(run) => {
                let Some(run) = pick(run) else { continue };
                let attempt = ordered.borrow().started.get(&run).copied();
                if let Some(attempt) = attempt.filter(|_| ended.insert(run)) {
                    let asked = ordered.borrow().stopped.contains(&run).then_some(Ask::Cancel);
                    store.finish(run, attempt, None, asked, Exit::Code(0), Measured::default()).await.expect("settled");
                }
            }
            Act::Yield => future::yield_now().await,
        }
    }
    stop.raise(Phase::Stopping);
    (to_be_stopped, never_to_start)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stop_follows_its_start_and_each_cancel_acts_once(acts in prop::collection::vec(act(), 1..60)) {
        let dir = std::env::temp_dir().join(format!("runabout-orders-{:x}", getrandom::u64().expect("random")));
        std::fs::create_dir(&dir).expect("a directory");
        let file = Arc::new(Dir::open(&dir).expect("opened")).file("runabout.db");
        let (bell, metrics) = (Bell::default(), Arc::new(Metrics::new()));
        let stop = Stop::new(bell.clone());
        let store = Store::open(&file, &StoreConfig::unlimited(), &bell, &stop, &metrics).expect("a store");
        let ordered = RefCell::new(Ordered::default());
        let obey = |order: Order| ordered.borrow_mut().take(&order);
        let scheduled = run(&store, &bell, &stop, &metrics, || None, obey);
        let played = play(&store, &stop, &acts, &ordered);
        let ((), (to_be_stopped, never_to_start)) = block_on(future::zip(scheduled, played));
        let told = ordered.borrow();
        let started: BTreeSet<RunId> = told.started.keys().copied().collect();
        prop_assert_eq!(&told.stopped, &to_be_stopped);
        prop_assert!(started.is_disjoint(&never_to_start), "{:?} started though canceled before", started);
        block_on(store.close());
        std::fs::remove_dir_all(&dir).expect("removed");
    }
}
