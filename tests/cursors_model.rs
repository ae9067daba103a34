//! A model of retention with durable cursors: whatever is put, moved, removed, ended and begun again in any order, exactly
//! those runs go that are too many and that nobody holds; and a reader that goes by its cursor misses nothing, however
//! often the daemon dies.

use std::collections::BTreeMap;

use futures_lite::future::{block_on, poll_once};
use runabout::clock::UnixMs;
use runabout::numbers::EventId;
use runabout::run::RunId;
use runabout::scope::{EventFilter, Scope};
use runabout::store::{Cancel, Refusal, Store, StoreError};
use runabout::wake::Bell;
use serde_json::{Value, json};

use crate::common::{DEADLINE, Daemon, Random, TempDir, eventually, new_run, store_keeping};

/// Runs that retention keeps.
const COUNT: usize = 3;

fn open(dir: &TempDir, bell: &Bell) -> Store {
    store_keeping(dir, bell, COUNT as u64)
}

fn last_id(store: &Store) -> EventId {
    let head = block_on(store.head(Scope::All(EventFilter::new(None, None, None)))).unwrap();
    EventId(head.last().0)
}

/// What is there, as it has to be.
#[derive(Default)]
struct Model {
    /// Ended runs, in the order of their ends, each with its last event; whether it is kept is not tried here.
    ended: Vec<(RunId, EventId)>,
    cursors: BTreeMap<String, EventId>,
}

impl Model {
    fn floor(&self) -> EventId {
        self.cursors.values().copied().min().unwrap_or(EventId(i64::MAX))
    }

    fn may_remove(&self) -> bool {
        self.ended.len() > COUNT && self.ended[0].1 <= self.floor()
    }

    fn remove(&mut self) {
        while self.may_remove() {
            self.ended.remove(0);
        }
    }
}

/// Every pass that is due; gives how many runs went.
fn passes(store: &Store) -> usize {
    let mut went = 0;
    loop {
        let piece = block_on(store.remove_expired()).unwrap();
        if piece.total() == 0 {
            return went;
        }
        assert_eq!(piece.unread_runs, 0, "there is room");
        went += piece.runs;
    }
}

fn step(store: &Store, model: &mut Model, random: &mut Random) -> String {
    let name = format!("reader-{}", random.below(4));
    match random.below(8) {
        0..=3 => {
            let run = block_on(store.submit(new_run())).unwrap().run.id;
            block_on(store.cancel(run, "test".into(), Cancel::default())).unwrap();
            model.ended.push((run, last_id(store)));
            format!("{run} ends")
        }
        4 | 5 => {
            let at = EventId(random.below(last_id(store).0 as u64 + 1) as i64);
            let (_, created) = block_on(store.put_cursor(name.clone(), at, None)).unwrap();
            assert_eq!(created, model.cursors.insert(name.clone(), at).is_none());
            format!("{name} is put at {at}")
        }
        6 => {
            let gone = block_on(store.delete_cursor(name.clone()));
            match model.cursors.remove(&name) {
                Some(_) => gone.unwrap(),
                None => assert!(matches!(gone, Err(StoreError::Refused(Refusal::CursorNotFound(_)))), "{gone:?}"),
            }
            format!("{name} is removed")
        }
        _ => {
            // A client's deletion asks no cursor.
            let Some(at) = (model.ended.len() as u64).checked_sub(1) else { return "nothing".to_owned() };
            let (run, _) = model.ended.remove(random.below(at + 1) as usize);
            block_on(store.delete(run)).unwrap();
            format!("{run} is deleted")
        }
    }
}

#[test]
fn exactly_what_is_too_much_and_held_by_nobody_goes() {
    for seed in 1..=12 {
        let (dir, bell, mut random, mut model) = (TempDir::new(), Bell::default(), Random::new(seed), Model::default());
        let mut store = open(&dir, &bell);
        let mut steps = Vec::new();
        for _ in 0..60 {
            steps.push(step(&store, &mut model, &mut random));
            let due = || store.next_removal().is_some_and(|at| at <= UnixMs::now());
            // Whoever sleeps until something is due is woken where something is.
            assert!(due() || !model.may_remove(), "seed {seed}: nothing is due after {steps:#?}");
            if random.below(3) == 0 {
                model.remove();
                passes(&store);
                assert!(!due(), "seed {seed}: it would look again and again after {steps:#?}");
                for (run, _) in &model.ended {
                    assert!(block_on(store.run(*run)).is_ok(), "seed {seed}: {run} is gone after {steps:#?}");
                }
                let ended = block_on(store.runs(runabout::store::Filter { limit: 500, ..Default::default() })).unwrap();
                assert_eq!(ended.runs.len(), model.ended.len(), "seed {seed}: {steps:#?}");
            }
            if random.below(10) == 0 {
                // What was found to be held is found again by what comes next.
                block_on(store.close());
                store = open(&dir, &bell);
                let there: BTreeMap<String, EventId> =
                    store.cursors().all.0.iter().map(|(name, cursor)| (name.clone(), cursor.id)).collect();
                assert_eq!(there, model.cursors, "seed {seed}: {steps:#?}");
            }
        }
    }
}

#[test]
fn a_move_rings_nobody_and_what_others_wait_for_does() {
    let (dir, bell) = (TempDir::new(), Bell::default());
    let store = open(&dir, &bell);
    let rings = |work: &dyn Fn()| {
        let rung = bell.listen();
        work();
        // A commit rings before it is answered.
        block_on(poll_once(rung)).is_some()
    };
    assert!(rings(&|| drop(block_on(store.submit(new_run())).unwrap())));
    assert!(!rings(&|| drop(block_on(store.put_cursor("a".into(), EventId(0), None)).unwrap())));
    assert!(!rings(&|| drop(block_on(store.put_cursor("a".into(), EventId(1), None)).unwrap())));
    assert!(!rings(&|| block_on(store.delete_cursor("a".into())).unwrap()));
    assert!(rings(&|| drop(block_on(store.cancel(RunId(1), "test".into(), Cancel::default())).unwrap())));
}

#[test]
fn a_reader_by_its_cursor_misses_no_end_however_often_the_daemon_dies() {
    const ROUNDS: u64 = 6;
    let mut daemon = Daemon::with_config("[retention]\nruns_count = 2\n");
    daemon.put("/v1/cursors/report", &json!({"id": 0})).expect(201);
    let mut random = Random::new(7);
    let (mut read, mut acknowledged, mut submitted) = (Vec::new(), 0, Vec::new());
    for _ in 0..ROUNDS {
        let until = submitted.len() + 6 + random.below(6) as usize;
        while submitted.len() < until {
            submitted.push(daemon.sh("true"));
            if random.below(3) > 0 {
                continue;
            }
            // It reads on from where its cursor is, and moves that only then.
            let page = daemon.get(&format!("/v1/events?kinds=finished&after={acknowledged}")).expect(200).json();
            assert_eq!(page["gaps"], json!([]), "nothing is gone that it has not read");
            let events = page["events"].as_array().unwrap().clone();
            let Some(last) = events.last().and_then(|event| event["id"].as_i64()) else { continue };
            daemon.put("/v1/cursors/report", &json!({"id": last})).expect(200);
            acknowledged = last;
            read.extend(events.iter().map(|event| event["run"].as_i64().unwrap()));
        }
        daemon.kill9();
        daemon.start_again();
        let stored = daemon.get("/v1/cursors/report").expect(200).json()["id"].as_i64().unwrap();
        assert_eq!(stored, acknowledged, "what was acknowledged is there");
    }
    daemon.wait_ended(*submitted.last().unwrap());
    let rest = daemon.all_events("kinds=finished", acknowledged);
    read.extend(rest.iter().map(|event| event["run"].as_i64().unwrap()));
    read.sort_unstable();
    assert_eq!(read, submitted, "each once, and none is missing");
    let last: Option<Value> = rest.last().map(|event| event["id"].clone());
    if let Some(last) = last {
        daemon.put("/v1/cursors/report", &json!({"id": last})).expect(200);
    }
    let left = || daemon.get("/v1/runs?limit=500").json()["runs"].as_array().unwrap().len();
    eventually(DEADLINE, "retention goes on", || left() == 2);
}
