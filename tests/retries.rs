//! A run that fails is tried again: the same run, its next attempt, after a wait that is drawn once.

use runabout::clock::UnixMs;
use serde_json::{Value, json};

use crate::common::{DEADLINE, Daemon, cli, eventually};

/// A run that is tried again at once.
fn again(script: &str, attempts: i64) -> Value {
    json!({"script": script, "retry": {"attempts": attempts, "delay_s": 0}})
}

/// The run, once it waits for its next attempt.
#[track_caller]
fn waiting(daemon: &Daemon, run: i64) -> Value {
    eventually(DEADLINE, "it waits to be tried again", || daemon.run(run)["held_by"] == json!(["retry"]));
    daemon.run(run)
}

#[test]
fn one_that_fails_is_tried_again_as_the_same_run_until_it_succeeds() {
    let daemon = Daemon::start();
    let run = daemon.submit(&again("echo $RUNABOUT_ATTEMPT; test $RUNABOUT_ATTEMPT = 3", 5));
    let ended = daemon.wait_ended(run);
    assert_eq!(
        (&ended["status"], &ended["attempt"], &ended["retry_of"]),
        (&"succeeded".into(), &3.into(), &Value::Null)
    );
    let kinds = daemon.kinds(run);
    let attempt = ["queued", "started"];
    let wanted = [&attempt[..], &["attempt_ended"], &attempt, &["attempt_ended"], &attempt, &["finished"]].concat();
    assert_eq!(kinds, wanted);
    let first = daemon.events(run).into_iter().find(|event| event["kind"] == "attempt_ended").unwrap();
    let told = &first["data"];
    assert_eq!(
        (&told["attempt"], &told["reason"], &told["exit_code"], &told["signal"]),
        (&1.into(), &"exited".into(), &1.into(), &Value::Null)
    );
    assert!(told["usage"]["user_ms"].is_u64() && told["context"]["load"].is_array(), "{told}");
    assert_eq!(daemon.metrics().sum("runs_finished_total"), 1.0, "a run that goes on has not finished");
}

#[test]
fn it_is_not_when_its_attempts_are_used_up_or_it_ended_in_another_way() {
    let daemon = Daemon::start();
    let ended = |run: Value| {
        let ended = daemon.wait_ended(daemon.submit(&run));
        (ended["status"].as_str().unwrap().to_owned(), ended["attempt"].as_i64().unwrap())
    };
    assert_eq!(ended(again("exit 1", 3)), ("failed".into(), 3));
    assert_eq!(ended(again("exit 0", 3)), ("succeeded".into(), 1));
    assert_eq!(ended(again("kill -9 $$", 2)), ("failed".into(), 2));
    let with = |script: &str, name: &str, value: Value| {
        let mut run = again(script, 2);
        run["retry"][name] = value;
        run["timeout_s"] = 1.into();
        run
    };
    assert_eq!(ended(with("exit 2", "unless_exit", json!([2]))), ("failed".into(), 1));
    assert_eq!(ended(with("exit 3", "unless_exit", json!([2]))), ("failed".into(), 2));
    assert_eq!(ended(with("exec sleep 60", "on", json!(["failed"]))), ("timed_out".into(), 1));
    assert_eq!(
        ended(with("test $RUNABOUT_ATTEMPT = 2 || exec sleep 60", "on", json!(["timed_out"]))),
        ("succeeded".into(), 2)
    );
}

#[test]
fn its_wait_is_drawn_once_and_outlives_the_daemon() {
    let mut daemon = Daemon::start();
    let run = daemon.submit(&json!({"script": "exit 1", "retry": {"delay_s": 1000, "jitter": 0.5}}));
    let before = waiting(&daemon, run);
    let told = daemon.events(run).pop().unwrap();
    assert_eq!(told["data"], json!({"attempt": 2, "not_before": before["not_before"]}), "the event says when");
    let at = |value: &Value| UnixMs::parse(value.as_str().unwrap()).unwrap().0;
    let wait_ms = at(&before["not_before"]) - at(&told["at"]);
    assert!((500_000..=1_500_000).contains(&wait_ms), "{wait_ms} ms");
    assert_eq!(
        (&before["status"], &before["attempt"], &before["exit_code"]),
        (&"queued".into(), &2.into(), &Value::Null)
    );
    daemon.kill9();
    daemon.start_again();
    assert_eq!(daemon.run(run)["not_before"], before["not_before"]);
    // Somebody who cannot wait.
    daemon.patch(&format!("/v1/runs/{run}"), &json!({"not_before": null})).expect(200);
    eventually(DEADLINE, "the second attempt failed too", || daemon.run(run)["attempt"] == 3);
    waiting(&daemon, run);
    let canceled = daemon.post(&format!("/v1/runs/{run}/cancel"), &json!({})).expect(200).json();
    assert_eq!((&canceled["status"], &canceled["held_by"]), (&"canceled".into(), &json!([])));
}

#[test]
fn what_was_canceled_is_not_tried_again() {
    let daemon = Daemon::start();
    let run = daemon.submit(&again("trap 'exit 1' TERM; echo ready; while :; do sleep 0.1; done", 5));
    eventually(DEADLINE, "it runs", || daemon.run(run)["output_bytes"] == 6);
    daemon.post(&format!("/v1/runs/{run}/cancel"), &json!({})).expect(202);
    let ended = daemon.wait_ended(run);
    assert_eq!((&ended["status"], &ended["attempt"]), (&"canceled".into(), &1.into()));
}

#[test]
fn a_shutdown_counts_as_no_attempt() {
    let mut daemon = Daemon::start();
    let gate = daemon.gate("gate");
    let script = format!("test $RUNABOUT_ATTEMPT != 1 || {}; exit 1", gate.wait());
    let mut run = again(&script, 2);
    run["on_interrupt"] = "requeue".into();
    let run = daemon.submit(&run);
    daemon.wait_running(run);
    daemon.restart();
    let ended = daemon.wait_ended(run);
    assert_eq!((&ended["status"], &ended["attempt"]), (&"failed".into(), &3.into()), "two attempts failed");
}

#[test]
fn a_persons_retry_is_a_new_run_that_is_tried_as_often() {
    let daemon = Daemon::start();
    let run = daemon.submit(&again("exit 1", 2));
    daemon.wait_ended(run);
    let new = daemon.post(&format!("/v1/runs/{run}/retry"), &json!({})).expect(201).json();
    assert_eq!((&new["cause"], &new["attempt"], &new["retry"]["attempts"]), (&"retry".into(), &1.into(), &2.into()));
    assert_eq!(daemon.wait_ended(new["id"].as_i64().unwrap())["attempt"], 2);
}

#[test]
fn what_each_attempt_printed_is_read_by_itself() {
    let daemon = Daemon::start();
    let run = daemon.submit(&again("echo try $RUNABOUT_ATTEMPT; exit 3", 3));
    daemon.wait_ended(run);
    let run = run.to_string();
    let logs = |arguments: &[&str]| cli(&daemon, &[&["logs", &*run], arguments].concat());
    assert_eq!(logs(&[]).expect(0).text(), "try 1\ntry 2\ntry 3\n");
    for (attempt, text) in [("1", "try 1\n"), ("2", "try 2\n"), ("3", "try 3\n")] {
        assert_eq!(logs(&["--attempt", attempt]).expect(0).text(), text);
        assert_eq!(logs(&["-f", "--attempt", attempt]).expect(0).text(), text);
    }
    assert!(logs(&["--attempt", "4"]).expect(1).stderr.contains("no attempt 4: the last is 3"));
    let other = daemon.sh("true").to_string();
    logs(&[&*other, "--attempt", "1"]).expect(2);
    let json = logs(&["--attempt", "2", "--json"]).expect(0).text();
    let kinds: Vec<Value> =
        json.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].clone()).collect();
    assert_eq!(kinds, ["started", "output", "attempt_ended", "queued"]);
    let shown = cli(&daemon, &["show", &run]).expect(0).text();
    for attempt in [1, 2] {
        let told = shown
            .lines()
            .find(|line| line.starts_with(&format!("attempt {attempt} ")))
            .unwrap_or_else(|| panic!("{shown}"));
        assert!(
            told.contains("exit code 3 after ") && told.ends_with(&format!("logs --attempt {attempt} {run})")),
            "{told}"
        );
    }
}
