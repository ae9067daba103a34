//! What expires goes, by itself when it is due or all at once when asked; and what was deleted goes in pieces that
//! nobody waits for.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::common::{Client, DEADLINE, Daemon, beside, eventually, number, voluntary_switches};

fn rows(connection: &Connection, table: &str) -> i64 {
    number(connection, &format!("SELECT count(*) FROM {table}"))
}

/// Makes an enrollment token that lives so long, and answers it.
fn token(client: &Client, ttl_s: i64, session_ttl_s: i64) -> Value {
    let wish = json!({"role": "viewer", "ttl_s": ttl_s, "session_ttl_s": session_ttl_s});
    client.post("/v1/enrollment-tokens", &wish).expect(201).json()["token"].clone()
}

fn redeem(client: &Client, token: &Value) {
    client.post("/v1/enroll", &json!({ "token": token })).expect(201);
}

/// A finished run with this many events, exactly.
fn run_with_events(daemon: &Daemon, count: usize) -> i64 {
    let run = daemon.submit(&json!({"script": "true", "delay_s": 3_600}));
    // Its own are queued, changed, started and finished.
    let mut left = count - 4;
    while left > 0 {
        let piece = left.min(1_000);
        let lines = "{\"kind\":\"message\",\"data\":{\"text\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}}\n".repeat(piece);
        let call = daemon.call("POST", &format!("/v1/runs/{run}/events"));
        call.body("application/x-ndjson", lines.as_bytes()).send().expect(201);
        left -= piece;
    }
    daemon.patch(&format!("/v1/runs/{run}"), &json!({"not_before": null})).expect(200);
    assert_eq!(daemon.wait_ended(run)["last_seq"], count);
    run
}

/// A pass counts what it removed when it is over, a moment after the last of it has gone.
#[track_caller]
fn eventually_pruned(daemon: &Client, what: &str, count: f64) {
    let name = format!("pruned_total{{what={what:?}}}");
    eventually(DEADLINE, &name, || daemon.metrics().get(&name) == count);
}

#[test]
fn what_expires_goes_by_itself_when_it_is_due_and_nothing_wakes_before() {
    let daemon = Daemon::start();
    let database = beside(&daemon);
    redeem(&daemon, &token(&daemon, 6, 6));
    token(&daemon, 6, 6);
    redeem(&daemon, &token(&daemon, 600, 600));
    assert_eq!((rows(&database, "sessions"), rows(&database, "enrollment_tokens")), (2, 3));
    let soonest = number(&database, "SELECT min(expires_at) FROM enrollment_tokens");
    let left = |at: i64| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
        Duration::from_millis((at - now).max(0) as u64)
    };
    // Nothing is due for most of that time, and the second after which memory is given back is over: a thread of the daemon
    // that wakes has no reason to.
    std::thread::sleep(left(soonest - 3_000));
    let before = voluntary_switches(daemon.pid());
    std::thread::sleep(left(soonest - 1_000));
    let woken = voluntary_switches(daemon.pid()) - before;
    assert!(left(soonest) > Duration::ZERO && woken <= 2, "{woken} wakeups while nothing was due");
    eventually(DEADLINE, "what is due goes", || {
        (rows(&database, "sessions"), rows(&database, "enrollment_tokens")) == (1, 1)
    });
    assert_eq!(left(soonest), Duration::ZERO, "and not before");
    eventually_pruned(&daemon, "sessions", 1.0);
    eventually_pruned(&daemon, "enrollment_tokens", 2.0);
    assert_eq!(daemon.get("/v1/sessions").json()["sessions"].as_array().unwrap().len(), 1);
}

#[test]
fn what_became_due_while_no_daemon_was_there_goes_at_the_next_start() {
    let mut daemon = Daemon::start();
    redeem(&daemon, &token(&daemon, 600, 600));
    daemon.stop();
    let database = beside(&daemon);
    database.execute_batch("UPDATE sessions SET expires_at = 1; UPDATE enrollment_tokens SET expires_at = 1").unwrap();
    daemon.start_again();
    eventually(DEADLINE, "it goes", || rows(&database, "sessions") + rows(&database, "enrollment_tokens") == 0);
}

#[test]
fn a_key_goes_a_day_after_it_was_made_if_its_run_has_gone() {
    let mut daemon = Daemon::start();
    let submit = |daemon: &Daemon, key: &str| {
        daemon.call("POST", "/v1/runs").header("Idempotency-Key", key).json(&json!({"script": "true"})).send()
    };
    let runs = ["gone", "kept", "fresh"].map(|key| submit(&daemon, key).expect(201).json()["id"].as_i64().unwrap());
    runs.iter().for_each(|run| drop(daemon.wait_ended(*run)));
    daemon.stop();
    // As if two of them had been made a day ago, but for three seconds.
    let database = beside(&daemon);
    let aged = "UPDATE idempotency_keys SET created_at = created_at - 86400000 + 3000 WHERE key <> 'fresh'";
    assert_eq!(database.execute(aged, []).unwrap(), 2);
    daemon.start_again();
    for run in [runs[0], runs[2]] {
        daemon.delete(&format!("/v1/runs/{run}")).expect(204);
    }
    submit(&daemon, "gone").expect_problem(410, "run_pruned");
    eventually(DEADLINE, "the key goes", || rows(&database, "idempotency_keys") == 2);
    eventually_pruned(&daemon, "idempotency_keys", 1.0);
    submit(&daemon, "gone").expect(201);
    submit(&daemon, "kept").expect(200);
    submit(&daemon, "fresh").expect_problem(410, "run_pruned");
}

#[test]
fn a_pass_that_is_asked_for_removes_all_that_is_due_and_says_how_much() {
    let daemon = Daemon::start();
    let database = beside(&daemon);
    let nothing = daemon.call("POST", "/v1/maintenance").send().expect(200).json();
    let keys = ["sessions", "enrollment_tokens", "idempotency_keys", "runs", "events", "artifacts", "freed_bytes"];
    assert_eq!(nothing.as_object().unwrap().keys().collect::<Vec<_>>(), keys);
    assert!(keys.iter().all(|key| nothing[key] == 0), "{nothing}");
    for _ in 0..3 {
        redeem(&daemon, &token(&daemon, 600, 600));
    }
    let keyed = daemon.call("POST", "/v1/runs").header("Idempotency-Key", "k").json(&json!({"script": "true"}));
    let keyed = keyed.send().expect(201).json()["id"].as_i64().unwrap();
    daemon.wait_ended(keyed);
    daemon.delete(&format!("/v1/runs/{keyed}")).expect(204);
    daemon.call("POST", "/v1/maintenance").send().expect(200);
    // Made due behind the daemon's back, so that it does not go by itself first.
    let due = "UPDATE sessions SET expires_at = 1 WHERE id < 3; UPDATE enrollment_tokens SET expires_at = 1;
               UPDATE idempotency_keys SET expires_at = 1";
    database.execute_batch(due).unwrap();
    let removed = daemon.call("POST", "/v1/maintenance").send().expect(200).json();
    let counts = keys.map(|key| removed[key].clone());
    assert_eq!(json!(counts[..5]), json!([2, 3, 1, 0, 0]));
    assert!(counts[5].as_i64().is_some_and(|bytes| bytes >= 0), "{removed}");
    let left = ["sessions", "enrollment_tokens", "idempotency_keys"].map(|table| rows(&database, table));
    assert_eq!(left, [1, 0, 0]);

    // It is answered when it is done, and there is a checkpoint at its end: the file alone holds everything.
    let run = run_with_events(&daemon, 2_000);
    daemon.delete(&format!("/v1/runs/{run}")).expect(204);
    daemon.call("POST", "/v1/maintenance").json(&json!({})).send().expect(200);
    let of_runs = "run_events WHERE run > 0";
    assert_eq!(rows(&database, of_runs) + rows(&database, "doomed_runs"), 0);
    let copy = daemon.dir().join("copy.db");
    std::fs::copy(daemon.state_dir().join("runabout.db"), &copy).unwrap();
    let copy = Connection::open(copy).unwrap();
    assert_eq!((rows(&copy, "sessions"), rows(&copy, of_runs), rows(&copy, "runs")), (1, 0, 0));
}

#[test]
fn a_run_of_many_events_is_deleted_in_pieces_while_others_are_served() {
    let daemon = Daemon::start();
    let database = beside(&daemon);
    let other = daemon.sh("echo other");
    daemon.wait_ended(other);
    let run = run_with_events(&daemon, 5_000);
    let highest = number(&database, "SELECT max(id) FROM run_events");
    let before = daemon.metrics();
    let begun = Instant::now();
    daemon.delete(&format!("/v1/runs/{run}")).expect(204);
    let mut slowest = begun.elapsed();
    while rows(&database, &format!("run_events WHERE run = {run}")) > 0 {
        let begun = Instant::now();
        daemon.get(&format!("/v1/runs/{run}")).expect_problem(410, "run_pruned");
        daemon.patch(&format!("/v1/runs/{other}"), &json!({"keep": true})).expect(200);
        slowest = slowest.max(begun.elapsed());
        assert!(begun.elapsed() < DEADLINE);
    }
    assert!(slowest < Duration::from_secs(2), "somebody waited {slowest:?}");
    eventually(DEADLINE, "nothing of it is left", || rows(&database, "doomed_runs") == 0);
    // The deletion took the first piece along; the rest is the maintenance's.
    eventually_pruned(&daemon, "events", 5_000.0);
    let commits = daemon.metrics().get("commits_total") - before.get("commits_total");
    assert!(commits >= 10.0, "5,000 events in {commits} commits");
    assert_eq!(daemon.kinds(other), ["queued", "started", "finished"]);
    let next = daemon.sh("true");
    daemon.wait_ended(next);
    assert!(next > run && daemon.events(next)[0]["id"].as_i64().unwrap() > highest, "no id is given out twice");
}

#[test]
fn a_pass_that_is_asked_for_during_a_stop_is_refused_by_its_reason() {
    let mut daemon = Daemon::with_config("[runs]\nshutdown_grace_s = 600\n");
    let run = daemon.submit(&json!({"script": "trap '' TERM; echo on; while :; do sleep 1; done"}));
    let log = format!("/v1/runs/{run}/log");
    eventually(DEADLINE, "it ignores the signal by now", || daemon.get(&log).text() == "on\n");
    daemon.signal(Signal::TERM);
    eventually(DEADLINE, "it stops", || daemon.get("/readyz").status == 503);
    let problem = daemon.call("POST", "/v1/maintenance").send().expect_problem(503, "unavailable");
    assert_eq!(problem["detail"], "the daemon is stopping; ask again once it is back");
    daemon.signal(Signal::TERM);
    daemon.wait_exit(DEADLINE);
}

#[test]
fn all_deleted_runs_go_whatever_their_number_of_events() {
    let mut daemon = Daemon::start();
    // One piece is 500 events: what is a whole number of pieces ends with an empty one.
    let runs = [500, 1_000, 6].map(|count| run_with_events(&daemon, count));
    daemon.stop();
    let database = beside(&daemon);
    // As a daemon leaves it that was killed right after three deletions.
    let deletion =
        runs.map(|run| format!("DELETE FROM runs WHERE id = {run}; INSERT INTO doomed_runs VALUES ({run});"));
    database.execute_batch(&deletion.concat()).unwrap();
    database.execute("UPDATE meta SET value = ?1 WHERE key = 'removed_run_id'", [runs[2]]).unwrap();
    daemon.start_again();
    let removed = daemon.call("POST", "/v1/maintenance").send().expect(200).json();
    assert_eq!((rows(&database, "doomed_runs"), rows(&database, "run_events")), (0, 0), "{removed}");
    runs.iter().for_each(|run| drop(daemon.get(&format!("/v1/runs/{run}")).expect_problem(410, "run_pruned")));
}

#[test]
fn a_deletion_that_a_crash_cuts_in_two_is_finished_at_the_next_start() {
    const EVENTS: usize = 20_000;
    let mut daemon = Daemon::start();
    let other = daemon.sh("echo other");
    daemon.wait_ended(other);
    let database = beside(&daemon);
    database.busy_timeout(Duration::ZERO).unwrap();
    for _ in 0..5 {
        let run = run_with_events(&daemon, EVENTS);
        let highest = number(&database, "SELECT max(id) FROM run_events");
        daemon.delete(&format!("/v1/runs/{run}")).expect(204);
        // Whoever holds the lock stands between two pieces.
        let until = Instant::now() + DEADLINE;
        while database.execute_batch("BEGIN IMMEDIATE").is_err() {
            assert!(Instant::now() < until, "the lock is never free");
        }
        let left = rows(&database, &format!("run_events WHERE run = {run}"));
        daemon.kill9();
        database.execute_batch("ROLLBACK").unwrap();
        daemon.start_again();
        eventually(DEADLINE, "the rest of it goes", || {
            rows(&database, &format!("run_events WHERE run = {run}")) + rows(&database, "doomed_runs") == 0
        });
        daemon.get(&format!("/v1/runs/{run}")).expect_problem(410, "run_pruned");
        assert_eq!(daemon.kinds(other), ["queued", "started", "finished"]);
        let next = daemon.sh("true");
        daemon.wait_ended(next);
        assert!(next > run && daemon.events(next)[0]["id"].as_i64().unwrap() > highest, "no id is given out twice");
        if left > 0 && (left as usize) < EVENTS {
            return;
        }
    }
    panic!("it was never caught in the middle");
}
