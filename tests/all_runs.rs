//! All runs at once: every event of every run once, in the order of ids, as far as the filters show it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::common::{DEADLINE, Daemon, Frame, Opening, Reader, Via, eventually};

fn ids(events: &[Value]) -> Vec<i64> {
    events.iter().map(|event| event["id"].as_i64().unwrap()).collect()
}

fn kinds(events: &[Value]) -> BTreeSet<&str> {
    events.iter().map(|event| event["kind"].as_str().unwrap()).collect()
}

#[track_caller]
fn queue(daemon: &Daemon, name: &str, slots: i64) {
    let status = daemon.put(&format!("/v1/queues/{name}"), &json!({"slots": slots})).status;
    assert!(matches!(status, 200 | 201), "{status}");
}

#[test]
fn many_runs_at_once_are_told_live_and_in_order() {
    let daemon = Daemon::start();
    queue(&daemon, "default", 8);
    let queries = ["", "kinds=output,finished", "kinds=finished"];
    // Each by each way: the first three are by WebSocket.
    let ways: Vec<(Via, &str)> = Via::STREAMS.into_iter().flat_map(|via| queries.map(|query| (via, query))).collect();
    let open = |(via, query): &(Via, &str)| Reader::open_all(*via, &daemon, query, "");
    let mut readers: Vec<Reader> = ways.iter().map(open).collect();
    for reader in &mut readers {
        assert_eq!(reader.next(), Frame::CaughtUp(0));
    }
    let runs: Vec<i64> = (0..40).map(|n| daemon.sh(&format!("echo {n}; echo {n} >&2; exit {}", n % 2))).collect();
    let told: Vec<Vec<Value>> = readers.iter_mut().map(|reader| reader.until_finished(runs.len())).collect();
    for (told, way) in told.iter().zip(&ways) {
        assert_eq!(ids(told), ids(&daemon.all_events(way.1, 0)), "{way:?}");
    }
    assert_eq!(kinds(&told[0]), BTreeSet::from(["queued", "started", "finished"]));
    assert_eq!(kinds(&told[1]), BTreeSet::from(["output", "finished"]));
    let ended: BTreeSet<i64> = told[2].iter().map(|event| event["run"].as_i64().unwrap()).collect();
    assert_eq!(ended, runs.into_iter().collect());
    // The very objects that a run's own stream has.
    let of_one = daemon.events(1);
    assert!(told[0].iter().filter(|event| event["run"] == 1).all(|event| of_one.contains(event)));
}

#[test]
fn filters_are_joined_by_and_and_named_runs_bring_their_output() {
    let daemon = Daemon::start();
    queue(&daemon, "gpu", 1);
    let a = daemon.submit(&json!({"script": "echo a", "queue": "gpu"}));
    let b = daemon.sh("echo b");
    let c = daemon.sh("echo c");
    for run in [a, b, c] {
        daemon.wait_ended(run);
    }
    let shown = |query: &str| -> Vec<(i64, String)> {
        let by_page = daemon.all_events(query, 0);
        for via in Via::STREAMS {
            let mut reader = Reader::open_all(via, &daemon, query, 0);
            assert_eq!(ids(&reader.stored()), ids(&by_page), "{query} by {via:?}");
        }
        let pair = |event: &Value| (event["run"].as_i64().unwrap(), event["kind"].as_str().unwrap().to_owned());
        by_page.iter().map(pair).collect()
    };
    let of = |run, kinds: &[&str]| kinds.iter().map(|kind| (run, (*kind).to_owned())).collect::<Vec<_>>();
    assert_eq!(shown("queue=gpu"), of(a, &["queued", "started", "finished"]));
    assert_eq!(shown("queue=gpu&kinds=output,queued"), of(a, &["queued", "output"]));
    assert_eq!(shown(&format!("runs={b}")), of(b, &["queued", "started", "output", "finished"]));
    assert_eq!(shown(&format!("runs={b}&kinds=finished")), of(b, &["finished"]));
    assert_eq!(shown(&format!("runs={b}&queue=gpu")), []);
    let mut of_two = shown(&format!("runs={c},{a},{a}&kinds=output"));
    of_two.sort();
    assert_eq!(of_two, [of(a, &["output"]), of(c, &["output"])].concat());
    // A run that is moved takes its events along.
    daemon.put("/v1/queues/gpu", &json!({"paused": true})).expect(200);
    let moved = daemon.submit(&json!({"script": "true", "queue": "gpu"}));
    assert!(shown("queue=gpu").contains(&(moved, "queued".to_owned())));
    daemon.patch(&format!("/v1/runs/{moved}"), &json!({"queue": "default"})).expect(200);
    daemon.wait_ended(moved);
    assert!(shown("queue=gpu").iter().all(|(run, _)| *run == a));
}

#[test]
fn what_cannot_be_asked_for_is_refused_before_the_stream() {
    let daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("true"));
    let many = (1..=101).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let wrong = [
        ("kinds=", "kinds"),
        ("kinds=queued,wrong", "kinds"),
        ("queue=No%20Such", "queue"),
        ("runs=", "runs"),
        ("runs=1,x", "runs"),
        ("runs=0", "runs"),
        (&format!("runs={many}"), "runs"),
        ("after=x", "after"),
        ("status=running", "status"),
        ("limit=0", "limit"),
    ];
    for (query, field) in wrong {
        let page = daemon.get(&format!("/v1/events?{query}")).expect_problem(422, "invalid");
        assert_eq!(page["details"]["violations"][0]["field"], field, "{page}");
        Opening::new(&daemon, format!("/v1/events?{query}")).refused().expect_problem(422, "invalid");
    }
    let instance = daemon.get("/v1/system").json()["instance"].as_str().unwrap().to_owned();
    let last_id = daemon.get("/v1/events").json()["last_id"].as_i64().unwrap();
    let expected = json!({"last_id": last_id, "instance": instance});
    for (after, code) in [(&*format!("{}", last_id + 1), "cursor_ahead"), ("aaaaaaaaaaaa-1", "instance_changed")] {
        let path = format!("/v1/events?after={after}");
        assert_eq!(daemon.get(&path).expect_problem(409, code)["details"], expected);
        assert_eq!(Opening::new(&daemon, path).refused().expect_problem(409, code)["details"], expected);
    }
    daemon.get("/v1/events?runs=1,42").expect_problem(404, "run_not_found");
    Opening::new(&daemon, "/v1/events?runs=42".into()).refused().expect_problem(404, "run_not_found");
    // A queue that is not there yet, or not any more, is no mistake.
    assert_eq!(daemon.all_events("queue=none", 0), [Value::Null; 0]);
}

#[test]
fn a_page_says_where_things_stand() {
    let daemon = Daemon::start();
    let nothing = daemon.get("/v1/events?after=0").expect(200).json();
    assert_eq!(nothing, json!({"events": [], "gaps": [], "first_id": 1, "last_id": 0}));
    for _ in 0..4 {
        daemon.wait_ended(daemon.sh("echo x"));
    }
    let all = daemon.all_events("", 0);
    let (first, last) = (ids(&all)[0], ids(&all)[all.len() - 1]);
    let page = |query: &str| daemon.get(&format!("/v1/events?{query}")).expect(200).json();
    let latest = page("");
    assert_eq!(latest, json!({"events": [], "gaps": [], "first_id": first, "last_id": last}));
    let some = page("after=0&limit=2");
    assert_eq!(ids(some["events"].as_array().unwrap()), ids(&all)[..2]);
    let newest = page("after=-3");
    assert_eq!(ids(newest["events"].as_array().unwrap()), ids(&all)[all.len() - 3..]);
    // The newest that are shown, not those that happen to be shown among the newest.
    let ended = page("after=-2&kinds=finished");
    let runs: Vec<&Value> = ended["events"].as_array().unwrap().iter().map(|event| &event["run"]).collect();
    assert_eq!(runs, [3, 4]);
    let more_than_there_are = page("after=-1000&kinds=finished");
    assert_eq!(more_than_there_are["events"].as_array().unwrap().len(), 4);
    let instance = daemon.get("/v1/system").json()["instance"].as_str().unwrap().to_owned();
    assert_eq!(ids(page(&format!("after={instance}-{first}"))["events"].as_array().unwrap())[0], ids(&all)[1]);
}

#[test]
fn what_was_removed_is_told_once_and_what_is_left_of_it_follows() {
    let daemon = Daemon::start();
    for _ in 0..3 {
        daemon.wait_ended(daemon.sh("true"));
    }
    let before = daemon.all_events("", 0);
    let removed: Vec<i64> =
        before.iter().filter(|event| event["run"] == 2).map(|event| event["id"].as_i64().unwrap()).collect();
    daemon.delete("/v1/runs/2").expect(204);
    let highest = *removed.last().unwrap();
    let mut left: Vec<i64> = ids(&before).into_iter().filter(|id| !removed.contains(id)).collect();
    // And that it was.
    left.push(daemon.get("/v1/events").json()["last_id"].as_i64().unwrap());
    for via in Via::STREAMS {
        let mut reader = Reader::open_all(via, &daemon, "", 0);
        assert_eq!(reader.next(), Frame::Gap(1, highest));
        assert_eq!(reader.told.cursor, 0, "what is left of it follows");
        assert_eq!(ids(&reader.stored()), left);
    }
    let page = daemon.get("/v1/events?after=0").expect(200).json();
    assert_eq!(page["gaps"], json!([{"type": "gap", "from": 1, "to": highest, "reason": "pruned", "partial": true}]));
    assert_eq!(ids(page["events"].as_array().unwrap()), left);
    // Nobody else is told: who stands behind it, and who wants the newest.
    for query in [format!("after={highest}"), "after=-1000".into(), "after=latest".into(), String::new()] {
        let page = daemon.get(&format!("/v1/events?{query}")).expect(200).json();
        assert_eq!(page["gaps"], json!([]), "{query}");
        let mut reader = Reader::open_all(Via::WebSocket, &daemon, &query, "");
        let first = reader.next();
        assert!(!matches!(first, Frame::Gap(..)), "{query}: {first:?}");
    }
    // The run itself is nobody's mistake any more.
    assert_eq!(daemon.all_events("runs=2,3", 0).len(), 3);
    assert!(ids(&daemon.all_events("", 0)).iter().all(|id| left.contains(id)));
}

#[test]
fn a_reader_of_named_runs_is_told_of_their_output_at_once() {
    let daemon = Daemon::with_config("[output]\nflush_unwatched_ms = 60000");
    let mut feed = daemon.feed("feed");
    let run = daemon.sh(&format!("while read -r line; do echo \"$line\"; done < {}", feed.path()));
    daemon.wait_running(run);
    let mut reader = Reader::open_all(Via::WebSocket, &daemon, &format!("runs={run}"), "latest");
    for n in 0..3 {
        feed.say(&format!("line {n}\n"));
        // Unwatched, all but the first would wait for a minute.
        let text = loop {
            match reader.next() {
                Frame::Event(event) => break event["data"]["text"].as_str().unwrap_or_default().to_owned(),
                Frame::CaughtUp(_) => {}
                late => panic!("{late:?} came before line {n}"),
            }
        };
        assert_eq!(text, format!("line {n}\n"));
    }
    drop(feed);
    reader.until_finished(1);
}

#[test]
fn a_reader_who_takes_nothing_for_a_while_misses_nothing() {
    let daemon = Daemon::with_config("[limits]\nstream_buffer_events = 2\nstream_buffer_bytes = 4096");
    daemon.put("/v1/queues/default", &json!({"paused": true})).expect(200);
    let run = daemon.sh("true");
    let mut readers = Via::STREAMS.map(|via| Reader::open_all(via, &daemon, "", 0));
    let events: Vec<Value> =
        (0..1_000).map(|n| json!({"kind": "message", "data": {"n": n, "text": "x".repeat(500)}})).collect();
    for _ in 0..10 {
        daemon.post(&format!("/v1/runs/{run}/events"), &events.clone().into()).expect(201);
    }
    daemon.put("/v1/queues/default", &json!({"paused": false})).expect(200);
    for reader in &mut readers {
        assert_eq!(reader.until_finished(1).len(), 10_000 + 3);
    }
    assert!(daemon.metrics().get("reader_resyncs_total") >= 1.0, "nobody ever lagged");
    assert_eq!(daemon.metrics().sum("readers"), 3.0);
    drop(readers);
    eventually(DEADLINE, "who went is not counted", || daemon.metrics().sum("readers") == 0.0);
}

#[test]
fn ndjson_that_does_not_follow_ends_when_it_has_caught_up() {
    let daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("true"));
    let answer = daemon.call("GET", "/v1/events?after=0").header("Accept", "application/x-ndjson").send().expect(200);
    let types: Vec<String> = answer
        .text()
        .lines()
        .map(|line| {
            let object: Value = serde_json::from_str(line).unwrap();
            object["type"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(types, ["hello", "event", "event", "event", "caught_up"]);
}
