//! What every operation answers alike: before its handler, to a body that is none, and where there is no room.

use std::io::Write as _;

use serde_json::json;

use super::{Judge, concrete};
use crate::common::{Client, DEADLINE, Daemon, Reference, eventually};

/// What stands before every handler, asked of every operation.
pub fn of_all_alike(judge: &Judge, daemon: &Daemon) {
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
pub fn of_bodies(judge: &Judge) {
    std::thread::scope(|scope| {
        for (method, template, pointer) in judge.reference.operations() {
            if judge.reference.document.pointer(&format!("{pointer}/requestBody")).is_none() {
                continue;
            }
            let path = concrete(&template);
            if template.ends_with("/stdin") {
                // It takes any type, as it is.
                judge
                    .send(&method, &path, 415, |call| call.body("text/csv", b"a,b").header("Content-Encoding", "gzip"));
            } else {
                judge.send(&method, &path, 415, |call| call.body("text/csv", b"a,b"));
                judge.send(&method, &path, 400, |call| call.body("application/json", b"{"));
            }
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
pub fn of_a_busy_daemon(reference: &Reference) {
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
pub fn of_a_full_daemon(reference: &Reference) {
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
