//! Every refusal as a client meets it: its status, its code, its shape and the headers that belong to it.
//!
//! The table of codes is the daemon's own; a code that nothing here provokes fails the suite.

use std::collections::BTreeSet;

use runabout::http::error::CODES;
use serde_json::{Value, json};

use crate::common::{Call, Client, DEADLINE, Daemon, Opening, Response, beside, page_file};

/// Codes that no request can be made to give, and why.
const EXCEPTIONS: &[(&str, &str)] = &[("internal", "a fault of the daemon's own: one that is known gets fixed")];

/// A request and what is said to it.
struct Case {
    what: &'static str,
    call: Call,
    code: &'static str,
    /// The fields that `details.violations` names, in any order.
    fields: &'static [&'static str],
}

impl Case {
    fn new(what: &'static str, call: Call, code: &'static str) -> Case {
        Case { what, call, code, fields: &[] }
    }

    fn invalid(what: &'static str, call: Call, fields: &'static [&'static str]) -> Case {
        Case { what, call, code: "invalid", fields }
    }

    /// Sends it and checks all that every problem of its status must have; answers its code.
    #[track_caller]
    fn check(self) -> &'static str {
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
    let provoked = [by_requests(), by_jobs(), by_limits(), by_the_door()].concat();
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
    let cases = vec![
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
        Case::invalid("nothing to run", submit(&daemon, "{}"), &["command"]),
        Case::new("another body under a key", keyed(r#"{"command":["false"]}"#), "idempotency_mismatch"),
        Case::new("an old WebSocket", websocket("12"), "upgrade_required"),
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
    crate::common::eventually(DEADLINE, "it writes again", || daemon.put("/v1/queues/other", &json!({})).status < 300);
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

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let daemon = Daemon::start();
    let run = daemon.sh("true");
    daemon.wait_ended(run);
    let get = |path: &str| daemon.call("GET", path);
    let submit = |body: Value| daemon.call("POST", "/v1/runs").json(&body);
    let script = |query: &str| daemon.call("POST", &format!("/v1/runs?{query}")).body("text/x-shellscript", b"true");
    let events = |body: Value| daemon.call("POST", &format!("/v1/runs/{run}/events")).json(&body);
    let patch = |body: Value| daemon.call("PATCH", &format!("/v1/runs/{run}")).json(&body);
    let everything = submit(json!({
        "command": [], "nam": "x", "queue": "none", "priority": 1001, "tags": ["", 7], "cwd": "srv",
        "env": {"A=": "x", "B": 1}, "stdin": 1, "timeout_s": 0, "on_interrupt": "cry", "keep": "yes",
        "delay_s": -1, "name": "a\nb",
    }));
    let of_everything = &[
        "command",
        "nam",
        "queue",
        "priority",
        "tags[0]",
        "tags[1]",
        "cwd",
        "env.A=",
        "env.B",
        "stdin",
        "timeout_s",
        "on_interrupt",
        "keep",
        "delay_s",
        "name",
    ];
    let cases = vec![
        Case::invalid("everything", everything, of_everything),
        Case::invalid("command and script", submit(json!({"command": ["a"], "script": "a"})), &["command"]),
        Case::invalid("no program", submit(json!({"command": [""]})), &["command"]),
        Case::invalid("a script of nothing", submit(json!({"script": " "})), &["script"]),
        Case::invalid("a NUL", submit(json!({"command": ["a", "b\0"]})), &["command[1]"]),
        Case::invalid("no number", submit(json!({"script": "a", "priority": 1.5})), &["priority"]),
        Case::invalid("an unknown queue alone", submit(json!({"script": "a", "queue": "none"})), &["queue"]),
        Case::invalid("a queue that cannot be", submit(json!({"script": "a", "queue": "A b"})), &["queue"]),
        Case::invalid("no object", submit(json!([1])), &[""]),
        Case::invalid(
            "delayed twice",
            submit(json!({"script": "a", "delay_s": 1, "not_before": "2099-01-01T00:00:00Z"})),
            &["delay_s"],
        ),
        Case::invalid("no time", submit(json!({"script": "a", "not_before": "tomorrow"})), &["not_before"]),
        Case::invalid(
            "a query beside JSON",
            daemon.call("POST", "/v1/runs?queue=none&priority=high&nice=1").json(&json!({"script": "a", "x": 1})),
            &["priority", "nice", "x", "queue"],
        ),
        Case::invalid(
            "a script's query",
            script("priority=high&nice=1&queue=none&timeout_s=0"),
            &["priority", "nice", "queue", "timeout_s"],
        ),
        Case::invalid("no UTF-8", daemon.call("POST", "/v1/runs").body("text/x-shellscript", b"\xff"), &["script"]),
        Case::invalid(
            "a list's query",
            get("/v1/runs?status=done&limit=501&before=0&tag=&x=1"),
            &["status", "limit", "before", "tag", "x"],
        ),
        Case::invalid("a parameter twice", get("/v1/runs?limit=1&limit=2"), &["limit"]),
        Case::invalid("a wait too long", get(&format!("/v1/runs/{run}?wait_s=301")), &["wait_s"]),
        Case::invalid("no wait", get(&format!("/v1/runs/{run}/exit_code?wait_s=0&x=")), &["wait_s", "x"]),
        Case::invalid(
            "no cursor",
            get(&format!("/v1/runs/{run}/events?after=x&limit=10001&y=1")),
            &["after", "limit", "y"],
        ),
        Case::invalid("a query where none is", get("/v1/queues?x=1"), &["x"]),
        Case::invalid(
            "a change",
            patch(json!({"keep": null, "tags": [1], "status": "failed"})),
            &["keep", "tags[0]", "status"],
        ),
        Case::invalid(
            "an append",
            events(json!([{"kind": "output"}, 7, {"kind": "message", "data": [], "x": 1}])),
            &["[0].kind", "[1]", "[2].data", "[2].x"],
        ),
        Case::invalid(
            "a cancel",
            daemon.call("POST", &format!("/v1/runs/{run}/cancel")).json(&json!({"why": 1})),
            &["why"],
        ),
        Case::invalid(
            "a queue's slots",
            daemon.call("PUT", "/v1/queues/q").json(&json!({"slots": 1025, "paused": 1, "x": 0})),
            &["slots", "paused", "x"],
        ),
        Case::invalid("a queue's name", daemon.call("PUT", "/v1/queues/Q").json(&json!({})), &["name"]),
        Case::invalid(
            "an enrollment token",
            daemon
                .call("POST", "/v1/enrollment-tokens")
                .json(&json!({"role": "root", "ttl_s": 604_801, "max_uses": 0, "x": 1})),
            &["role", "ttl_s", "max_uses", "x"],
        ),
        Case::invalid(
            "a token of no role",
            daemon.call("POST", "/v1/enrollment-tokens").json(&json!({"role": null})),
            &["role"],
        ),
        Case::invalid("an event of no kind", events(json!({"kind": null, "data": {}})), &["kind"]),
        Case::invalid("an enrollment", daemon.call("POST", "/v1/enroll").json(&json!({"x": 1})), &["token", "x"]),
        Case::invalid("maintenance", daemon.call("POST", "/v1/maintenance").json(&json!({"now": true})), &["now"]),
    ];
    cases.into_iter().for_each(|case| _ = case.check());
    assert_eq!(daemon.metrics().sum("runs"), 1.0, "nothing was made of any of it");
}

#[test]
fn the_order_of_refusals_is_host_origin_who_path_method_role_headers_body() {
    let daemon = Daemon::start();
    let (tcp, viewer, operator) = (daemon.tcp(), daemon.tcp_as("viewer"), daemon.tcp_as("operator"));
    let evil = |call: Call| call.header("Host", "evil.example");
    let foreign = |call: Call| call.header("Origin", "http://evil.example");
    let cases = vec![
        Case::new("host before all", evil(foreign(tcp.call("POST", "/nowhere"))), "host_not_allowed"),
        Case::new("origin before who", foreign(tcp.call("POST", "/nowhere")), "origin_not_allowed"),
        Case::new("who before path", tcp.call("GET", "/nowhere"), "unauthorized"),
        Case::new("who before method", tcp.call("PUT", "/v1/runs"), "unauthorized"),
        Case::new("path before all the rest", viewer.call("BREW", "/nowhere"), "not_found"),
        Case::new("method before role", viewer.call("DELETE", "/v1/runs"), "method_not_allowed"),
        Case::new("role before headers", viewer.call("POST", "/v1/runs").body("text/csv", b"{"), "forbidden"),
        Case::new("role before what there is", viewer.call("DELETE", "/v1/runs/4242"), "forbidden"),
        Case::new("headers before body", submit(&operator, "{").header("Idempotency-Key", ""), "bad_request"),
        Case::new(
            "type before body",
            operator.call("POST", "/v1/runs").body("text/csv", b"{"),
            "unsupported_media_type",
        ),
    ];
    cases.into_iter().for_each(|case| _ = case.check());
    let upgrade = Opening::new(&tcp, "/nowhere".to_owned()).refused();
    problem("an upgrade is asked who it is, too", &upgrade, "unauthorized");
    let upgrade = Opening::new(&viewer, "/nowhere".to_owned()).header("Origin", "http://evil.example").refused();
    problem("an upgrade is asked where it is from, too", &upgrade, "origin_not_allowed");
}

#[test]
fn a_known_path_names_its_methods_and_an_unknown_one_has_none() {
    let daemon = Daemon::start();
    let routes: &[(&str, &[&str])] = &[
        ("/", &["GET"]),
        (page_file("app.js"), &["GET"]),
        ("/healthz", &["GET"]),
        ("/readyz", &["GET"]),
        ("/metrics", &["GET"]),
        ("/v1/system", &["GET"]),
        ("/v1/drain", &["GET", "PUT", "DELETE"]),
        ("/v1/maintenance", &["POST"]),
        ("/v1/runs", &["GET", "POST"]),
        ("/v1/runs/7", &["GET", "PATCH", "DELETE"]),
        ("/v1/runs/7/exit_code", &["GET"]),
        ("/v1/runs/7/cancel", &["POST"]),
        ("/v1/runs/7/retry", &["POST"]),
        ("/v1/runs/7/events", &["GET", "POST"]),
        ("/v1/queues", &["GET"]),
        ("/v1/queues/default", &["GET", "PUT", "DELETE"]),
        ("/v1/enrollment-tokens", &["GET", "POST"]),
        ("/v1/enrollment-tokens/7", &["DELETE"]),
        ("/v1/enroll", &["POST"]),
        ("/v1/sessions", &["GET"]),
        ("/v1/sessions/7", &["DELETE"]),
        ("/v1/session", &["GET", "DELETE"]),
    ];
    for (path, methods) in routes {
        let mut wanted: BTreeSet<&str> = methods.iter().copied().collect();
        if wanted.contains("GET") {
            wanted.insert("HEAD");
        }
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "get"] {
            let what = format!("{method} {path}");
            let response = daemon.call(method, path).send();
            if wanted.contains(method) {
                assert_ne!(response.status, 405, "{what}");
                continue;
            }
            if method == "HEAD" {
                assert_eq!((response.status, response.body.len()), (405, 0), "{what}");
            } else {
                problem(&what, &response, "method_not_allowed");
            }
            let allow = response.header("allow").unwrap();
            assert_eq!(allow.split(',').map(str::trim).collect::<BTreeSet<_>>(), wanted, "{what}");
        }
    }
    for path in ["/v1", "/v1/", "/v1/run", "/v1/runs/7/nothing", "/v1/runs/7/events/1", "/v1/queues/a/b", "/robots.txt"]
    {
        for method in ["GET", "POST", "BREW"] {
            problem(path, &daemon.call(method, path).send(), "not_found");
        }
    }
    for path in ["/v1//runs", "/v1/../v1/runs", "/v1/%2e%2e/x", "/v1/runs/%", "//"] {
        problem(path, &daemon.call("GET", path).send(), "bad_request");
    }
}
