//! Whoever changes something leaves one line in the log that says what, from where, and who; no secret, and no name that
//! passes for another line.

use serde_json::json;

use crate::common::{DEADLINE, Daemon, eventually};

/// Fails unless the log has exactly one line that ends like this.
#[track_caller]
fn once(daemon: &Daemon, line: &str) {
    let whole = format!(" INFO {line}");
    eventually(DEADLINE, line, || daemon.log().lines().any(|had| had.ends_with(&whole)));
    assert_eq!(daemon.log().lines().filter(|had| had.contains(line)).count(), 1, "{line}");
}

#[test]
fn every_change_says_who_did_it() {
    let daemon = Daemon::start();
    let made = daemon.post("/v1/enrollment-tokens", &json!({"role": "admin", "label": "lab"})).expect(201).json();
    let body = json!({"token": made["token"], "name": "desk"});
    let session = daemon.tcp().post("/v1/enroll", &body).expect(201).json();
    let (id, token) = (session["session"]["id"].as_i64().unwrap(), session["session_token"].as_str().unwrap());
    let desk = daemon.tcp().with_token(token);
    let user = daemon.get("/v1/session").json()["name"].as_str().unwrap().to_owned();
    assert!(user.starts_with("local:"), "{user}");
    let there = "from 127.0.0.1 by session:desk";
    once(&daemon, &format!("enrollment token {} for the role admin was made by {user}", made["id"]));
    once(&daemon, &format!("session {id} of the role admin was enrolled {there}"));

    desk.put("/v1/queues/slow", &json!({"slots": 2, "paused": true})).expect(201);
    desk.put("/v1/queues/slow", &json!({"slots": 3})).expect(200);
    once(&daemon, &format!("queue slow was made, 2 slots, paused: true, {there}"));
    once(&daemon, &format!("queue slow was changed, 3 slots, paused: true, {there}"));
    let secret = "hunter2-in-env";
    let run = desk.submit(&json!({"script": "exit 0", "queue": "slow", "env": {"PASSWORD": secret}, "stdin": secret}));
    once(&daemon, &format!("run {run} was submitted {there}"));
    desk.patch(&format!("/v1/runs/{run}"), &json!({"name": "renamed"})).expect(200);
    once(&daemon, &format!("run {run} was changed {there}"));
    daemon.post(&format!("/v1/runs/{run}/cancel"), &json!({"reason": secret})).expect(200);
    once(&daemon, &format!("the cancel of run {run} was asked for by {user}"));
    let again = desk.post(&format!("/v1/runs/{run}/retry"), &json!({})).expect(201).json()["id"].as_i64().unwrap();
    once(&daemon, &format!("run {again} was submitted as a retry of run {run} {there}"));
    desk.delete(&format!("/v1/runs/{run}")).expect(204);
    once(&daemon, &format!("run {run} was deleted {there}"));
    desk.post(&format!("/v1/runs/{again}/cancel"), &json!({})).expect(200);
    desk.delete(&format!("/v1/runs/{again}")).expect(204);
    desk.delete("/v1/queues/slow").expect(204);
    once(&daemon, &format!("queue slow was deleted {there}"));
    desk.post("/v1/maintenance", &json!({})).expect(200);
    once(&daemon, &format!("maintenance was done {there}"));

    let unused = desk.post("/v1/enrollment-tokens", &json!({"role": "viewer"})).expect(201).json();
    desk.delete(&format!("/v1/enrollment-tokens/{}", unused["id"])).expect(204);
    once(&daemon, &format!("enrollment token {} was withdrawn {there}", unused["id"]));
    let viewer = daemon.enroll("viewer");
    let sessions = desk.get("/v1/sessions").json();
    let other = sessions["sessions"].as_array().unwrap().iter().filter_map(|one| one["id"].as_i64()).max().unwrap();
    desk.delete(&format!("/v1/sessions/{other}")).expect(204);
    once(&daemon, &format!("session {other} was revoked {there}"));
    desk.delete("/v1/session").expect(204);
    once(&daemon, &format!("session {id} was ended {there}"));
    let log = daemon.log();
    for secret in [token, &viewer, made["token"].as_str().unwrap(), unused["token"].as_str().unwrap(), secret] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[test]
fn what_changes_nothing_leaves_no_line() {
    let daemon = Daemon::start();
    let submit =
        || daemon.call("POST", "/v1/runs").header("Idempotency-Key", "k").json(&json!({"script": "exit 0"})).send();
    let run = submit().expect(201).json()["id"].as_i64().unwrap();
    submit().expect(200);
    daemon.get(&format!("/v1/runs/{run}")).expect(200);
    daemon.post("/v1/runs", &json!({})).expect(422);
    daemon.tcp().post("/v1/runs", &json!({"script": "exit 0"})).expect(401);
    daemon.wait_ended(run);
    let by = daemon.log().lines().filter(|line| line.contains(" by ")).count();
    assert_eq!(by, 1, "{}", daemon.log());
}

#[test]
fn a_name_forges_no_line() {
    let daemon = Daemon::start();
    let enroll = |name: &str| {
        let made = daemon.post("/v1/enrollment-tokens", &json!({"role": "operator"})).expect(201).json();
        daemon.tcp().post("/v1/enroll", &json!({"token": made["token"], "name": name}))
    };
    for name in ["a\nb", "a\u{1b}[31m", "a\u{9b}b", "a\rb", "a\u{7f}"] {
        enroll(name).expect_problem(422, "invalid");
    }
    let name = "x\u{202e} by local:root from 1.2.3.4";
    let session = enroll(name).expect(201).json();
    let client = daemon.tcp().with_token(session["session_token"].as_str().unwrap());
    let run = client.sh("exit 0");
    let shown = r"session:x\u{202e} by local:root from 1.2.3.4";
    once(&daemon, &format!("run {run} was submitted from 127.0.0.1 by {shown}"));
    assert!(!daemon.log().chars().any(|c| c == '\u{202e}' || (c.is_control() && c != '\n')));
}
