//! A run that comes after others starts when they have ended as it needs, and ends at once when they cannot.

use serde_json::{Value, json};

use crate::common::{DEADLINE, Daemon, eventually};

/// Two slots, so that nothing waits for one.
fn daemon() -> Daemon {
    let daemon = Daemon::start();
    daemon.put("/v1/queues/default", &json!({"slots": 4})).expect(200);
    daemon
}

fn after(daemon: &Daemon, needs: Value) -> i64 {
    daemon.submit(&json!({"script": "true", "after": needs}))
}

/// Status and reason of a run that has ended.
#[track_caller]
fn how(daemon: &Daemon, run: i64) -> (String, String) {
    let ended = daemon.wait_ended(run);
    (ended["status"].as_str().unwrap().into(), ended["reason"].as_str().unwrap().into())
}

#[test]
fn it_starts_when_all_that_it_needs_have_ended_and_not_before() {
    let daemon = daemon();
    let gates = [daemon.gate("one"), daemon.gate("two")];
    let [one, two] = gates.each_ref().map(|gate| daemon.sh(&gate.wait()));
    let last = after(&daemon, json!([one, {"run": two, "when": "ended"}]));
    let shown = daemon.run(last);
    assert_eq!((&shown["held_by"], &shown["waits_for_runs"]), (&json!(["after"]), &json!([one, two])));
    assert_eq!(shown["after"], json!([{"run": one, "when": "succeeded"}, {"run": two, "when": "ended"}]));
    assert_eq!(daemon.run(one)["needed_by"], json!([last]));
    gates[0].open();
    daemon.wait_ended(one);
    assert_eq!(daemon.run(last)["waits_for_runs"], json!([two]));
    // It has ended, and is needed until the one that waits for it has started.
    let problem = daemon.delete(&format!("/v1/runs/{one}")).expect_problem(409, "run_needed");
    assert_eq!(problem["details"]["needed_by"], last);
    gates[1].open();
    assert_eq!(daemon.wait_ended(last)["status"], "succeeded");
    let id = |run: i64, kind: &str| {
        let event = daemon.events(run).into_iter().find(|event| event["kind"] == kind).unwrap();
        event["id"].as_i64().unwrap()
    };
    assert!(id(last, "started") > id(two, "finished").max(id(one, "finished")));
    daemon.delete(&format!("/v1/runs/{one}")).expect(204);
}

#[test]
fn one_whose_need_cannot_come_true_ends_at_once_and_so_on_down() {
    let daemon = daemon();
    let gate = daemon.gate("gate");
    let first = daemon.sh(&format!("{}; exit 3", gate.wait()));
    let second = after(&daemon, json!([first]));
    let third = after(&daemon, json!([second]));
    let cleanup = after(&daemon, json!([{"run": third, "when": "ended"}]));
    let alarm = after(&daemon, json!([{"run": first, "when": "failed"}]));
    let never = after(&daemon, json!([{"run": second, "when": "failed"}]));
    gate.open();
    assert_eq!(how(&daemon, first), ("failed".into(), "exited".into()));
    for skipped in [second, third, never] {
        assert_eq!(how(&daemon, skipped), ("canceled".into(), "dependency".into()), "run {skipped}");
    }
    let error = format!("run {first} failed, and it had to succeed");
    assert_eq!(daemon.run(second)["error"], error);
    for started in [cleanup, alarm] {
        assert_eq!(how(&daemon, started), ("succeeded".into(), "exited".into()), "run {started}");
    }
    assert_eq!(daemon.get(&format!("/v1/runs/{second}/exit_code")).expect(200).text(), "143\n");
}

#[test]
fn what_has_ended_already_is_looked_at_when_it_is_submitted() {
    let daemon = daemon();
    let done = daemon.sh("true");
    daemon.wait_ended(done);
    assert_eq!(how(&daemon, after(&daemon, json!([done]))), ("succeeded".into(), "exited".into()));
    let late = daemon.post("/v1/runs", &json!({"script": "true", "after": [{"run": done, "when": "failed"}]}));
    let late = late.expect(201).json();
    assert_eq!((&late["status"], &late["reason"]), (&"canceled".into(), &"dependency".into()));
    assert_eq!(daemon.kinds(late["id"].as_i64().unwrap()), ["queued", "finished"]);
    daemon.delete(&format!("/v1/runs/{done}")).expect(204);
    let gone = daemon.post("/v1/runs", &json!({"script": "true", "after": [late["id"], done]}));
    let violation = gone.expect_problem(422, "invalid")["details"]["violations"][0].clone();
    assert_eq!((&violation["field"], &violation["reason"]), (&"after[1]".into(), &"unknown_run".into()));
    daemon.post("/v1/runs", &json!({"script": "true", "after": [99]})).expect_problem(422, "invalid");
}

#[test]
fn a_run_that_is_tried_again_has_not_ended_for_those_who_wait() {
    let daemon = daemon();
    let flaky = json!({"script": "test $RUNABOUT_ATTEMPT = 2", "retry": {"delay_s": 1}});
    let flaky = daemon.submit(&flaky);
    let next = after(&daemon, json!([flaky]));
    assert_eq!(how(&daemon, next), ("succeeded".into(), "exited".into()));
}

#[test]
fn retention_spares_what_is_needed_and_takes_it_afterwards() {
    let daemon = Daemon::with_config("[retention]\nruns_count = 2\n");
    daemon.put("/v1/queues/default", &json!({"slots": 4})).expect(200);
    let gate = daemon.gate("gate");
    let needed = daemon.sh("true");
    daemon.wait_ended(needed);
    let slow = daemon.sh(&gate.wait());
    let last = after(&daemon, json!([needed, slow]));
    let others: Vec<i64> = (0..5).map(|_| daemon.sh("true")).map(|run| (daemon.wait_ended(run), run).1).collect();
    daemon.post("/v1/maintenance", &json!({})).expect(200);
    daemon.get(&format!("/v1/runs/{}", others[0])).expect(410);
    daemon.get(&format!("/v1/runs/{needed}")).expect(200);
    gate.open();
    daemon.wait_ended(last);
    daemon.post("/v1/maintenance", &json!({})).expect(200);
    daemon.get(&format!("/v1/runs/{needed}")).expect(410);
}

#[test]
fn one_that_is_canceled_needs_nothing_any_more() {
    let mut daemon = daemon();
    let gate = daemon.gate("gate");
    let done = daemon.sh("true");
    daemon.wait_ended(done);
    let slow = daemon.sh(&gate.wait());
    let waits = after(&daemon, json!([done, slow]));
    // What it needs is found again after a crash.
    daemon.kill9();
    daemon.start_again();
    daemon.wait_ended(slow);
    assert_eq!(how(&daemon, waits), ("canceled".into(), "dependency".into()));
    eventually(DEADLINE, "nobody needs it", || daemon.run(done).get("needed_by").is_none());
    daemon.delete(&format!("/v1/runs/{done}")).expect(204);
}
