//! What a real daemon answers is what the reference says: every operation, every status that can be provoked, every field,
//! and no field besides.

use std::collections::BTreeSet;
use std::io::Write as _;

use async_tungstenite::tungstenite::protocol::Role;
use async_tungstenite::tungstenite::{Message, WebSocket};
use serde_json::{Value, json};

use crate::common::{Call, Client, DEADLINE, Daemon, Opening, Reference, Response, eventually, page_file};
use crate::openapi::reference;

/// Small enough to be exceeded, and quick to be told.
const CONFIG: &str = "[limits]\nbody_bytes = 16384\nbody_s = 1\nqueued_runs = 2000\n";
/// Not to be provoked from outside: a fault of the daemon, a full disk, and a stranger at its Unix socket.
const UNPROVOKED: &[(&str, &str)] = &[("", "500"), ("", "507"), ("GET /page/{file}", "403")];

/// A path of a template; of the page's files one that there is not, since the others are open.
fn concrete(template: &str) -> String {
    template.replace("{id}", "1").replace("{name}", "held").replace("{file}", "none.js")
}

/// Sends requests whose answers are held against the reference.
struct Judge<'a> {
    reference: &'a Reference,
    client: Client,
}

impl Judge<'_> {
    #[track_caller]
    fn send(&self, method: &str, path: &str, status: u16, fill: impl FnOnce(Call) -> Call) -> Response {
        let response = fill(self.client.call(method, path)).send();
        self.reference.check(method, path, &response);
        response.expect(status)
    }

    #[track_caller]
    fn plain(&self, method: &str, path: &str, status: u16) -> Response {
        self.send(method, path, status, |call| call)
    }

    #[track_caller]
    fn json(&self, method: &str, path: &str, status: u16, body: &Value) -> Response {
        self.send(method, path, status, |call| call.json(body))
    }

    fn with(&self, client: Client) -> Judge<'_> {
        Judge { reference: self.reference, client }
    }
}

#[test]
fn every_documented_status_is_answered_as_documented() {
    let mut daemon = Daemon::with_config(CONFIG);
    let reference = reference(&daemon);
    let judge = Judge { reference: &reference, client: Client::clone(&daemon) };
    of_runs(&judge, &daemon);
    of_events(&judge, &daemon);
    of_all_runs(&judge, &daemon);
    of_jobs(&judge);
    of_queues_and_access(&judge, &daemon);
    of_the_system(&judge, &mut daemon);
    of_all_alike(&judge, &daemon);
    of_bodies(&judge);
    of_a_busy_daemon(&reference);
    of_a_full_daemon(&reference);

    let mut wanted = BTreeSet::new();
    for (method, path, pointer) in reference.operations() {
        let statuses = reference.statuses(&pointer).into_iter();
        let provoked = statuses.filter(|status| {
            let is_it =
                |(own, code): &(&str, &str)| *code == status.as_str() && format!("{method} {path}").ends_with(own);
            !UNPROVOKED.iter().any(is_it)
        });
        wanted.extend(provoked.map(|status| (format!("{method} {path}"), status)));
    }
    let seen = reference.seen.borrow();
    let missing: Vec<_> = wanted.difference(&seen).collect();
    assert!(missing.is_empty(), "documented and never seen here: {missing:#?}");
}

/// Submit, look, change, cancel, retry, delete.
fn of_runs(judge: &Judge, daemon: &Daemon) {
    judge.json("PUT", "/v1/queues/held", 201, &json!({"paused": true}));
    let submit = |status, body: Value| judge.json("POST", "/v1/runs", status, &body).json()["id"].as_i64().unwrap();
    let full = json!({
        "command": ["true"], "name": "all of it", "queue": "held", "priority": -7, "tags": ["a", "b"], "cwd": "/",
        "env": {"K": "V"}, "stdin": "text", "timeout_s": 60, "not_before": "2000-01-01T00:00:00+01:00",
        "on_interrupt": "requeue", "keep": true,
    });
    let held = submit(201, full);
    let keyed = |status, key: &str| {
        judge.send("POST", "/v1/runs", status, |call| {
            call.json(&json!({"script": "true"})).header("Idempotency-Key", key)
        })
    };
    let ended = keyed(201, "k").json()["id"].as_i64().unwrap();
    keyed(200, "k");
    judge.send("POST", "/v1/runs", 422, |call| call.json(&json!({"script": "false"})).header("Idempotency-Key", "k"));
    for status in [201, 200] {
        judge.send("POST", "/v1/runs?name=s&tag=x&tag=y", status, |call| {
            let call = call.body("text/x-shellscript", b"exit 3").header("Accept", "text/plain");
            call.header("Idempotency-Key", "text")
        });
    }
    let failed = submit(201, json!({"command": ["/nonexistent"]}));
    let killed = submit(201, json!({"script": "kill -9 $$"}));
    let late = submit(201, json!({"script": "sleep 60", "timeout_s": 1}));
    let of = |run: i64, rest: &str| format!("/v1/runs/{run}{rest}");
    for run in [ended, failed, killed, late] {
        judge.plain("GET", &of(run, "?wait_s=30"), 200);
        judge.plain("GET", &of(run, "/exit_code"), 200);
    }
    let gate = daemon.gate("gate");
    let running = submit(201, json!({"script": gate.wait()}));
    daemon.wait_running(running);
    judge.plain("GET", &of(running, ""), 200);
    judge.plain("GET", "/v1/runs?limit=2&status=running,queued,succeeded&tag=a", 200);
    judge.plain("GET", "/v1/runs?limit=2", 200);
    judge.plain("GET", "/v1/runs?q=TRUE&since=2000-01-01T00:00:00Z&until=2100-01-01T00:00:00Z&exit=0,1", 200);
    judge.plain("GET", "/v1/search?text=t", 200);
    judge.plain("GET", "/v1/search", 422);
    judge.plain("GET", "/v1/search?text=x&run=4242", 404);
    for what in ["cancel", "retry"] {
        let path = format!("/v1/runs/{what}");
        judge.plain("POST", &format!("{path}?dry_run=true&all=true"), 200);
        judge.json("POST", &format!("{path}?queue=held&tag=none"), 200, &json!({}));
        judge.plain("POST", &path, 422);
    }

    judge.plain("GET", &of(held, "/exit_code"), 409);
    judge.plain("POST", &of(held, "/retry"), 409);
    judge.plain("DELETE", &of(held, ""), 409);
    let whole = json!({
        "name": null, "tags": [], "keep": false, "queue": "held", "priority": 1, "timeout_s": null,
        "not_before": "2100-01-01T00:00:00Z",
    });
    judge.json("PATCH", &of(held, ""), 200, &whole);
    judge.json("PATCH", &of(ended, ""), 200, &json!({"name": "x"}));
    judge.json("PATCH", &of(ended, ""), 409, &json!({"priority": 1}));
    judge.json("POST", &of(running, "/cancel"), 202, &json!({"reason": "why not"}));
    daemon.wait_ended(running);
    judge.plain("POST", &of(held, "/cancel"), 200);
    judge.plain("POST", &of(ended, "/retry"), 201);
    judge.plain("DELETE", &of(ended, ""), 204);
    for gone in [ended, 4_242] {
        let status = if gone == ended { 410 } else { 404 };
        for (method, rest) in
            [("GET", ""), ("DELETE", ""), ("GET", "/exit_code"), ("POST", "/retry"), ("POST", "/cancel")]
        {
            judge.plain(method, &of(gone, rest), status);
        }
        judge.plain("GET", &of(gone, "/events"), status);
        judge.plain("GET", &of(gone, "/log"), status);
        judge.plain("GET", &format!("/v1/search?text=x&run={gone}"), status);
        judge.json("PATCH", &of(gone, ""), status, &json!({"name": "x"}));
        judge.json("POST", &of(gone, "/events"), status, &json!({"kind": "message"}));
    }
}

/// A page of every kind of event, and the frames of a stream.
fn of_events(judge: &Judge, daemon: &Daemon) {
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
fn of_all_runs(judge: &Judge, daemon: &Daemon) {
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

/// Queues, tokens, sessions.
/// Make, look, change, start, delete.
fn of_jobs(judge: &Judge) {
    let job =
        json!({"run": {"script": "true"}, "schedule": "@every 1h", "params": {"n": {"type": "integer", "default": 1}}});
    judge.json("PUT", "/v1/jobs/held", 201, &job);
    let tag = judge.json("PUT", "/v1/jobs/held", 200, &job).header("etag").unwrap().to_owned();
    judge.plain("GET", "/v1/jobs", 200);
    judge.plain("GET", "/v1/jobs/held", 200);
    judge.plain("GET", "/v1/jobs/none", 404);
    for method in ["PUT", "PATCH", "DELETE"] {
        let body = if method == "PUT" { job.clone() } else { json!({"enabled": true}) };
        judge.send(method, "/v1/jobs/held", 412, |call| {
            let call = call.header("If-Match", "\"0\"");
            if method == "DELETE" { call } else { call.json(&body) }
        });
    }
    judge.send("PATCH", "/v1/jobs/held", 200, |call| call.json(&json!({"enabled": false})).header("If-Match", &tag));
    judge.json("PATCH", "/v1/jobs/none", 404, &json!({"enabled": false}));
    let start = |status, body: Value| {
        judge.send("POST", "/v1/jobs/held/runs", status, |call| call.json(&body).header("Idempotency-Key", "of-a-job"))
    };
    start(201, json!({"params": {"n": 2}}));
    start(200, json!({"params": {"n": 2}}));
    start(422, json!({"params": {"n": "two"}}));
    judge.json("POST", "/v1/jobs/none/runs", 404, &json!({}));
    judge.plain("GET", "/v1/jobs/held/firings", 200);
    judge.plain("GET", "/v1/jobs/none/firings", 404);
    judge.json("POST", "/v1/jobs/preview", 200, &json!({"schedule": "30 2 * * *", "zone": "Europe/Berlin"}));
    judge.json("PUT", "/v1/jobs/next", 201, &json!({"run": {"script": "true"}, "after_job": "held"}));
    judge.plain("DELETE", "/v1/jobs/held", 409);
    judge.plain("DELETE", "/v1/jobs/next", 204);
    judge.plain("DELETE", "/v1/jobs/next", 404);
}

fn of_queues_and_access(judge: &Judge, daemon: &Daemon) {
    judge.plain("GET", "/v1/queues", 200);
    judge.plain("GET", "/v1/queues/default", 200);
    judge.json("PUT", "/v1/queues/held", 200, &json!({"slots": 2}));
    judge.json("PUT", "/v1/queues/other", 201, &json!({}));
    judge.plain("DELETE", "/v1/queues/other", 204);
    judge.plain("GET", "/v1/queues/other", 404);
    judge.plain("DELETE", "/v1/queues/other", 404);
    judge.plain("DELETE", "/v1/queues/default", 409);
    daemon.submit(&json!({"script": "true", "queue": "held"}));
    judge.plain("DELETE", "/v1/queues/held", 409);

    let make = |body: Value| judge.json("POST", "/v1/enrollment-tokens", 201, &body).json();
    let token = make(json!({"role": "viewer", "ttl_s": 60, "max_uses": 2, "label": "l", "session_ttl_s": 0}));
    let unused = make(json!({"role": "admin"}))["id"].as_i64().unwrap();
    let listed = judge.plain("GET", "/v1/enrollment-tokens", 200).json();
    assert!(!listed.to_string().contains("rbe_"), "a token in clear is listed: {listed}");
    judge.plain("DELETE", &format!("/v1/enrollment-tokens/{unused}"), 204);
    judge.plain("DELETE", &format!("/v1/enrollment-tokens/{unused}"), 404);

    let tcp = judge.with(daemon.tcp());
    let enrolled = tcp.json("POST", "/v1/enroll", 201, &json!({"token": token["token"], "name": "n"})).json();
    let cookie = tcp.json("POST", "/v1/enroll", 201, &json!({"token": token["token"], "cookie": true}));
    assert!(cookie.header("set-cookie").is_some() && cookie.json().get("session_token").is_none());
    tcp.json("POST", "/v1/enroll", 401, &json!({"token": token["token"]}));
    tcp.send("POST", "/v1/enroll", 403, |call| call.json(&json!({"token": "x"})).header("Origin", "null"));

    let session = tcp.with(daemon.tcp().with_token(enrolled["session_token"].as_str().unwrap()));
    session.plain("GET", "/v1/session", 200);
    judge.plain("GET", "/v1/session", 200);
    judge.plain("GET", "/v1/sessions", 200);
    session.plain("DELETE", "/v1/session", 204);
    judge.plain("DELETE", "/v1/session", 404);
    let other = cookie.json()["session"]["id"].clone();
    judge.plain("DELETE", &format!("/v1/sessions/{other}"), 204);
    judge.plain("DELETE", &format!("/v1/sessions/{other}"), 404);
}

/// The daemon itself; it is restarted under a run, which is queued again.
fn of_the_system(judge: &Judge, daemon: &mut Daemon) {
    for path in ["/v1/system", "/metrics", "/healthz", "/readyz"] {
        judge.plain("GET", path, 200);
    }
    judge.plain("POST", "/v1/maintenance", 200);
    let page = ["app.js", "style.css", "icon.svg"].map(page_file);
    for path in ["/openapi.json", "/"].into_iter().chain(page) {
        let etag = judge.plain("GET", path, 200).header("etag").unwrap().to_owned();
        judge.send("GET", path, 304, |call| call.header("If-None-Match", &etag));
    }
    judge.plain("GET", "/v1/drain", 200);
    judge.plain("PUT", "/v1/drain?wait_s=1", 200);
    judge.plain("DELETE", "/v1/drain", 204);

    let gate = daemon.gate("again");
    let script = format!("test $RUNABOUT_ATTEMPT = 2 || {}", gate.wait());
    let run = daemon.submit(&json!({"script": script, "on_interrupt": "requeue"}));
    daemon.wait_running(run);
    daemon.restart();
    daemon.wait_ended(run);
    judge.plain("GET", &format!("/v1/runs/{run}/events"), 200);
    assert!(daemon.kinds(run).contains(&"attempt_ended".to_owned()));
}

/// What stands before every handler, asked of every operation.
fn of_all_alike(judge: &Judge, daemon: &Daemon) {
    let gate = daemon.gate("token");
    let run = daemon.sh(&format!("printf %s \"$RUNABOUT_RUN_TOKEN\"; {}", gate.wait()));
    let mut token = String::new();
    eventually(DEADLINE, "the run's token is told", || {
        let events = daemon.events(run);
        let told = events.iter().find(|event| event["kind"] == "output");
        token = told.map(|event| event["data"]["text"].as_str().unwrap().to_owned()).unwrap_or_default();
        !token.is_empty()
    });
    let tcp = judge.with(daemon.tcp());
    let of_run = judge.with(daemon.tcp().with_token(&token));
    let nobody = judge.with(daemon.tcp().with_token("rbs_nobody"));
    for (method, template, pointer) in judge.reference.operations() {
        let path = concrete(&template);
        let statuses = judge.reference.statuses(&pointer);
        let has = |status: &str| statuses.iter().any(|known| known == status);
        if has("422") {
            let unknown = format!("{path}?nonsense=1");
            assert!(judge.plain(&method, &unknown, 422).text().contains("nonsense"), "{method} {unknown}");
        }
        tcp.send(&method, &path, 421, |call| call.header("Host", "evil.example"));
        tcp.send(&method, &path, 400, |call| call.header("Host", ""));
        if has("401") && path != "/v1/enroll" {
            tcp.plain(&method, &path, 401);
            of_run.plain(&method, &path, if path.starts_with("/page/") { 404 } else { 403 });
        }
    }
    // The address is refused from here on.
    (0..10).for_each(|nth| drop(nobody.client.with_token(&format!("rbs_{nth}")).get("/v1/runs")));
    for (method, template, pointer) in judge.reference.operations() {
        let path = concrete(&template);
        if judge.reference.statuses(&pointer).iter().any(|status| status == "429") {
            nobody.plain(&method, &path, 429);
        }
    }
    gate.open();
}

/// Bodies that are wrong as such, sent to every operation that takes one.
fn of_bodies(judge: &Judge) {
    std::thread::scope(|scope| {
        for (method, template, pointer) in judge.reference.operations() {
            if judge.reference.document.pointer(&format!("{pointer}/requestBody")).is_none() {
                continue;
            }
            let path = concrete(&template);
            judge.send(&method, &path, 415, |call| call.body("text/csv", b"a,b"));
            judge.send(&method, &path, 400, |call| call.body("application/json", b"{"));
            judge.send(&method, &path, 413, |call| call.body("application/json", &[b' '; 16_385]));
            let client = judge.client.clone();
            let slow = scope.spawn(move || {
                let call = client.call(&method, &path).header("Content-Type", "application/json");
                let (response, _, _connection) = call.header("Content-Length", "2").open().unwrap();
                (method, path, response)
            });
            let (method, path, response) = slow.join().unwrap();
            judge.reference.check(&method, &path, &response);
            assert_eq!(response.status, 408);
        }
    });
}

/// A daemon that has all the connections and all the runs that it takes.
fn of_a_busy_daemon(reference: &Reference) {
    let daemon = Daemon::with_config("[limits]\nconnections = 1\nqueued_runs = 1\n");
    let judge = Judge { reference, client: Client::clone(&daemon) };
    let ended = daemon.sh("true");
    daemon.wait_ended(ended);
    judge.json("PUT", "/v1/queues/default", 200, &json!({"paused": true}));
    daemon.sh("true");
    judge.json("POST", "/v1/runs", 429, &json!({"script": "true"}));
    judge.plain("POST", &format!("/v1/runs/{ended}/retry"), 429);
    let mut only = daemon.tcp().connect();
    only.write_all(b"GET").unwrap();
    let tcp = judge.with(daemon.tcp());
    for (method, template, _) in reference.operations() {
        tcp.plain(&method, &concrete(&template), 503);
    }
}

/// Without room: what brings more with it than itself. Other writes are refused on a full disk alone.
fn of_a_full_daemon(reference: &Reference) {
    let daemon = Daemon::with_config("[retention]\ndb_bytes = 1\n");
    let judge = Judge { reference, client: Client::clone(&daemon) };
    let ended = daemon.submit(&json!({"script": "true", "keep": true}));
    daemon.wait_ended(ended);
    judge.json("PUT", "/v1/queues/default", 200, &json!({"paused": true}));
    let large = json!({"script": "true", "stdin": "x".repeat(1_040_000)});
    (0..2).for_each(|_| _ = judge.json("POST", "/v1/runs", 201, &large));
    judge.json("POST", "/v1/runs", 507, &large);
    judge.plain("POST", &format!("/v1/runs/{ended}/retry"), 507);
}
