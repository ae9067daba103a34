//! A database that was deleted, moved, replaced or overwritten under a running daemon: nothing is acknowledged that the
//! next start would not find, and everything goes on when it is back. A socket that vanished is made again.

use std::fs;
use std::path::Path;
use std::process::Command;

use rusqlite::Connection;
use serde_json::json;

use crate::common::small_disk::{SmallDisk, in_namespace};
use crate::common::{Client, DEADLINE, Daemon, TempDir, cli, eventually, output_of};

/// Until it says so: a look may be a second old.
#[track_caller]
fn until_refused(client: &Client) {
    eventually(DEADLINE, "it is not ready", || client.get("/readyz").status == 503);
    let problem = client.post("/v1/runs", &json!({"script": "true"})).expect_problem(503, "storage_unavailable");
    assert!(problem["detail"].as_str().unwrap().contains("under the daemon"), "{problem}");
}

#[track_caller]
fn until_taken(client: &Client) {
    eventually(DEADLINE, "it is ready", || client.get("/readyz").status == 200);
    client.post("/v1/runs", &json!({"script": "true"})).expect(201);
}

fn database(daemon: &Daemon) -> std::path::PathBuf {
    daemon.state_dir().join("runabout.db")
}

#[test]
fn a_file_that_is_moved_away_and_back_is_taken_up_again() {
    let mut daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("echo one"));
    let away = daemon.dir().join("away");
    for name in ["runabout.db", "runabout.db-wal", "runabout.db-shm"] {
        let file = daemon.state_dir().join(name);
        let gate = daemon.gate(name);
        let run = daemon.sh(&format!("echo before; {}; seq 1 40000; exit 3", gate.wait()));
        daemon.wait_running(run);
        fs::rename(&file, &away).unwrap();
        until_refused(&daemon);
        assert!(daemon.log().contains(&format!("{name} is gone")), "{}", daemon.log());
        assert!(cli(&daemon, &["doctor"]).expect(1).text().contains("under the daemon"));
        gate.open();
        assert_eq!(daemon.run(1)["status"], "succeeded", "reads go on");
        assert_eq!(daemon.run(run)["status"], "running");
        fs::rename(&away, &file).unwrap();
        let ended = daemon.wait_ended(run);
        assert_eq!(ended["exit_code"], 3, "what ran goes on");
        let whole: String =
            std::iter::once("before\n".to_owned()).chain((1..=40_000).map(|n| format!("{n}\n"))).collect();
        assert!(output_of(&daemon.events(run)).0 == whole.as_bytes());
        until_taken(&daemon);
    }
    daemon.restart();
    assert_eq!(daemon.run(7)["id"], 7);
}

#[test]
fn a_file_that_was_replaced_is_left_alone_and_is_what_the_next_start_finds() {
    let mut daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("echo one"));
    let copy = daemon.dir().join("copy.db");
    cli(&daemon, &["backup", copy.to_str().unwrap()]).expect(0);
    daemon.wait_ended(daemon.sh("echo two"));
    let replaced = fs::read(&copy).unwrap();
    fs::rename(&copy, database(&daemon)).unwrap();
    until_refused(&daemon);
    assert_eq!(daemon.run(2)["status"], "succeeded", "it is read on");
    daemon.stop();
    assert!(fs::read(database(&daemon)).unwrap() == replaced, "nothing of the other's was written into it");
    daemon.start_again();
    assert_eq!(daemon.get("/v1/runs").expect(200).json()["runs"].as_array().unwrap().len(), 1);
    let sound: String =
        Connection::open(database(&daemon)).unwrap().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    until_taken(&daemon);
}

#[test]
fn a_file_that_was_written_over_is_found_out() {
    let mut daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("echo one"));
    let copy = daemon.dir().join("copy.db");
    cli(&daemon, &["backup", copy.to_str().unwrap()]).expect(0);
    for from_start in [true, false] {
        // Whether its log has been moved into it before or not.
        if !from_start {
            daemon.restart();
        }
        daemon.wait_ended(daemon.sh("echo more"));
        fs::copy(&copy, database(&daemon)).unwrap();
        until_refused(&daemon);
        assert!(daemon.log().contains("was overwritten"), "{}", daemon.log());
        daemon.stop();
        daemon.start_again();
        until_taken(&daemon);
    }
}

#[test]
fn a_log_that_was_deleted_is_moved_into_the_file_at_the_stop() {
    let mut daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("echo one"));
    for name in ["runabout.db-wal", "runabout.db-shm"] {
        fs::remove_file(daemon.state_dir().join(name)).unwrap();
    }
    until_refused(&daemon);
    daemon.restart();
    assert_eq!(output_of(&daemon.events(1)).0, b"one\n", "what was acknowledged is there");
    until_taken(&daemon);
}

#[test]
fn another_process_may_move_the_log_into_the_file() {
    let daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("echo one"));
    for mode in ["PASSIVE", "TRUNCATE", "RESTART", "PASSIVE"] {
        daemon.wait_ended(daemon.sh("seq 1 5000"));
        let beside = Connection::open(database(&daemon)).unwrap();
        beside.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(())).unwrap();
        drop(beside);
        daemon.get("/readyz").expect(200);
        daemon.wait_ended(daemon.sh("true"));
    }
    assert!(!daemon.log().contains("ERROR"), "{}", daemon.log());
}

#[test]
fn a_disk_that_is_unmounted_is_found_out() {
    in_namespace("displaced::a_disk_that_is_unmounted_is_found_out", || {
        let dir = TempDir::new();
        let disk = SmallDisk::mount(&dir, 32);
        let daemon = Daemon::builder().start_in(dir);
        daemon.wait_ended(daemon.sh("echo one"));
        let tcp = daemon.tcp_as("operator");
        assert!(Command::new("umount").arg("-l").arg(disk.path()).status().unwrap().success());
        until_refused(&tcp);
        assert!(fs::read_dir(disk.path()).unwrap().next().is_none(), "nothing is made where the disk was");
        tcp.get("/v1/runs/1").expect(200);
        drop(daemon);
        drop(disk);
    });
}

#[test]
fn a_socket_that_vanished_is_made_again() {
    let mut daemon = Daemon::start();
    let socket = daemon.state_dir().join("runabout.sock");
    let answers = |daemon: &Daemon| eventually(DEADLINE, "it answers", || cli(daemon, &["ls"]).status.success());
    for _ in 0..2 {
        fs::remove_file(&socket).unwrap();
        answers(&daemon);
    }
    // With its whole directory, which is nobody's to make.
    let (state, away) = (daemon.state_dir(), daemon.dir().join("away"));
    fs::rename(&state, &away).unwrap();
    let tcp = daemon.tcp();
    eventually(DEADLINE, "it is told", || daemon.log().contains("has vanished"));
    assert!(!Path::new(&state).exists());
    tcp.get("/healthz").expect(200);
    fs::remove_file(away.join("runabout.sock")).unwrap();
    fs::rename(&away, &state).unwrap();
    answers(&daemon);
    until_taken(&daemon);
    // Another program's stays.
    fs::remove_file(&socket).unwrap();
    answers(&daemon);
    daemon.stop();
    assert!(!socket.exists(), "it takes its own away");
}
