//! Runs over HTTP, from the submit to the deletion: what is given back, to the field, and what is not.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{Client, DEADLINE, Daemon, eventually, output_of};

/// A run's fields, in the contract's words.
const FIELDS: &str = "id, name, status, reason, queue, priority, tags, command, script, cwd, env_keys, attempt, \
    exit_code, signal, error, progress, pid, last_seq, output_bytes, created_at, not_before, started_at, ended_at, \
    timeout_s, cancel_requested_at, retry_of, on_interrupt, keep";

/// Fails unless a run has exactly the contract's fields.
#[track_caller]
fn assert_fields(run: &Value) {
    let have: BTreeSet<&str> = run.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(have, FIELDS.split(", ").collect(), "{run}");
}

/// Whether it is RFC 3339 in UTC with milliseconds.
fn is_time(value: &Value) -> bool {
    let shape = |byte: u8| if byte.is_ascii_digit() { b'0' } else { byte };
    value.as_str().is_some_and(|text| text.bytes().map(shape).eq(*b"0000-00-00T00:00:00.000Z"))
}

/// The ids of a list, by following `next` to its end.
#[track_caller]
fn chain(client: &Client, first: &str, page: usize) -> Vec<i64> {
    let (mut ids, mut next) = (Vec::new(), Some(first.to_owned()));
    while let Some(path) = next {
        let list = client.get(&path).expect(200).json();
        let runs = list["runs"].as_array().unwrap();
        runs.iter().for_each(assert_fields);
        ids.extend(runs.iter().map(|run| run["id"].as_i64().unwrap()));
        next = list["next"].as_str().map(str::to_owned);
        assert!(list.get("next").is_some() && list.as_object().unwrap().len() == 2, "{list}");
        assert!(runs.len() == page || next.is_none(), "{path} is cut short: {list}");
        assert!(!runs.is_empty() || ids.is_empty(), "{path} was promised and is empty");
    }
    assert!(ids.is_sorted_by(|a, b| a > b), "newest first, each once: {ids:?}");
    ids
}

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
        "started_at": null, "ended_at": null, "timeout_s": 60, "cancel_requested_at": null, "retry_of": null,
        "on_interrupt": "requeue", "keep": true,
    });
    assert_eq!(run, wanted);
    assert_eq!(daemon.run(id), wanted);
    assert_eq!(daemon.get("/v1/runs").json(), json!({"runs": [wanted], "next": null}));
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
fn lists_filter_and_their_pages_cover_everything_once() {
    let daemon = Daemon::start();
    daemon.put("/v1/queues/q", &json!({"slots": 4})).expect(201);
    let odd_tag = "a&b=\u{fc},/ %";
    let mut runs = Vec::new();
    for nth in 0..23 {
        let script = if nth % 3 == 0 { "false" } else { "true" };
        let (queue, name) = (if nth % 2 == 0 { "q" } else { "default" }, format!("n{}", nth % 4));
        let tags = if nth % 5 == 0 { json!(["t", odd_tag]) } else { json!(["t"]) };
        runs.push(daemon.submit(&json!({"script": script, "queue": queue, "name": name, "tags": tags})));
    }
    runs.iter().for_each(|run| drop(daemon.wait_ended(*run)));
    let waiting = daemon.submit(&json!({"script": "true", "delay_s": 3_600}));
    let newest_first = |wanted: &dyn Fn(usize) -> bool| -> Vec<i64> {
        runs.iter().enumerate().filter(|(nth, _)| wanted(*nth)).map(|(_, run)| *run).rev().collect()
    };
    let encoded = "a%26b%3D%C3%BC%2C%2F%20%25";
    let all = [vec![waiting], newest_first(&|_| true)].concat();
    for (query, wanted) in [
        (String::new(), all),
        ("status=queued&".into(), vec![waiting]),
        ("status=running&".into(), vec![]),
        ("status=failed&".into(), newest_first(&|nth| nth % 3 == 0)),
        ("status=failed,succeeded&".into(), newest_first(&|_| true)),
        ("queue=q&".into(), newest_first(&|nth| nth % 2 == 0)),
        ("queue=unknown&".into(), vec![]),
        ("name=n1&".into(), newest_first(&|nth| nth % 4 == 1)),
        ("tag=t&".into(), newest_first(&|_| true)),
        (format!("tag={encoded}&"), newest_first(&|nth| nth % 5 == 0)),
        (format!("tag={encoded}&queue=q&status=failed,succeeded&name=n0&"), newest_first(&|nth| nth == 0 || nth == 20)),
    ] {
        for limit in [1, 2, 4, 23, 500] {
            let path = format!("/v1/runs?{query}limit={limit}");
            assert_eq!(chain(&daemon, &path, limit), wanted, "{path}");
        }
    }
    let before = format!("/v1/runs?before={}", runs[3]);
    assert_eq!(chain(&daemon, &before, 50), [runs[2], runs[1], runs[0]]);
    // A page that was begun is not moved by what comes or goes meanwhile.
    let first = daemon.get("/v1/runs?limit=5").expect(200).json();
    daemon.sh("true");
    daemon.delete(&format!("/v1/runs/{}", runs[22])).expect(204);
    assert!(first["next"].as_str().unwrap().starts_with("/v1/runs?limit="), "{}", first["next"]);
    let rest = chain(&daemon, first["next"].as_str().unwrap(), 5);
    assert_eq!((rest.len(), rest[0]), (19, runs[18]));
}

#[test]
fn a_list_is_cut_at_a_megabyte_shows_the_beginning_of_what_is_long_and_goes_on() {
    let daemon = Daemon::start();
    let long = "y".repeat(100_000);
    let env: serde_json::Map<String, Value> = (0..400).map(|nth| (format!("KEY_{nth}"), "v".into())).collect();
    let mut runs: Vec<i64> = Vec::new();
    for nth in 0..12 {
        let command = vec![format!("command-{nth}"); 1].into_iter().chain((0..9).map(|_| long.clone()));
        let command: Vec<String> = command.collect();
        runs.push(daemon.submit(&json!({"command": command, "delay_s": 3_600, "env": env})));
    }
    runs.push(daemon.submit(&json!({"script": format!("# é\n{long}"), "delay_s": 3_600})));
    runs.push(daemon.submit(&json!({"script": "true", "delay_s": 3_600})));
    runs.reverse();
    let (mut listed, mut next, mut pages) = (Vec::new(), Some("/v1/runs?limit=500".to_owned()), 0);
    while let Some(path) = next {
        let answer = daemon.get(&path).expect(200);
        assert!(answer.body.len() < 64 * 1_024, "{} bytes for {path}", answer.body.len());
        let page = answer.json();
        listed.extend(page["runs"].as_array().unwrap().iter().cloned());
        next = page["next"].as_str().map(str::to_owned);
        pages += 1;
    }
    // Ten megabytes are not read at once.
    assert!(pages >= 2, "{pages} pages");
    assert_eq!(listed.iter().map(|run| run["id"].as_i64().unwrap()).collect::<Vec<_>>(), runs);
    assert!(listed[0].get("truncated").is_none(), "{}", listed[0]);
    assert_eq!(listed[1]["truncated"], json!(["script"]));
    assert!(listed[1]["script"].as_str().unwrap().starts_with("# é\nyyy"));
    for (listed, id) in listed.iter().zip(&runs).skip(2) {
        assert_eq!(listed["truncated"], json!(["command", "env_keys"]));
        let whole = daemon.run(*id);
        let shown = listed["command"].as_array().unwrap();
        assert_eq!(shown[0], whole["command"][0]);
        assert!(whole["command"][1].as_str().unwrap().starts_with(shown[1].as_str().unwrap()));
        assert!(shown.len() == 2 && listed["env_keys"].as_array().unwrap().len() < 400);
        assert_eq!(
            (whole["command"].as_array().unwrap().len(), whole["env_keys"].as_array().unwrap().len()),
            (10, 400)
        );
        assert!(whole.get("truncated").is_none());
    }
    // A progress has no beginning that is one: here the megabyte cuts.
    daemon.put("/v1/queues/default", &json!({"slots": 1, "paused": true})).expect(200);
    for _ in 0..80 {
        let run = daemon.sh("true");
        let event = json!({"kind": "progress", "data": {"percent": 1, "note": "x".repeat(16_000)}});
        daemon.post(&format!("/v1/runs/{run}/events"), &event).expect(201);
    }
    let page = daemon.get("/v1/runs?limit=500").expect(200);
    assert!(page.body.len() < 1_048_576 + 1_024, "{} bytes", page.body.len());
    let shown = page.json()["runs"].as_array().unwrap().len();
    assert!((50..80).contains(&shown), "{shown} of 80");
    assert!(page.json()["next"].is_string());
    let listed = daemon.cli().args(["ls", "--limit", "94", "--json"]).output().unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    assert_eq!(listed.as_array().unwrap().len(), 94);
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
