//! One run of a key runs at a time, and a submit is never swallowed by one that has begun.

use serde_json::{Value, json};

use crate::common::{DEADLINE, Daemon, Gate, eventually};

fn daemon() -> Daemon {
    let daemon = Daemon::start();
    daemon.put("/v1/queues/default", &json!({"slots": 8})).expect(200);
    daemon.put("/v1/queues/other", &json!({"slots": 8})).expect(201);
    daemon
}

/// A submit of the key `k`.
fn keyed(daemon: &Daemon, on_conflict: &str, script: &str) -> (u16, Value) {
    let answer = daemon.post("/v1/runs", &json!({"script": script, "key": "k", "on_conflict": on_conflict}));
    (answer.status, answer.json())
}

fn id(run: &Value) -> i64 {
    run["id"].as_i64().unwrap()
}

/// A run of the key `k` that has begun.
fn running(daemon: &Daemon, gate: &Gate) -> i64 {
    let run = id(&keyed(daemon, "wait", &gate.wait()).1);
    daemon.wait_running(run);
    run
}

#[test]
fn those_of_a_key_run_one_after_the_other_in_the_order_in_which_they_came() {
    let daemon = daemon();
    let gate = daemon.gate("gate");
    let first = running(&daemon, &gate);
    let more: Vec<i64> = (0..4)
        .map(|nth| {
            let queue = if nth % 2 == 0 { "other" } else { "default" };
            daemon.submit(&json!({"script": "true", "key": "k", "queue": queue, "priority": nth}))
        })
        .collect();
    let free = daemon.submit(&json!({"script": "true", "key": "another"}));
    assert_eq!(daemon.wait_ended(free)["key"], "another");
    for run in &more {
        let shown = daemon.run(*run);
        assert_eq!((&shown["held_by"], &shown["waits_for_runs"]), (&json!(["key"]), &json!([first])));
    }
    gate.open();
    let all: Vec<i64> = std::iter::once(first).chain(more).collect();
    let spans: Vec<(i64, i64)> = all
        .iter()
        .map(|run| {
            daemon.wait_ended(*run);
            let events = daemon.events(*run);
            let at = |kind: &str| events.iter().find(|event| event["kind"] == kind).unwrap()["id"].as_i64().unwrap();
            (at("started"), at("finished"))
        })
        .collect();
    assert!(spans.windows(2).all(|pair| pair[0].1 < pair[1].0), "{spans:?}");
}

#[test]
fn join_gives_the_one_that_waits_and_makes_a_new_one_behind_one_that_runs() {
    let daemon = daemon();
    let gate = daemon.gate("gate");
    let first = running(&daemon, &gate);
    let (status, second) = keyed(&daemon, "join", "echo second");
    assert_eq!((status, id(&second) == first, &second["held_by"]), (201, false, &json!(["key"])));
    let repeated = |key: &str| {
        let body = json!({"script": "echo third", "key": "k", "on_conflict": "join"});
        daemon.call("POST", "/v1/runs").json(&body).header("Idempotency-Key", key).send()
    };
    let third = repeated("x").expect(200);
    assert_eq!((id(&third.json()), &third.json()["script"]), (id(&second), &"echo second".into()));
    gate.open();
    daemon.wait_ended(id(&second));
    assert_eq!(id(&repeated("x").expect(200).json()), id(&second), "the same request has the same answer");
    assert_ne!(id(&repeated("y").expect(201).json()), id(&second));
}

#[test]
fn replace_takes_the_place_of_all_that_wait_and_leaves_the_one_that_runs() {
    let daemon = daemon();
    let gate = daemon.gate("gate");
    let first = running(&daemon, &gate);
    let old = [keyed(&daemon, "wait", "true"), keyed(&daemon, "wait", "true")].map(|(_, run)| id(&run));
    let needs_old = daemon.submit(&json!({"script": "true", "after": [old[1]]}));
    let (status, new) = keyed(&daemon, "replace", "true");
    assert_eq!((status, &new["held_by"]), (201, &json!(["key"])));
    for replaced in old {
        let run = daemon.run(replaced);
        let error = format!("run {} took its place", id(&new));
        assert_eq!(
            (&run["status"], &run["reason"], &run["error"]),
            (&"canceled".into(), &"replaced".into(), &error.into())
        );
    }
    assert_eq!(daemon.wait_ended(needs_old)["reason"], "dependency");
    gate.open();
    assert_eq!(daemon.wait_ended(first)["status"], "succeeded");
    assert_eq!(daemon.wait_ended(id(&new))["status"], "succeeded");
}

#[test]
fn cancel_stops_the_one_that_runs_and_starts_when_it_has_ended() {
    let daemon = daemon();
    let gate = daemon.gate("gate");
    let first = running(&daemon, &gate);
    let waits = id(&keyed(&daemon, "wait", "true").1);
    let new = id(&keyed(&daemon, "cancel", "true").1);
    assert_eq!(daemon.run(waits)["reason"], "replaced");
    assert_eq!(daemon.wait_ended(first)["reason"], "canceled");
    assert_eq!(daemon.wait_ended(new)["status"], "succeeded");
    // One that waits to be tried again has begun, and does not run.
    let flaky = json!({"script": "exit 1", "key": "k", "retry": {"delay_s": 1000}});
    let flaky = daemon.submit(&flaky);
    eventually(DEADLINE, "it waits to be tried again", || daemon.run(flaky)["held_by"] == json!(["retry"]));
    let behind = keyed(&daemon, "join", "true").1;
    assert_eq!((&behind["held_by"], id(&behind) == flaky), (&json!(["key"]), false), "it holds its key");
    let last = id(&keyed(&daemon, "cancel", "true").1);
    assert_eq!(daemon.run(flaky)["reason"], "replaced");
    assert_eq!(daemon.run(id(&behind))["reason"], "replaced");
    assert_eq!(daemon.wait_ended(last)["status"], "succeeded");
}

#[test]
fn debounce_keeps_the_number_and_takes_what_came_last() {
    let daemon = daemon();
    let send = |script: &str, debounce_s: i64, max_s: Value| {
        let body = json!({
            "script": script, "key": "k", "on_conflict": "debounce", "debounce_s": debounce_s, "debounce_max_s": max_s,
            "tags": [script],
        });
        let answer = daemon.post("/v1/runs", &body);
        (answer.status, answer.json())
    };
    let (status, first) = send("first", 1_000, Value::Null);
    assert_eq!((status, &first["held_by"]), (201, &json!(["time"])));
    let (status, second) = send("second", 2_000, Value::Null);
    assert_eq!((status, id(&second), &second["script"]), (200, id(&first), &"second".into()));
    assert!(second["not_before"].as_str() > first["not_before"].as_str());
    assert_eq!((&second["created_at"], &second["tags"]), (&first["created_at"], &json!(["second"])));
    assert_eq!(daemon.get("/v1/runs?tag=first").json()["runs"], json!([]));
    assert_eq!(daemon.kinds(id(&first)), ["queued", "changed"]);
    assert_eq!(daemon.run(id(&first)), second, "it is as it was answered");
    // The longest wait counts from the first.
    let (_, third) = send("echo third", 1_000, json!(1));
    let run = daemon.wait_ended(id(&third));
    assert_eq!((id(&third), &run["status"]), (id(&first), &"succeeded".into()));
    // Behind one that runs, a new one.
    let gate = daemon.gate("gate");
    let runs = running(&daemon, &gate);
    let (status, behind) = send("true", 1, Value::Null);
    assert_eq!((status, id(&behind) == runs, &behind["held_by"]), (201, false, &json!(["time", "key"])));
    gate.open();
    assert_eq!(daemon.wait_ended(id(&behind))["status"], "succeeded");
}

#[test]
fn what_does_not_go_together_is_told() {
    let daemon = daemon();
    let wrong = |more: Value| {
        let mut body = json!({"script": "true"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let problem = daemon.post("/v1/runs", &body).expect_problem(422, "invalid");
        let fields = problem["details"]["violations"].as_array().unwrap().iter();
        fields.map(|violation| violation["field"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(wrong(json!({"on_conflict": "wait"})), ["key"]);
    assert_eq!(wrong(json!({"key": "k", "on_conflict": "debounce"})), ["debounce_s"]);
    assert_eq!(wrong(json!({"key": "k", "debounce_s": 1})), ["debounce_s"]);
    assert_eq!(wrong(json!({"key": "k", "on_conflict": "never"})), ["on_conflict"]);
    assert_eq!(
        wrong(json!({"retry": {"attempts": 0, "on": ["canceled"], "x": 1}})),
        ["retry.on[0]", "retry.attempts", "retry.x"]
    );
    let all = json!({"key": "k", "on_conflict": "debounce", "debounce_s": 1, "delay_s": 1, "after": [1]});
    assert_eq!(wrong(all), ["on_conflict", "on_conflict"]);
    assert_eq!(
        wrong(json!({"after": [{"when": "ended"}, 0, {"run": 1, "when": "x"}]})),
        ["after[0].run", "after[1]", "after[2].when"]
    );
}
