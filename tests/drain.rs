//! A drained daemon starts nothing more, takes submits, and says when nothing runs; it goes on when it is told to.

use serde_json::json;

use crate::common::{DEADLINE, Daemon, Running, cli, eventually, start};

#[test]
fn a_drain_lets_what_runs_go_on_and_starts_nothing_more() {
    let mut daemon = Daemon::start();
    assert_eq!(daemon.get("/v1/drain").expect(200).json(), json!({"draining": false, "running": 0, "queued": 0}));
    daemon.put("/v1/queues/default", &json!({"slots": 4})).expect(200);
    let gate = daemon.gate("gate");
    let running = daemon.sh(&gate.wait());
    daemon.wait_running(running);
    let drained = daemon.put("/v1/drain", &json!({})).expect(200).json();
    assert_eq!(drained, json!({"draining": true, "running": 1, "queued": 0}));
    // Free slots, due runs, retries: nothing is reason enough.
    let ready = daemon.sh("true");
    let due = daemon.submit(&json!({"script": "true", "not_before": "2020-01-01T00:00:00Z"}));
    assert_eq!(daemon.metrics().get("draining"), 1.0);
    daemon.get("/readyz").expect(200);
    gate.open();
    let idle = daemon.get("/v1/drain?wait_s=60").expect(200).json();
    assert_eq!(idle, json!({"draining": true, "running": 0, "queued": 2}));
    daemon.wait_ended(running);
    // Nobody asks in vain for what may not be claimed: each of these changes is one write, and there is no other.
    let writes = || daemon.metrics().get("store_requests_total{kind=\"write\"}");
    let before = writes();
    for name in ["a", "b", "c"] {
        daemon.patch(&format!("/v1/runs/{ready}"), &json!({ "name": name })).expect(200);
    }
    assert_eq!(writes(), before + 3.0);
    assert_eq!(daemon.run(ready)["status"], "queued");
    // Once more is no mistake.
    daemon.put("/v1/drain", &json!({})).expect(200);
    daemon.delete("/v1/drain").expect(204);
    daemon.delete("/v1/drain").expect(204);
    for run in [ready, due] {
        assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
    }
    // It ends with its daemon.
    daemon.put("/v1/drain", &json!({})).expect(200);
    let waiting = daemon.sh("true");
    daemon.restart();
    assert_eq!(daemon.wait_ended(waiting)["status"], "succeeded");
    let log = daemon.log();
    assert!(log.contains("the daemon was drained by local:") && log.contains("the drain was taken back by"), "{log}");
}

#[test]
fn a_wait_is_bounded_and_what_is_wrong_is_told() {
    let daemon = Daemon::start();
    let gate = daemon.gate("gate");
    let running = daemon.sh(&gate.wait());
    daemon.wait_running(running);
    let waited = daemon.call("PUT", "/v1/drain?wait_s=1").send().expect(200).json();
    assert_eq!(waited, json!({"draining": true, "running": 1, "queued": 0}));
    for query in ["wait_s=0", "wait_s=301", "wait_s=x", "wait=1"] {
        daemon.get(&format!("/v1/drain?{query}")).expect_problem(422, "invalid");
    }
    daemon.put("/v1/drain", &json!({"slots": 1})).expect_problem(422, "invalid");
    daemon.call("DELETE", "/v1/drain?wait_s=1").send().expect_problem(422, "invalid");
    gate.open();
    daemon.wait_ended(running);
}

#[test]
fn the_command_waits_for_what_runs_unless_told_otherwise() {
    let daemon = Daemon::start();
    let gate = daemon.gate("gate");
    let running = daemon.sh(&gate.wait());
    daemon.wait_running(running);
    let waiting: Running = start(&daemon, &["drain"]);
    eventually(DEADLINE, "it is drained", || daemon.get("/v1/drain").json()["draining"] == true);
    daemon.sh("true");
    let late = cli(&daemon, &["drain", "--timeout", "1s"]).expect(1);
    assert_eq!(late.text(), "nothing more is started; 1 run still going, 1 run waits\n");
    let told = cli(&daemon, &["--json", "drain", "--no-wait"]).expect(0).json();
    assert_eq!(told, json!({"draining": true, "running": 1, "queued": 1}));
    assert_eq!(waiting.said(), "");
    gate.open();
    assert_eq!(waiting.ended().expect(0).text(), "drained: nothing runs, 1 run waits\n");
    assert_eq!(cli(&daemon, &["drain", "--undo"]).expect(0).text(), "");
    daemon.wait_ended(running + 1);
    cli(&daemon, &["drain", "--undo", "--no-wait"]).expect(2);
    // Somebody else takes back what one waits for.
    let gate = daemon.gate("other");
    let running = daemon.sh(&gate.wait());
    daemon.wait_running(running);
    let waiting = start(&daemon, &["drain", "--timeout", "60"]);
    eventually(DEADLINE, "it is drained", || daemon.get("/v1/drain").json()["draining"] == true);
    daemon.delete("/v1/drain").expect(204);
    gate.open();
    let ended = waiting.ended().expect(1);
    assert_eq!(ended.text(), "the drain was taken back by somebody\n");
}
