//! Of a request that is well-formed and wrong, all that is wrong is told at once, and nothing is made of it.

use serde_json::{Value, json};

use crate::common::{Daemon, highest_resident_bytes, resident_bytes};
use crate::http_errors::{Case, submit};

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
fn what_is_given_twice_is_told_briefly_however_long_its_path_is() {
    let daemon = Daemon::start();
    let before = resident_bytes(daemon.pid());
    let twice = "\"a\":1,".repeat(10_000);
    let body = format!("{{\"{}\":{{{twice}\"b\":1}}}}", "x".repeat(150_000));
    let mut answer = None;
    let highest = highest_resident_bytes(daemon.pid(), || answer = Some(submit(&daemon, &body).send()));
    let answer = answer.unwrap().expect(422);
    let violations = answer.json()["details"]["violations"].as_array().unwrap().len();
    assert_eq!(violations, 100);
    assert!(answer.body.len() < 400_000, "{} bytes are answered to {}", answer.body.len(), body.len());
    let growth = highest.saturating_sub(before);
    assert!(growth < 64 * 1024 * 1024, "it took {growth} bytes to refuse {}", body.len());
    // Of many values together no more is told than of one.
    let line = format!("{{\"{}\":{{\"a\":1,\"a\":2}}}}\n", "y".repeat(2_000));
    let events = daemon.call("POST", "/v1/runs/1/events").body("application/x-ndjson", line.repeat(400).as_bytes());
    daemon.sh("true");
    let answer = events.send().expect(422);
    assert!(answer.body.len() < 400_000, "{} bytes are answered", answer.body.len());
}

#[test]
fn a_field_that_is_named_like_an_item_of_another_is_unknown_all_the_same() {
    let daemon = Daemon::start();
    let ended = daemon.sh("true");
    daemon.wait_ended(ended);
    let codes = r#"{"script":"true","retry":{"unless_exit":[1],"unless_exit[0]":5}}"#;
    Case::invalid("in retry", submit(&daemon, codes), &["retry.unless_exit[0]"]).check();
    let needs = format!(r#"{{"script":"true","after":[{ended}],"after[0]":7}}"#);
    Case::invalid("beside after", submit(&daemon, &needs), &["after[0]"]).check();
}
