//! A background child that holds its leader's output open: the run ends with its leader all the same, and loses
//! nothing of what the leader printed.

use std::fs::OpenOptions;

use rustix::pipe::fcntl_setpipe_size;
use rustix::process::Signal;
use serde_json::json;

use crate::common::{DEADLINE, Daemon, Reader, eventually, output_of, proc_exists, signal, wait_gone};

/// What a background child is given, in milliseconds, …
const AFTERMATH_MS: i64 = 250;
/// … and what a start and two commits may take beside it, at the best of a few times.
const SLACK_MS: i64 = 350;

#[test]
fn a_run_ends_a_moment_after_its_leader_though_a_child_holds_its_pipes() {
    let daemon = Daemon::start();
    let mut took_ms = Vec::new();
    for _ in 0..5 {
        let run = daemon.sh("sleep 300 & echo $!; echo err >&2; exit 3");
        let ended = daemon.wait_ended(run);
        assert_eq!((&ended["reason"], &ended["exit_code"]), (&"exited".into(), &3.into()), "{ended}");
        let events = daemon.events(run);
        let (stdout, stderr) = output_of(&events);
        assert_eq!(stderr, b"err\n");
        let child = String::from_utf8(stdout).unwrap().trim().parse().unwrap();
        assert!(proc_exists(child), "the child was not left alone");
        took_ms.push(events.last().unwrap()["data"]["duration_ms"].as_i64().unwrap());
    }
    let best = took_ms.iter().min().unwrap();
    assert!(*best <= AFTERMATH_MS + SLACK_MS, "{took_ms:?}");
}

#[test]
fn all_that_the_leader_printed_is_recorded() {
    let daemon = Daemon::start();
    let run = daemon.sh("sleep 300 & head -c 204800 /dev/zero | tr '\\0' x; echo end");
    assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
    let (stdout, _) = output_of(&daemon.events(run));
    assert_eq!(stdout.len(), 204_800 + 4);
    assert!(stdout.ends_with(b"xend\n"));
}

/// Has a leader write so many bytes to either stream while the daemon does not read, and exit.
fn assert_recorded_from_the_pipe(bytes: usize) {
    let daemon = Daemon::start();
    let gate = daemon.gate("gate");
    let text = daemon.dir().join("text");
    let line = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n";
    std::fs::write(&text, line.repeat(bytes / line.len())).unwrap();
    let text = text.display();
    // In a subshell: dash would put its own output aside for a command that has another.
    let run = daemon.sh(&format!("sleep 300 & ({}); cat {text}; cat {text} >&2; exit 5", gate.wait()));
    let leader = daemon.wait_running(run);
    for fd in [1, 2] {
        let pipe = OpenOptions::new().write(true).open(format!("/proc/{leader}/fd/{fd}")).unwrap();
        assert!(fcntl_setpipe_size(&pipe, 2 * bytes).unwrap() >= bytes);
    }
    daemon.signal(Signal::STOP);
    gate.open();
    eventually(DEADLINE, "the leader is dead", || !proc_exists(leader));
    daemon.signal(Signal::CONT);
    assert_eq!(daemon.wait_ended(run)["exit_code"], 5);
    let (stdout, stderr) = output_of(&daemon.events(run));
    let expected = line.repeat(bytes / line.len()).into_bytes();
    assert!(stdout == expected, "{} of {} bytes of its output", stdout.len(), expected.len());
    assert!(stderr == expected, "{} of {} bytes of its errors", stderr.len(), expected.len());
}

#[test]
fn what_the_pipe_still_holds_at_the_leaders_end_is_recorded() {
    assert_recorded_from_the_pipe(200 * 1024);
}

#[test]
fn what_the_pipe_holds_is_recorded_though_it_is_more_than_may_be_in_flight() {
    assert_recorded_from_the_pipe(448 * 1024);
}

#[test]
fn what_a_child_adds_after_the_end_is_not_recorded_and_harms_nobody() {
    let daemon = Daemon::start();
    let gate = daemon.gate("gate");
    let run = daemon.sh(&format!("sh -c '{}; echo late; exec sleep 300' & echo $!", gate.wait()));
    let ended = daemon.wait_ended(run);
    let mut reader = Reader::open(&daemon, run, 0);
    reader.until_end();
    let child = String::from_utf8(reader.told.stdout).unwrap().trim().parse().unwrap();
    assert!(proc_exists(child));
    gate.open();
    // Nobody reads any more: SIGPIPE, as behind `| head`.
    wait_gone(child);
    assert_eq!(daemon.run(run), ended);
    let (stdout, _) = output_of(&daemon.events(run));
    assert_eq!(stdout, format!("{child}\n").as_bytes());
    assert_eq!(daemon.wait_ended(daemon.sh("true"))["status"], "succeeded");
}

#[test]
fn what_a_child_adds_at_once_comes_before_the_end_and_whole_or_not_at_all() {
    let daemon = Daemon::start();
    let run = daemon.sh("(sleep 0.05; echo added; exec sleep 300) & echo leader");
    daemon.wait_ended(run);
    let events = daemon.events(run);
    assert_eq!(events.last().unwrap()["kind"], "finished");
    let (stdout, _) = output_of(&events);
    assert!(stdout == b"leader\n" || stdout == b"leader\nadded\n", "{:?}", String::from_utf8_lossy(&stdout));
}

#[test]
fn a_child_that_floods_the_pipe_does_not_keep_the_run_from_ending() {
    let daemon = Daemon::start();
    let run = daemon.sh("yes & echo $! >&2; exit 0");
    let ended = daemon.wait_ended(run);
    assert_eq!(ended["status"], "succeeded");
    let mut reader = Reader::open(&daemon, run, 0);
    reader.until_end();
    assert!(reader.told.stdout.iter().all(|&byte| byte == b'y' || byte == b'\n'));
    assert_eq!(ended["output_bytes"].as_u64().unwrap() as usize, reader.told.stdout.len() + reader.told.stderr.len());
    wait_gone(String::from_utf8(reader.told.stderr).unwrap().trim().parse().unwrap());
}

#[test]
fn a_leader_that_closes_its_output_runs_on() {
    let daemon = Daemon::start();
    let gate = daemon.gate("gate");
    let run = daemon.sh(&format!("echo before; exec >/dev/null 2>&1 </dev/null; {}; exit 4", gate.wait()));
    let mut reader = Reader::open(&daemon, run, 0);
    reader.until_stdout("before\n");
    let pid = daemon.wait_running(run);
    gate.open();
    assert_eq!(reader.until_end()["exit_code"], 4);
    wait_gone(pid);
    assert_eq!(daemon.kinds(run), ["queued", "started", "finished"]);
}

#[test]
fn a_cancel_is_not_held_up_by_a_child_outside_the_group() {
    let daemon = Daemon::start();
    let run = daemon.submit(&json!({"script": "setsid sleep 300 & echo ready; wait"}));
    let mut reader = Reader::open(&daemon, run, 0);
    reader.until_stdout("ready\n");
    daemon.call("POST", &format!("/v1/runs/{run}/cancel")).send().expect(202);
    assert_eq!(reader.until_end()["status"], "canceled");
    let left = daemon.descendants();
    assert!(left.len() <= 1, "{left:?}");
    left.iter().for_each(|&pid| _ = signal(pid, Signal::KILL));
}
