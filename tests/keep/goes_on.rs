//! The next daemon goes on where one was killed, stopped, or away: with output, input, exit, token and terminal.

use std::time::Duration;

use serde_json::json;

use super::{assert_nothing_is_left, ending, keeper_pid, left_files, survivor, wait_printed};
use crate::common::{DEADLINE, Daemon, eventually, output_of, wait_gone};

/// Times at which a daemon is stopped after a submit, 2 ms apart.
const STOPS: u64 = 10;

#[test]
fn the_next_daemon_reads_on_where_one_was_killed_or_stopped() {
    let mut daemon = Daemon::start();
    let gate = daemon.gate("go");
    let script = format!("echo one; echo err >&2; {}; echo two; exit 7", gate.wait());
    let run = survivor(&daemon, &script);
    let keeper = keeper_pid(&daemon, run);
    wait_printed(&daemon, run, "one");
    let pid = daemon.wait_running(run);
    assert_eq!(daemon.run(run)["survive"], true);
    daemon.kill9();
    daemon.start_again();
    assert_eq!((daemon.wait_running(run), daemon.run(run)["status"].as_str()), (pid, Some("running")));
    daemon.restart();
    assert!(daemon.log().contains(&format!("left running, for the next daemon: the commands of runs {run}")));
    gate.open();
    let ended = daemon.wait_ended(run);
    assert_eq!(ending(&ended), json!(["failed", "exited", 7, null]), "{ended}");
    assert_eq!(output_of(&daemon.events(run)), (b"one\ntwo\n".to_vec(), b"err\n".to_vec()));
    assert_eq!(daemon.kinds(run).iter().filter(|kind| *kind == "started").count(), 1);
    wait_gone(keeper);
    assert_nothing_is_left(&daemon);
}

#[test]
fn a_queue_may_have_it_as_its_default_and_a_run_may_say_otherwise() {
    let mut daemon = Daemon::start();
    let gate = daemon.gate("go");
    let queue = daemon.put("/v1/queues/long", &json!({"slots": 2, "survive": true})).expect(201).json();
    assert_eq!(queue["survive"], true);
    let script = format!("echo one; {}; echo two; exit 7", gate.wait());
    let kept = daemon.submit(&json!({"script": script, "queue": "long"}));
    let not = daemon.submit(&json!({"script": script, "queue": "long", "survive": false}));
    let keeper_of_it = keeper_pid(&daemon, kept);
    wait_printed(&daemon, kept, "one");
    wait_printed(&daemon, not, "one");
    let pid = daemon.wait_running(kept);
    daemon.kill9();
    daemon.start_again();
    assert_eq!(ending(&daemon.wait_ended(not)), json!(["interrupted", "daemon_lost", null, null]));
    assert_eq!((daemon.wait_running(kept), daemon.run(kept)["status"].as_str()), (pid, Some("running")));
    // The setting is in the database; a stop leaves such a run alone too, and another change leaves the setting.
    daemon.restart();
    assert_eq!(daemon.put("/v1/queues/long", &json!({"slots": 1})).expect(200).json()["survive"], true);
    let listed = daemon.get("/v1/queues").json()["queues"].clone();
    assert_eq!(json!([listed[0]["survive"], listed[1]["survive"]]), json!([false, true]), "{listed}");
    gate.open();
    assert_eq!(ending(&daemon.wait_ended(kept)), json!(["failed", "exited", 7, null]));
    assert_eq!(output_of(&daemon.events(kept)).0, b"one\ntwo\n");
    wait_gone(keeper_of_it);
    assert_eq!(daemon.put("/v1/queues/long", &json!({"survive": false})).expect(200).json()["survive"], false);
    assert_nothing_is_left(&daemon);
}

/// Whenever that is: before its keeper is there, before that is told what to start, or after.
#[test]
fn a_daemon_that_stops_while_one_starts_does_not_take_it_along() {
    let mut daemon = Daemon::start();
    for round in 0..STOPS {
        let run = survivor(&daemon, "echo one; sleep 0.1; echo two; exit 7");
        std::thread::sleep(Duration::from_millis(round * 2));
        daemon.restart();
        let ended = daemon.wait_ended(run);
        assert_eq!(ending(&ended), json!(["failed", "exited", 7, null]), "stopped after {} ms: {ended}", round * 2);
        assert_eq!(output_of(&daemon.events(run)).0, b"one\ntwo\n");
    }
    assert_nothing_is_left(&daemon);
}

#[test]
fn what_ended_while_nobody_was_there_is_told_by_the_next() {
    let mut daemon = Daemon::start();
    let gate = daemon.gate("go");
    let run = survivor(&daemon, &format!("echo begun; {}; printf 'end\\377'; echo more >&2; exit 3", gate.wait()));
    let keeper = keeper_pid(&daemon, run);
    wait_printed(&daemon, run, "begun");
    daemon.stop();
    gate.open();
    wait_gone(keeper);
    assert_eq!(left_files(&daemon).len(), 1, "the rest and the exit, and no socket");
    daemon.start_again();
    let ended = daemon.wait_ended(run);
    assert_eq!(ending(&ended), json!(["failed", "exited", 3, null]), "{ended}");
    assert_eq!(output_of(&daemon.events(run)), (b"begun\nend\xff".to_vec(), b"more\n".to_vec()));
    assert_nothing_is_left(&daemon);
}

#[test]
fn standard_input_goes_on_where_it_was() {
    let mut daemon = Daemon::start();
    let gate = daemon.gate("go");
    let text = "0123456789abcde\n".repeat(30_000);
    let script = format!("head -c 100000; echo; echo read >&2; {}; exec cat", gate.wait());
    let run = daemon.submit(&json!({"script": script, "survive": true, "stdin": text}));
    eventually(DEADLINE, "a part is read", || output_of(&daemon.events(run)).1 == b"read\n");
    daemon.kill9();
    daemon.start_again();
    gate.open();
    assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
    let (printed, _) = output_of(&daemon.events(run));
    // `head` may read more than it prints.
    assert_eq!(&printed[..100_000], &text.as_bytes()[..100_000]);
    let rest = &printed[100_001..];
    assert!(text.as_bytes().ends_with(rest) && rest.len() >= text.len() - 100_000 - 65_536, "{} bytes", rest.len());
}

#[test]
fn a_run_token_outlives_the_daemon_that_gave_it() {
    let mut daemon = Daemon::start();
    let gate = daemon.gate("go");
    let run = survivor(&daemon, &format!("echo $RUNABOUT_RUN_TOKEN; {}", gate.wait()));
    wait_printed(&daemon, run, "\n");
    let token = String::from_utf8(output_of(&daemon.events(run)).0).unwrap();
    daemon.kill9();
    daemon.start_again();
    let says = |percent: i64| {
        let event = json!({"kind": "progress", "data": {"percent": percent}});
        daemon.tcp().with_token(token.trim()).post(&format!("/v1/runs/{run}/events"), &event).status
    };
    eventually(DEADLINE, "the token is known again", || says(50) == 201);
    assert_eq!(daemon.run(run)["progress"]["percent"], 50);
    gate.open();
    assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
    assert_eq!(says(60), 401, "it ends with its attempt");
}

#[test]
fn a_terminal_and_an_open_input_outlive_the_daemon_too() {
    let mut daemon = Daemon::start();
    let script = "stty -echo; echo up; read a; stty size; echo got $a; read b; stty size; echo got $b; exit 4";
    let pty = json!({"columns": 100, "rows": 30});
    let run = daemon.submit(&json!({"script": script, "survive": true, "pty": pty, "stdin": "open"}));
    let drawn = |daemon: &Daemon| {
        let pieces = daemon.events(run);
        let pieces = pieces.iter().filter(|event| event["kind"] == "output");
        pieces.map(|event| event["data"]["text"].as_str().expect("a text").to_owned()).collect::<String>()
    };
    let send = |daemon: &Daemon, text: &str| {
        let path = format!("/v1/runs/{run}/stdin");
        daemon.call("POST", &path).body("application/octet-stream", text.as_bytes()).send().expect(204);
    };
    eventually(DEADLINE, "it is up", || drawn(&daemon).contains("up"));
    send(&daemon, "one\n");
    eventually(DEADLINE, "it has read", || drawn(&daemon).contains("got one"));
    daemon.kill9();
    daemon.start_again();
    let size = json!({"columns": 132, "rows": 43});
    assert!(daemon.post(&format!("/v1/runs/{run}/resize"), &size).status < 300);
    send(&daemon, "two\n");
    let ended = daemon.wait_ended(run);
    assert_eq!(ending(&ended), json!(["failed", "exited", 4, null]), "{ended}");
    assert_eq!(drawn(&daemon), "up\r\n30 100\r\ngot one\r\n43 132\r\ngot two\r\n");
    assert_nothing_is_left(&daemon);
}
