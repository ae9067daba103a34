//! A stop reaches every process of the command's session, whatever groups they have made and whoever asks; what has
//! left the session is told.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::common::{DEADLINE, Daemon, Reader, eventually, kill, proc_exists, signal, wait_gone};

/// Far less than the grace of ten seconds: what ends within it was not waited for.
const SOON: Duration = Duration::from_secs(5);

/// Makes a group of its own, as coreutils' `timeout` does.
const TIMEOUT: &str = "timeout 3600 sh -c 'echo $$; exec sleep 3000'; echo x";
/// Makes one of its own for each job.
const JOBS: &str = "exec bash -c 'set -m; sh -c \"echo \\$\\$; exec sleep 3000\" & sleep 3000 & wait'";

/// Submits it and waits until it has said so many pids, one a line; answers the run and these.
#[track_caller]
fn started(daemon: &Daemon, spec: &Value, count: usize) -> (i64, Vec<i32>) {
    let run = daemon.submit(spec);
    let mut reader = Reader::open(daemon, run, 0);
    while reader.told.stdout.iter().filter(|&&byte| byte == b'\n').count() < count {
        reader.until_kind("output");
    }
    let said = String::from_utf8(reader.told.stdout).unwrap();
    (run, said.lines().map(|pid| pid.parse().unwrap()).collect())
}

#[track_caller]
fn cancel(daemon: &Daemon, run: i64) {
    daemon.post(&format!("/v1/runs/{run}/cancel"), &json!({})).expect(202);
}

fn state(pid: i32) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().unwrap_or_default().chars().take(1).collect()
}

/// What is told that a run left behind.
fn left_behind(daemon: &Daemon, run: i64) -> Vec<Value> {
    let events = daemon.events(run).into_iter();
    events.filter(|event| event["kind"] == "left_behind").map(|event| event["data"].clone()).collect()
}

#[test]
fn a_cancel_and_a_timeout_end_other_groups_of_the_session_too() {
    let daemon = Daemon::start();
    for script in [TIMEOUT, JOBS] {
        for (limit, status) in [(Value::Null, "canceled"), (json!(2), "timed_out")] {
            let (run, pids) = started(&daemon, &json!({"script": script, "timeout_s": limit}), 1);
            let asked = Instant::now();
            if limit.is_null() {
                cancel(&daemon, run);
            }
            let ended = daemon.wait_ended(run);
            assert_eq!(ended["status"], status, "{script}: {ended}");
            assert!(asked.elapsed() < SOON, "{script}: it took {:?}", asked.elapsed());
            assert!(!proc_exists(pids[0]), "{script}: told as {status}, and lives on");
            assert_eq!(daemon.descendants(), [0; 0], "{script}");
            assert_eq!(left_behind(&daemon, run), [Value::Null; 0], "nobody left the session");
        }
    }
}

#[test]
fn a_stop_of_the_daemon_ends_other_groups_of_the_session_too() {
    for script in [TIMEOUT, JOBS] {
        let mut daemon = Daemon::start();
        let (_, pids) = started(&daemon, &json!({"script": script}), 1);
        assert!(daemon.stop() < SOON);
        assert!(!proc_exists(pids[0]), "{script}: it outlives the daemon");
        assert_eq!(daemon.descendants(), [0; 0], "{script}");
    }
}

#[test]
fn a_second_signal_kills_other_groups_of_the_session_too() {
    let mut daemon = Daemon::with_config("[runs]\nshutdown_grace_s = 600\n");
    let script = "trap '' TERM; bash -c 'set -m; sh -c \"echo \\$\\$; exec sleep 3000\" & wait'; sleep 3000";
    let (_, pids) = started(&daemon, &json!({"script": script}), 1);
    daemon.signal(Signal::TERM);
    eventually(DEADLINE, "it stops", || daemon.get("/readyz").status == 503);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait_exit(DEADLINE).code(), Some(143));
    wait_gone(pids[0]);
    eventually(DEADLINE, "its session is gone", || daemon.descendants().is_empty());
}

#[test]
fn the_next_daemon_ends_other_groups_of_the_session_too() {
    for script in [TIMEOUT, JOBS] {
        let mut daemon = Daemon::start();
        let (run, pids) = started(&daemon, &json!({"script": script}), 1);
        daemon.kill9();
        assert!(proc_exists(pids[0]));
        daemon.start_again();
        assert_eq!(daemon.wait_ended(run)["reason"], "daemon_lost");
        assert_eq!(daemon.descendants(), [0; 0], "{script}");
        assert!(daemon.log().contains(&format!("run {run} was left running by a daemon that died; ended are: ")));
    }
}

#[test]
fn processes_of_other_groups_are_told_before_they_are_killed() {
    let daemon = Daemon::start();
    let told = daemon.dir().join("told");
    let job = format!("trap \"echo told >{}; exit\" TERM; echo $$; sleep 3000 & wait", told.display());
    let file = daemon.script("job.sh", &format!("#!/bin/sh\n{job}\n"));
    // Not `wait`, which takes a job's stop for its end.
    let script = format!("exec bash -c 'set -m; {} & while :; do sleep 3000; done'", file.display());
    let (run, pids) = started(&daemon, &json!({"script": script}), 1);
    // Also where it is stopped.
    assert!(signal(pids[0], Signal::STOP));
    eventually(DEADLINE, "it is stopped", || state(pids[0]) == "T");
    cancel(&daemon, run);
    daemon.wait_ended(run);
    assert_eq!(std::fs::read_to_string(told).unwrap(), "told\n");
}

#[test]
fn what_forks_on_and_on_is_ended() {
    let daemon = Daemon::start();
    // Eight chains, each of processes that ignore SIGTERM, live for a moment and fork the next one. They have an end, so that
    // a daemon that fails here leaves none for ever.
    let script = "link() { [ $1 -eq 0 ] || (trap '' TERM; sleep 0.01; link $(($1 - 1))) & }
        for chain in 1 2 3 4 5 6 7 8; do link 3000; done; echo $$; sleep 3000; echo x";
    let (run, _) = started(&daemon, &json!({"script": script}), 1);
    cancel(&daemon, run);
    let ended = daemon.wait_ended(run);
    assert_eq!(ended["status"], "canceled", "{ended}");
    assert_eq!(daemon.descendants(), [0; 0], "something forks on");
    assert_eq!(left_behind(&daemon, run), [Value::Null; 0]);
}

#[test]
fn what_left_the_session_is_told_and_left_alone() {
    let mut daemon = Daemon::start();
    let script = "setsid sh -c 'echo $$; exec sleep 3000' & wait";
    let (run, pids) = started(&daemon, &json!({"script": script}), 1);
    eventually(DEADLINE, "it is what it is called", || {
        std::fs::read_to_string(format!("/proc/{}/comm", pids[0])).unwrap() == "sleep\n"
    });
    cancel(&daemon, run);
    daemon.wait_ended(run);
    let told = left_behind(&daemon, run);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0], json!({"pids": pids, "names": ["sleep"], "count": 1, "ended": false}));
    assert_eq!(daemon.kinds(run), ["queued", "started", "cancel_requested", "left_behind", "finished"]);
    assert!(daemon.log().contains(&format!("run {run}: still running after the end of the run: {} (sleep)", pids[0])));
    assert!(proc_exists(pids[0]), "it was not left alone");
    kill(pids[0]);

    // After a dead daemon, too.
    let (run, pids) = started(&daemon, &json!({"script": script}), 1);
    daemon.kill9();
    daemon.start_again();
    assert_eq!(daemon.wait_ended(run)["reason"], "daemon_lost");
    assert_eq!(left_behind(&daemon, run)[0]["pids"], json!(pids));
    assert!(proc_exists(pids[0]));
    kill(pids[0]);

    // An ordinary end leaves what it leaves without a word.
    let run = daemon.submit(&json!({"script": "setsid sleep 3000 >/dev/null 2>&1 & exit 0"}));
    daemon.wait_ended(run);
    assert_eq!(daemon.kinds(run), ["queued", "started", "finished"]);
}

/// Daemons, as they make themselves: of a session of their own, forked twice, with nothing open.
const DAEMONS: &str = "for n in $(seq 1 200); do (setsid sleep 3000 </dev/null >/dev/null 2>&1 &) ; done; echo done";

#[test]
fn what_left_the_session_is_ended_where_the_submit_says_so() {
    let daemon = Daemon::start();
    // By an ordinary end …
    let run = daemon.submit(&json!({"script": DAEMONS, "left": "kill"}));
    assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
    let told = left_behind(&daemon, run);
    // Those that were on their way out were still of it.
    let count = told[0]["count"].as_i64().unwrap();
    assert!(told.len() == 1 && told[0]["ended"] == true && (50..=200).contains(&count), "{told:?}");
    assert_eq!(told[0]["pids"].as_array().unwrap().len(), 50);
    assert_eq!(daemon.descendants(), [0; 0]);
    // … and a requested one, which knows no grace for what ignores the signal.
    let script = "trap '' TERM; setsid sh -c 'while :; do sleep 0.1; done' & echo $$; sleep 3000; sleep 3000";
    let (run, _) = started(&daemon, &json!({"script": script, "left": "kill", "stop_signal": "INT"}), 1);
    cancel(&daemon, run);
    assert_eq!(daemon.wait_ended(run)["status"], "canceled");
    assert_eq!(left_behind(&daemon, run)[0]["ended"], true);
    assert_eq!(daemon.descendants(), [0; 0]);
    let shown = daemon.run(run);
    assert_eq!((&shown["left"], &shown["stop_signal"]), (&json!("kill"), &json!("INT")));
}

#[test]
fn a_background_child_of_the_session_is_ended_with_the_run_where_the_submit_says_so() {
    let daemon = Daemon::start();
    let script = "sleep 3000 & echo $!; exit 3";
    let (run, pids) = started(&daemon, &json!({"script": script, "left": "kill"}), 1);
    assert_eq!(daemon.wait_ended(run)["exit_code"], 3);
    assert!(!proc_exists(pids[0]));
    assert_eq!(left_behind(&daemon, run), [Value::Null; 0], "it was of the session");
    let (run, pids) = started(&daemon, &json!({"script": script}), 1);
    daemon.wait_ended(run);
    assert!(proc_exists(pids[0]), "nobody said so");
    kill(pids[0]);
}

#[test]
fn the_submit_names_the_signal_by_which_a_command_is_asked_to_end() {
    let mut daemon = Daemon::start();
    // Each signal is caught; the one that comes first is the exit code.
    let script = "for s in TERM INT HUP QUIT USR1 USR2; do trap \"echo $s; exit 7\" $s; done; echo $$; while :; do sleep 0.05; done";
    let script = format!("exec bash -c '{}'", script.replace('\'', "'\\''"));
    for name in ["TERM", "INT", "HUP", "QUIT", "USR1", "USR2"] {
        let (run, _) = started(&daemon, &json!({"script": script, "stop_signal": name}), 1);
        cancel(&daemon, run);
        let ended = daemon.wait_ended(run);
        assert_eq!((&ended["status"], &ended["exit_code"]), (&json!("canceled"), &json!(7)), "{name}");
        let log = daemon.get(&format!("/v1/runs/{run}/log?stream=stdout")).expect(200).text();
        assert_eq!(log.lines().nth(1), Some(name), "{log}");
    }
    // A time limit, a shutdown, and the next daemon after one that died ask by the same.
    let limited = daemon.submit(&json!({"script": script, "stop_signal": "USR1", "timeout_s": 1}));
    assert_eq!(daemon.wait_ended(limited)["exit_code"], 7);
    let (stopped, _) = started(&daemon, &json!({"script": script, "stop_signal": "HUP"}), 1);
    daemon.stop();
    daemon.start_again();
    let ended = daemon.run(stopped);
    assert_eq!((&ended["reason"], &ended["exit_code"]), (&json!("shutdown"), &json!(7)));
    let told = daemon.dir().join("told");
    let script = format!(
        "exec bash -c 'trap \"echo told >{}; exit\" USR2; echo $$; while :; do sleep 0.05; done' 2>/dev/null",
        told.display()
    );
    let (lost, _) = started(&daemon, &json!({"script": script, "stop_signal": "USR2"}), 1);
    daemon.kill9();
    daemon.start_again();
    assert_eq!(daemon.wait_ended(lost)["reason"], "daemon_lost");
    assert_eq!(std::fs::read_to_string(told).unwrap(), "told\n");
}

#[test]
fn what_a_handler_starts_to_clean_up_is_not_told_itself() {
    let daemon = Daemon::start();
    let cleaned = daemon.dir().join("cleaned");
    // The handler's command makes a group of its own, as those that were told have.
    let clean = format!("timeout 60 sh -c \"sleep 0.1; echo cleaned >{}\"", cleaned.display());
    let script = format!("trap '{clean}; exit 0' TERM; echo $$; sleep 3000 & wait");
    let (run, _) = started(&daemon, &json!({"script": script}), 1);
    cancel(&daemon, run);
    assert_eq!(daemon.wait_ended(run)["exit_code"], 0);
    assert_eq!(std::fs::read_to_string(cleaned).unwrap(), "cleaned\n");
}

#[test]
fn a_process_that_is_stopped_is_shown_as_such() {
    let daemon = Daemon::start();
    let (run, pids) = started(&daemon, &json!({"script": "sh -c 'echo $$; exec sleep 3000' & wait"}), 1);
    assert_eq!(daemon.run(run)["stopped_pids"], Value::Null);
    assert!(signal(pids[0], Signal::STOP));
    eventually(DEADLINE, "it is stopped", || state(pids[0]) == "T");
    let listed = || daemon.get("/v1/runs?status=running").expect(200).json()["runs"][0].clone();
    assert_eq!((&daemon.run(run)["stopped_pids"], &listed()["stopped_pids"]), (&json!(pids), &json!(pids)));
    let shown = daemon.cli().args(["show", &run.to_string()]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("running, stopped") && shown.contains(&format!("kill -CONT {}", pids[0])), "{shown}");
    assert!(signal(pids[0], Signal::CONT));
    eventually(DEADLINE, "it goes on", || daemon.run(run)["stopped_pids"].is_null());
    cancel(&daemon, run);
    daemon.wait_ended(run);
}

#[test]
fn a_command_leads_a_session_of_its_own() {
    let daemon = Daemon::start();
    let run = daemon.submit(&json!({"script": "cat /proc/$$/stat; sleep 3000; exit"}));
    let mut reader = Reader::open(&daemon, run, 0);
    reader.until_stdout("\n");
    let stat = String::from_utf8(reader.told.stdout.clone()).unwrap();
    let fields: Vec<&str> = stat.split(' ').collect();
    // Its pid, its group, its session, and no terminal.
    assert_eq!((fields[4], fields[5], fields[6]), (fields[0], fields[0], "0"), "{stat}");
    cancel(&daemon, run);
    daemon.wait_ended(run);
}
