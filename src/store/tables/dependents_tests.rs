//! Long chains and wide fans of runs that need each other, told in bounded pieces.

use std::sync::Arc;

use async_io::block_on;

use crate::dir::Dir;
use crate::metrics::Metrics;
use crate::run::{Cause, Hold, Need, Options, Origin, Reason, RunId, Spec, Status, When};
use crate::store::settings::StoreConfig;
use crate::store::tables::cancel::Cancel;
use crate::store::tables::handle::Store;
use crate::store::tables::life::NewRun;
use crate::wake::{Bell, Stop};

/// Runs that need each other.
const RUNS: i64 = 10_000;
/// Requests that are under way at the same time: so few that they come in their order.
const TOGETHER: usize = 50;

fn needing(run: Option<i64>) -> NewRun {
    let after = run.map(|run| Need { run: RunId(run), when: When::Succeeded }).into_iter().collect();
    let spec = Spec { options: Options { after, ..Options::default() }, ..Spec::plain("default") };
    NewRun { spec, idempotency: None, retry_of: None, origin: Origin::of(Cause::Submit), by: "test".into() }
}

/// A store with a run that others need, as `needed_by` of each of them says; answers how many commits its cancel took.
fn canceled(needed: impl Fn(i64) -> i64) -> u64 {
    let dir = std::env::temp_dir().join(format!("runabout-needs-{:x}", getrandom::u64().expect("random")));
    std::fs::create_dir(&dir).expect("a directory");
    let file = Arc::new(Dir::open(&dir).expect("opened")).file("runabout.db");
    let (bell, metrics) = (Bell::default(), Arc::new(Metrics::new()));
    let open = || {
        let stop = Stop::new(bell.clone());
        Store::open(&file, &StoreConfig::unlimited(), &bell, &stop, &metrics).expect("a store")
    };
    let commits = block_on(async {
        let store = open();
        submit_all(&store, needed).await;
        assert!(store.run(RunId(RUNS)).await.expect("the last").held_by.has(Hold::After));
        let before = metrics.commits.get();
        store.cancel(RunId(1), "test".into(), Cancel::default()).await.expect("canceled");
        assert!(store.telling(), "a piece was told, and more is to be");
        // A crash in the middle: what is still to be told is on the medium.
        store.close().await;
        let store = open();
        while store.telling() {
            store.claim().await.expect("a commit");
        }
        assert_eq!(store.counts()[Status::Canceled as usize], RUNS);
        let last = store.run(RunId(RUNS)).await.expect("the last");
        assert_eq!((last.outcome.reason, last.is_needed), (Some(Reason::Dependency), false));
        store.close().await;
        metrics.commits.get() - before
    });
    let _ = std::fs::remove_dir_all(&dir);
    commits
}

/// Submits them in their order, many a commit.
async fn submit_all(store: &Store, needed: impl Fn(i64) -> i64) {
    let executor = smol::LocalExecutor::new();
    for first in (1..=RUNS).step_by(TOGETHER) {
        let ids = first..(first + TOGETHER as i64).min(RUNS + 1);
        let submit = |id: i64| executor.spawn(store.submit(needing((id > 1).then(|| needed(id)))));
        let submits: Vec<_> = ids.map(submit).collect();
        let all = async {
            for submit in submits {
                submit.await.expect("submitted");
            }
        };
        executor.run(all).await;
    }
}

#[test]
fn a_chain_is_told_link_by_link_and_never_in_one_transaction() {
    let commits = canceled(|id| id - 1);
    assert!((40..=400).contains(&commits), "{commits} commits");
}

#[test]
fn a_fan_is_told_in_pieces_too() {
    let commits = canceled(|_| 1);
    assert!((40..=400).contains(&commits), "{commits} commits");
}
