//! Queues, and the daemon's own figures, over HTTP.

use serde_json::{Value, json};

use crate::common::{DEADLINE, Daemon, Reader, Via, eventually};

#[test]
fn queues_are_made_changed_and_deleted() {
    let mut daemon = Daemon::start();
    let queue = |name: &str, slots: i64, paused: bool| json!({"name": name, "slots": slots, "paused": paused, "limits": {}, "survive": false, "queued": 0, "running": 0});
    assert_eq!(daemon.get("/v1/queues").expect(200).json(), json!({"queues": [queue("default", 1, false)]}));
    let longest = format!("/v1/queues/{}", "z".repeat(64));
    assert_eq!(daemon.call("PUT", &longest).send().expect(201).json(), queue(&"z".repeat(64), 1, false));
    daemon.delete(&longest).expect(204);
    daemon.get(&longest).expect_problem(404, "queue_not_found");
    assert_eq!(
        daemon.put("/v1/queues/a_b-1", &json!({"slots": 1_024})).expect(201).json(),
        queue("a_b-1", 1_024, false)
    );
    // What is left out stays.
    assert_eq!(
        daemon.put("/v1/queues/a_b-1", &json!({"paused": true})).expect(200).json(),
        queue("a_b-1", 1_024, true)
    );
    assert_eq!(daemon.put("/v1/queues/a_b-1", &json!({"slots": 2})).expect(200).json(), queue("a_b-1", 2, true));
    assert_eq!(daemon.put("/v1/queues/a_b-1", &json!({})).expect(200).json(), queue("a_b-1", 2, true));
    assert_eq!(daemon.put("/v1/queues/default", &json!({"slots": 3})).expect(200).json(), queue("default", 3, false));
    daemon.restart();
    let both = json!({"queues": [queue("a_b-1", 2, true), queue("default", 3, false)]});
    assert_eq!(daemon.get("/v1/queues").expect(200).json(), both);
    for name in ["z".repeat(65), "A".into(), "a.b".into(), "%C3%A9".into(), "a%20b".into()] {
        let problem = daemon.put(&format!("/v1/queues/{name}"), &json!({})).expect_problem(422, "invalid");
        assert_eq!(problem["details"]["violations"][0]["field"], "name");
    }
    for slots in [json!(0), json!(-1), json!(1_025), json!("1"), json!(1.5)] {
        daemon.put("/v1/queues/x", &json!({ "slots": slots })).expect_problem(422, "invalid");
    }
    daemon.get("/v1/queues/x").expect_problem(404, "queue_not_found");
}

#[test]
fn a_queue_counts_its_runs_and_is_not_deleted_under_them() {
    let daemon = Daemon::start();
    let gate = daemon.gate("gate");
    daemon.put("/v1/queues/q", &json!({"slots": 1})).expect(201);
    let submit = |run: Value| daemon.submit(&run);
    let running = submit(json!({"script": gate.wait(), "queue": "q"}));
    daemon.wait_running(running);
    let waiting = submit(json!({"script": "true", "queue": "q"}));
    let delayed = submit(json!({"script": "true", "queue": "q", "delay_s": 3_600}));
    let queue = daemon.get("/v1/queues/q").expect(200).json();
    assert_eq!(
        queue,
        json!({"name": "q", "slots": 1, "paused": false, "limits": {}, "survive": false, "queued": 2, "running": 1})
    );
    daemon.delete("/v1/queues/q").expect_problem(409, "queue_not_empty");
    // Paused, what runs goes on and nothing more is started.
    daemon.put("/v1/queues/q", &json!({"paused": true})).expect(200);
    gate.open();
    daemon.wait_ended(running);
    assert_eq!(daemon.get("/v1/queues/q").json()["queued"], 2);
    daemon.delete("/v1/queues/q").expect_problem(409, "queue_not_empty");
    daemon.put("/v1/queues/q", &json!({"paused": false})).expect(200);
    daemon.wait_ended(waiting);
    daemon.call("POST", &format!("/v1/runs/{delayed}/cancel")).send().expect(200);
    daemon.delete("/v1/queues/q").expect(204);
    daemon.delete("/v1/queues/q").expect_problem(404, "queue_not_found");
    assert_eq!(daemon.run(running)["queue"], "q", "a finished run outlives its queue");
    let gone = daemon.post("/v1/runs", &json!({"script": "true", "queue": "q"})).expect_problem(422, "invalid");
    assert_eq!(gone["details"]["violations"][0]["field"], "queue");
    let retried = daemon.call("POST", &format!("/v1/runs/{running}/retry")).send().expect_problem(422, "invalid");
    assert_eq!(retried["details"]["violations"][0]["field"], "queue");
    daemon.delete("/v1/queues/default").expect_problem(409, "queue_protected");
}

#[test]
fn more_slots_start_what_waits_at_once() {
    let daemon = Daemon::start();
    let gate = daemon.gate("gate");
    let first = daemon.sh(&gate.wait());
    daemon.wait_running(first);
    let second = daemon.sh("true");
    assert_eq!(daemon.run(second)["status"], "queued");
    daemon.put("/v1/queues/default", &json!({"slots": 2})).expect(200);
    assert_eq!(daemon.wait_ended(second)["status"], "succeeded");
    gate.open();
    daemon.wait_ended(first);
}

#[test]
fn the_daemon_tells_who_it_is_and_how_it_is() {
    let mut daemon = Daemon::start();
    let gate = daemon.gate("gate");
    let ended = daemon.sh("false");
    daemon.wait_ended(ended);
    let running = daemon.sh(&gate.wait());
    daemon.wait_running(running);
    let reader = Reader::open(&daemon, running, 0);
    let system = daemon.get("/v1/system").expect(200).json();
    let keys: Vec<&String> = system.as_object().unwrap().keys().collect();
    let told = [
        "version",
        "instance",
        "started_at",
        "database_bytes",
        "disk_free_bytes",
        "runs",
        "draining",
        "readers",
        "url",
        "limits_unavailable",
        "user",
        "silent_proxies",
    ];
    assert_eq!(keys, told);
    assert_eq!(system["version"], env!("CARGO_PKG_VERSION"));
    let instance = system["instance"].as_str().unwrap();
    assert!(instance.len() == 12 && instance.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
    assert_eq!(reader.hello["instance"], system["instance"]);
    assert!(system["disk_free_bytes"].as_i64().unwrap() > 4_096, "{system}");
    assert!(system["database_bytes"].as_i64().unwrap() > 4_096 && system["started_at"].is_string(), "{system}");
    let runs = json!({"queued": 0, "running": 1, "succeeded": 0, "failed": 1, "canceled": 0, "timed_out": 0, "interrupted": 0});
    assert_eq!((&system["runs"], &system["readers"]), (&runs, &1.into()));
    let others = [Via::Sse, Via::Ndjson].map(|via| Reader::open_by(via, &daemon, running, 0));
    assert_eq!(daemon.get("/v1/system").json()["readers"], 3);
    drop((reader, others));
    eventually(DEADLINE, "a reader that went is not counted", || daemon.get("/v1/system").json()["readers"] == 0);
    gate.open();
    daemon.wait_ended(running);
    daemon.restart();
    let after = daemon.get("/v1/system").expect(200).json();
    assert_eq!(after["instance"], system["instance"]);
    assert_eq!(after["runs"]["succeeded"], 1);
    for path in ["/healthz", "/readyz"] {
        for client in [daemon.tcp(), daemon.clone()] {
            assert_eq!(client.get(path).expect(200).text().trim_end(), "ok");
        }
    }
}

#[test]
fn the_metrics_have_the_contracts_names_and_their_counts_are_true() {
    let mut daemon = Daemon::start();
    let (good, bad) = (daemon.sh("echo a"), daemon.sh("false"));
    let canceled = daemon.submit(&json!({"script": "true", "delay_s": 3_600}));
    daemon.post(&format!("/v1/runs/{canceled}/events"), &json!({"kind": "message", "data": {}})).expect(201);
    daemon.call("POST", &format!("/v1/runs/{canceled}/cancel")).send().expect(200);
    [good, bad].iter().for_each(|run| drop(daemon.wait_ended(*run)));
    daemon.submit(&json!({"script": "true", "delay_s": 3_600}));
    let reader = Reader::open(&daemon, canceled, "latest");
    let response = daemon.get("/metrics").expect(200);
    assert!(response.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let text = response.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("runabout_"), "{line}");
    }
    let metrics = daemon.metrics();
    for (name, wanted) in [
        (r#"runs{status="queued"}"#, 1.0),
        (r#"runs{status="running"}"#, 0.0),
        (r#"runs{status="succeeded"}"#, 1.0),
        (r#"runs{status="failed"}"#, 1.0),
        (r#"runs{status="canceled"}"#, 1.0),
        (r#"runs{status="timed_out"}"#, 0.0),
        (r#"runs{status="interrupted"}"#, 0.0),
        (r#"runs_finished_total{status="succeeded"}"#, 1.0),
        (r#"runs_finished_total{status="failed"}"#, 1.0),
        (r#"runs_finished_total{status="canceled"}"#, 1.0),
        (r#"events_total{kind="queued"}"#, 4.0),
        (r#"events_total{kind="started"}"#, 2.0),
        (r#"events_total{kind="output"}"#, 1.0),
        (r#"events_total{kind="message"}"#, 1.0),
        (r#"events_total{kind="cancel_requested"}"#, 1.0),
        (r#"events_total{kind="finished"}"#, 3.0),
        (r#"readers{transport="websocket"}"#, 1.0),
        (r#"http_requests_total{route="/v1/runs",status="201"}"#, 4.0),
        (r#"http_requests_total{route="/v1/runs/:id/cancel",status="200"}"#, 1.0),
        ("run_wait_seconds_count", 2.0),
        ("run_duration_seconds_count", 2.0),
        ("reader_resyncs_total", 0.0),
    ] {
        assert_eq!(metrics.get(name), wanted, "{name} in {metrics:#?}");
    }
    assert_eq!(metrics.get("commits_total"), metrics.get("commit_seconds_count"));
    for name in [
        "commits_total",
        r#"store_requests_total{kind="read"}"#,
        r#"store_requests_total{kind="write"}"#,
        "database_bytes",
        "process_resident_memory_bytes",
        "process_open_fds",
    ] {
        assert!(metrics.get(name) > 0.0, "{name} in {metrics:#?}");
    }
    for name in ["pruned_total", "process_cpu_seconds_total", "scheduler_wakeups_total"] {
        metrics.sum(name);
    }
    drop(reader);
    // Gauges are right from the start on, not only for what this process has seen.
    daemon.restart();
    let metrics = daemon.metrics();
    assert_eq!(metrics.get(r#"runs{status="failed"}"#), 1.0);
    assert_eq!(metrics.get(r#"runs_finished_total{status="failed"}"#), 0.0);
    daemon.delete(&format!("/v1/runs/{bad}")).expect(204);
    assert_eq!(daemon.metrics().get(r#"runs{status="failed"}"#), 0.0);
}
