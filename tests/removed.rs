//! That runs were removed is an event of all runs, committed with the removal: who follows all runs learns of it without
//! asking for each.

use std::collections::BTreeSet;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::common::{Daemon, Frame, Reader, Via};

/// The runs that these events say were removed, each told once.
#[track_caller]
fn removed(events: &[Value]) -> BTreeSet<i64> {
    let mut runs = BTreeSet::new();
    for event in events.iter().filter(|event| event["kind"] == "removed") {
        assert_eq!(event["run"], 0, "{event}");
        let mut count = 0;
        let mut last = 0;
        for range in event["data"]["ranges"].as_array().unwrap() {
            let (first, to) = (range["first"].as_i64().unwrap(), range["last"].as_i64().unwrap());
            assert!(last + 1 < first && first <= to || last == 0, "{event}");
            last = to;
            for run in first..=to {
                count += 1;
                assert!(runs.insert(run), "{run} was removed twice");
            }
        }
        assert_eq!(event["data"]["count"], count, "{event}");
    }
    runs
}

#[test]
fn a_delete_is_told_to_who_follows_all_runs_by_each_way() {
    let daemon = Daemon::start();
    daemon.put("/v1/queues/gpu", &json!({"slots": 1})).expect(201);
    for _ in 0..3 {
        daemon.wait_ended(daemon.sh("true"));
    }
    let queries = ["", "kinds=removed", "queue=gpu", "kinds=finished", "runs=1,2,3"];
    let ways: Vec<(Via, &str)> = Via::STREAMS.into_iter().flat_map(|via| queries.map(|query| (via, query))).collect();
    let open = |(via, query): &(Via, &str)| Reader::open_all(*via, &daemon, query, "latest");
    let mut live: Vec<Reader> = ways.iter().map(open).collect();
    for reader in &mut live {
        assert!(matches!(reader.next(), Frame::CaughtUp(_)));
    }
    let before = daemon.get("/v1/events").json()["last_id"].as_i64().unwrap();
    daemon.delete("/v1/runs/2").expect(204);
    daemon.delete("/v1/runs/1").expect(204);
    // What ends them for those who are not told.
    let last = daemon.submit(&json!({"script": "true", "queue": "gpu"}));
    daemon.wait_ended(last);
    for (reader, (via, query)) in live.iter_mut().zip(&ways) {
        let told = match *query {
            "kinds=removed" => vec![event(reader), event(reader)],
            "runs=1,2,3" => continue,
            _ => reader.until_finished(1),
        };
        let expected = if *query == "kinds=finished" { BTreeSet::new() } else { BTreeSet::from([1, 2]) };
        assert_eq!(removed(&told), expected, "{query} by {via:?}");
    }
    // Who comes back later is told as well, and who reads pages.
    for (via, query) in ways {
        let mut reader = Reader::open_all(via, &daemon, query, before);
        let told = reader.stored();
        let expected = match query {
            "kinds=finished" | "runs=1,2,3" => BTreeSet::new(),
            _ => BTreeSet::from([1, 2]),
        };
        assert_eq!(removed(&told), expected, "{query} by {via:?} after {before}");
        assert_eq!(told, daemon.all_events(query, before), "{query} by {via:?}");
    }
}

/// The next event, whatever a removal says beside it.
#[track_caller]
fn event(reader: &mut Reader) -> Value {
    loop {
        match reader.next() {
            Frame::Event(event) => return event,
            Frame::Gap(..) | Frame::Cursor(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn retention_tells_of_many_runs_with_few_events() {
    let mut daemon = Daemon::with_config("[retention]\nruns_count = 10\n");
    daemon.stop();
    let database = Connection::open(daemon.state_dir().join("runabout.db")).unwrap();
    // Some are kept, and stand between those that go.
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
                INSERT INTO runs (id, status, reason, queue, priority, held_by, tags, script, env, on_interrupt, keep, attempt,
                                  exit_code, output_bytes, created_at, started_at, ended_at)
                SELECT i, 'succeeded', 'exited', 'default', 0, 0, '[]', 'true', '{}', 'fail', i % 100 = 0, 1, 0, 0, 1, 1, i FROM n";
    assert_eq!(database.execute(many, []).unwrap(), 1_000);
    drop(database);
    daemon.start_again();
    daemon.post("/v1/maintenance", &json!({})).expect(200);
    let told = daemon.all_events("kinds=removed", 0);
    let page = daemon.get("/v1/runs?limit=500").json();
    let left: BTreeSet<i64> = page["runs"].as_array().unwrap().iter().map(|run| run["id"].as_i64().unwrap()).collect();
    assert!(left.len() <= 20, "{left:?}");
    assert_eq!(removed(&told), (1..=1_000).filter(|run| !left.contains(run)).collect());
    assert!(told.len() <= 25, "{} events", told.len());
}

#[test]
fn of_what_belongs_to_no_run_the_newest_are_kept() {
    let mut daemon = Daemon::start();
    for _ in 0..3 {
        daemon.wait_ended(daemon.sh("true"));
    }
    daemon.delete("/v1/runs/1").expect(204);
    daemon.stop();
    let database = Connection::open(daemon.state_dir().join("runabout.db")).unwrap();
    let many = "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
                INSERT INTO events (id, key, at, kind, data)
                SELECT 1000 + i, i, 0, 'removed', '{\"count\":1,\"ranges\":[{\"first\":1,\"last\":1}]}' FROM n";
    assert_eq!(database.execute(many, []).unwrap(), 4_999);
    drop(database);
    daemon.start_again();
    let oldest = daemon.all_events("kinds=removed", 0)[0].clone();
    assert_eq!(oldest["seq"], 1);
    daemon.delete("/v1/runs/2").expect(204);
    daemon.delete("/v1/runs/3").expect(204);
    let kept = daemon.all_events("kinds=removed", 0);
    assert_eq!((kept.len(), &kept[0]["seq"], &kept[4_999]["seq"]), (5_000, &json!(3), &json!(5_002)));
    // And who was told neither of the first nor the second learns that something is gone.
    let page = daemon.get(&format!("/v1/events?kinds=removed&after={}", oldest["id"])).expect(200).json();
    assert!(page["gaps"][0]["to"].as_i64().unwrap() >= 1_002, "{}", page["gaps"]);
}
