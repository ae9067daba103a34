//! `kill -9` of the daemon, again and again, under runs that are tried again, come after others and share keys: no attempt
//! starts twice, nothing is freed twice or never, and no key runs twice.
//!
//! Each attempt writes its own line into a file, and takes a lock of its key that the kernel frees with its process: the
//! truth does not come from the one that is tested.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::common::{DEADLINE, Daemon, eventually};

/// How often the daemon is killed.
const ROUNDS: i64 = 6;
/// Runs that each round submits.
const BURST: i64 = 24;
/// A crash comes when so many runs more have ended.
const ENDS_PER_ROUND: usize = 9;
const KEYS: i64 = 3;
/// The exit code of an attempt whose key another one had.
const TAKEN: i64 = 99;

/// The next run: every third fails, and is tried again; each but the first comes after one or two before it.
fn run(daemon: &Daemon, before: &[i64]) -> Value {
    let (nth, dir) = (before.len() as i64, daemon.dir().display().to_string());
    let key = format!("k{}", nth % KEYS);
    let work = format!("sleep 0.02; test $(({nth} % 3)) != 1");
    let script = format!(
        "echo $RUNABOUT_RUN_ID $RUNABOUT_ATTEMPT >>{dir}/starts; exec flock -n -E {TAKEN} {dir}/{key} sh -c '{work}'"
    );
    let whens = ["ended", "succeeded", "failed"];
    let need = |back: i64, when: &str| {
        let at = nth - back;
        (at >= 0).then(|| json!({"run": before[at as usize], "when": when}))
    };
    let mut after: Vec<Value> = need(1, "ended").into_iter().collect();
    if nth % 4 == 3 {
        after.extend(need(2, whens[(nth / 4 % 3) as usize]));
    }
    json!({
        "script": script, "key": key, "after": after, "on_interrupt": "requeue",
        "on_conflict": if nth % 7 == 6 { "replace" } else { "wait" },
        "retry": {"attempts": 2, "delay_s": 0, "unless_exit": [TAKEN]},
    })
}

fn ended(daemon: &Daemon) -> usize {
    let counts = &daemon.get("/v1/system").json()["runs"];
    let of = |status: &str| counts[status].as_u64().unwrap() as usize;
    of("succeeded") + of("failed") + of("canceled")
}

#[test]
fn nothing_is_freed_twice_or_never_and_no_key_runs_twice() {
    let mut daemon = Daemon::start();
    daemon.put("/v1/queues/default", &json!({"slots": 6})).expect(200);
    let mut runs = Vec::new();
    for _ in 0..ROUNDS {
        let before = ended(&daemon);
        for _ in 0..BURST {
            runs.push(daemon.submit(&run(&daemon, &runs)));
        }
        eventually(DEADLINE, "some have ended", || ended(&daemon) >= before + ENDS_PER_ROUND);
        daemon.kill9();
        daemon.start_again();
    }
    let all: BTreeMap<i64, Value> = runs.iter().map(|run| (*run, daemon.wait_ended(*run))).collect();
    let starts = std::fs::read_to_string(daemon.dir().join("starts")).unwrap();
    let once: BTreeSet<&str> = starts.lines().collect();
    assert_eq!(once.len(), starts.lines().count(), "an attempt was started twice");
    let mut spans = BTreeMap::new();
    for (run, shown) in &all {
        assert_ne!(shown["exit_code"], TAKEN, "run {run} ran beside another of its key: {shown}");
        let events = daemon.events(*run);
        let ids = |kind: &str| -> Vec<i64> {
            let of_kind = events.iter().filter(|event| event["kind"] == kind);
            of_kind.map(|event| event["id"].as_i64().unwrap()).collect()
        };
        let (started, finished) = (ids("started"), ids("finished"));
        assert_eq!(finished.len(), 1, "run {run}: {events:?}");
        let claimed = started.len() as i64;
        assert_eq!(claimed, if claimed == 0 { 0 } else { shown["attempt"].as_i64().unwrap() }, "run {run}: {events:?}");
        let failures = events.iter().filter(|event| event["data"]["exit_code"] == 1).count();
        assert!(failures <= 2, "run {run} failed more often than it was to be tried: {events:?}");
        spans.insert(*run, (started.first().copied(), finished[0]));
    }
    for (run, shown) in &all {
        let needs = shown["after"].as_array().cloned().unwrap_or_default();
        let is_met = |need: &Value| match (
            need["when"].as_str().unwrap(),
            all[&need["run"].as_i64().unwrap()]["status"].as_str(),
        ) {
            ("succeeded", status) => status == Some("succeeded"),
            ("failed", status) => status == Some("failed"),
            _ => true,
        };
        match (spans[run].0, shown["reason"].as_str()) {
            (Some(started), _) => assert!(
                needs.iter().all(|need| is_met(need) && spans[&need["run"].as_i64().unwrap()].1 < started),
                "run {run} started too early: {shown}"
            ),
            (None, Some("dependency")) => {
                assert!(!needs.iter().all(is_met), "run {run} had all that it needs: {shown}")
            }
            (None, reason) => assert_eq!(reason, Some("replaced"), "{shown}"),
        }
    }
    daemon.stop();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = Connection::open_with_flags(daemon.state_dir().join("runabout.db"), flags).unwrap();
    let left = "SELECT (SELECT count(*) FROM needs) + (SELECT count(*) FROM ends_to_tell)
                     + (SELECT count(*) FROM runs WHERE held_by > 0 OR keep > 0)";
    assert_eq!(database.query_row(left, [], |row| row.get::<_, i64>(0)), Ok(0), "something waits for what is over");
}
