//! A cancel acts right whenever it comes: before the claim, between claim and process, while the command runs, after its
//! end. A run is started at most once, ends once, and leaves nothing.

use std::time::Duration;

use serde_json::json;

use crate::common::{Client, DEADLINE, Daemon, cli, eventually};

const RUNS: usize = 60;

#[test]
fn a_cancel_at_any_moment_acts_once_and_leaves_nothing() {
    let daemon = Daemon::start();
    daemon.put("/v1/queues/default", &json!({"slots": 4})).expect(200);
    let marks = daemon.dir().join("started");
    let script = format!("echo $RUNABOUT_RUN_ID >> {}; exec sleep 0.02", marks.display());
    let client: Client = (*daemon).clone();
    let runs: Vec<i64> = std::thread::scope(|scope| {
        let submitted: Vec<_> = (0..4)
            .map(|worker| {
                let (client, script) = (client.clone(), &script);
                scope.spawn(move || {
                    let one = |number: usize| {
                        let run = client.submit(&json!({"script": script}));
                        // From none to beyond its end, in steps that are no multiple of anything here.
                        std::thread::sleep(Duration::from_micros(((number * 4 + worker) * 733 % 45_000) as u64));
                        let answer = client.post(&format!("/v1/runs/{run}/cancel"), &json!({}));
                        assert!(matches!(answer.status, 200 | 202), "{answer:?}");
                        run
                    };
                    (0..RUNS / 4).map(one).collect::<Vec<_>>()
                })
            })
            .collect();
        submitted.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    for &run in &runs {
        let ended = daemon.wait_ended(run);
        let kinds = daemon.kinds(run);
        let count = |kind: &str| kinds.iter().filter(|have| *have == kind).count();
        assert!(count("started") <= 1 && count("finished") == 1 && count("cancel_requested") <= 1, "{kinds:?}");
        assert_eq!(kinds.last().map(String::as_str), Some("finished"), "{ended}");
        let was_canceled = ended["status"] == "canceled";
        assert!(was_canceled || ended["status"] == "succeeded", "{ended}");
        // What it was asked before its end decides, unless the end was seen first.
        assert!(!was_canceled || count("cancel_requested") == 1, "{kinds:?}");
        if count("started") == 0 {
            assert!(was_canceled, "{ended}");
        }
    }
    let mut started: Vec<String> = std::fs::read_to_string(&marks).unwrap().lines().map(str::to_owned).collect();
    started.sort();
    let total = started.len();
    started.dedup();
    assert_eq!(started.len(), total, "a command was started twice");
    eventually(DEADLINE, "nothing is left", || daemon.descendants().is_empty());
}

/// A command that ends by SIGKILL alone, and says when its trap is set.
const STUBBORN: &str = "trap '' TERM; echo ready; while :; do sleep 60; done";

#[test]
fn a_kill_does_not_wait_for_the_grace_of_a_cancel_or_a_timeout() {
    let daemon = Daemon::with_config("[runs]\nkill_grace_s = 3600\n");
    daemon.put("/v1/queues/default", &json!({"slots": 3})).expect(200);
    let canceled = daemon.sh(STUBBORN);
    let late = daemon.submit(&json!({"script": STUBBORN, "timeout_s": 1}));
    let at_once = daemon.sh(STUBBORN);
    for run in [canceled, late, at_once] {
        eventually(DEADLINE, "its trap is set", || daemon.run(run)["last_seq"].as_i64() >= Some(3));
    }
    let cancel = |run: i64, body: serde_json::Value| daemon.post(&format!("/v1/runs/{run}/cancel"), &body).expect(202);
    cancel(canceled, json!({"reason": "please"}));
    cancel(canceled, json!({}));
    assert_eq!(daemon.run(canceled)["status"], "running");
    cancel(canceled, json!({"now": true, "reason": "enough"}));
    let ended = daemon.wait_ended(canceled);
    assert_eq!((&ended["status"], &ended["signal"]), (&json!("canceled"), &json!(9)));
    let asked: Vec<_> =
        daemon.events(canceled).into_iter().filter(|event| event["kind"] == "cancel_requested").collect();
    let told: Vec<_> = asked.iter().map(|event| (&event["data"]["reason"], &event["data"]["now"])).collect();
    assert_eq!(told, [(&json!("please"), &json!(null)), (&json!("enough"), &json!(true))]);

    cli(&daemon, &["cancel", "--now", &at_once.to_string()]).expect(0);
    let ended = daemon.wait_ended(at_once);
    assert_eq!((&ended["status"], &ended["signal"]), (&json!("canceled"), &json!(9)));
    // Its timeout asked first, and decides how it ends.
    eventually(DEADLINE, "its time is over", || {
        let started = daemon.run(late)["started_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        jiff::Timestamp::now().duration_since(started).as_secs() >= 2
    });
    cancel(late, json!({"now": true}));
    let ended = daemon.wait_ended(late);
    assert_eq!((&ended["status"], &ended["signal"]), (&json!("timed_out"), &json!(9)));
    // A queued one just ends.
    daemon.put("/v1/queues/default", &json!({"paused": true})).expect(200);
    let queued = daemon.sh("true");
    daemon.post(&format!("/v1/runs/{queued}/cancel"), &json!({"now": true})).expect(200);
    assert_eq!(daemon.events(queued)[1]["data"]["now"], json!(null));
}

#[test]
fn what_a_dead_daemon_left_is_killed_at_once_as_well() {
    let mut daemon = Daemon::with_config("[runs]\nkill_grace_s = 3600\n");
    let run = daemon.sh(STUBBORN);
    eventually(DEADLINE, "its trap is set", || daemon.run(run)["last_seq"].as_i64() >= Some(3));
    daemon.wait_running(run);
    daemon.kill9();
    daemon.start_again();
    daemon.post(&format!("/v1/runs/{run}/cancel"), &json!({})).expect(202);
    daemon.post(&format!("/v1/runs/{run}/cancel"), &json!({"now": true})).expect(202);
    let ended = daemon.wait_ended(run);
    // The next daemon asked for its end before anybody else could.
    assert_eq!((&ended["status"], &ended["reason"]), (&json!("interrupted"), &json!("daemon_lost")));
}
