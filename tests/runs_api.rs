//! Runs over HTTP, from the submit to the deletion: what is given back, to the field, and what is not.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{Client, DEADLINE, Daemon, assert_fields, is_time, output_of};

#[test]
fn a_run_is_given_back_with_every_field_and_without_its_secrets() {
    let daemon = Daemon::start();
    daemon.put("/v1/queues/q", &json!({"paused": true})).expect(201);
    let told = json!({
        "command": ["echo", "a b", ""], "name": "every field \u{fc}", "queue": "q", "priority": -7,
        "tags": ["b", "a", "b"], "cwd": "/", "env": {"SECRET": "hush-env", "ALSO": ""}, "stdin": "hush-stdin",
        "timeout_s": 60, "not_before": "2099-01-01T02:00:00.5+02:00", "on_interrupt": "requeue", "keep": true,
    });
    let response = daemon.post("/v1/runs", &told).expect(201);
    let run = response.json();
    let id = run["id"].as_i64().unwrap();
    assert_eq!(response.header("location"), Some(&*format!("/v1/runs/{id}")));
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_fields(&run);
    assert!(is_time(&run["created_at"]), "{run}");
    let wanted = json!({
        "id": id, "name": "every field \u{fc}", "status": "queued", "reason": null, "queue": "q", "priority": -7,
        "tags": ["b", "a"], "command": ["echo", "a b", ""], "script": null, "cwd": "/", "env_keys": ["ALSO", "SECRET"],
        "attempt": 1, "exit_code": null, "signal": null, "error": null, "progress": null, "pid": null, "last_seq": 1,
        "output_bytes": 0, "created_at": run["created_at"], "not_before": "2099-01-01T00:00:00.500Z",
        "started_at": null, "ended_at": null, "timeout_s": 60, "cancel_requested_at": null, "usage": null, "retry_of": null,
        "held_by": ["time"], "cause": "submit", "job": null, "scheduled_for": null, "missed": null,
        "on_interrupt": "requeue", "keep": true, "key": null,
    });
    assert_eq!(run, wanted);
    // What it waits for is told to who asks.
    let mut wanted = wanted;
    wanted["waits_for"] = json!(["pause"]);
    assert_eq!(daemon.run(id), wanted);
    let page = daemon.get("/v1/runs").json();
    assert_eq!(page, json!({"runs": [wanted], "next": null, "looked_back_to": null}));
    for path in ["/v1/runs", &format!("/v1/runs/{id}"), &format!("/v1/runs/{id}/events"), "/metrics", "/v1/system"] {
        let text = daemon.get(path).expect(200).text();
        assert!(!text.contains("hush"), "{path} tells a secret: {text}");
    }
    assert!(!daemon.log().contains("hush"), "the log tells a secret");
}

#[test]
fn what_was_not_said_has_its_default_and_what_happened_is_filled_in() {
    let daemon = Daemon::start();
    let id = daemon.submit(&json!({"script": "printf 12345; printf 67 >&2; exit 3"}));
    let run = daemon.wait_ended(id);
    assert_fields(&run);
    let seqs = daemon.events(id).len();
    for (field, wanted) in [
        ("name", Value::Null),
        ("status", "failed".into()),
        ("reason", "exited".into()),
        ("queue", "default".into()),
        ("priority", 0.into()),
        ("tags", json!([])),
        ("command", Value::Null),
        ("script", "printf 12345; printf 67 >&2; exit 3".into()),
        ("cwd", Value::Null),
        ("env_keys", json!([])),
        ("attempt", 1.into()),
        ("exit_code", 3.into()),
        ("signal", Value::Null),
        ("error", Value::Null),
        ("pid", Value::Null),
        ("last_seq", seqs.into()),
        ("output_bytes", 7.into()),
        ("not_before", Value::Null),
        ("timeout_s", Value::Null),
        ("on_interrupt", "fail".into()),
        ("keep", false.into()),
    ] {
        assert_eq!(run[field], wanted, "{field} in {run}");
    }
    let times = ["created_at", "started_at", "ended_at"].map(|field| run[field].as_str().unwrap());
    assert!(times.is_sorted() && is_time(&run["started_at"]) && is_time(&run["ended_at"]), "{run}");
    // null is as good as missing.
    let nulls =
        json!({"command": null, "script": "true", "name": null, "timeout_s": null, "env": null, "delay_s": null});
    daemon.post("/v1/runs", &nulls).expect(201);
}

#[test]
fn a_body_without_a_byte_may_have_any_type() {
    let daemon = Daemon::start();
    let run = daemon.sh("true");
    daemon.wait_ended(run);
    // The second is how curl sends `-d ''`.
    for content_type in ["", "application/x-www-form-urlencoded", "text/plain"] {
        daemon.call("POST", &format!("/v1/runs/{run}/cancel")).body(content_type, b"").send().expect(200);
        daemon.call("POST", "/v1/maintenance").body(content_type, b"").send().expect(200);
        // What is missing is told, and not a type.
        let submit = daemon.call("POST", "/v1/runs").body(content_type, b"").send().expect(422);
        assert_eq!(submit.json()["details"]["violations"][0]["field"], "command");
    }
    daemon.call("POST", "/v1/maintenance").body("text/plain", b" ").send().expect(415);
}

#[test]
fn a_script_is_a_body_of_its_own_type_with_the_rest_in_the_query() {
    let daemon = Daemon::start();
    daemon.put("/v1/queues/q", &json!({})).expect(201);
    let query = "name=a%20b&queue=q&priority=-3&timeout_s=9&delay_s=0&cwd=/tmp&tag=x&tag=y%26z";
    let script = "pwd; echo \"$0\"\n";
    let call = daemon.call("POST", &format!("/v1/runs?{query}"));
    let run = call.body("text/x-shellscript; charset=utf-8", script.as_bytes()).send().expect(201).json();
    assert_eq!((&run["script"], &run["command"]), (&script.into(), &Value::Null));
    let told = ["name", "queue", "priority", "timeout_s", "not_before", "cwd", "tags"].map(|field| run[field].clone());
    assert_eq!(json!(told), json!(["a b", "q", -3, 9, null, "/tmp", ["x", "y&z"]]));
    let id = run["id"].as_i64().unwrap();
    assert_eq!(daemon.wait_ended(id)["status"], "succeeded");
    assert!(output_of(&daemon.events(id)).0.starts_with(b"/tmp\n"));
    // `Accept: text/plain` is for shells: the number and nothing else.
    let plain = daemon.call("POST", "/v1/runs").header("Accept", "text/plain").body("text/x-shellscript", b"true");
    let plain = plain.send().expect(201);
    assert_eq!(plain.text(), format!("{}\n", id + 1));
    assert_eq!(plain.header("location"), Some(&*format!("/v1/runs/{}", id + 1)));
    assert!(plain.header("content-type").unwrap().starts_with("text/plain"));
}

#[test]
fn a_key_makes_a_submit_repeatable_and_outlives_its_run() {
    let mut daemon = Daemon::start();
    let submit = |daemon: &Daemon, key: &str, path: &str, content_type: &str, body: &str| {
        daemon.call("POST", path).header("Idempotency-Key", key).body(content_type, body.as_bytes()).send()
    };
    let json = "application/json";
    let longest = "~".repeat(255);
    let run = submit(&daemon, &longest, "/v1/runs", json, r#"{"script":"true"}"#).expect(201).json();
    let id = run["id"].as_i64().unwrap();
    daemon.wait_ended(id);
    daemon.restart();
    let again = submit(&daemon, &longest, "/v1/runs", json, r#"{"script":"true"}"#).expect(200);
    assert_eq!(again.header("location"), Some(&*format!("/v1/runs/{id}")));
    assert_eq!((&again.json()["id"], &again.json()["status"]), (&id.into(), &"succeeded".into()));
    for (path, content_type, body) in [
        ("/v1/runs", json, r#"{"script":"true" }"#),
        ("/v1/runs", "text/x-shellscript", r#"{"script":"true"}"#),
        ("/v1/runs?name=x", "text/x-shellscript", "true"),
    ] {
        let other = submit(&daemon, &longest, path, content_type, body);
        other.expect_problem(422, "idempotency_mismatch");
    }
    let too_long = submit(&daemon, &"~".repeat(256), "/v1/runs", json, r#"{"script":"true"}"#);
    too_long.expect_problem(400, "bad_request");
    assert_eq!(daemon.metrics().sum("runs"), 1.0);
    daemon.delete(&format!("/v1/runs/{id}")).expect(204);
    submit(&daemon, &longest, "/v1/runs", json, r#"{"script":"true"}"#).expect_problem(410, "run_pruned");
    submit(&daemon, &longest, "/v1/runs", json, r#"{"script":"false"}"#).expect_problem(422, "idempotency_mismatch");
}

#[test]
fn concurrent_submits_under_one_key_make_one_run() {
    let daemon = Daemon::start();
    let client: &Client = &daemon;
    let answers: Vec<(u16, i64)> = std::thread::scope(|scope| {
        let one = || {
            let call = client.call("POST", "/v1/runs").header("Idempotency-Key", "k").json(&json!({"script": "true"}));
            let response = call.send();
            (response.status, response.json()["id"].as_i64().unwrap())
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|(status, _)| *status == 201).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|(status, id)| [200, 201].contains(status) && *id == answers[0].1), "{answers:?}");
}

#[test]
fn a_wait_answers_at_the_end_at_once_and_else_when_its_time_is_up() {
    let daemon = Daemon::start();
    let client: &Client = &daemon;
    let gate = daemon.gate("gate");
    let run = daemon.sh(&gate.wait());
    let path = format!("/v1/runs/{run}");
    let begun = Instant::now();
    let late = daemon.get(&format!("{path}?wait_s=1")).expect(200).json();
    assert!(begun.elapsed() >= Duration::from_secs(1) && late["ended_at"].is_null(), "{late}");
    let begun = Instant::now();
    daemon.get(&format!("{path}/exit_code?wait_s=1")).expect_problem(409, "run_not_finished");
    assert!(begun.elapsed() >= Duration::from_secs(1));
    std::thread::scope(|scope| {
        let wait =
            |rest: &str| client.call("GET", &format!("{path}{rest}?wait_s=300")).within(DEADLINE).send().expect(200);
        let waits = [scope.spawn(move || wait("").text()), scope.spawn(move || wait("/exit_code").text())];
        gate.open();
        let [whole, code] = waits.map(|wait| wait.join().unwrap());
        assert!(whole.contains(r#""status":"succeeded""#), "{whole}");
        assert_eq!(code, "0\n");
    });
    // What has ended is told at once; what is canceled while it is queued has ended, too.
    client.call("GET", &format!("{path}?wait_s=300")).within(DEADLINE).send().expect(200);
    let queued = daemon.submit(&json!({"script": "true", "delay_s": 3_600}));
    std::thread::scope(|scope| {
        let wait = scope.spawn(|| client.wait_ended(queued));
        client.call("POST", &format!("/v1/runs/{queued}/cancel")).send().expect(200);
        assert_eq!(wait.join().unwrap()["status"], "canceled");
    });
}

#[test]
fn the_exit_code_says_how_it_ended() {
    let daemon = Daemon::start();
    daemon.put("/v1/queues/wide", &json!({"slots": 10})).expect(201);
    let submit = |run: Value| {
        let mut run = run;
        run["queue"] = "wide".into();
        daemon.submit(&run)
    };
    let canceled = submit(json!({"script": "exec sleep 1000"}));
    daemon.wait_running(canceled);
    daemon.call("POST", &format!("/v1/runs/{canceled}/cancel")).send().expect(202);
    let never = submit(json!({"script": "true", "delay_s": 3_600}));
    daemon.call("POST", &format!("/v1/runs/{never}/cancel")).send().expect(200);
    for (run, code) in [
        (submit(json!({"script": "exit 0"})), "0\n"),
        (submit(json!({"script": "exit 77"})), "77\n"),
        (submit(json!({"script": "exit 255"})), "255\n"),
        (submit(json!({"script": "kill -KILL $$"})), "137\n"),
        (submit(json!({"script": "kill -USR1 $$"})), "138\n"),
        (submit(json!({"script": "exec sleep 1000", "timeout_s": 1})), "124\n"),
        (submit(json!({"command": ["/no/such/program"]})), "125\n"),
        (submit(json!({"command": ["true"], "cwd": "/no/such/directory"})), "125\n"),
        (canceled, "143\n"),
        (never, "143\n"),
    ] {
        let response = daemon.get(&format!("/v1/runs/{run}/exit_code?wait_s=30")).expect(200);
        assert_eq!(response.text(), code, "{}", daemon.run(run));
        assert!(response.header("content-type").unwrap().starts_with("text/plain"));
    }
}

#[test]
fn a_run_that_died_with_the_daemon_has_125() {
    let mut daemon = Daemon::start();
    let run = daemon.sh("exec sleep 1000");
    daemon.wait_running(run);
    daemon.kill9();
    daemon.start_again();
    let path = format!("/v1/runs/{run}/exit_code?wait_s=30");
    assert_eq!(daemon.get(&path).expect(200).text(), "125\n");
    let run = daemon.run(run);
    assert_eq!((&run["status"], &run["reason"]), (&"interrupted".into(), &"daemon_lost".into()));
}
