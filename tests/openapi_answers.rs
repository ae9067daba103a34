//! What a real daemon answers is what the reference says: every operation, every status that can be provoked, every field,
//! and no field besides.

mod events;
mod refused;
mod runs;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::events::{of_all_runs, of_events};
use self::refused::{of_a_busy_daemon, of_a_full_daemon, of_all_alike, of_bodies};
use self::runs::of_runs;
use crate::common::{Call, Client, DEADLINE, Daemon, Reference, Response, eventually, page_file};
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
    of_input(&judge, &daemon);
    of_jobs(&judge);
    of_hooks(&judge);
    of_cursors(&judge);
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

/// What is sent to a command that runs, and what comes of that.
fn of_input(judge: &Judge, daemon: &Daemon) {
    let send = |run: i64, query: &str, status, bytes: &[u8]| {
        let path = format!("/v1/runs/{run}/stdin{query}");
        judge.send("POST", &path, status, |call| call.body("application/octet-stream", bytes));
    };
    let resize = |run: i64, status| {
        let size = json!({"columns": 132, "rows": 43});
        judge.json("POST", &format!("/v1/runs/{run}/resize"), status, &size);
    };
    let run = daemon.submit(&json!({"script": "stty raw; echo up; exec sleep 3000", "pty": {}, "stdin": "open"}));
    daemon.wait_running(run);
    resize(run, 204);
    send(run, "?writer=a&nth=1", 204, b"x");
    send(run, "?writer=b", 409, b"x");
    let path = format!("/v1/runs/{run}/stdin");
    eventually(DEADLINE, "it is full", || {
        judge.client.call("POST", &path).body("a/b", &[b'x'; 16_384]).send().status == 429
    });
    send(run, "", 429, &[b'x'; 16_384]);
    daemon.post(&format!("/v1/runs/{run}/cancel"), &json!({"now": true}));
    daemon.wait_ended(run);
    send(run, "", 409, b"x");
    resize(run, 409);
    daemon.delete(&format!("/v1/runs/{run}")).expect(204);
    for (gone, status) in [(run, 410), (4_242, 404)] {
        send(gone, "", status, b"x");
        resize(gone, status);
    }
}

/// Make, look, change, test, delete.
fn of_hooks(judge: &Judge) {
    let hook = json!({"url": "http://127.0.0.1:9/", "tag": "told"});
    assert!(judge.json("PUT", "/v1/hooks/told", 201, &hook).json()["secret"].is_string());
    judge.json("PUT", "/v1/hooks/told", 200, &hook);
    judge.plain("GET", "/v1/hooks", 200);
    judge.plain("GET", "/v1/hooks/told", 200);
    judge.plain("GET", "/v1/hooks/none", 404);
    let id = judge.json("POST", "/v1/hooks/told/test", 202, &json!({})).json()["id"].as_i64().unwrap();
    judge.plain("GET", "/v1/hooks/told/deliveries?limit=1&status=pending", 200);
    judge.plain("GET", "/v1/hooks/none/deliveries", 404);
    judge.plain("GET", "/v1/hooks/told/deliveries?limit=0", 422);
    judge.json("POST", &format!("/v1/hooks/told/deliveries/{id}/redeliver"), 202, &json!({}));
    judge.json("POST", "/v1/hooks/told/deliveries/999/redeliver", 404, &json!({}));
    judge.json("PATCH", "/v1/hooks/told", 200, &json!({"enabled": false}));
    judge.json("POST", &format!("/v1/hooks/told/deliveries/{id}/redeliver"), 409, &json!({}));
    judge.json("PATCH", "/v1/hooks/none", 404, &json!({"enabled": false}));
    judge.json("POST", "/v1/hooks/told/test", 409, &json!({}));
    judge.json("POST", "/v1/hooks/none/test", 404, &json!({}));
    judge.plain("DELETE", "/v1/hooks/told", 204);
    judge.plain("DELETE", "/v1/hooks/told", 404);
}

/// Make, move, look, delete.
fn of_cursors(judge: &Judge) {
    let path = "/v1/cursors/report";
    judge.json("PUT", path, 201, &json!({"id": 1}));
    let read = judge.plain("GET", path, 200).json();
    judge.json("PUT", path, 200, &read);
    judge.json("PUT", path, 409, &json!({"id": 1_000_000_000}));
    judge.json("PUT", path, 409, &json!({"id": 1, "instance": "abcdefghijkl"}));
    judge.json("PUT", path, 422, &json!({"id": -1}));
    judge.plain("GET", "/v1/cursors", 200);
    judge.plain("GET", "/v1/cursors/none", 404);
    judge.plain("DELETE", path, 204);
    judge.plain("DELETE", path, 404);
}

/// Queues, tokens, sessions.
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
