//! Why a queued run waits beside what holds it back: the daemon drains, its queue is paused, or no slot is free.

use serde_json::{Value, json};

use crate::common::{Daemon, cli};

/// What the run and the list say of it, which is the same.
#[track_caller]
fn waits(daemon: &Daemon, run: i64) -> (Value, Value) {
    let one = daemon.run(run);
    let page = daemon.get("/v1/runs").expect(200).json();
    let listed = page["runs"].as_array().unwrap().iter().find(|listed| listed["id"] == run).unwrap().clone();
    for field in ["waits_for", "behind"] {
        assert_eq!(one[field], listed[field], "{field} of run {run}");
    }
    (one["waits_for"].clone(), one["behind"].clone())
}

#[test]
fn a_run_tells_what_it_waits_for() {
    let daemon = Daemon::start();
    let nothing = (Value::Null, Value::Null);
    daemon.put("/v1/queues/other", &json!({"slots": 2})).expect(201);
    let gate = daemon.gate("gate");
    let first = daemon.sh(&gate.wait());
    daemon.wait_running(first);
    let second = daemon.sh("true");
    let delayed = daemon.submit(&json!({"script": "true", "delay_s": 3_600}));
    assert_eq!(waits(&daemon, first), nothing);
    assert_eq!(waits(&daemon, second), (json!(["slot"]), json!(first)));
    // Its time holds it back; a slot would not help.
    assert_eq!(waits(&daemon, delayed), nothing);
    daemon.put("/v1/queues/default", &json!({"paused": true})).expect(200);
    assert_eq!(waits(&daemon, second), (json!(["pause", "slot"]), json!(first)));
    assert_eq!(waits(&daemon, delayed), (json!(["pause"]), Value::Null));
    let said = cli(&daemon, &["show", &second.to_string()]).expect(0).text();
    assert!(
        said.contains("runabout queue default --resume") && said.contains(&format!("behind run {first}")),
        "{said}"
    );

    assert_eq!(daemon.get("/v1/system").json()["draining"], false);
    daemon.put("/v1/drain", &json!({})).expect(200);
    assert_eq!(daemon.get("/v1/system").json()["draining"], true);
    let third = daemon.submit(&json!({"script": "true", "queue": "other"}));
    assert_eq!(waits(&daemon, third), (json!(["drain"]), Value::Null));
    daemon.delete("/v1/drain").expect(204);
    daemon.put("/v1/queues/default", &json!({"paused": false})).expect(200);
    gate.open();
    for run in [second, third] {
        daemon.wait_ended(run);
        assert_eq!(waits(&daemon, run), nothing);
    }
}
