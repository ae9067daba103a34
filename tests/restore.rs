//! A copy takes the database's place only while no daemon has it; what was there is kept, readers are told, and no id is
//! given out twice.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::common::{DEADLINE, Daemon, Running, cli, eventually};

fn copy_of(daemon: &Daemon, name: &str) -> String {
    let copy = daemon.dir().join(name).to_str().unwrap().to_owned();
    cli(daemon, &["backup", &copy]).expect(0);
    copy
}

fn instance(daemon: &Daemon) -> Value {
    daemon.get("/v1/system").expect(200).json()["instance"].clone()
}

fn kept(daemon: &Daemon) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(daemon.state_dir()).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.to_str().unwrap().contains("before-restore")).collect()
}

fn runs_in(database: &Path) -> i64 {
    let database = Connection::open(database).unwrap();
    database.query_row("SELECT COUNT(*) FROM runs", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_running_daemon_keeps_its_database() {
    let mut daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("true"));
    let copy = copy_of(&daemon, "copy.db");
    let before = instance(&daemon);
    let refused = cli(&daemon, &["restore", &copy]).expect(1);
    assert!(refused.stderr.contains(&format!("pid {}", daemon.pid())), "{refused:?}");
    assert!(refused.stderr.contains("stop it first"), "{refused:?}");
    daemon.restart();
    assert_eq!((instance(&daemon), kept(&daemon)), (before, vec![]));
}

#[test]
fn what_was_there_is_kept_and_ids_go_on() {
    let mut daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("echo first"));
    let gate = daemon.gate("gate");
    let running = daemon.sh(&gate.wait());
    daemon.wait_running(running);
    let session = daemon.enroll("viewer");
    let unused = daemon.post("/v1/enrollment-tokens", &json!({"role": "admin"})).expect(201).json();
    let queued = daemon.submit(&json!({"script": "echo queued", "delay_s": 3_600}));
    let copy = copy_of(&daemon, "copy.db");
    gate.open();
    daemon.wait_ended(running);
    let later = daemon.sh("echo later");
    daemon.wait_ended(later);
    let (old, last_id) = (instance(&daemon), daemon.events(later).last().unwrap()["id"].as_i64().unwrap());
    daemon.stop();

    let told = cli(&daemon, &["--json", "restore", &copy]).expect(0).json();
    assert_eq!((&told["runs"], &told["queued"], &told["sessions"]), (&json!(3), &json!(1), &json!(1)));
    let kept = kept(&daemon);
    assert_eq!(told["kept"], json!(kept[0].to_str().unwrap()));
    assert_eq!((kept.len(), runs_in(&kept[0])), (1, 4));

    daemon.start_again();
    let new = instance(&daemon);
    assert_ne!(new, old);
    assert_eq!(told["instance"], new);
    assert_eq!(daemon.run(1)["status"], "succeeded");
    // It ran when the copy was made, and nobody can say what became of it.
    let lost = daemon.wait_ended(running);
    assert_eq!((&lost["status"], &lost["reason"]), (&json!("interrupted"), &json!("daemon_lost")));
    assert_eq!(daemon.run(queued)["status"], "queued");
    // What was given out and is not in the copy is gone, and its number is nobody else's.
    daemon.get(&format!("/v1/runs/{later}")).expect_problem(410, "run_pruned");
    let next = daemon.sh("echo next");
    assert!(next > later, "{next}");
    daemon.wait_ended(next);
    assert!(daemon.events(next).iter().all(|event| event["id"].as_i64().unwrap() > last_id));
    let cursor = format!("/v1/runs/1/events?after={}-1", old.as_str().unwrap());
    daemon.get(&cursor).expect_problem(409, "instance_changed");
    // Who was let in may come again; what lets in once does not.
    daemon.tcp().with_token(&session).get("/v1/session").expect(200);
    daemon.post("/v1/enroll", &json!({"token": unused["token"]})).expect_problem(401, "enrollment_invalid");
}

#[test]
fn a_restored_daemon_can_be_held_and_closed() {
    let mut daemon = Daemon::start();
    daemon.put("/v1/queues/other", &json!({"slots": 1, "paused": true})).expect(201);
    let queued = daemon.submit(&json!({"script": "true", "queue": "other"}));
    daemon.put("/v1/hooks/told", &json!({"url": "http://127.0.0.1:9/"})).expect(201);
    let session = daemon.enroll("admin");
    let copy = copy_of(&daemon, "copy.db");
    daemon.put("/v1/queues/other", &json!({"paused": false})).expect(200);
    daemon.wait_ended(queued);
    daemon.stop();
    let told = cli(&daemon, &["restore", "--pause", "--no-sessions", &copy]).expect(0).text();
    assert!(
        told.contains("all queues are paused") && told.contains("all hooks are disabled") && !told.contains("session"),
        "{told}"
    );
    daemon.start_again();
    let queues = daemon.get("/v1/queues").expect(200).json();
    assert!(queues["queues"].as_array().unwrap().iter().all(|queue| queue["paused"] == true), "{queues}");
    assert_eq!(daemon.run(queued)["status"], "queued");
    assert_eq!(daemon.get("/v1/hooks/told").expect(200).json()["enabled"], false);
    daemon.tcp().with_token(&session).get("/v1/session").expect(401);
    daemon.put("/v1/queues/other", &json!({"paused": false})).expect(200);
    daemon.wait_ended(queued);
}

#[test]
fn a_browser_that_was_let_in_stays_in_over_a_restore() {
    let mut daemon = Daemon::start();
    let token = daemon.post("/v1/enrollment-tokens", &json!({"role": "viewer"})).expect(201).json()["token"].clone();
    let enrolled = daemon.tcp().post("/v1/enroll", &json!({"token": token, "cookie": true})).expect(201);
    let (pair, _) = crate::origins::cookie(&enrolled);
    let first = instance(&daemon);
    assert!(pair.starts_with(&format!("runabout_{}=", first.as_str().unwrap())), "{pair}");
    // Also of a copy of a copy.
    for _ in 0..2 {
        let before = instance(&daemon);
        let copy = copy_of(&daemon, "copy.db");
        daemon.stop();
        cli(&daemon, &["restore", &copy]).expect(0);
        std::fs::remove_file(copy).unwrap();
        daemon.start_again();
        assert_ne!(instance(&daemon), before);
        daemon.tcp().call("GET", "/v1/session").header("Cookie", &pair).send().expect(200);
    }
    // Whoever comes new is called the same, and takes no place beside the old one.
    let token = daemon.post("/v1/enrollment-tokens", &json!({"role": "viewer"})).expect(201).json()["token"].clone();
    let enrolled = daemon.tcp().post("/v1/enroll", &json!({"token": token, "cookie": true})).expect(201);
    let (other, _) = crate::origins::cookie(&enrolled);
    assert_eq!(other.split_once('=').unwrap().0, pair.split_once('=').unwrap().0);
}

#[test]
fn only_a_sound_database_of_ours_takes_the_place() {
    let mut daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("head -c 400000 /dev/urandom | base64"));
    let good = copy_of(&daemon, "good.db");
    daemon.stop();
    let database = daemon.state_dir().join("runabout.db");
    let before = std::fs::read(&database).unwrap();
    let wrong = daemon.dir().join("wrong.db");
    let name = wrong.to_str().unwrap().to_owned();
    let refused = |what: &str, words: &str| {
        let refused = cli(&daemon, &["restore", &name]).expect(1);
        assert!(refused.stderr.contains(words), "{what}: {refused:?}");
        assert_eq!(std::fs::read(&database).unwrap(), before, "{what}");
        let left = std::fs::read_dir(daemon.state_dir()).unwrap().map(|entry| entry.unwrap().path());
        let left: Vec<_> = left.filter(|path| path.is_file()).collect();
        // The database, the lock and the ballast.
        assert_eq!(left.len(), 3, "{what}: {left:?}");
    };
    refused("none", "No such file");
    std::fs::write(&wrong, "a shopping list, long enough to be taken for a header of a hundred bytes".repeat(9))
        .unwrap();
    refused("a text", "is no Runabout database");
    std::fs::write(&wrong, "").unwrap();
    refused("nothing", "is no Runabout database");
    std::fs::remove_file(&wrong).unwrap();
    Connection::open(&wrong).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    refused("somebody else's", "is no Runabout database");
    let bytes = std::fs::read(&good).unwrap();
    std::fs::write(&wrong, &bytes[..bytes.len() / 2 / 4_096 * 4_096]).unwrap();
    refused("half of one", "wrong.db");
    let mut damaged = bytes.clone();
    let middle = bytes.len() / 2 / 4_096 * 4_096;
    damaged[middle..middle + 4_096].fill(0xa5);
    std::fs::write(&wrong, damaged).unwrap();
    refused("a damaged one", "is damaged");
    std::fs::write(&wrong, &bytes).unwrap();
    Connection::open(&wrong).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    refused("a newer one", "its schema is version 99");
    std::fs::remove_file(&wrong).unwrap();
    std::os::unix::fs::symlink(&database, &wrong).unwrap();
    refused("itself", "is the database itself");
    daemon.start_again();
    assert_eq!(daemon.run(1)["status"], "succeeded");
}

#[test]
fn a_copy_can_come_up_a_pipe_into_an_empty_place() {
    let daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("echo hello"));
    let copy = copy_of(&daemon, "copy.db");
    let place = daemon.dir().join("place");
    let mut command = daemon.cli();
    command.args(["restore", "--state-dir", place.to_str().unwrap(), "-"]);
    command.stdin(Stdio::from(std::fs::File::open(&copy).unwrap()));
    Running::start(command).ended().expect(0);
    assert_eq!(runs_in(&place.join("runabout.db")), 1);
    let names: Vec<_> = std::fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn what_was_copied_with_its_log_is_restored_with_it() {
    let mut daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("echo hello"));
    daemon.kill9();
    let copy = daemon.dir().join("copy.db");
    for suffix in ["", "-wal"] {
        let from = daemon.state_dir().join(format!("runabout.db{suffix}"));
        std::fs::copy(from, format!("{}{suffix}", copy.display())).unwrap();
    }
    // The database that it replaces has a log, too, which is taken in before it is set aside.
    cli(&daemon, &["restore", copy.to_str().unwrap()]).expect(0);
    assert_eq!(runs_in(&kept(&daemon)[0]), 1);
    daemon.start_again();
    assert_eq!(daemon.run(1)["status"], "succeeded");
}

#[test]
fn an_older_copy_that_somebody_put_there_is_found_out() {
    let mut daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("true"));
    let copy = copy_of(&daemon, "copy.db");
    let later = daemon.sh("true");
    daemon.wait_ended(later);
    let old = instance(&daemon);
    daemon.stop();
    // A restart by itself changes nothing, however it comes about.
    daemon.start_again();
    daemon.kill9();
    daemon.start_again();
    assert_eq!(instance(&daemon), old);
    daemon.stop();
    std::fs::copy(&copy, daemon.state_dir().join("runabout.db")).unwrap();
    daemon.start_again();
    let new = instance(&daemon);
    assert_ne!(new, old);
    let words = "the database is older than the one that was here";
    assert!(daemon.log().contains(words), "{}", daemon.log());
    daemon.get(&format!("/v1/runs/{later}")).expect_problem(410, "run_pruned");
    assert_eq!(daemon.sh("true"), later + 1);
    // From now on it is the one that is remembered.
    daemon.wait_ended(later + 1);
    daemon.restart();
    assert_eq!(instance(&daemon), new);
    assert_eq!(daemon.log().matches(words).count(), 1);
}

#[test]
fn the_lock_file_says_how_far_it_has_come() {
    let mut daemon = Daemon::start();
    let last = daemon.sh("true");
    daemon.wait_ended(last);
    let newest = daemon.events(last).last().unwrap()["id"].clone();
    let instance = instance(&daemon);
    let line = || {
        let text = std::fs::read_to_string(daemon.state_dir().join("runabout.lock")).unwrap();
        text.lines().nth(1).unwrap().to_owned()
    };
    assert_eq!(line(), format!("instance {}, run 0, event 0", instance.as_str().unwrap()));
    // With a checkpoint, not with each commit.
    daemon.post("/v1/maintenance", &json!({})).expect(200);
    let due = format!("instance {}, run {last}, event {newest}", instance.as_str().unwrap());
    eventually(DEADLINE, "it is written down", || line() == due);
    let next = daemon.sh("true");
    daemon.wait_ended(next);
    assert_eq!(line(), due);
    daemon.stop();
    let text = std::fs::read_to_string(daemon.state_dir().join("runabout.lock")).unwrap();
    assert!(text.contains(&format!("run {next}, ")), "{text}");
}
