//! What is done to a run after its submit: cancel, change, retry, delete, and events that are appended.

use serde_json::{Value, json};

use crate::common::{DEADLINE, Daemon, assert_fields, chain, eventually, is_time, output_of};

#[test]
fn a_cancel_is_202_while_it_stops_and_200_once_it_has_and_one_event_at_all() {
    let daemon = Daemon::start();
    let gate = daemon.gate("gate");
    let run = daemon.sh(&format!("trap '' TERM; echo ready; {}", gate.wait()));
    let cancel = format!("/v1/runs/{run}/cancel");
    eventually(DEADLINE, "the trap is set", || daemon.run(run)["output_bytes"] == 6);
    let first = daemon.post(&cancel, &json!({"reason": "enough"})).expect(202).json();
    assert!(is_time(&first["cancel_requested_at"]) && first["status"] == "running", "{first}");
    let second = daemon.call("POST", &cancel).send().expect(202).json();
    assert_eq!(second["cancel_requested_at"], first["cancel_requested_at"]);
    gate.open();
    let ended = daemon.wait_ended(run);
    assert_eq!(
        (&ended["status"], &ended["reason"], &ended["exit_code"]),
        (&"canceled".into(), &"canceled".into(), &0.into())
    );
    daemon.call("POST", &cancel).send().expect(200);
    assert_eq!(daemon.kinds(run), ["queued", "started", "cancel_requested", "finished"]);
    let asked = daemon.events(run).into_iter().find(|event| event["kind"] == "cancel_requested").unwrap();
    assert_eq!(asked["data"]["reason"], "enough");
    assert!(asked["data"]["by"].as_str().unwrap().starts_with("local:"), "{asked}");
    // One that ended by itself stays as it ended.
    let other = daemon.sh("exit 4");
    daemon.wait_ended(other);
    let still = daemon.call("POST", &format!("/v1/runs/{other}/cancel")).send().expect(200).json();
    assert_eq!((&still["status"], &still["cancel_requested_at"]), (&"failed".into(), &Value::Null));
}

#[test]
fn a_change_is_an_event_until_the_run_has_ended() {
    let daemon = Daemon::start();
    daemon.put("/v1/queues/other", &json!({})).expect(201);
    let gate = daemon.gate("gate");
    let run = daemon.submit(&json!({"script": gate.wait(), "delay_s": 3_600, "name": "old", "timeout_s": 600}));
    let path = format!("/v1/runs/{run}");
    let change = json!({
        "name": null, "tags": ["x"], "keep": true, "queue": "other", "priority": 9, "timeout_s": null,
        "not_before": "2099-01-01T00:00:00Z",
    });
    let changed = daemon.patch(&path, &change).expect(200).json();
    assert_fields(&changed);
    let told =
        ["name", "tags", "keep", "queue", "priority", "timeout_s", "not_before"].map(|field| changed[field].clone());
    assert_eq!(json!(told), json!([null, ["x"], true, "other", 9, null, "2099-01-01T00:00:00.000Z"]));
    assert_eq!(daemon.run(run), changed);
    assert_eq!(chain(&daemon, "/v1/runs?queue=other&tag=x", 50), [run]);
    let violations = daemon.patch(&path, &json!({"queue": "unknown"})).expect_problem(422, "invalid");
    assert_eq!(violations["details"]["violations"][0]["field"], "queue");
    assert_eq!(daemon.kinds(run), ["queued", "changed"]);
    let event = daemon.events(run).pop().unwrap();
    assert!(event["data"]["by"].as_str().unwrap().starts_with("local:") && event["data"]["priority"] == 9, "{event}");
    // What is as it was already is no change.
    assert_eq!(daemon.patch(&path, &change).expect(200).json(), changed);
    assert_eq!(daemon.patch(&path, &json!({})).expect(200).json(), changed);

    // Without its delay it starts; while it runs, only what does not touch the execution can change.
    daemon.patch(&path, &json!({"not_before": null})).expect(200);
    daemon.wait_running(run);
    for refused in [
        json!({"priority": 1}),
        json!({"queue": "default"}),
        json!({"timeout_s": 1}),
        json!({"name": "x", "not_before": null}),
    ] {
        daemon.patch(&path, &refused).expect_problem(409, "run_not_queued");
    }
    daemon.patch(&path, &json!({"name": "running"})).expect(200);
    gate.open();
    let ended = daemon.wait_ended(run);
    assert_eq!((&ended["name"], &ended["status"]), (&"running".into(), &"succeeded".into()));
    let kinds = ["queued", "changed", "changed", "started", "changed", "finished"];
    assert_eq!(daemon.kinds(run), kinds);

    // After the end there are no more events, but the record can still be kept in order.
    let kept = daemon.patch(&path, &json!({"name": "ended", "tags": [], "keep": false})).expect(200).json();
    assert_eq!((&kept["name"], &kept["tags"], &kept["keep"]), (&"ended".into(), &json!([]), &false.into()));
    daemon.patch(&path, &json!({"keep": true, "priority": 0})).expect_problem(409, "run_not_queued");
    assert_eq!(daemon.run(run)["keep"], false, "all or nothing");
    assert_eq!(daemon.kinds(run), kinds);
    assert_eq!(chain(&daemon, "/v1/runs?tag=x", 50), [0_i64; 0]);
}

#[test]
fn a_retry_is_a_new_run_of_the_same_specification() {
    let daemon = Daemon::start();
    let told = json!({
        "script": "read line; echo \"$line $V\"; exit 1", "name": "n", "priority": 3, "tags": ["t"], "cwd": "/", "env": {"V": "env"},
        "stdin": "stdin\n", "timeout_s": 60, "delay_s": 1, "on_interrupt": "requeue", "keep": true,
    });
    let call = daemon.call("POST", "/v1/runs").header("Idempotency-Key", "k").json(&told);
    let old = call.send().expect(201).json()["id"].as_i64().unwrap();
    let before = daemon.wait_ended(old);
    let response = daemon.call("POST", &format!("/v1/runs/{old}/retry")).send().expect(201);
    let new = response.json();
    let id = new["id"].as_i64().unwrap();
    assert_eq!(response.header("location"), Some(&*format!("/v1/runs/{id}")));
    assert_eq!((&new["retry_of"], &new["status"], &new["not_before"]), (&old.into(), &"queued".into(), &Value::Null));
    for field in ["name", "queue", "priority", "tags", "script", "cwd", "env_keys", "timeout_s", "on_interrupt", "keep"]
    {
        assert_eq!(new[field], before[field], "{field}");
    }
    assert_eq!(daemon.wait_ended(id)["exit_code"], 1);
    assert_eq!(output_of(&daemon.events(id)).0, b"stdin env\n");
    assert_eq!(daemon.run(old), before, "the old one is left alone");
    let again = daemon.call("POST", "/v1/runs").header("Idempotency-Key", "k").json(&told).send().expect(200).json();
    assert_eq!(again["id"], old, "the key stays the old one's");
}

#[test]
fn a_deleted_run_is_gone_with_its_events_and_leaves_the_rest_alone() {
    let daemon = Daemon::start();
    let gate = daemon.gate("gate");
    let (first, second) = (daemon.sh("echo first"), daemon.sh(&format!("echo second; {}", gate.wait())));
    daemon.wait_running(second);
    daemon.delete(&format!("/v1/runs/{second}")).expect_problem(409, "run_not_finished");
    daemon.delete(&format!("/v1/runs/{first}")).expect(204);
    daemon.get(&format!("/v1/runs/{first}/events")).expect_problem(410, "run_pruned");
    assert_eq!(chain(&daemon, "/v1/runs", 50), [second]);
    gate.open();
    daemon.wait_ended(second);
    assert_eq!(output_of(&daemon.events(second)).0, b"second\n");
    daemon.delete(&format!("/v1/runs/{second}")).expect(204);
    assert_eq!(chain(&daemon, "/v1/runs", 50), [0_i64; 0]);
    assert_eq!(daemon.metrics().sum("runs"), 0.0);
}

#[test]
fn events_are_appended_all_or_none_and_progress_shows_in_the_run() {
    let daemon = Daemon::start();
    let gate = daemon.gate("gate");
    let run = daemon.submit(&json!({"script": gate.wait(), "delay_s": 3_600}));
    let path = format!("/v1/runs/{run}/events");
    let progress = |percent: i64| json!({"kind": "progress", "data": {"percent": percent, "z": 1, "a": [null]}});
    let message = |text: &str| json!({"kind": "message", "data": {"level": "info", "text": text}});
    let lines = |events: &[Value]| events.iter().map(|event| format!("{event}\n")).collect::<String>();
    // An object, an array, lines; while it is queued, too.
    assert_eq!(daemon.post(&path, &progress(1)).expect(201).json(), json!({"last_seq": 2}));
    assert_eq!(daemon.run(run)["progress"], progress(1)["data"]);
    let array = json!([progress(2), message("a"), progress(3), message("b")]);
    assert_eq!(daemon.post(&path, &array).expect(201).json(), json!({"last_seq": 6}));
    assert_eq!(daemon.run(run)["progress"], progress(3)["data"], "the newest, not the last event");
    let ndjson =
        daemon.call("POST", &path).body("application/x-ndjson", lines(&[message("c"), progress(4)]).as_bytes());
    assert_eq!(ndjson.send().expect(201).json(), json!({"last_seq": 8}));
    daemon.patch(&format!("/v1/runs/{run}"), &json!({"not_before": null})).expect(200);
    daemon.wait_running(run);

    // All or none.
    let seq_before = daemon.run(run)["last_seq"].as_i64().unwrap();
    for bad in [
        json!([message("d"), {"kind": "finished", "data": {}}]),
        json!([progress(5), {"kind": "message", "date": {}}]),
        json!([]),
    ] {
        daemon.post(&path, &bad).expect_problem(422, "invalid");
    }
    let broken = format!("{}{{\"kind\":", lines(&[message("d")]));
    daemon.call("POST", &path).body("application/x-ndjson", broken.as_bytes()).send().expect_problem(400, "bad_json");
    assert_eq!(
        (&daemon.run(run)["last_seq"], &daemon.run(run)["progress"]),
        (&seq_before.into(), &progress(4)["data"])
    );

    // 1,000 at once, 16 KiB each.
    let many = |count: usize| lines(&vec![message("x"); count]);
    let post = |body: &str| daemon.call("POST", &path).body("application/x-ndjson", body.as_bytes()).send();
    post(&many(1_001)).expect_problem(422, "invalid");
    assert_eq!(post(&many(1_000)).expect(201).json(), json!({"last_seq": seq_before + 1_000}));
    let of_bytes = |bytes: usize| {
        let empty = json!({"text": ""}).to_string().len();
        json!({"kind": "message", "data": {"text": "x".repeat(bytes - empty)}})
    };
    let violation = daemon.post(&path, &of_bytes(16_385)).expect_problem(422, "invalid");
    assert_eq!(violation["details"]["violations"][0]["field"], "data");
    assert_eq!(daemon.post(&path, &of_bytes(16_384)).expect(201).json(), json!({"last_seq": seq_before + 1_001}));
    gate.open();
    daemon.wait_ended(run);
    daemon.post(&path, &message("late")).expect_problem(409, "run_finished");

    // What was appended is what is read, to the byte and in order.
    let events = daemon.events(run);
    assert_eq!(events.iter().filter(|event| event["kind"] == "progress").count(), 4);
    assert_eq!(events[1]["data"].to_string(), progress(1)["data"].to_string());
    assert_eq!(events.last().unwrap()["kind"], "finished");
}
