//! Events as pages, appended ones, and cursors that are refused, of one run and of all.

use serde_json::{Value, json};

use crate::common::{Call, Daemon, Tape};

/// A run that has ended, with an event of every kind that a run can have which is started once.
fn told(daemon: &Daemon) -> i64 {
    let gates = [daemon.gate("first"), daemon.gate("second")];
    let script = format!("echo out; {}; printf '\\377\\n' >&2; {}; exit 3", gates[0].wait(), gates[1].wait());
    let run = daemon.submit(&json!({"script": script, "name": "n", "tags": ["t"], "queue": "default"}));
    daemon.wait_running(run);
    let last = |seq: i64| {
        crate::common::eventually(crate::common::DEADLINE, "the event is there", || daemon.run(run)["last_seq"] == seq);
    };
    last(3);
    gates[0].open();
    last(4);
    let path = format!("/v1/runs/{run}/events");
    let appended = json!([{"kind": "progress", "data": {"percent": 50, "x": "\u{2028}"}}, {"kind": "message"}]);
    daemon.post(&path, &appended).expect(201);
    daemon.patch(&format!("/v1/runs/{run}"), &json!({"name": "other"})).expect(200);
    gates[1].open();
    daemon.wait_ended(run);
    run
}

#[test]
fn pages() {
    let daemon = Daemon::start();
    let mut tape = Tape::new("pages", &daemon);
    tape.ask("of all runs, where there is none", daemon.call("GET", "/v1/events?after=0"));
    let run = told(&daemon);
    let instance = daemon.get("/v1/system").json()["instance"].as_str().unwrap().to_owned();
    let own = format!("{instance}-2");
    for path in [format!("/v1/runs/{run}/events"), "/v1/events".to_owned()] {
        let get = |query: &str| daemon.call("GET", &format!("{path}{query}"));
        for query in ["", "?after=0", "?after=latest", "?after=-2", "?after=5&limit=2", &format!("?after={own}")] {
            tape.ask("a page", get(query));
        }
        tape.ask("the head alone", daemon.call("HEAD", &path));
        for query in [
            "?after=999",
            "?after=aaaaaaaaaaaa-1",
            &format!("?after={instance}-999"),
            "?after=x",
            "?after=",
            "?after=1&after=2",
            "?limit=0",
            "?limit=10001&x=1",
            "?follow=true",
            "?follow=maybe",
        ] {
            tape.ask("refused", get(query));
        }
    }
    let get = |query: &str| daemon.call("GET", &format!("/v1/events{query}"));
    for query in [
        "?after=0&kinds=output,finished",
        "?after=0&kinds=message&kinds=progress",
        "?after=0&queue=default&runs=1",
        "?after=0&runs=1&kinds=output",
        "?after=0&queue=none",
        "?runs=4242",
        "?runs=x",
        "?runs=0",
        "?kinds=nonsense",
        "?queue=None",
    ] {
        tape.ask("filtered", get(query));
    }
    daemon.sh("true");
    daemon.wait_ended(2);
    daemon.delete("/v1/runs/1").expect(204);
    for query in ["?after=0", "?after=3", "?after=-1", "?after=0&runs=1", "?after=0&kinds=output"] {
        tape.ask("behind what is gone", get(query));
    }
    tape.ask("of what is gone", daemon.call("GET", "/v1/runs/1/events"));
    tape.check();
}

#[test]
fn appended_events() {
    let daemon = Daemon::start();
    let mut tape = Tape::new("appended_events", &daemon);
    daemon.put("/v1/queues/held", &json!({"paused": true})).expect(201);
    let run = daemon.submit(&json!({"script": "true", "queue": "held"}));
    let path = format!("/v1/runs/{run}/events");
    let append = |body: &Value| daemon.call("POST", &path).json(body);
    let lines = |text: &[u8]| daemon.call("POST", &path).body("application/x-ndjson", text);
    let good = json!({"kind": "progress", "data": {"percent": 1.0}});
    let calls: Vec<(&str, Call)> = vec![
        ("one", append(&good)),
        ("several", append(&json!([good, {"kind": "message"}]))),
        (
            "lines",
            lines(b"{\"kind\":\"progress\"}\n\n{\"kind\":\"message\",\"data\":{\"text\":\"x\",\"level\":\"warn\"}}"),
        ),
        ("none", append(&json!([]))),
        ("of no kind", append(&json!([good, {"kind": "queued"}, {"data": {}}, {"kind": "message", "x": 1}, 1]))),
        ("data that is no object", append(&json!({"kind": "message", "data": [1]}))),
        ("data that is too long", append(&json!({"kind": "message", "data": {"x": "y".repeat(16_385)}}))),
        ("half a line", lines(b"{\"kind\":\"message\"}\n{\"kind\"")),
        ("not UTF-8", lines(b"\"\xff\"")),
        ("of another type", daemon.call("POST", &path).body("text/csv", b"a")),
        ("a query", daemon.call("POST", &format!("{path}?x=1")).json(&good)),
    ];
    for (what, call) in calls {
        // What is sent and too long to be read is not recorded.
        tape.ask(what, call);
    }
    tape.ask("what is there", daemon.call("GET", &path));
    daemon.post(&format!("/v1/runs/{run}/cancel"), &json!({})).expect(200);
    tape.ask("behind the end", append(&good));
    tape.check();
}

#[test]
fn an_attempt_that_is_followed_by_another() {
    let mut daemon = Daemon::start();
    let mut tape = Tape::new("attempts", &daemon);
    let gate = daemon.gate("gate");
    let script = format!("test $RUNABOUT_ATTEMPT = 2 || {}", gate.wait());
    let again = daemon.submit(&json!({"script": script, "on_interrupt": "requeue"}));
    daemon.wait_running(again);
    daemon.restart();
    daemon.wait_ended(again);
    let once = daemon.sh(&gate.wait());
    daemon.wait_running(once);
    daemon.kill9();
    daemon.start_again();
    tape.know(&daemon);
    daemon.wait_ended(once);
    for run in [again, once] {
        tape.ask("the run", daemon.call("GET", &format!("/v1/runs/{run}")));
        tape.ask("its events", daemon.call("GET", &format!("/v1/runs/{run}/events")));
        tape.ask("its exit code", daemon.call("GET", &format!("/v1/runs/{run}/exit_code")));
    }
    tape.check();
}
