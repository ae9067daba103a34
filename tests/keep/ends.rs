//! Each end has its reason: a time that is up, a keeper that was killed or is silent, a stop that is to end all, no start.

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};

use rustix::process::Signal;
use serde_json::json;

use super::{assert_nothing_is_left, ending, keep_directory, keeper_pid, survivor, wait_printed};
use crate::common::{
    DEADLINE, Daemon, Traced, eventually, kill, output_of, proc_exists, signal, strace_is_there, wait_gone,
};

#[test]
fn time_and_grace_are_kept_while_nobody_is_there() {
    let mut daemon = Daemon::with_config("[runs]\nkill_grace_s = 1\n");
    let script = "trap 'echo told' TERM; echo begun; while :; do sleep 0.05; done";
    let run = daemon.submit(&json!({"script": script, "survive": true, "timeout_s": 1}));
    let keeper = keeper_pid(&daemon, run);
    wait_printed(&daemon, run, "begun");
    daemon.kill9();
    wait_gone(keeper);
    daemon.start_again();
    let ended = daemon.wait_ended(run);
    assert_eq!(ending(&ended), json!(["timed_out", "timeout", null, 9]), "{ended}");
    assert!(output_of(&daemon.events(run)).0.ends_with(b"told\n"));
    assert_nothing_is_left(&daemon);
}

#[test]
fn a_keeper_that_was_killed_is_a_lost_daemon_and_its_command_is_ended() {
    let mut daemon = Daemon::start();
    for is_away in [false, true] {
        let run = survivor(&daemon, "echo begun; exec sleep 300");
        let keeper = keeper_pid(&daemon, run);
        wait_printed(&daemon, run, "begun");
        let pid = daemon.wait_running(run);
        if is_away {
            daemon.stop();
        }
        assert!(kill(keeper));
        if is_away {
            wait_gone(keeper);
            assert!(proc_exists(pid), "nobody is there to end it");
            daemon.start_again();
        }
        assert_eq!(ending(&daemon.wait_ended(run)), json!(["interrupted", "daemon_lost", null, null]));
        wait_gone(pid);
        assert_nothing_is_left(&daemon);
    }
}

#[test]
fn a_keeper_that_is_silent_is_waited_for_and_what_was_asked_meanwhile_is_done() {
    let mut daemon = Daemon::builder().config("[runs]\nkill_grace_s = 0\n").start();
    let run = survivor(&daemon, "echo begun; exec sleep 300");
    let keeper = keeper_pid(&daemon, run);
    wait_printed(&daemon, run, "begun");
    assert!(signal(keeper, Signal::STOP));
    daemon.kill9();
    daemon.start_again();
    let shown = || daemon.run(run)["detached_since"].is_string();
    eventually(DEADLINE, "it is told that it is not heard of", shown);
    daemon.post(&format!("/v1/runs/{run}/cancel"), &json!({})).expect(202);
    let said = || daemon.log().contains(&format!("the command of run {run} is ended once its keeper answers"));
    eventually(DEADLINE, "what becomes of the cancel is said", said);
    assert!(!daemon.log().contains("outlives SIGKILL"), "nothing was killed yet");
    assert_eq!(daemon.run(run)["status"], "running", "never judged by its silence");
    daemon.stop();
    assert!(signal(keeper, Signal::CONT));
    daemon.start_again();
    assert_eq!(daemon.wait_ended(run)["status"], "canceled");
    wait_gone(keeper);
    assert_nothing_is_left(&daemon);
}

#[test]
fn a_stop_that_is_to_end_all_ends_survivors_too() {
    let mut daemon = Daemon::builder().arg("--stop-all").start();
    let run = survivor(&daemon, "echo begun; exec sleep 300");
    let keeper = keeper_pid(&daemon, run);
    wait_printed(&daemon, run, "begun");
    daemon.restart();
    assert_eq!(ending(&daemon.run(run)), json!(["interrupted", "shutdown", null, 15]));
    wait_gone(keeper);
    assert_nothing_is_left(&daemon);
}

#[test]
fn an_end_that_a_full_disk_does_not_take_holds_no_stop_up_and_is_told_again() {
    if !strace_is_there() {
        return eprintln!("skipped: strace is not there");
    }
    let mut daemon = Daemon::start();
    let gate = daemon.gate("go");
    let run = survivor(&daemon, &format!("echo begun; {}; exit 7", gate.wait()));
    wait_printed(&daemon, run, "begun");
    let traced = Traced::inject(daemon.pid(), daemon.dir().join("strace"), "pwrite64", "error=ENOSPC");
    gate.open();
    eventually(DEADLINE, "its end is not taken", || daemon.log().contains("kept for the ends of runs is given back"));
    daemon.signal(Signal::TERM);
    daemon.wait_exit(DEADLINE);
    drop(traced);
    daemon.start_again();
    assert_eq!(ending(&daemon.wait_ended(run)), json!(["failed", "exited", 7, null]));
    assert_nothing_is_left(&daemon);
}

#[test]
fn a_command_that_cannot_start_says_why_as_any_other() {
    let daemon = Daemon::start();
    let run = daemon.submit(&json!({"command": ["no-such-program"], "survive": true}));
    let ended = daemon.wait_ended(run);
    assert_eq!((&ended["reason"], &ended["error"]), (&json!("spawn_failed"), &json!("not found: no-such-program")));
    assert_nothing_is_left(&daemon);
}

#[test]
fn where_the_directory_of_keepers_is_others_too_nothing_survives_until_that_is_mended_and_the_daemon_starts_anew() {
    let mut daemon = Daemon::start();
    let mode = |daemon: &Daemon, mode| {
        std::fs::set_permissions(keep_directory(daemon), Permissions::from_mode(mode)).unwrap();
    };
    daemon.stop();
    mode(&daemon, 0o777);
    daemon.start_again();
    let run = survivor(&daemon, "echo begun");
    let ended = daemon.wait_ended(run);
    let error = ended["error"].as_str().unwrap_or_default();
    assert!(error.contains("move it away") && error.ends_with("; its next start looks again"), "{ended}");
    daemon.stop();
    mode(&daemon, 0o700);
    daemon.start_again();
    let run = survivor(&daemon, "echo begun");
    assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
}

/// As for want of descriptors, or while its file system is away: the directory of a daemon that was started in another way.
#[test]
fn a_keeper_whose_directory_cannot_be_opened_is_waited_for() {
    let mut daemon = Daemon::start();
    let gate = daemon.gate("go");
    let run = survivor(&daemon, &format!("echo begun; {}; exit 3", gate.wait()));
    let keeper = keeper_pid(&daemon, run);
    wait_printed(&daemon, run, "begun");
    daemon.stop();
    let runtime = daemon.dir().join("runtime");
    DirBuilder::new().mode(0o700).create(&runtime).unwrap();
    daemon.rebuild(|builder| builder.env("RUNTIME_DIRECTORY", runtime.to_str().unwrap()));
    let (place, away) = (keep_directory(&daemon), daemon.dir().join("away"));
    std::fs::rename(&place, &away).unwrap();
    std::fs::write(&place, "").unwrap();
    daemon.start_again();
    eventually(DEADLINE, "it is told that it is not heard of", || daemon.run(run)["detached_since"].is_string());
    assert!(proc_exists(keeper) && daemon.run(run)["status"] == "running", "{}", daemon.run(run));
    daemon.stop();
    std::fs::remove_file(&place).unwrap();
    std::fs::rename(&away, &place).unwrap();
    daemon.start_again();
    gate.open();
    assert_eq!(ending(&daemon.wait_ended(run)), json!(["failed", "exited", 3, null]));
    assert_eq!(output_of(&daemon.events(run)).0, b"begun\n");
    assert_nothing_is_left(&daemon);
}
