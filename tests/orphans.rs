//! What a dead daemon left running is found at the next start, told, killed and only then settled; nobody else is
//! touched.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::common::{DEADLINE, Daemon, Reader, eventually, kill, proc_exists, signal, wait_gone};

/// Does not obey SIGTERM.
const STUBBORN: &str = "trap '' TERM; echo $$; exec sleep 300";

/// A grace that no test waits for, so that what ends within it was not killed for being late.
fn with_long_grace() -> Daemon {
    Daemon::with_config("[runs]\nkill_grace_s = 600\n")
}

/// Submits it and waits until it has said so many pids, one a line; answers the run and these.
#[track_caller]
fn started(daemon: &Daemon, spec: &Value, count: usize) -> (i64, Vec<i32>) {
    let run = daemon.submit(spec);
    let mut reader = Reader::open(daemon, run, 0);
    while reader.told.stdout.iter().filter(|&&byte| byte == b'\n').count() < count {
        reader.until_kind("output");
    }
    // Its pid is on the medium before its output.
    let said = String::from_utf8(reader.told.stdout).unwrap();
    (run, said.lines().map(|pid| pid.parse().unwrap()).collect())
}

/// Changes the database while nobody serves it.
#[track_caller]
fn change(daemon: &Daemon, sql: &str) {
    let database = Connection::open(daemon.state_dir().join("runabout.db")).unwrap();
    assert_eq!(database.execute(sql, []).unwrap(), 1, "{sql}");
}

#[track_caller]
fn assert_lost(daemon: &Daemon, run: i64) {
    let lost = daemon.wait_ended(run);
    let ending = json!([lost["status"], lost["reason"], lost["exit_code"], lost["signal"], lost["pid"]]);
    assert_eq!(ending, json!(["interrupted", "daemon_lost", null, null, null]), "{lost}");
    assert_eq!(daemon.kinds(run), ["queued", "started", "finished"]);
    assert_eq!(daemon.get(&format!("/v1/runs/{run}/exit_code")).expect(200).text(), "125\n");
    assert_eq!(daemon.descendants(), [0; 0], "something is left");
}

/// A process of somebody else's, in a group of its own.
struct Bystander(Child);

impl Bystander {
    fn new() -> Bystander {
        Bystander(Command::new("sleep").arg("300").process_group(0).spawn().unwrap())
    }

    fn pid(&self) -> i32 {
        self.0.id() as i32
    }

    fn start_ticks(&self) -> i64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(19)).unwrap().parse().unwrap()
    }

    #[track_caller]
    fn assert_untouched(&mut self) {
        assert_eq!(self.0.try_wait().unwrap(), None, "it was killed");
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        assert!(!status.contains("T (stopped)"), "{status}");
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_leader_that_lives_is_told_and_its_run_interrupted() {
    let mut daemon = with_long_grace();
    let told = daemon.dir().join("told");
    let script = format!(
        "sh -c 'echo $$; exec sleep 300' & trap 'echo told >{}; exit 0' TERM; echo $$; sleep 300 & wait",
        told.display()
    );
    let (run, pids) = started(&daemon, &json!({"script": script}), 2);
    daemon.kill9();
    assert!(pids.iter().all(|&pid| proc_exists(pid)));
    daemon.start_again();
    assert_lost(&daemon, run);
    pids.into_iter().for_each(wait_gone);
    assert_eq!(std::fs::read_to_string(told).unwrap(), "told\n");
    daemon.restart();
    assert_lost(&daemon, run);
}

#[test]
fn a_child_whose_leader_is_dead_is_found_by_its_group() {
    let mut daemon = with_long_grace();
    let told = daemon.dir().join("told");
    let child = format!("trap \"echo told >{}; exit 0\" TERM; echo $$; sleep 300 & wait", told.display());
    let (run, children) = started(&daemon, &json!({"script": format!("sh -c '{child}' & wait")}), 1);
    let leader = daemon.wait_running(run);
    daemon.kill9();
    assert!(kill(leader));
    wait_gone(leader);
    assert!(proc_exists(children[0]));
    daemon.start_again();
    assert_lost(&daemon, run);
    wait_gone(children[0]);
    assert_eq!(std::fs::read_to_string(told).unwrap(), "told\n");
}

#[test]
fn what_ignores_sigterm_is_killed_when_the_grace_is_up() {
    let mut daemon = Daemon::with_config("[runs]\nkill_grace_s = 1\n");
    let script = "sh -c 'trap \"\" TERM; echo $$; exec sleep 300' & trap '' TERM; echo $$; exec sleep 300";
    let (run, pids) = started(&daemon, &json!({"script": script}), 2);
    daemon.kill9();
    let begun = Instant::now();
    daemon.start_again();
    assert_lost(&daemon, run);
    assert!(begun.elapsed() >= Duration::from_secs(1), "it had {:?}", begun.elapsed());
    pids.into_iter().for_each(wait_gone);
}

#[test]
fn a_child_that_ignores_sigterm_is_killed_a_moment_after_its_leader() {
    let mut daemon = with_long_grace();
    let script = "sh -c 'trap \"\" TERM; echo $$; exec sleep 300' & echo $$; wait";
    let (run, pids) = started(&daemon, &json!({"script": script}), 2);
    daemon.kill9();
    daemon.start_again();
    assert_lost(&daemon, run);
    pids.into_iter().for_each(wait_gone);
}

#[test]
fn what_was_stopped_is_continued_so_that_it_is_told() {
    let mut daemon = with_long_grace();
    let (run, pids) = started(&daemon, &json!({"script": "echo $$; exec sleep 300"}), 1);
    assert!(signal(pids[0], Signal::STOP));
    daemon.kill9();
    daemon.start_again();
    assert_lost(&daemon, run);
    wait_gone(pids[0]);
}

#[test]
fn what_was_not_written_down_is_found_by_its_environment() {
    let mut daemon = with_long_grace();
    let script =
        "sh -c 'trap \"\" TERM; echo $$; exec sleep 300' & setsid sh -c 'echo $$; exec sleep 300' & echo $$; wait";
    let (run, pids) = started(&daemon, &json!({"script": script}), 3);
    daemon.kill9();
    change(&daemon, &format!("UPDATE runs SET pid = NULL, start_ticks = NULL, boot_id = NULL WHERE id = {run}"));
    // The same number of another database's run is not ours.
    let mut stranger = Bystander(
        Command::new("sleep")
            .arg("300")
            .env("RUNABOUT_RUN_ID", run.to_string())
            .env("RUNABOUT_INSTANCE", "aaaaaaaaaaaa")
            .spawn()
            .unwrap(),
    );
    daemon.start_again();
    assert_lost(&daemon, run);
    pids.into_iter().for_each(wait_gone);
    stranger.assert_untouched();
}

#[test]
fn a_run_of_which_nothing_is_left_is_settled_at_once() {
    let mut daemon = with_long_grace();
    let (run, pids) = started(&daemon, &json!({"script": STUBBORN}), 1);
    let next = daemon.sh("true");
    daemon.kill9();
    kill(pids[0]);
    wait_gone(pids[0]);
    daemon.start_again();
    assert_lost(&daemon, run);
    assert_eq!(daemon.wait_ended(next)["status"], "succeeded");
}

#[test]
fn a_run_that_is_to_be_repeated_is_queued_again_as_the_next_attempt() {
    let mut daemon = with_long_grace();
    let script = "echo $$; [ $RUNABOUT_ATTEMPT = 2 ] || exec sleep 300";
    let (run, pids) = started(&daemon, &json!({"script": script, "on_interrupt": "requeue"}), 1);
    daemon.kill9();
    daemon.start_again();
    let again = daemon.wait_ended(run);
    assert_eq!(json!([again["status"], again["attempt"], again["exit_code"]]), json!(["succeeded", 2, 0]), "{again}");
    wait_gone(pids[0]);
    let expected = ["queued", "started", "attempt_ended", "queued", "started", "finished"];
    assert_eq!(daemon.kinds(run), expected);
    let events: Vec<Value> = daemon.events(run).into_iter().filter(|event| event["kind"] != "output").collect();
    let attempts: Vec<&Value> = events[..5].iter().map(|event| &event["data"]["attempt"]).collect();
    assert_eq!(attempts, [1, 1, 1, 2, 2]);
    let lost = &events[2]["data"];
    assert_eq!(
        json!([lost["reason"], lost["exit_code"], lost["signal"]]),
        json!(["daemon_lost", null, null]),
        "{lost}"
    );
    let database = Connection::open(daemon.state_dir().join("runabout.db")).unwrap();
    let mut statement =
        database.prepare("SELECT attempt, reason FROM attempts WHERE run = ?1 ORDER BY attempt").unwrap();
    let kept = statement.query_map([run], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let kept: Vec<(i64, String)> = kept.map(Result::unwrap).collect();
    assert_eq!(kept, [(1, "daemon_lost".to_owned()), (2, "exited".to_owned())], "past attempts are kept");
}

#[test]
fn the_daemon_serves_meanwhile_but_the_slot_stays_taken() {
    let mut daemon = with_long_grace();
    daemon.put("/v1/queues/other", &json!({})).expect(201);
    let (run, pids) = started(&daemon, &json!({"script": STUBBORN}), 1);
    let waiting = daemon.sh("true");
    daemon.kill9();
    daemon.start_again();
    let other = daemon.submit(&json!({"script": "echo served", "queue": "other"}));
    assert_eq!(daemon.wait_ended(other)["status"], "succeeded");
    let later = daemon.sh("true");
    let held = daemon.run(run);
    assert_eq!((&held["status"], &held["pid"]), (&"running".into(), &pids[0].into()), "{held}");
    let mut reader = Reader::open(&daemon, run, 0);
    reader.until_caught_up();
    for queued in [waiting, later] {
        assert_eq!(daemon.run(queued)["status"], "queued", "the slot was given away");
    }
    let queues = daemon.get("/v1/queues/default").expect(200).json();
    assert_eq!(json!([queues["running"], queues["queued"]]), json!([1, 2]), "{queues}");
    assert!(proc_exists(pids[0]), "the test took longer than the grace");
    kill(pids[0]);
    assert_eq!(reader.until_end()["status"], "interrupted");
    let ended_at = daemon.run(run)["ended_at"].as_str().unwrap().to_owned();
    for queued in [waiting, later] {
        let run = daemon.wait_ended(queued);
        assert_eq!(run["status"], "succeeded");
        assert!(run["started_at"].as_str().unwrap() >= ended_at.as_str(), "{run} before {ended_at}");
    }
}

#[test]
fn a_pid_that_was_given_out_anew_is_not_touched() {
    let mut daemon = with_long_grace();
    let mut bystander = Bystander::new();
    let (pid, ticks) = (bystander.pid(), bystander.start_ticks());
    // Another start time; the same, but of another boot.
    for columns in [
        format!("pid = {pid}, start_ticks = {ticks} - 1"),
        format!("pid = {pid}, start_ticks = {ticks}, boot_id = 'another'"),
    ] {
        let (run, pids) = started(&daemon, &json!({"script": STUBBORN}), 1);
        daemon.kill9();
        kill(pids[0]);
        wait_gone(pids[0]);
        change(&daemon, &format!("UPDATE runs SET {columns} WHERE id = {run}"));
        daemon.start_again();
        assert_lost(&daemon, run);
        bystander.assert_untouched();
    }
}

#[test]
fn a_cancel_that_was_asked_before_the_crash_decides() {
    let mut daemon = with_long_grace();
    for on_interrupt in ["fail", "requeue"] {
        let (run, pids) = started(&daemon, &json!({"script": STUBBORN, "on_interrupt": on_interrupt}), 1);
        let path = format!("/v1/runs/{run}/cancel");
        daemon.post(&path, &json!({"reason": "before"})).expect(202);
        daemon.kill9();
        assert!(proc_exists(pids[0]));
        daemon.start_again();
        daemon.post(&path, &json!({"reason": "after"})).expect(202);
        kill(pids[0]);
        let canceled = daemon.wait_ended(run);
        assert_eq!((&canceled["status"], &canceled["reason"]), (&"canceled".into(), &"canceled".into()), "{canceled}");
        assert_eq!(daemon.kinds(run), ["queued", "started", "cancel_requested", "finished"]);
        daemon.post(&path, &json!({})).expect(200);
    }
}

#[test]
fn a_cancel_while_the_orphan_is_ended_keeps_it_from_starting_again() {
    let mut daemon = with_long_grace();
    let (run, pids) = started(&daemon, &json!({"script": STUBBORN, "on_interrupt": "requeue"}), 1);
    daemon.kill9();
    daemon.start_again();
    daemon.post(&format!("/v1/runs/{run}/cancel"), &json!({})).expect(202);
    assert!(proc_exists(pids[0]));
    kill(pids[0]);
    let ended = daemon.wait_ended(run);
    assert_eq!(ended["attempt"], 1, "{ended}");
    assert_eq!(daemon.kinds(run), ["queued", "started", "cancel_requested", "finished"]);
}

#[test]
fn a_daemon_that_dies_again_leaves_the_orphan_to_the_next() {
    let mut daemon = with_long_grace();
    let (run, pids) = started(&daemon, &json!({"script": STUBBORN}), 1);
    for _ in 0..2 {
        daemon.kill9();
        daemon.start_again();
        assert_eq!(daemon.run(run)["status"], "running");
    }
    assert!(proc_exists(pids[0]));
    daemon.kill9();
    daemon.rebuild(|builder| builder.config("[runs]\nkill_grace_s = 0\n"));
    daemon.start_again();
    assert_lost(&daemon, run);
    eventually(DEADLINE, "the orphan is gone", || !proc_exists(pids[0]));
}

#[test]
fn a_daemon_that_is_stopped_ends_the_orphan_and_settles_its_run_first() {
    for (on_interrupt, status) in [("fail", "interrupted"), ("requeue", "queued")] {
        let mut daemon = Daemon::with_config("[runs]\nkill_grace_s = 600\nshutdown_grace_s = 1\n");
        let (run, pids) = started(&daemon, &json!({"script": STUBBORN, "on_interrupt": on_interrupt}), 1);
        daemon.kill9();
        daemon.start_again();
        assert!(proc_exists(pids[0]));
        daemon.stop();
        assert!(!proc_exists(pids[0]), "it outlives the daemon that looked after it");
        let database = Connection::open(daemon.state_dir().join("runabout.db")).unwrap();
        let now: String = database.query_row("SELECT status FROM runs WHERE id = ?1", [run], |row| row.get(0)).unwrap();
        assert_eq!(now, status);
    }
}
