//! What is answered about runs.

use serde_json::{Value, json};

use super::Judge;
use crate::common::Daemon;

/// Submit, look, change, cancel, retry, delete.
pub fn of_runs(judge: &Judge, daemon: &Daemon) {
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
    let left = submit(201, json!({"script": "echo 1 > $RUNABOUT_ARTIFACTS/f; echo 2 > $RUNABOUT_ARTIFACTS/gone"}));
    daemon.wait_ended(left);
    std::fs::remove_file(daemon.state_dir().join(format!("artifacts/{left}/gone"))).unwrap();
    judge.plain("GET", &of(left, "/artifacts"), 200);
    let file = of(left, "/artifacts/f");
    let tag = judge.plain("GET", &file, 200).header("etag").unwrap().to_owned();
    judge.send("GET", &file, 206, |call| call.header("Range", "bytes=0-0"));
    judge.send("GET", &file, 416, |call| call.header("Range", "bytes=2-"));
    judge.send("GET", &file, 304, |call| call.header("If-None-Match", &tag));
    judge.plain("GET", &of(left, "/artifacts/gone"), 410);
    for (rest, status) in [("/artifacts/none", 404), ("/artifacts?x=1", 422), ("/artifacts/f?x=1", 422)] {
        judge.plain("GET", &of(left, rest), status);
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
        for (method, rest) in [
            ("GET", ""),
            ("GET", "/artifacts"),
            ("DELETE", ""),
            ("GET", "/exit_code"),
            ("POST", "/retry"),
            ("POST", "/cancel"),
        ] {
            judge.plain(method, &of(gone, rest), status);
        }
        judge.plain("GET", &of(gone, "/events"), status);
        judge.plain("GET", &of(gone, "/log"), status);
        judge.plain("GET", &format!("/v1/search?text=x&run={gone}"), status);
        judge.json("PATCH", &of(gone, ""), status, &json!({"name": "x"}));
        judge.json("POST", &of(gone, "/events"), status, &json!({"kind": "message"}));
    }
}
