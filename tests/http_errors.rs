//! Every refusal as a client meets it: its status, its code, its shape and the headers that belong to it.
//!
//! The table of codes is the daemon's own; a code that nothing here provokes fails the suite.

use std::collections::BTreeSet;

use runabout::http::error::CODES;
use serde_json::{Value, json};

use crate::common::{Address, Call, Client, DEADLINE, Daemon, Response, beside, eventually};

/// Codes that no request can be made to give, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("internal", "a fault of the daemon's own: one that is known gets fixed"),
    ("too_many_cursors", "a thousand of them are put into the database by hand in tests/cursors.rs"),
];

/// A request and what is said to it.
pub struct Case {
    what: &'static str,
    call: Call,
    code: &'static str,
    /// The fields that `details.violations` names, in any order.
    fields: &'static [&'static str],
}

impl Case {
    /// One that has a code of its own.
    pub fn new(what: &'static str, call: Call, code: &'static str) -> Case {
        Case { what, call, code, fields: &[] }
    }

    /// One that is well-formed and wrong in these fields.
    pub fn invalid(what: &'static str, call: Call, fields: &'static [&'static str]) -> Case {
        Case { what, call, code: "invalid", fields }
    }

    /// Sends it and checks all that every problem of its status must have; answers its code.
    #[track_caller]
    pub fn check(self) -> &'static str {
        let Case { what, call, code, fields } = self;
        let problem = problem(what, &call.send(), code);
        let violations = problem["details"]["violations"].as_array().cloned().unwrap_or_default();
        assert_eq!(code == "invalid", !violations.is_empty(), "{what}: {problem}");
        let mut named: Vec<&str> = Vec::new();
        for violation in &violations {
            let keys: BTreeSet<&str> = violation.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(keys, BTreeSet::from(["field", "message", "reason"]), "{what}: {violation}");
            assert!(keys.iter().all(|key| violation[key].is_string()), "{what}: {violation}");
            assert_ne!(violation["message"], "", "{what}: {violation}");
            named.push(violation["field"].as_str().unwrap());
        }
        named.sort_unstable();
        let mut wanted = fields.to_vec();
        wanted.sort_unstable();
        assert_eq!(named, wanted, "{what}: {problem}");
        code
    }
}

/// The problem of an answer, after a look at everything that all problems have in common.
#[track_caller]
pub fn problem(what: &str, response: &Response, code: &str) -> Value {
    let status = CODES.iter().find(|(known, _)| *known == code).unwrap_or_else(|| panic!("no code {code}")).1;
    assert_eq!(response.status, status, "{what}: {}", response.text());
    assert_eq!(response.header("content-type"), Some("application/problem+json"), "{what}");
    let problem = response.json();
    let keys: Vec<&String> = problem.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["type", "title", "status", "code", "detail", "details"], "{what}");
    assert_eq!((&problem["type"], &problem["status"]), (&"about:blank".into(), &status.into()), "{what}: {problem}");
    assert_eq!(problem["code"], code, "{what}: {problem}");
    assert!(problem["details"].is_object() && problem["title"].as_str().is_some_and(|title| !title.is_empty()));
    let detail = problem["detail"].as_str().unwrap();
    assert!(!detail.is_empty() && detail.chars().count() < 2_000, "{what}: {detail}");
    assert!(detail.starts_with(|first: char| first != ':' && first != ' '), "{what}: {detail}");
    for internal in ["rusqlite", "SQLITE", "src/", "panic", "SELECT", "unwrap"] {
        assert!(!detail.contains(internal), "{what} tells what is internal: {detail}");
    }
    let number = |name: &str| response.header(name).and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
    match status {
        401 => assert_eq!(response.header("www-authenticate"), Some("Bearer"), "{what}"),
        405 => assert!(response.header("allow").is_some_and(|allow| !allow.is_empty()), "{what}"),
        429 => assert!(number("retry-after") >= 1, "{what}: {:?}", response.headers),
        503 if code == "storage_unavailable" => assert!(number("retry-after") >= 1, "{what}: {:?}", response.headers),
        _ => {}
    }
    problem
}

/// Submits as JSON, whatever it is.
pub fn submit(client: &Client, body: &str) -> Call {
    client.call("POST", "/v1/runs").body("application/json", body.as_bytes())
}

#[test]
fn every_code_is_given_by_a_request_that_deserves_it() {
    let provoked = [by_requests(), by_artifacts(), by_jobs(), by_hooks(), by_limits(), by_the_door()].concat();
    for (code, _) in CODES {
        let is_exception = EXCEPTIONS.iter().any(|(exception, _)| exception == code);
        assert_eq!(
            !is_exception,
            provoked.contains(code),
            "{code}: no request of this file gives it, or one does after all"
        );
    }
}

/// What a client gets wrong in a request of its own.
fn by_requests() -> Vec<&'static str> {
    let daemon = Daemon::start();
    daemon.put("/v1/queues/paused", &json!({"paused": true})).expect(201);
    let queued = daemon.submit(&json!({"command": ["true"], "queue": "paused"}));
    let ended = daemon.sh("exit 3");
    daemon.wait_ended(ended);
    let deleted = daemon.sh("true");
    daemon.wait_ended(deleted);
    daemon.delete(&format!("/v1/runs/{deleted}")).expect(204);
    let keyed = |body| submit(&daemon, body).header("Idempotency-Key", "once");
    keyed(r#"{"command":["true"],"queue":"paused"}"#).send().expect(201);
    let needed = daemon.sh("true");
    daemon.wait_ended(needed);
    daemon.submit(&json!({"script": "true", "queue": "paused", "after": [needed, queued]}));
    let path = |run: i64, rest: &str| format!("/v1/runs/{run}{rest}");
    let get = |path: &str| daemon.call("GET", path);
    let json = |method: &str, path: &str, body: Value| daemon.call(method, path).json(&body);
    let websocket = |version: &str| {
        let call = get(&path(queued, "/events")).header("Upgrade", "websocket").header("Connection", "Upgrade");
        call.header("Sec-WebSocket-Version", version).header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    daemon.put("/v1/queues/input", &json!({"slots": 2})).expect(201);
    let deaf = daemon.submit(&json!({"script": "exec sleep 3000", "stdin": "open", "queue": "input"}));
    let plain = daemon.submit(&json!({"script": "exec sleep 3000", "queue": "input"}));
    daemon.wait_running(deaf);
    daemon.wait_running(plain);
    let send = |run: i64, query: &str, bytes: &[u8]| {
        daemon.call("POST", &path(run, &format!("/stdin{query}"))).body("application/octet-stream", bytes)
    };
    send(deaf, "?writer=a", b"x").send().expect(204);
    eventually(DEADLINE, "all is full", || send(deaf, "", &[b'x'; 65_536]).send().status == 429);
    let cases = vec![
        Case::new("input of a run without one", send(plain, "", b"x"), "no_stdin"),
        Case::new("input before the start", send(queued, "", b"x"), "run_not_running"),
        Case::new("input beside another's", send(deaf, "?writer=b", b"x"), "stdin_busy"),
        Case::new("input that is not read", send(deaf, "", &[b'x'; 65_536]), "stdin_full"),
        Case::new(
            "a size without a terminal",
            json("POST", &path(deaf, "/resize"), json!({"columns": 80, "rows": 24})),
            "no_terminal",
        ),
        // Whoever builds this has no service manager that delegates a cgroup to it.
        Case::new(
            "a limit that cannot be enforced",
            submit(&daemon, r#"{"command":["true"],"limits":{"memory_bytes":1048576}}"#),
            "limits_unavailable",
        ),
        Case::new("a key twice", keyed("{}").header("Idempotency-Key", "again"), "bad_request"),
        Case::invalid(
            "a field twice",
            submit(&daemon, r#"{"script":"a","env":{"A":"1","A":"2"},"script":"b"}"#),
            &["env.A", "script"],
        ),
        Case::invalid(
            "a field of an event twice",
            daemon.call("POST", &path(queued, "/events")).body(
                "application/x-ndjson",
                b"{\"kind\":\"message\"}\n{\"kind\":\"message\",\"data\":{\"a\":1,\"a\":2}}",
            ),
            &["[1].data.a"],
        ),
        Case::new("half an object", submit(&daemon, r#"{"command":["#), "bad_json"),
        Case::new("two objects", submit(&daemon, "{} {}"), "bad_json"),
        Case::new(
            "a type that is not read",
            daemon.call("POST", "/v1/runs").body("text/csv", b"a,b"),
            "unsupported_media_type",
        ),
        Case::new("no type", daemon.call("POST", "/v1/runs").body("", b"{}"), "unsupported_media_type"),
        Case::new(
            "a token of nobody",
            json("POST", "/v1/enroll", json!({"token": "rbe_nobody"})),
            "enrollment_invalid",
        ),
        Case::new("a path of nothing", get("/v2"), "not_found"),
        Case::new("no such session", daemon.call("DELETE", "/v1/sessions/99"), "not_found"),
        Case::new("no such token", daemon.call("DELETE", "/v1/enrollment-tokens/99"), "not_found"),
        Case::new("no run of that number", get("/v1/runs/4242"), "run_not_found"),
        Case::new("no number", get("/v1/runs/last"), "run_not_found"),
        Case::new("no such queue", get("/v1/queues/none"), "queue_not_found"),
        Case::new("a known path", daemon.call("PUT", "/v1/runs"), "method_not_allowed"),
        Case::new("an exit code too early", get(&path(queued, "/exit_code")), "run_not_finished"),
        Case::new("a retry too early", daemon.call("POST", &path(queued, "/retry")), "run_not_finished"),
        Case::new("a deletion too early", daemon.call("DELETE", &path(queued, "")), "run_not_finished"),
        Case::new("a deletion of what another needs", daemon.call("DELETE", &path(needed, "")), "run_needed"),
        Case::new("a priority too late", json("PATCH", &path(ended, ""), json!({"priority": 1})), "run_not_queued"),
        Case::new(
            "an event too late",
            json("POST", &path(ended, "/events"), json!({"kind": "message", "data": {}})),
            "run_finished",
        ),
        Case::new("the first queue", daemon.call("DELETE", "/v1/queues/default"), "queue_protected"),
        Case::new("a queue in use", daemon.call("DELETE", "/v1/queues/paused"), "queue_not_empty"),
        Case::new("a cursor from the future", get(&path(ended, "/events?after=99")), "cursor_ahead"),
        Case::new("a cursor of another", get(&path(ended, "/events?after=aaaaaaaaaaaa-1")), "instance_changed"),
        Case::new("a run that was", get(&path(deleted, "")), "run_pruned"),
        Case::new("no such durable cursor", get("/v1/cursors/none"), "cursor_not_found"),
        Case::invalid("nothing to run", submit(&daemon, "{}"), &["command"]),
        Case::new("another body under a key", keyed(r#"{"command":["false"]}"#), "idempotency_mismatch"),
        Case::new("an old WebSocket", websocket("12"), "upgrade_required"),
    ];
    cases.into_iter().map(Case::check).collect()
}

/// What is wrong about hooks.
fn by_hooks() -> Vec<&'static str> {
    let daemon = Daemon::start();
    // Nobody takes connections on the port of discard.
    let hook = json!({"url": "http://127.0.0.1:9/", "enabled": false});
    for number in 0..100 {
        daemon.put(&format!("/v1/hooks/hook-{number}"), &hook).expect(201);
    }
    let many = daemon.put("/v1/hooks/another", &hook);
    assert_eq!(problem("one hook too many", &many, "too_many_hooks")["details"]["limit"], 100);
    daemon.put("/v1/hooks/hook-1", &hook).expect(200);
    let Address::Tcp(own) = daemon.tcp().address().clone() else { panic!("it has no TLS") };
    let own = json!({"url": format!("http://localhost:{}/v1/runs", own.port())});
    let wrong = json!({"url": "ftp://a/", "secret": "short", "on": ["queued"], "body": "xml", "tags": []});
    let cases = vec![
        Case::new("no such hook", daemon.call("GET", "/v1/hooks/none"), "hook_not_found"),
        Case::new("a test of a disabled hook", daemon.call("POST", "/v1/hooks/hook-0/test"), "hook_disabled"),
        Case::new(
            "no such delivery",
            daemon.call("POST", "/v1/hooks/hook-0/deliveries/1/redeliver"),
            "delivery_not_found",
        ),
        Case::invalid("nothing to call", daemon.call("PUT", "/v1/hooks/hook-0").json(&json!({})), &["url"]),
        Case::invalid("the daemon itself", daemon.call("PUT", "/v1/hooks/hook-0").json(&own), &["url"]),
        Case::invalid(
            "much that is wrong",
            daemon.call("PUT", "/v1/hooks/hook-0").json(&wrong),
            &["url", "secret", "on[0]", "body", "tags"],
        ),
        Case::invalid(
            "no end",
            daemon.call("PUT", "/v1/hooks/hook-0").json(&json!({"url": "http://a/", "on": []})),
            &["on"],
        ),
    ];
    [vec!["too_many_hooks"], cases.into_iter().map(Case::check).collect()].concat()
}

/// What is wrong about files that runs left.
fn by_artifacts() -> Vec<&'static str> {
    let daemon = Daemon::start();
    let run = daemon.sh("echo 1 > $RUNABOUT_ARTIFACTS/file; echo 2 > $RUNABOUT_ARTIFACTS/gone");
    daemon.wait_ended(run);
    std::fs::remove_file(daemon.state_dir().join(format!("artifacts/{run}/gone"))).unwrap();
    let get = |name: &str| daemon.call("GET", &format!("/v1/runs/{run}/artifacts/{name}"));
    let cases = vec![
        Case::new("no such file", get("none"), "artifact_not_found"),
        Case::new("a file that is gone", get("gone"), "artifact_gone"),
        Case::new("a part that it does not have", get("file").header("Range", "bytes=9-"), "range_not_satisfiable"),
    ];
    cases.into_iter().map(Case::check).collect()
}

/// What is wrong about jobs.
fn by_jobs() -> Vec<&'static str> {
    let mut daemon = Daemon::start();
    let job = json!({"run": {"command": ["true"]}});
    daemon.put("/v1/jobs/first", &job).expect(201);
    daemon.put("/v1/jobs/second", &json!({"run": {"command": ["true"]}, "after_job": "first"})).expect(201);
    let changed = daemon.call("PUT", "/v1/jobs/first").json(&job).header("If-Match", "\"0\"");
    let cases = vec![
        Case::new("no such job", daemon.call("GET", "/v1/jobs/none"), "job_not_found"),
        Case::new("a job that another follows", daemon.call("DELETE", "/v1/jobs/first"), "job_followed"),
        Case::new("a job that is not as it was", changed, "precondition_failed"),
    ];
    let mut provoked: Vec<&'static str> = cases.into_iter().map(Case::check).collect();
    // As many as there may be are counted at the start.
    let copies =
        "WITH RECURSIVE numbers (number) AS (SELECT 3 UNION ALL SELECT number + 1 FROM numbers WHERE number < 10000)
                  INSERT INTO jobs (name, definition, version, created_at, changed_at, accounted_at, highest_at)
                  SELECT 'job-' || number, definition, version, created_at, changed_at, accounted_at, highest_at
                  FROM numbers, jobs WHERE name = 'first'";
    assert_eq!(beside(&daemon).execute(copies, []).unwrap(), 9_998);
    daemon.restart();
    let many = daemon.put("/v1/jobs/third", &job);
    assert_eq!(problem("one job too many", &many, "too_many_jobs")["details"]["limit"], 10_000);
    provoked.push("too_many_jobs");
    provoked
}

/// What the daemon's limits refuse.
fn by_limits() -> Vec<&'static str> {
    let config = "[limits]\nqueued_runs = 1\nbody_s = 1\nbody_bytes = 2000\nconnections = 1\n";
    let daemon = Daemon::with_config(config);
    daemon.put("/v1/queues/default", &json!({"paused": true})).expect(200);
    daemon.sh("true");
    let full = submit(&daemon, r#"{"script":"true"}"#).send();
    assert_eq!(problem("the queue is full", &full, "queue_full")["details"]["limit"], 1);

    let large = submit(&daemon, &format!(r#"{{"script":"{}"}}"#, "x".repeat(2_000)));
    problem("a large body", &large.send(), "body_too_large");
    let slow = daemon.call("POST", "/v1/runs").header("Content-Type", "application/json").header("Content-Length", "2");
    let (slow, _, _connection) = slow.open().unwrap();
    problem("a body that never comes", &slow, "body_timeout");

    let _only = daemon.tcp().connect();
    let many = daemon.tcp().call("GET", "/healthz").send();
    problem("one connection too many", &many, "unavailable");

    // Somebody holds the database beside the daemon for longer than it waits.
    let other = rusqlite::Connection::open(daemon.state_dir().join("runabout.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let locked = daemon.put("/v1/queues/other", &json!({}));
    problem("a database that cannot be written", &locked, "storage_unavailable");
    problem("it is not ready, either", &daemon.get("/readyz"), "storage_unavailable");
    daemon.get("/v1/queues").expect(200);
    other.execute_batch("ROLLBACK").unwrap();
    eventually(DEADLINE, "it writes again", || daemon.put("/v1/queues/other", &json!({})).status < 300);
    daemon.get("/readyz").expect(200);
    // All the events that clients may give a run; what the daemon has to say of it still has room.
    let last =
        "INSERT INTO events (id, key, at, kind, data) VALUES (1 << 40, (2 << 32) - (1 << 20) - 1, 0, 'message', '{}')";
    assert_eq!(other.execute(last, []).unwrap(), 1);
    let message = daemon.post("/v1/runs/1/events", &json!({"kind": "message"}));
    problem("a run that is full", &message, "run_full");
    daemon.post("/v1/runs/1/cancel", &json!({})).expect(200);

    let daemon = Daemon::with_config("[retention]\ndb_bytes = 1\n");
    daemon.put("/v1/queues/default", &json!({"paused": true})).expect(200);
    let large = format!(r#"{{"script":"true","stdin":"{}"}}"#, "x".repeat(1_040_000));
    (0..2).for_each(|_| _ = submit(&daemon, &large).send().expect(201));
    problem("a database that is full", &submit(&daemon, &large).send(), "storage_full");
    vec![
        "queue_full",
        "run_full",
        "body_too_large",
        "body_timeout",
        "unavailable",
        "storage_unavailable",
        "storage_full",
    ]
}

/// What is refused over TCP before it comes to the request.
fn by_the_door() -> Vec<&'static str> {
    let daemon = Daemon::start();
    let (tcp, viewer) = (daemon.tcp(), daemon.tcp_as("viewer"));
    let mut provoked: Vec<&'static str> = vec![
        Case::new("nobody", tcp.call("GET", "/v1/runs"), "unauthorized"),
        Case::new("a viewer", submit(&viewer, r#"{"command":["true"]}"#), "forbidden"),
        Case::new("a page from nowhere", submit(&viewer, "{}").header("Origin", "null"), "origin_not_allowed"),
        Case::new("another host", viewer.call("GET", "/v1/runs").header("Host", "evil.example"), "host_not_allowed"),
    ]
    .into_iter()
    .map(Case::check)
    .collect();
    let bad = tcp.with_token("rbs_bad");
    (0..10).for_each(|nth| assert_eq!(tcp.with_token(&format!("rbs_{nth}")).get("/v1/runs").status, 401));
    provoked.push(Case::new("the eleventh", bad.call("GET", "/v1/runs"), "rate_limited").check());
    provoked
}
