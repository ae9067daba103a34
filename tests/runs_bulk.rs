//! What is done to all runs that filters find: counted, in pieces, and to no run that is not meant.

use serde_json::{Value, json};

use crate::common::{DEADLINE, Daemon, cli, eventually};

#[track_caller]
fn post(daemon: &Daemon, path: &str) -> Value {
    daemon.post(path, &json!({})).expect(200).json()
}

fn count(daemon: &Daemon, query: &str) -> usize {
    daemon.get(&format!("/v1/runs?limit=500&{query}")).expect(200).json()["runs"].as_array().unwrap().len()
}

#[test]
fn all_that_wait_in_a_queue_are_canceled_and_nothing_else() {
    let daemon = Daemon::start();
    daemon.put("/v1/queues/gpu", &json!({"paused": true})).expect(201);
    daemon.put("/v1/queues/other", &json!({"paused": true})).expect(201);
    let gate = daemon.gate("gate");
    let running = daemon.sh(&gate.wait());
    daemon.wait_running(running);
    let submit = |queue: &str, tag: &str| daemon.submit(&json!({"script": "true", "queue": queue, "tags": [tag]}));
    for _ in 0..120 {
        submit("gpu", "a");
    }
    let spared = submit("gpu", "b");
    let elsewhere = submit("other", "a");
    let dry = post(&daemon, "/v1/runs/cancel?queue=gpu&tag=a&dry_run=true");
    assert_eq!(dry, json!({"count": 120, "running": 0, "skipped": 0, "next": null}));
    assert_eq!(count(&daemon, "status=queued"), 122);
    let commits = daemon.metrics().get("commits_total");
    assert_eq!(post(&daemon, "/v1/runs/cancel?queue=gpu&tag=a"), dry);
    let took = daemon.metrics().get("commits_total") - commits;
    assert!((3.0..30.0).contains(&took), "a piece is a transaction: {took} commits");
    // Once more there is nothing to do.
    assert_eq!(post(&daemon, "/v1/runs/cancel?queue=gpu&tag=a")["count"], 0);
    for run in [spared, elsewhere] {
        assert_eq!(daemon.run(run)["status"], "queued");
    }
    assert_eq!(daemon.run(running)["status"], "running");
    let told =
        daemon.post("/v1/runs/cancel?status=running", &json!({"reason": "enough", "now": true})).expect(200).json();
    assert_eq!(told, json!({"count": 1, "running": 1, "skipped": 0, "next": null}));
    assert_eq!(daemon.wait_ended(running)["status"], "canceled");
    let asked = daemon.events(running).into_iter().find(|event| event["kind"] == "cancel_requested").unwrap();
    assert_eq!((&asked["data"]["reason"], &asked["data"]["now"]), (&json!("enough"), &json!(true)));
    assert!(daemon.log().contains("120 runs were canceled by local:"), "{}", daemon.log());
}

#[test]
fn what_failed_is_tried_again_once() {
    let daemon = Daemon::start();
    daemon.put("/v1/queues/default", &json!({"slots": 4})).expect(200);
    daemon.put("/v1/queues/gone", &json!({})).expect(201);
    let once = daemon.dir().join("once");
    let fails = format!("[ -e {0} ] || exit 3", once.display());
    let failed: Vec<i64> = (0..6).map(|_| daemon.sh(&fails)).collect();
    let lost = daemon.submit(&json!({"script": "false", "queue": "gone"}));
    let fine = daemon.sh("true");
    for run in failed.iter().chain([&lost, &fine]) {
        daemon.wait_ended(*run);
    }
    daemon.delete("/v1/queues/gone").expect(204);
    std::fs::write(&once, "").unwrap();
    // One of them was tried again by hand.
    let by_hand = daemon.post(&format!("/v1/runs/{}/retry", failed[0]), &json!({})).expect(201).json()["id"].clone();
    let told = post(&daemon, "/v1/runs/retry?since=2020-01-01T00:00:00Z");
    assert_eq!(told, json!({"count": 5, "running": 0, "skipped": 2, "next": null}));
    let page = daemon.get("/v1/runs?limit=6").expect(200).json();
    let mut again: Vec<i64> =
        page["runs"].as_array().unwrap().iter().map(|run| run["retry_of"].as_i64().unwrap()).collect();
    again.sort_unstable();
    assert_eq!(again, failed);
    assert!(page["runs"].as_array().unwrap().iter().any(|run| run["id"] == by_hand));
    eventually(DEADLINE, "all succeed", || count(&daemon, "status=succeeded") == 7);
    assert_eq!(post(&daemon, "/v1/runs/retry?since=2020-01-01T00:00:00Z")["count"], 0);
}

#[test]
fn a_full_queue_ends_it_and_the_rest_is_told() {
    let daemon = Daemon::with_config("[limits]\nqueued_runs = 3\n");
    daemon.put("/v1/queues/default", &json!({"slots": 4})).expect(200);
    for _ in 0..5 {
        daemon.wait_ended(daemon.sh("false"));
    }
    daemon.put("/v1/queues/default", &json!({"paused": true})).expect(200);
    let told = post(&daemon, "/v1/runs/retry?status=failed");
    assert_eq!(told["count"], 3);
    let next = told["next"].as_str().unwrap().to_owned();
    daemon.post(&next, &json!({})).expect_problem(429, "queue_full");
    daemon.put("/v1/queues/default", &json!({"paused": false})).expect(200);
    eventually(DEADLINE, "there is room again", || count(&daemon, "status=queued") == 0);
    assert_eq!(post(&daemon, &next), json!({"count": 2, "running": 0, "skipped": 0, "next": null}));
}

#[test]
fn nothing_dangerous_is_done_without_a_word() {
    let daemon = Daemon::start();
    daemon.put("/v1/queues/default", &json!({"paused": true})).expect(200);
    let runs: Vec<i64> = (0..3).map(|_| daemon.sh("true")).collect();
    for (path, field) in [
        ("/v1/runs/cancel", "all"),
        ("/v1/runs/cancel?all=false", "all"),
        ("/v1/runs/cancel?status=failed", "status"),
        ("/v1/runs/retry?status=queued", "status"),
        ("/v1/runs/cancel?quue=gpu", "quue"),
        ("/v1/runs/cancel?tag=%ff", "tag"),
    ] {
        let problem = daemon.post(path, &json!({})).expect_problem(422, "invalid");
        assert_eq!(problem["details"]["violations"][0]["field"], field, "{path}: {problem}");
    }
    let said = cli(&daemon, &["cancel", "--all"]).expect(2).stderr;
    assert!(said.contains("3 runs would be canceled") && said.contains("--yes"), "{said}");
    cli(&daemon, &["cancel", "-q", "default", "7"]).expect(2);
    cli(&daemon, &["cancel", "--all", "7"]).expect(2);
    let said = cli(&daemon, &["cancel", "--all", "-q", "default", "--dry-run"]).expect(0).text();
    assert_eq!(said, "3 runs would be canceled\n");
    assert_eq!(count(&daemon, "status=queued"), 3);
    let said = cli(&daemon, &["cancel", "--all", "--since", "1h", "--reason", "a mistake"]).expect(0).text();
    assert_eq!(said, "3 runs canceled\n");
    assert_eq!(daemon.events(runs[0])[1]["data"]["reason"], "a mistake");
    let told = cli(&daemon, &["--json", "retry", "--failed", "--yes"]).expect(0).json();
    assert_eq!(told["count"], 0);
    let said = cli(&daemon, &["retry", "--failed", "--status", "canceled"]).expect(0).text();
    assert_eq!(said, "3 runs tried again\n");
    cli(&daemon, &["cancel", "--all", "--yes"]).expect(0);
    assert_eq!(count(&daemon, "status=queued"), 0);
}
