//! A run on a terminal: what its command finds, how it is resized, how it ends, and what readers get of it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{DEADLINE, Daemon, Reader, eventually, proc_exists};

/// What was printed on the run's terminal.
fn drawn(events: &[Value]) -> String {
    let pieces = events.iter().filter(|event| event["kind"] == "output");
    let pieces = pieces.inspect(|event| assert_eq!(event["data"]["stream"], "pty", "{event}"));
    pieces.map(|event| event["data"]["text"].as_str().expect("a text")).collect()
}

/// A run on a terminal whose input stays open.
fn interactive(daemon: &Daemon, script: &str) -> i64 {
    daemon.submit(&json!({"script": script, "pty": {"columns": 100, "rows": 30}, "stdin": "open"}))
}

fn send(daemon: &Daemon, run: i64, bytes: &[u8]) {
    daemon.call("POST", &format!("/v1/runs/{run}/stdin")).body("application/octet-stream", bytes).send().expect(204);
}

/// Waits until this was drawn.
fn until_drawn(daemon: &Daemon, run: i64, text: &str) {
    eventually(DEADLINE, text, || drawn(&daemon.events(run)).contains(text));
}

#[test]
fn a_command_finds_a_terminal_of_the_size_that_was_asked_for() {
    let daemon = Daemon::start();
    let script = "tty; stty size; echo $TERM; test -t 0 && test -t 1 && test -t 2 && echo three; echo err >&2; \
                  echo seen >/dev/tty; ps -o stat= -p $$ | grep -c +; printf no-newline";
    let run = daemon.submit(&json!({"script": script, "pty": {"columns": 100, "rows": 30}}));
    let ended = daemon.wait_ended(run);
    assert_eq!(ended["pty"], json!({"columns": 100, "rows": 30}));
    let text = drawn(&daemon.events(run));
    assert!(text.starts_with("/dev/pts/"), "{text}");
    let rest = text.split_once("\r\n").unwrap().1;
    assert_eq!(rest, "30 100\r\nxterm-256color\r\nthree\r\nerr\r\nseen\r\n1\r\nno-newline");
    let usual = daemon.submit(&json!({"script": "stty size; echo $TERM", "pty": {}, "env": {"TERM": "dumb"}}));
    daemon.wait_ended(usual);
    assert_eq!(drawn(&daemon.events(usual)), "24 80\r\ndumb\r\n");
    let log = daemon.get(&format!("/v1/runs/{usual}/log?stream=pty")).expect(200).text();
    assert_eq!(log, "24 80\r\ndumb\r\n");
    assert_eq!(daemon.get(&format!("/v1/runs/{usual}/log?stream=stdout")).expect(200).text(), "");
}

#[test]
fn every_byte_is_there_however_quickly_it_ends() {
    let daemon = Daemon::start();
    let run = daemon.submit(&json!({"script": "seq 1 30000", "pty": {}}));
    let ended = daemon.wait_ended(run);
    let wanted: String = (1..=30_000).map(|number| format!("{number}\r\n")).collect();
    assert!(drawn(&daemon.events(run)) == wanted);
    assert_eq!(ended["output_bytes"], wanted.len());
}

#[test]
fn a_text_of_the_submit_is_typed_and_then_there_is_no_more() {
    let daemon = Daemon::start();
    for (stdin, lines) in [(json!("one\ntwo\n"), "2"), (json!("one\ntw"), "1"), (Value::Null, "0")] {
        let run = daemon.submit(&json!({"script": "stty -echo; wc -l", "pty": {}, "stdin": stdin, "timeout_s": 30}));
        assert_eq!(daemon.wait_ended(run)["status"], "succeeded", "{stdin}");
        let text = drawn(&daemon.events(run));
        assert!(text.trim_end().ends_with(lines), "{stdin}: {text:?}");
    }
}

#[test]
fn a_resize_reaches_the_command_and_comes_before_what_it_draws() {
    let daemon = Daemon::start();
    let run = interactive(&daemon, "trap 'stty size' WINCH; echo ready; while :; do read x && echo got $x; done");
    until_drawn(&daemon, run, "ready");
    let resize = |body: Value| daemon.post(&format!("/v1/runs/{run}/resize"), &body);
    resize(json!({"columns": 132, "rows": 43})).expect(204);
    until_drawn(&daemon, run, "43 132");
    resize(json!({"columns": 132, "rows": 43})).expect(204);
    let events = daemon.events(run);
    let at = |wanted: &dyn Fn(&Value) -> bool| events.iter().position(wanted).expect("an event");
    let changed = at(&|event| event["kind"] == "changed");
    assert_eq!(events[changed]["data"]["pty"], json!({"columns": 132, "rows": 43}));
    assert!(changed < at(&|event| event["data"]["text"].as_str().is_some_and(|text| text.contains("43 132"))));
    assert_eq!(events.iter().filter(|event| event["kind"] == "changed").count(), 1, "the same size is no change");
    assert_eq!(daemon.run(run)["pty"], json!({"columns": 132, "rows": 43}));
    let problem = resize(json!({"columns": 0})).expect_problem(422, "invalid");
    assert_eq!(problem["details"]["violations"].as_array().unwrap().len(), 2, "{problem}");
    daemon.post(&format!("/v1/runs/{run}/cancel"), &json!({"now": true}));
    daemon.wait_ended(run);
    resize(json!({"columns": 80, "rows": 24})).expect_problem(409, "run_finished");
    let plain = daemon.sh("sleep 3000");
    daemon.wait_running(plain);
    let refused = daemon.post(&format!("/v1/runs/{plain}/resize"), &json!({"columns": 80, "rows": 24}));
    refused.expect_problem(409, "no_terminal");
}

#[test]
fn jobs_of_an_interactive_shell_are_stopped_continued_and_interrupted() {
    let daemon = Daemon::start();
    let run = interactive(&daemon, "PS1='$ ' exec bash --norc --noprofile -i");
    until_drawn(&daemon, run, "$ ");
    // What is typed while the shell still edits its line is another matter.
    send(&daemon, run, b"echo now; cat\n");
    until_drawn(&daemon, run, "now\r\n");
    send(&daemon, run, b"hello\n");
    until_drawn(&daemon, run, "hello\r\nhello");
    send(&daemon, run, b"\x1a");
    until_drawn(&daemon, run, "Stopped");
    send(&daemon, run, b"fg\n");
    eventually(DEADLINE, "it goes on", || {
        drawn(&daemon.events(run)).rsplit_once("fg").is_some_and(|(_, after)| after.contains("cat\r\n"))
    });
    send(&daemon, run, b"again\n");
    until_drawn(&daemon, run, "again\r\nagain");
    send(&daemon, run, b"\x03");
    until_drawn(&daemon, run, "^C");
    send(&daemon, run, b"echo $((6 * 7)) after $?\n");
    until_drawn(&daemon, run, "42 after 130");
    send(&daemon, run, b"exit 7\n");
    assert_eq!(daemon.wait_ended(run)["exit_code"], 7);
}

#[test]
fn a_cancel_hangs_up_on_a_shell_that_ignores_sigterm_and_spares_who_handles_it() {
    let daemon = Daemon::with_config("[runs]\nkill_grace_s = 60\n");
    let run = interactive(&daemon, "PS1='$ ' exec bash --norc --noprofile -i");
    until_drawn(&daemon, run, "$ ");
    send(&daemon, run, b"sleep 3000 & echo pid $! done\n");
    until_drawn(&daemon, run, " done\r\n");
    let text = drawn(&daemon.events(run));
    let pid = text.rsplit("pid ").next().and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap();
    let asked = Instant::now();
    daemon.post(&format!("/v1/runs/{run}/cancel"), &json!({}));
    assert_eq!(daemon.wait_ended(run)["status"], "canceled");
    assert!(asked.elapsed() < Duration::from_secs(30), "it waited for its grace");
    eventually(DEADLINE, "its background job is gone", || !proc_exists(pid));
    let handles =
        interactive(&daemon, "trap 'echo told; exit 4' TERM; trap 'echo hung up; exit 5' HUP; echo ready; read x");
    until_drawn(&daemon, handles, "ready");
    daemon.post(&format!("/v1/runs/{handles}/cancel"), &json!({}));
    assert_eq!(daemon.wait_ended(handles)["exit_code"], 4);
}

#[test]
fn what_is_left_on_the_terminal_is_hung_up_with_its_leader() {
    let daemon = Daemon::start();
    let quiet = daemon.submit(&json!({"script": "(sleep 3000 >/dev/null 2>&1) & echo $!", "pty": {}}));
    let began = Instant::now();
    assert_eq!(daemon.wait_ended(quiet)["status"], "succeeded");
    assert!(began.elapsed() < Duration::from_secs(10));
    let pid = drawn(&daemon.events(quiet)).trim().parse().unwrap();
    eventually(DEADLINE, "a process of the terminal's own group is hung up", || !proc_exists(pid));
}

#[test]
fn what_is_typed_is_shown_at_once_to_who_watches() {
    let daemon = Daemon::start();
    let run = interactive(&daemon, "stty -icanon -echo; echo ready; exec cat");
    let mut reader = Reader::open(&daemon.tcp_as("operator"), run, "0");
    let mut seen = String::new();
    while !seen.contains("ready") {
        let event = reader.until_kind("output");
        seen.push_str(event["data"]["text"].as_str().unwrap());
    }
    let mut took = Vec::new();
    for key in ["a", "b", "c", "d", "e", "f", "g"] {
        let typed = Instant::now();
        send(&daemon, run, key.as_bytes());
        assert_eq!(reader.until_kind("output")["data"]["text"], key);
        took.push(typed.elapsed());
    }
    took.sort_unstable();
    // An unfinished line of a pipe waits for 200 ms; of a terminal none does.
    assert!(took[took.len() / 2] < Duration::from_millis(150), "{took:?}");
}

#[test]
fn a_terminal_outlives_the_daemon_where_its_run_does() {
    let mut daemon = Daemon::start();
    let script = "PS1='$ ' exec bash --norc --noprofile -i";
    let run = daemon.submit(&json!({"script": script, "pty": {}, "stdin": "open", "survive": true}));
    until_drawn(&daemon, run, "$ ");
    send(&daemon, run, b"name=kept; echo a$((6 * 7))z\n");
    until_drawn(&daemon, run, "a42z");
    daemon.kill9();
    daemon.start_again();
    assert_eq!(daemon.run(run)["status"], "running");
    send(&daemon, run, b"echo is $name; stty size\n");
    until_drawn(&daemon, run, "is kept\r\n24 80");
    daemon.post(&format!("/v1/runs/{run}/resize"), &json!({"columns": 100, "rows": 30})).expect(204);
    send(&daemon, run, b"stty size; exit 7\n");
    let ended = daemon.wait_ended(run);
    assert_eq!((&ended["exit_code"], &ended["pty"]), (&7.into(), &json!({"columns": 100, "rows": 30})));
    assert!(drawn(&daemon.events(run)).contains("30 100"));
}
