//! A backup is one whole moment of the database, made while the daemon works, and nothing less gets its name.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use crate::common::{Client, Daemon, Ended, Running, cli};

/// Runs the client without what the test's daemon gives it.
#[track_caller]
fn cli_with(daemon: &Daemon, arguments: &[&str], change: impl FnOnce(&mut Command)) -> Ended {
    let mut command = daemon.cli();
    command.args(arguments);
    change(&mut command);
    Running::start(command).ended()
}

/// A copy, opened without leave to make a file beside it; fails unless it is sound.
#[track_caller]
fn open(copy: &Path) -> Connection {
    let database = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let sound: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    database
}

fn one(database: &Connection, sql: &str) -> i64 {
    database.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn names_in(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn path(daemon: &Daemon, name: &str) -> (PathBuf, String) {
    let path = daemon.dir().join(name);
    let text = path.to_str().unwrap().to_owned();
    (path, text)
}

#[test]
fn a_copy_of_a_busy_daemon_is_one_whole_moment() {
    let daemon = Daemon::start();
    daemon.put("/v1/queues/default", &json!({"slots": 4})).expect(200);
    // Enough for many steps.
    let before = daemon.sh("head -c 12000000 /dev/urandom | base64");
    daemon.wait_ended(before);
    let (copy, name) = path(&daemon, "copy.db");
    let (stop, client) = (AtomicBool::new(false), Client::clone(&daemon));
    let (acknowledged, told) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut last = 0;
            while !stop.load(Ordering::SeqCst) {
                last = client.submit(&json!({"script": "seq 200; seq 200 >&2"}));
            }
            last
        });
        crate::common::eventually(crate::common::DEADLINE, "it is written", || {
            daemon.get("/v1/runs").json()["runs"].as_array().unwrap().len() > 5
        });
        let acknowledged = daemon.get("/v1/runs?limit=1").json()["runs"][0]["id"].as_i64().unwrap();
        let told = cli(&daemon, &["--json", "backup", &name]).expect(0).json();
        stop.store(true, Ordering::SeqCst);
        assert!(writer.join().unwrap() >= acknowledged);
        (acknowledged, told)
    });
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let database = open(&copy);
    assert_eq!(names_in(daemon.dir()).iter().filter(|name| name.contains("copy")).count(), 1);
    // What was acknowledged before it is in it; what is in it is whole.
    let runs = one(&database, "SELECT MAX(id) FROM runs");
    assert!(runs >= acknowledged, "{runs} < {acknowledged}");
    let holes = "SELECT COUNT(*) FROM (SELECT run FROM run_events GROUP BY run HAVING MAX(seq) <> COUNT(*))";
    assert_eq!(one(&database, holes), 0);
    let half_told = "SELECT COUNT(*) FROM runs WHERE (ended_at IS NOT NULL) <>
        EXISTS (SELECT 1 FROM run_events WHERE run = runs.id AND kind = 'finished')";
    assert_eq!(one(&database, half_told), 0);
    let system = daemon.get("/v1/system").json();
    let due = json!({
        "database": daemon.state_dir().join("runabout.db"), "file": name,
        "bytes": std::fs::metadata(&copy).unwrap().len(), "instance": system["instance"],
        "runs": one(&database, "SELECT COUNT(*) FROM runs"),
        "queued": one(&database, "SELECT COUNT(*) FROM runs WHERE status = 'queued'"), "sessions": 0,
        "last_run": runs, "last_event": one(&database, "SELECT MAX(id) FROM run_events"), "daemon_running": true,
        "artifacts_left_out": 0,
    });
    assert_eq!(told, due);
    assert_eq!(
        one(&database, "SELECT SUM(LENGTH(data)) FROM run_events WHERE run = 1 AND kind = 'output'"),
        16_210_527
    );
}

#[test]
fn what_is_not_in_it_is_said() {
    let daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("true"));
    let (_, name) = path(&daemon, "without.db");
    let told = cli(&daemon, &["backup", &name]).expect(0).text();
    assert!(!told.contains("artifact"), "there are none: {told}");
    daemon.wait_ended(daemon.sh("printf 12345 > $RUNABOUT_ARTIFACTS/a; printf 678 > $RUNABOUT_ARTIFACTS/b"));
    let told = cli(&daemon, &["backup", "--force", &name]).expect(0).text();
    let dir = daemon.state_dir().join("artifacts");
    assert!(told.contains(&format!("without 2 artifacts (8 bytes): copy {} too", dir.display())), "{told}");
    let told = cli(&daemon, &["--json", "backup", "--force", &name]).expect(0).json();
    assert_eq!(told["artifacts_left_out"], 2);
}

#[test]
fn a_name_is_given_once_and_only_to_what_is_whole() {
    let daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("echo hello"));
    let (copy, name) = path(&daemon, "copy.db");
    let told = cli(&daemon, &["backup", &name]).expect(0).text();
    assert!(told.starts_with(&name) && told.contains("1 run, events up to 4; checked; made while"), "{told}");
    let first = std::fs::read(&copy).unwrap();
    daemon.wait_ended(daemon.sh("echo again"));
    let refused = cli(&daemon, &["backup", &name]).expect(1);
    assert!(refused.stderr.contains("--force"), "{refused:?}");
    assert_eq!(std::fs::read(&copy).unwrap(), first);
    cli(&daemon, &["backup", "--force", &name]).expect(0);
    assert_eq!(one(&open(&copy), "SELECT COUNT(*) FROM runs"), 2);
    // A link is replaced, not followed.
    let (link, link_name) = path(&daemon, "link.db");
    let (_, victim) = path(&daemon, "victim");
    std::fs::write(&victim, "precious").unwrap();
    std::os::unix::fs::symlink(&victim, &link).unwrap();
    cli(&daemon, &["backup", &link_name]).expect(1);
    cli(&daemon, &["backup", "--force", &link_name]).expect(0);
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
    assert!(!link.is_symlink());
    // Never the daemon's own, nor what is no file.
    let state = daemon.state_dir();
    for own in ["runabout.db", "runabout.db-wal", "runabout.lock", "runabout.sock"] {
        let refused = cli(&daemon, &["backup", "--force", state.join(own).to_str().unwrap()]).expect(1);
        assert!(refused.stderr.contains("the daemon's own"), "{refused:?}");
    }
    for no_file in [daemon.dir().to_str().unwrap(), "/dev/null", "/nowhere/copy.db"] {
        cli(&daemon, &["backup", "--force", no_file]).expect(1);
    }
    assert_eq!(names_in(daemon.dir()).iter().filter(|name| name.contains("part")).count(), 0);
    assert_eq!(daemon.run(1)["status"], "succeeded");
}

#[test]
fn a_copy_can_go_down_a_pipe() {
    let daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("echo hello"));
    let spool = daemon.dir().join("spool");
    std::fs::create_dir(&spool).unwrap();
    let sent = cli_with(&daemon, &["backup", "-"], |command| _ = command.env("TMPDIR", &spool)).expect(0);
    assert_eq!((sent.stderr.as_str(), names_in(&spool)), ("", vec![]));
    let (copy, name) = path(&daemon, "copy.db");
    std::fs::write(&copy, &sent.stdout).unwrap();
    assert_eq!(one(&open(&copy), "SELECT COUNT(*) FROM runs"), 1, "{name}");
    let nowhere = daemon.dir().join("nowhere");
    let refused = cli_with(&daemon, &["backup", "-"], |command| _ = command.env("TMPDIR", &nowhere)).expect(1);
    assert!(refused.stderr.contains("nowhere") && !refused.stderr.contains("database"), "{refused:?}");
}

#[test]
fn without_a_daemon_the_log_it_left_is_part_of_the_copy() {
    let mut daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("echo hello"));
    daemon.kill9();
    let (copy, name) = path(&daemon, "copy.db");
    let told = cli(&daemon, &["backup", &name]).expect(0).text();
    assert!(told.contains("no daemon runs"), "{told}");
    assert_eq!(one(&open(&copy), "SELECT COUNT(*) FROM run_events WHERE kind = 'finished'"), 1);
    daemon.start_again();
    assert_eq!(daemon.run(1)["status"], "succeeded");
    // Where there is none, no file comes to be beside the database.
    daemon.stop();
    cli(&daemon, &["backup", "--force", &name]).expect(0);
    assert_eq!(
        names_in(&daemon.state_dir()),
        ["artifacts", "keep", "runabout.ballast", "runabout.db", "runabout.lock"]
    );
    let nowhere = daemon.dir().join("nowhere");
    let refused = cli(&daemon, &["backup", "--state-dir", nowhere.to_str().unwrap(), "/tmp/x.db"]).expect(1);
    assert!(refused.stderr.contains("there is no database"), "{refused:?}");
}

#[test]
fn over_a_network_it_says_where_to_go() {
    let daemon = Daemon::start();
    let (copy, name) = path(&daemon, "copy.db");
    let refused = cli(&daemon, &["backup", "--url", "http://pi.local:7867", &name]).expect(2);
    assert!(refused.stderr.contains("ssh HOST sudo runabout backup -"), "{refused:?}");
    let there = |command: &mut Command| {
        command.env("RUNABOUT_URL", "http://pi.local:7867").env_remove("RUNABOUT_STATE_DIR");
    };
    for command in ["backup", "restore"] {
        let refused = cli_with(&daemon, &[command, &name], there).expect(2);
        assert!(refused.stderr.contains("your commands go to http://pi.local:7867"), "{refused:?}");
    }
    assert!(!copy.exists());
}

#[test]
fn it_copies_the_database_of_the_daemon_that_ls_asks_and_names_it() {
    let (daemon, stale) = (Daemon::start(), Daemon::start());
    daemon.wait_ended(daemon.sh("echo hello"));
    let (copy, name) = path(&daemon, "copy.db");
    let there = |command: &mut Command| {
        command.env("RUNABOUT_URL", format!("unix:{}/runabout.sock", daemon.state_dir().display()));
        command.env("RUNABOUT_STATE_DIR", stale.state_dir());
    };
    let listed = cli_with(&daemon, &["ls", "--json"], there).expect(0).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    let told = cli_with(&daemon, &["backup", &name], there).expect(0).text();
    assert!(told.contains(&format!("a copy of {}/runabout.db: ", daemon.state_dir().display())), "{told}");
    assert_eq!(one(&open(&copy), "SELECT COUNT(*) FROM runs"), 1);
    let strange = |command: &mut Command| {
        command.env("RUNABOUT_URL", "unix:/run/elsewhere.sock");
    };
    for command in [&["backup", "--force", &name][..], &["doctor"], &["restore", &name]] {
        let refused = cli_with(&daemon, command, strange).expect(2);
        assert!(refused.stderr.contains("--state-dir"), "{refused:?}");
    }
}

#[test]
fn a_damaged_database_gets_no_copy() {
    let mut daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("head -c 400000 /dev/urandom | base64"));
    daemon.stop();
    let database = daemon.state_dir().join("runabout.db");
    let mut bytes = std::fs::read(&database).unwrap();
    let middle = bytes.len() / 2 / 4_096 * 4_096;
    bytes[middle..middle + 4_096].fill(0xa5);
    std::fs::write(&database, bytes).unwrap();
    let (copy, name) = path(&daemon, "copy.db");
    let refused = cli(&daemon, &["backup", &name]).expect(1);
    assert!(refused.stderr.contains("is damaged"), "{refused:?}");
    assert!(!copy.exists());
    assert_eq!(names_in(daemon.dir()).iter().filter(|name| name.contains("part")).count(), 0);
}
