//! Jobs against the real daemon: what fires, what is caught up with, what is in whose way, and that each is told.

// The clock is in the test's hand only where the daemon is a debug build.
#![cfg(debug_assertions)]

use serde_json::{Value, json};

use crate::common::{Clock, DEADLINE, Daemon, eventually, now_ms};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 86_400_000;

/// The midnight in UTC that comes next.
fn midnight_ms() -> i64 {
    (now_ms() / DAY_MS + 1) * DAY_MS
}

fn put(daemon: &Daemon, name: &str, job: &Value) -> Value {
    daemon.put(&format!("/v1/jobs/{name}"), job).expect(201).json()
}

fn nightly(more: Value) -> Value {
    let mut job = json!({"run": {"script": "true"}, "schedule": "0 2 * * *", "zone": "UTC"});
    job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    job
}

fn firings(daemon: &Daemon, job: &str) -> Vec<Value> {
    daemon.get(&format!("/v1/jobs/{job}/firings?limit=1000")).expect(200).json()["firings"].as_array().unwrap().clone()
}

/// Waits until a job has so many firings.
#[track_caller]
fn wait_firings(daemon: &Daemon, job: &str, count: usize) -> Vec<Value> {
    eventually(DEADLINE, &format!("{job} has {count} firings"), || firings(daemon, job).len() >= count);
    let all = firings(daemon, job);
    assert_eq!(all.len(), count, "{all:?}");
    all
}

fn told(daemon: &Daemon, kind: &str) -> Vec<Value> {
    let events = daemon.get(&format!("/v1/events?after=0&limit=10000&kinds={kind}")).expect(200).json();
    events["events"].as_array().unwrap().iter().map(|event| event["data"].clone()).collect()
}

#[test]
fn a_job_fires_at_its_time_and_tells_of_it() {
    let midnight = midnight_ms();
    let (daemon, clock) = Clock::start(Daemon::builder(), midnight);
    let job = put(&daemon, "nightly", &nightly(json!({"run": {"script": "echo $RUNABOUT_RUN_ID"}})));
    assert_eq!((&job["last"], &job["broken"]), (&Value::Null, &Value::Null));
    assert!(job["next_at"].as_str().unwrap().ends_with("T02:00:00.000Z"), "{job}");
    clock.set(&daemon, midnight + 2 * HOUR_MS - 500);
    let all = wait_firings(&daemon, "nightly", 1);
    assert_eq!(all[0]["scheduled_for"], job["next_at"]);
    let run = daemon.wait_ended(all[0]["run"].as_i64().unwrap());
    assert_eq!((&run["cause"], &run["job"], &run["missed"]), (&json!("schedule"), &json!("nightly"), &Value::Null));
    assert_eq!((&run["scheduled_for"], &run["name"]), (&job["next_at"], &json!("nightly")));
    let fired = told(&daemon, "job_fired");
    assert_eq!((fired.len(), &fired[0]["run"], &fired[0]["job"]), (1, &run["id"], &json!("nightly")));
    assert_eq!(told(&daemon, "job_changed").len(), 1);
    let job = daemon.get("/v1/jobs/nightly").expect(200).json();
    assert_eq!((&job["last"]["run"], &job["last"]["status"]), (&run["id"], &json!("succeeded")));
    assert!(daemon.metrics().get("job_firings_total{outcome=\"run\"}") >= 1.0);
}

#[test]
fn what_was_missed_is_caught_up_with_as_the_job_says() {
    let midnight = midnight_ms();
    let (mut daemon, clock) = Clock::start(Daemon::builder(), midnight);
    put(&daemon, "latest", &nightly(json!({})));
    put(&daemon, "none", &nightly(json!({"catch_up": "none"})));
    put(&daemon, "all", &nightly(json!({"catch_up": "all", "overlap": "allow"})));
    put(&daemon, "late", &nightly(json!({"start_deadline_s": 3_600})));
    put(&daemon, "off", &nightly(json!({"enabled": false})));
    put(&daemon, "often", &nightly(json!({"schedule": "* * * * *", "catch_up": "all", "overlap": "allow"})));
    daemon.stop();
    clock.write_for_next_start(midnight + 3 * DAY_MS + 12 * HOUR_MS);
    daemon.start_again();
    // Four nights: of the first, the second, the third and the fourth day.
    let latest = wait_firings(&daemon, "latest", 1);
    assert_eq!((&latest[0]["count"], &latest[0]["skipped"]), (&json!(4), &Value::Null));
    assert_eq!(daemon.run(latest[0]["run"].as_i64().unwrap())["missed"], 4);
    let none = wait_firings(&daemon, "none", 1);
    assert_eq!(
        (&none[0]["count"], &none[0]["skipped"], &none[0]["run"]),
        (&json!(4), &json!("catch_up"), &Value::Null)
    );
    let all = wait_firings(&daemon, "all", 4);
    let runs: Vec<i64> = all.iter().rev().map(|firing| firing["run"].as_i64().unwrap()).collect();
    assert!(runs.is_sorted(), "the oldest first: {runs:?}");
    let late = wait_firings(&daemon, "late", 1);
    assert_eq!(late[0]["skipped"], "deadline");
    let often = wait_firings(&daemon, "often", 101);
    let dropped: Vec<&Value> = often.iter().filter(|firing| firing["skipped"] == "catch_up").collect();
    assert_eq!((dropped.len(), &dropped[0]["count"]), (1, &json!(1_000)), "the newest hundred run, the rest is told");
    // A disabled job owes nothing, also not when it is enabled.
    daemon.patch("/v1/jobs/off", &json!({"enabled": true})).expect(200);
    assert_eq!(firings(&daemon, "off"), Vec::<Value>::new());
    // Each is told once.
    let fired = told(&daemon, "job_fired");
    assert_eq!(fired.len(), 1 + 4 + 100, "{fired:?}");
}

#[test]
fn a_clock_that_is_set_back_fires_no_time_again_and_one_that_was_ahead_stalls_nothing() {
    let midnight = midnight_ms();
    let (daemon, clock) = Clock::start(Daemon::builder().config("[retention]\nruns_days = 0\n"), midnight);
    put(&daemon, "nightly", &nightly(json!({"overlap": "allow"})));
    let at = |days: i64, ms: i64| midnight + days * DAY_MS + 2 * HOUR_MS + ms;
    clock.set(&daemon, at(0, -300));
    wait_firings(&daemon, "nightly", 1);
    // An hour back, and two o'clock once more.
    clock.set(&daemon, at(0, -HOUR_MS));
    clock.set(&daemon, at(0, -300));
    clock.set(&daemon, at(0, MINUTE_MS / 2));
    assert_eq!(firings(&daemon, "nightly").len(), 1);
    // A year ahead: one run for all of it. And back: the nights go on.
    clock.set(&daemon, at(365, HOUR_MS));
    let all = wait_firings(&daemon, "nightly", 2);
    assert_eq!(all[0]["count"], 365);
    clock.set(&daemon, at(1, -300));
    wait_firings(&daemon, "nightly", 3);
    // 1970, as a machine without a clock has at its start: nothing fires, and nothing is owed for the years between.
    clock.set(&daemon, 0);
    clock.set(&daemon, at(2, -300));
    wait_firings(&daemon, "nightly", 4);
}

#[test]
fn an_earlier_run_that_is_on_its_way_is_minded_as_the_job_says() {
    let midnight = midnight_ms();
    let (daemon, clock) = Clock::start(Daemon::builder(), midnight);
    daemon.put("/v1/queues/wide", &json!({"slots": 50})).expect(201);
    let gate = daemon.gate("gate");
    for overlap in ["one", "skip", "all", "replace", "cancel", "allow"] {
        let run = json!({"script": gate.wait(), "queue": "wide"});
        put(&daemon, overlap, &nightly(json!({"run": run, "overlap": overlap})));
    }
    for day in 0..3 {
        clock.set(&daemon, midnight + day * DAY_MS + 2 * HOUR_MS + 1_000);
        for overlap in ["one", "skip", "all", "replace", "cancel", "allow"] {
            wait_firings(&daemon, overlap, day as usize + 1);
        }
        if day == 0 {
            eventually(DEADLINE, "all of them run", || daemon.get("/v1/queues/wide").json()["running"] == 6);
        }
    }
    // Of each job one, and all three of the one whose runs may run beside each other; a canceled one makes way.
    eventually(DEADLINE, "one of a job runs", || daemon.get("/v1/queues/wide").json()["running"] == 8);
    let skipped = |job: &str| -> Vec<Value> {
        firings(&daemon, job).iter().rev().map(|firing| firing["skipped"].clone()).collect()
    };
    assert_eq!(skipped("one"), [json!(null), json!(null), json!("overlap")]);
    assert_eq!(skipped("skip"), [json!(null), json!("overlap"), json!("overlap")]);
    assert_eq!(skipped("replace"), [json!(null), json!("replaced"), json!(null)]);
    assert_eq!(skipped("all"), [json!(null), json!(null), json!(null)]);
    assert_eq!(skipped("allow"), [json!(null), json!(null), json!(null)]);
    let first = firings(&daemon, "cancel")[2]["run"].as_i64().unwrap();
    assert_eq!(daemon.wait_ended(first)["status"], "canceled");
    let behind = firings(&daemon, "skip")[0]["behind"].as_i64();
    assert_eq!(behind, firings(&daemon, "skip")[2]["run"].as_i64(), "it names the run that is in the way");
    gate.open();
}

#[test]
fn a_run_that_waited_beyond_its_deadline_is_started_no_more() {
    let midnight = midnight_ms();
    let (daemon, clock) = Clock::start(Daemon::builder(), midnight);
    daemon.put("/v1/queues/default", &json!({"paused": true})).expect(200);
    put(&daemon, "nightly", &nightly(json!({"start_deadline_s": 600})));
    clock.set(&daemon, midnight + 2 * HOUR_MS + 1_000);
    let run = wait_firings(&daemon, "nightly", 1)[0]["run"].as_i64().unwrap();
    assert_eq!(daemon.run(run)["status"], "queued");
    clock.set(&daemon, midnight + 2 * HOUR_MS + 11 * MINUTE_MS);
    let run = daemon.wait_ended(run);
    assert_eq!((&run["status"], &run["reason"]), (&json!("canceled"), &json!("expired")));
}

#[test]
fn jitter_is_the_same_each_time_and_stands_in_the_run() {
    let midnight = midnight_ms();
    let (daemon, clock) = Clock::start(Daemon::builder(), midnight);
    put(&daemon, "nightly", &nightly(json!({"jitter_s": 3_600, "overlap": "allow"})));
    let mut offsets = Vec::new();
    for day in 0..2 {
        clock.set(&daemon, midnight + day * DAY_MS + 2 * HOUR_MS + 100);
        let firing = wait_firings(&daemon, "nightly", day as usize + 1)[0].clone();
        let run = daemon.run(firing["run"].as_i64().unwrap());
        let ms = |text: &Value| text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond();
        offsets.push(ms(&run["not_before"]) - ms(&run["scheduled_for"]));
    }
    assert!(offsets[0] == offsets[1] && (0..HOUR_MS).contains(&offsets[0]), "{offsets:?}");
}

#[test]
fn a_job_that_follows_another_starts_when_that_ends_as_it_wants() {
    let daemon = Daemon::start();
    put(&daemon, "first", &json!({"run": {"script": "exit $PARAM_CODE"}, "params": {"code": {"type": "integer"}}}));
    let told = "echo $RUNABOUT_CAUSE_JOB $RUNABOUT_CAUSE_RUN $RUNABOUT_CAUSE_STATUS";
    put(&daemon, "good", &json!({"run": {"script": told}, "after_job": "first"}));
    put(&daemon, "bad", &json!({"run": {"script": told}, "after_job": {"job": "first", "when": "failed"}}));
    for (code, follower, other, status) in [(0, "good", "bad", "succeeded"), (3, "bad", "good", "failed")] {
        let before = daemon.get(&format!("/v1/jobs/{other}")).expect(200).json()["last"].clone();
        let first = daemon.post("/v1/jobs/first/runs", &json!({"params": {"code": code}})).expect(201).json();
        let first = daemon.wait_ended(first["id"].as_i64().unwrap())["id"].as_i64().unwrap();
        let last = || daemon.get(&format!("/v1/jobs/{follower}")).expect(200).json()["last"]["run"].as_i64();
        eventually(DEADLINE, "it follows", || last().is_some());
        let run = daemon.wait_ended(last().unwrap());
        assert_eq!(run["cause"], "job");
        let said = daemon.get(&format!("/v1/runs/{}/log", run["id"])).expect(200).text();
        assert_eq!(said, format!("first {first} {status}\n"));
        assert_eq!(daemon.get(&format!("/v1/jobs/{other}")).expect(200).json()["last"], before);
    }
    let circle = daemon.put("/v1/jobs/first", &json!({"run": {"script": "true"}, "after_job": "good"}));
    assert_eq!(circle.expect_problem(422, "invalid")["details"]["violations"][0]["field"], "after_job");
    daemon.delete("/v1/jobs/first").expect_problem(409, "job_followed");
}

#[test]
fn what_starts_by_itself_has_a_default_for_every_parameter() {
    let daemon = Daemon::start();
    put(&daemon, "first", &json!({"run": {"script": "true"}}));
    for starter in [json!({"schedule": "@daily", "zone": "UTC"}), json!({"after_job": "first"})] {
        let mut job = json!({"run": {"script": "true"}, "params": {"room": {"type": "integer"}}});
        job.as_object_mut().unwrap().extend(starter.as_object().unwrap().clone());
        let wrong = daemon.put("/v1/jobs/job", &job).expect_problem(422, "invalid");
        let violation = &wrong["details"]["violations"][0];
        assert_eq!((&violation["field"], &violation["reason"]), (&json!("params.room"), &json!("required")), "{wrong}");
        job["params"]["room"]["default"] = json!(1);
        daemon.put("/v1/jobs/job", &job);
        assert_eq!(daemon.get("/v1/jobs/job").expect(200).json()["params"], job["params"]);
    }
}

#[test]
fn a_put_that_changes_nothing_keeps_the_tag_and_an_old_tag_changes_nothing() {
    let daemon = Daemon::start();
    let job = nightly(json!({}));
    let put = |job: &Value, tag: Option<&str>| {
        let call = daemon.call("PUT", "/v1/jobs/nightly").json(job);
        if let Some(tag) = tag { call.header("If-Match", tag).send() } else { call.send() }
    };
    let made = put(&job, None).expect(201);
    let tag = made.header("etag").unwrap().to_owned();
    assert_eq!(put(&job, Some(&tag)).expect(200).header("etag"), Some(&*tag));
    // What was read can be put back as it is.
    assert_eq!(put(&made.json(), None).expect(200).header("etag"), Some(&*tag));
    let changed = put(&nightly(json!({"jitter_s": 5})), Some(&tag)).expect(200);
    assert_ne!(changed.header("etag"), Some(&*tag));
    put(&job, Some(&tag)).expect_problem(412, "precondition_failed");
    daemon
        .call("DELETE", "/v1/jobs/nightly")
        .header("If-Match", &tag)
        .send()
        .expect_problem(412, "precondition_failed");
    assert_eq!(daemon.get("/v1/jobs/nightly").expect(200).json()["jitter_s"], 5);

    // A tag that it must not have is minded as well, also beside one that it must have.
    let newest = changed.header("etag").unwrap().to_owned();
    let without = |with: &[(&str, &str)]| {
        let call = daemon.call("PUT", "/v1/jobs/nightly").json(&nightly(json!({"jitter_s": 6})));
        with.iter().fold(call, |call, (name, value)| call.header(name, value)).send()
    };
    for tags in [newest.clone(), format!("W/{newest}"), format!("{tag}, {newest}"), "*".to_owned()] {
        without(&[("If-None-Match", &tags)]).expect_problem(412, "precondition_failed");
    }
    without(&[("If-Match", &newest), ("If-None-Match", "*")]).expect_problem(412, "precondition_failed");
    without(&[("If-None-Match", &tag)]).expect(200);
}

#[test]
fn whoever_changes_a_job_is_told_of_its_newest_run_as_whoever_reads_it() {
    let daemon = Daemon::start();
    put(&daemon, "nightly", &nightly(json!({})));
    let run = daemon.post("/v1/jobs/nightly/runs", &json!({})).expect(201).json()["id"].as_i64().unwrap();
    daemon.wait_ended(run);
    let read = daemon.get("/v1/jobs/nightly").expect(200).json();
    assert_eq!(read["last"]["run"], run);
    let path = "/v1/jobs/nightly";
    for answer in [
        daemon.put(path, &nightly(json!({}))),
        daemon.put(path, &nightly(json!({"jitter_s": 5}))),
        daemon.patch(path, &json!({"enabled": false})),
    ] {
        assert_eq!(answer.expect(200).json()["last"], read["last"]);
    }
}
