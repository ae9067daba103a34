//! What is answered about events: pages, and every object of every stream.

use std::collections::BTreeSet;

use async_tungstenite::tungstenite::protocol::Role;
use async_tungstenite::tungstenite::{Message, WebSocket};
use serde_json::{Value, json};

use super::Judge;
use crate::common::{Call, Daemon, Opening};

/// A page of every kind of event, and the frames of a stream.
pub fn of_events(judge: &Judge, daemon: &Daemon) {
    let gate = daemon.gate("events");
    let script = format!("echo out; printf '\\377' >&2; {}; echo more", gate.wait());
    let run = daemon.submit(&json!({"script": script, "name": "n", "tags": ["t"]}));
    daemon.wait_running(run);
    let path = format!("/v1/runs/{run}/events");
    judge.json("POST", &path, 201, &json!([{"kind": "progress", "data": {"percent": 1.5}}, {"kind": "message"}]));
    let lines = "{\"kind\":\"progress\"}\n{\"kind\":\"message\",\"data\":{\"text\":\"x\"}}\n";
    judge.send("POST", &path, 201, |call| call.body("application/x-ndjson", lines.as_bytes()));
    judge.json("PATCH", &format!("/v1/runs/{run}"), 200, &json!({"keep": true}));
    judge.plain("GET", &format!("/v1/runs/{run}"), 200);

    let opening = Opening::new(daemon, path.clone()).header("Sec-WebSocket-Protocol", "runabout.v1");
    let (response, read, socket) = opening.ask().unwrap();
    judge.reference.check("GET", &path, &response);
    let mut socket = WebSocket::from_partially_read(socket, read, Role::Client, None);
    gate.open();
    let mut types = BTreeSet::new();
    loop {
        let Message::Text(text) = socket.read().unwrap() else { continue };
        let object: Value = serde_json::from_str(&text).unwrap();
        object_of(judge, &text);
        types.insert(object["type"].as_str().unwrap().to_owned());
        if object["type"] == "end" {
            break;
        }
    }
    assert_eq!(types, ["caught_up", "end", "event", "hello"].map(str::to_owned).into());
    judge.plain("GET", &path, 200);
    let lines = judge.send("GET", &path, 200, |call| call.header("Accept", "application/x-ndjson")).text();
    lines.lines().for_each(|line| object_of(judge, line));
    let sse = |call: Call| call.header("Accept", "text/event-stream");
    let told = judge.send("GET", &path, 200, sse).text();
    told.lines().filter_map(|line| line.strip_prefix("data: ")).for_each(|data| object_of(judge, data));
    assert!(lines.lines().count() > 10 && told.contains("event: end"), "{lines}\n{told}");
    let last = told.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap();
    judge.send("GET", &path, 204, |call| sse(call).header("Last-Event-ID", last));
    judge.plain("GET", &format!("/v1/runs/{run}/log?stream=stdout&follow=true&tail=1"), 200);
    for accept in ["application/x-ndjson", "text/event-stream"] {
        let submit = |call: Call| call.json(&json!({"script": "true"})).header("Accept", accept);
        let submit = |call: Call| submit(call).header("Idempotency-Key", accept);
        for status in [201, 200] {
            judge.send("POST", "/v1/runs?follow=true", status, submit);
        }
    }
    judge.plain("GET", &format!("{path}?after=99"), 409);
    judge.plain("GET", &format!("{path}?after=aaaaaaaaaaaa-1"), 409);
    judge.json("POST", &path, 409, &json!({"kind": "message"}));
    let refused = Opening::new(daemon, path.clone()).header("Sec-WebSocket-Version", "12").refused();
    judge.reference.check("GET", &path, &refused);
}

/// Judges an object of a stream.
#[track_caller]
fn object_of(judge: &Judge, text: &str) {
    let object = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text:?}"));
    judge.reference.describes("/components/schemas/StreamObject", &object).unwrap();
}

/// All runs at once.
pub fn of_all_runs(judge: &Judge, daemon: &Daemon) {
    let path = "/v1/events";
    let gone = daemon.sh("true");
    daemon.wait_ended(gone);
    daemon.delete(&format!("/v1/runs/{gone}")).expect(204);
    judge.plain("GET", &format!("{path}?after=0&kinds=output,finished"), 200);
    judge.plain("GET", &format!("{path}?runs=4242"), 404);
    judge.plain(
        "GET",
        &format!("{path}?runs={}", (1..=101).map(|run| run.to_string()).collect::<Vec<_>>().join(",")),
        422,
    );
    for after in ["999999999", "aaaaaaaaaaaa-1"] {
        judge.plain("GET", &format!("{path}?after={after}"), 409);
    }
    let opening = Opening::new(daemon, format!("{path}?after=0")).header("Sec-WebSocket-Protocol", "runabout.v1");
    let (response, read, socket) = opening.ask().unwrap();
    judge.reference.check("GET", path, &response);
    let mut socket = WebSocket::from_partially_read(socket, read, Role::Client, None);
    let mut types = BTreeSet::new();
    while !types.contains("caught_up") {
        let Message::Text(text) = socket.read().unwrap() else { continue };
        let object: Value = serde_json::from_str(&text).unwrap();
        judge.reference.describes("/components/schemas/AllStreamObject", &object).unwrap();
        types.insert(object["type"].as_str().unwrap().to_owned());
    }
    assert_eq!(types, ["caught_up", "event", "gap", "hello"].map(str::to_owned).into());
    let lines =
        judge.send("GET", &format!("{path}?after=0"), 200, |call| call.header("Accept", "application/x-ndjson"));
    for line in lines.text().lines() {
        judge.reference.describes("/components/schemas/AllStreamObject", &serde_json::from_str(line).unwrap()).unwrap();
    }
    let refused = Opening::new(daemon, path.to_owned()).header("Sec-WebSocket-Version", "12").refused();
    judge.reference.check("GET", path, &refused);
}
