//! What is kept for a time goes when it is due, by the wall clock, wherever somebody sets it; nothing looks for it
//! before; and a clock that cannot be right removes nothing.

// The clock is in the test's hand only where the daemon is a debug build.
#![cfg(debug_assertions)]

use std::time::Duration;

use serde_json::json;

use crate::common::{Clock, DEADLINE, Daemon, beside, eventually, now_ms, number, voluntary_switches};

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;

fn keyed(daemon: &Daemon, key: &str) -> i64 {
    let call = daemon.call("POST", "/v1/runs").header("Idempotency-Key", key).json(&json!({"script": "true"}));
    let run = call.send().json()["id"].as_i64().unwrap();
    daemon.wait_ended(run);
    run
}

/// Nothing is due: no work is done, and the threads of the daemon have no reason to wake.
#[track_caller]
fn assert_idle(daemon: &Daemon, what: &str) {
    let figures = || ["commits_total", "store_requests_total"].map(|name| daemon.metrics().sum(name));
    eventually(DEADLINE, &format!("it comes to rest before {what}"), || {
        let before = figures();
        // The request for the figures is work too, after which the reactor's helper looks ten times whether it is wanted.
        let is_quiet = (0..4).any(|_| {
            let switches = voluntary_switches(daemon.pid());
            // The time is what is measured.
            std::thread::sleep(Duration::from_millis(400));
            voluntary_switches(daemon.pid()) - switches <= 2
        });
        is_quiet && figures() == before
    });
    println!("idle before {what}");
}

#[test]
fn a_month_passes_and_every_kind_of_row_goes_when_it_is_due() {
    let begun = now_ms();
    let (daemon, clock) = Clock::start(Daemon::builder(), begun);
    let database = beside(&daemon);
    // Of each kind one that goes, and one that stays.
    let make =
        |wish: &serde_json::Value| daemon.post("/v1/enrollment-tokens", wish).expect(201).json()["token"].clone();
    make(&json!({"role": "viewer", "ttl_s": 900}));
    make(&json!({"role": "viewer", "ttl_s": 604_800}));
    for (ttl_s, session_ttl_s) in [(60, 7_200), (60, 86_400 * 90)] {
        let token = make(&json!({"role": "viewer", "ttl_s": ttl_s, "session_ttl_s": session_ttl_s}));
        daemon.post("/v1/enroll", &json!({"token": token})).expect(201);
    }
    let gone = keyed(&daemon, "gone");
    let old = keyed(&daemon, "there");
    daemon.delete(&format!("/v1/runs/{gone}")).expect(204);
    let kept = daemon.submit(&json!({"script": "true", "keep": true}));
    daemon.wait_ended(kept);
    let live = daemon.submit(&json!({"script": "true", "delay_s": 86_400 * 60}));
    let delayed = daemon.submit(&json!({"script": "true", "delay_s": 86_400 * 10}));

    // What goes, when, and by which count it is seen.
    let due = |sql: &str| number(&database, sql);
    let steps = [
        (
            "the tokens that were used",
            due("SELECT min(expires_at) FROM enrollment_tokens"),
            "SELECT count(*) - 2 FROM enrollment_tokens",
        ),
        (
            "an unused token",
            due("SELECT min(expires_at) FROM enrollment_tokens WHERE uses = 0"),
            "SELECT count(*) - 1 FROM enrollment_tokens",
        ),
        ("a session", due("SELECT min(expires_at) FROM sessions"), "SELECT count(*) - 1 FROM sessions"),
        (
            "the key of a run that is gone",
            due("SELECT min(expires_at) FROM idempotency_keys"),
            "SELECT count(*) - 1 FROM idempotency_keys",
        ),
        (
            "the other token",
            due("SELECT max(expires_at) FROM enrollment_tokens"),
            "SELECT count(*) FROM enrollment_tokens",
        ),
        (
            "the delay of a run",
            due("SELECT min(not_before) FROM runs"),
            "SELECT count(*) - 1 FROM runs WHERE status = 'queued'",
        ),
        (
            "an old run",
            due(&format!("SELECT ended_at + 30 * {DAY_MS} FROM runs WHERE id = {old}")),
            "SELECT count(*) - 3 FROM runs",
        ),
    ];
    let left = |sql: &str| number(&database, sql);
    for (what, at, sql) in &steps {
        clock.set(&daemon, at - MINUTE_MS);
        assert_idle(&daemon, what);
        assert!(left(sql) > 0, "{what} went before its time");
        clock.set(&daemon, *at);
        eventually(DEADLINE, what, || left(sql) == 0);
    }
    daemon.wait_ended(delayed);
    daemon.get(&format!("/v1/runs/{old}")).expect_problem(410, "run_pruned");
    eventually(DEADLINE, "its key goes, a month old", || left("SELECT count(*) FROM idempotency_keys") == 0);
    assert_eq!(left("SELECT count(*) FROM doomed_runs"), 0);
    // What is kept, what waits and what ended lately is there, and so is the session that was to last.
    for run in [kept, live, delayed] {
        assert_eq!(daemon.kinds(run)[0], "queued");
    }
    assert_eq!(left("SELECT count(*) FROM sessions"), 1);
    // A pass counts what it removed when it is over.
    eventually(DEADLINE, "all of it is counted", || {
        let metrics = daemon.metrics();
        let pruned = |what: &str| metrics.get(&format!("pruned_total{{what={what:?}}}"));
        let kinds = ["sessions", "enrollment_tokens", "idempotency_keys", "runs", "events"];
        kinds.map(pruned) == [1.0, 4.0, 2.0, 2.0, 6.0]
    });
}

#[test]
fn a_start_in_1970_that_jumps_to_today_loses_nothing() {
    let (daemon, clock) = Clock::start(Daemon::builder(), 3_600_000);
    let early = keyed(&daemon, "early");
    assert!(daemon.run(early)["ended_at"].as_str().unwrap().starts_with("1970-01-01T01:"));
    let session = daemon.tcp_as("viewer");
    let wish = json!({"role": "viewer", "ttl_s": 900});
    let token = daemon.post("/v1/enrollment-tokens", &wish).expect(201).json()["token"].clone();
    session.get("/v1/runs").expect(200);

    clock.set(&daemon, now_ms());
    daemon.call("POST", "/v1/maintenance").send().expect(200);
    assert_eq!(daemon.kinds(early), ["queued", "started", "finished"]);
    assert_eq!(keyed(&daemon, "early"), early);
    session.get("/v1/runs").expect(200);
    daemon.post("/v1/enroll", &json!({"token": token})).expect(201);
    let today = daemon.sh("true");
    daemon.wait_ended(today);

    // A month later the run of today goes. When that of 1970 ended nobody knows: age does not remove it.
    clock.set(&daemon, now_ms() + 31 * DAY_MS);
    eventually(DEADLINE, "the run of today goes", || {
        daemon.call("GET", &format!("/v1/runs/{today}")).send().status == 410
    });
    assert_eq!(daemon.kinds(early), ["queued", "started", "finished"]);
    session.get("/v1/runs").expect(401);
}

#[test]
fn a_clock_that_falls_back_to_1970_removes_nothing_and_one_that_is_far_ahead_what_is_old_by_it() {
    let (mut daemon, clock) = Clock::start(Daemon::builder(), now_ms());
    let run = daemon.sh("true");
    daemon.wait_ended(run);
    clock.set(&daemon, 1_000);
    daemon.call("POST", "/v1/maintenance").send().expect(200);
    assert_eq!(daemon.kinds(run), ["queued", "started", "finished"]);
    // Nobody was there to see it go on, and the years have passed all the same.
    daemon.stop();
    daemon.rebuild(|builder| builder.config("[retention]\nruns_days = 0"));
    daemon.start_again();
    clock.set(&daemon, now_ms() + 4_000 * DAY_MS);
    daemon.call("POST", "/v1/maintenance").send().expect(200);
    assert_eq!(daemon.kinds(run), ["queued", "started", "finished"], "0 days are for ever");
    daemon.stop();
    daemon.rebuild(|builder| builder.config("[retention]\nruns_days = 3999"));
    daemon.start_again();
    eventually(DEADLINE, "it goes", || daemon.call("GET", &format!("/v1/runs/{run}")).send().status == 410);
}
