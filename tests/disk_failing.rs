//! A medium that fails: whatever write or flush it refuses, what was acknowledged is there, what was refused did not
//! happen, nothing is there twice, and readers see one unbroken sequence.
//!
//! `strace` makes the system calls fail; where it cannot be used, these tests say so and pass.

use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use crate::common::{DEADLINE, Daemon, Reader, Traced, eventually, output_of, strace_is_there};

/// The calls by which SQLite flushes.
const FLUSH: &str = "fdatasync,fsync";
/// … and writes.
const WRITE: &str = "pwrite64";

fn strace_or_word() -> bool {
    let there = strace_is_there();
    if !there {
        eprintln!("skipped: strace is not there, or ptrace is not allowed");
    }
    there
}

/// One kind of failure, on the calls that are counted from the attaching on.
fn injected(daemon: &Daemon, calls: &str, what: &str) -> Traced {
    let log = daemon.dir().join("strace");
    Traced::inject(daemon.pid(), log, calls, what)
}

/// Submits under a key until it is answered with a run; answers its id and how often it was refused.
fn submit(daemon: &Daemon, key: &str, script: &str) -> (i64, usize) {
    let mut refused = 0;
    let mut id = None;
    eventually(DEADLINE, "it is taken in the end", || {
        let body = json!({"script": script});
        let answer = daemon.call("POST", "/v1/runs").header("Idempotency-Key", key).json(&body).send();
        match answer.status {
            201 | 200 => id = answer.json()["id"].as_i64(),
            503 => drop(answer.expect_problem(503, "storage_unavailable")),
            507 => drop(answer.expect_problem(507, "storage_full")),
            other => panic!("{other}: {}", answer.text()),
        }
        refused += usize::from(id.is_none());
        id.is_some()
    });
    (id.unwrap(), refused)
}

#[track_caller]
fn check_database(daemon: &Daemon, runs: i64) {
    let path = daemon.state_dir().join("runabout.db");
    let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    database.busy_timeout(DEADLINE).unwrap();
    let said: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(said, "ok");
    let count = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let holes = "SELECT COUNT(*) FROM (SELECT run FROM run_events GROUP BY run
                                       HAVING MIN(seq) <> 1 OR MAX(seq) <> COUNT(*))";
    assert_eq!(count(holes), 0, "seqs are 1 to n");
    assert_eq!(count("SELECT COUNT(*) FROM runs"), runs, "each submit is one run");
    let ends = "SELECT COUNT(*) FROM runs WHERE (ended_at IS NOT NULL)
                <> ((SELECT COUNT(*) FROM run_events WHERE run = runs.id AND kind = 'finished') = 1)";
    assert_eq!(count(ends), 0, "whatever has ended says so once");
    let starts = "SELECT COUNT(*) FROM run_events WHERE kind = 'started' GROUP BY run HAVING COUNT(*) > 1";
    assert!(database.prepare(starts).unwrap().query([]).unwrap().next().unwrap().is_none(), "started once");
}

#[test]
fn a_write_or_flush_that_fails_once_is_found_out_about_and_made_good() {
    if !strace_or_word() {
        return;
    }
    let mut daemon = Daemon::start();
    let script = "for i in 1 2 3; do echo line $i; echo err $i >&2; done";
    let mut runs = 0;
    let kinds = [(FLUSH, "error=EIO"), (WRITE, "error=EIO"), (WRITE, "error=ENOSPC"), (FLUSH, "error=ENOSPC")];
    for (calls, error) in kinds {
        for nth in 1..=6 {
            let what = format!("{error}:when={nth}");
            let traced = injected(&daemon, calls, &what);
            let (run, refused) = submit(&daemon, &format!("{calls}/{what}"), script);
            runs += 1;
            let ended = daemon.wait_ended(run);
            drop(traced);
            assert_eq!(ended["status"], "succeeded", "{calls} {what}: {ended}");
            let (stdout, stderr) = output_of(&daemon.events(run));
            assert_eq!(stdout, b"line 1\nline 2\nline 3\n", "{calls} {what}");
            assert_eq!(stderr, b"err 1\nerr 2\nerr 3\n", "{calls} {what}");
            let mut reader = Reader::open(&daemon, run, 0);
            reader.until_end();
            eventually(DEADLINE, "it is ready again", || daemon.get("/readyz").status == 200);
            if refused > 0 {
                eprintln!("{calls} {what}: refused {refused} times");
            }
        }
    }
    let recoveries = daemon.metrics().get("store_recoveries_total");
    eprintln!("{runs} runs, {recoveries} recoveries");
    assert!(recoveries >= 8.0, "{recoveries}: the failures were not felt");
    check_database(&daemon, runs);
    daemon.kill9();
    daemon.start_again();
    check_database(&daemon, runs);
    for run in 1..=runs {
        assert_eq!(daemon.kinds(run), ["queued", "started", "finished"]);
    }
    daemon.stop();
}

#[test]
fn a_commit_whose_flush_failed_is_not_there_twice_and_readers_miss_nothing() {
    if !strace_or_word() {
        return;
    }
    let daemon = Daemon::start();
    let gate = daemon.gate("gate");
    let run = daemon.sh(&format!("seq 1 2000; {}; seq 2001 60000", gate.wait()));
    let mut reader = Reader::open(&daemon, run, 0);
    reader.until_stdout("2000\n");
    // The next flush, and one in nine from then on: on a quick machine there are few.
    let traced = injected(&daemon, FLUSH, "error=EIO:when=1+9");
    gate.open();
    reader.until_end();
    drop(traced);
    let whole: Vec<u8> = (1..=60_000).flat_map(|n| format!("{n}\n").into_bytes()).collect();
    assert_eq!(reader.told.stdout, whole, "what was pushed");
    assert_eq!(output_of(&daemon.events(run)).0, whole, "what is stored");
    let ids: Vec<i64> = reader.told.events.iter().map(|(_, id, _)| *id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "ids rise");
    assert!(daemon.metrics().get("store_recoveries_total") >= 1.0);
    check_database(&daemon, 1);
}

#[test]
fn a_medium_that_keeps_failing_ends_the_daemon_and_nothing_acknowledged_is_lost() {
    if !strace_or_word() {
        return;
    }
    for (calls, what) in [(FLUSH, "error=EIO:when=3+"), (WRITE, "error=EIO:when=2+")] {
        let mut daemon = Daemon::start();
        daemon.put("/v1/queues/idle", &json!({"paused": true})).expect(201);
        let body = json!({"script": "true", "queue": "idle"});
        let before = daemon.submit(&body);
        let traced = injected(&daemon, calls, what);
        let mut acknowledged = vec![before];
        let keyed =
            |key: usize| daemon.call("POST", "/v1/runs").header("Idempotency-Key", &key.to_string()).json(&body);
        let refused = loop {
            let answer = keyed(acknowledged.len()).send();
            if answer.status != 201 {
                break answer.expect_problem(503, "storage_unavailable");
            }
            acknowledged.push(answer.json()["id"].as_i64().unwrap());
        };
        assert!(refused["detail"].as_str().unwrap().contains("unknown"), "{refused}");
        assert_eq!(daemon.wait_exit(DEADLINE).code(), Some(1), "it ends, and says so");
        drop(traced);
        assert!(daemon.log().contains("the database failed and the daemon ends"));
        daemon.start_again();
        for run in &acknowledged {
            assert_eq!(daemon.run(*run)["status"], "queued");
        }
        // Unknown means that: asked again, it is one run.
        let ask = || daemon.call("POST", "/v1/runs").header("Idempotency-Key", &acknowledged.len().to_string());
        let again = ask().json(&body).send();
        assert!(matches!(again.status, 200 | 201), "{}", again.text());
        assert!(!acknowledged.contains(&again.json()["id"].as_i64().unwrap()));
        daemon.stop();
    }
}

#[test]
fn a_file_system_that_turns_read_only_is_said_and_reads_go_on() {
    if !strace_or_word() {
        return;
    }
    let daemon = Daemon::start();
    let gate = daemon.gate("gate");
    let run = daemon.sh(&format!("echo before; {}; seq 1 30000; exit 4", gate.wait()));
    let mut reader = Reader::open(&daemon, run, 0);
    reader.until_stdout("before\n");
    let traced = injected(&daemon, WRITE, "error=EROFS");
    gate.open();
    eventually(DEADLINE, "it cannot be written", || daemon.get("/readyz").status == 503);
    let problem = daemon.post("/v1/runs", &json!({"script": "true"})).expect_problem(503, "storage_unavailable");
    assert!(problem["detail"].as_str().unwrap().contains("takes no writes"), "{problem}");
    daemon.get("/v1/runs").expect(200);
    assert_eq!(output_of(&daemon.events(run)).0, b"before\n");
    assert_eq!(daemon.run(run)["status"], "running");
    drop(traced);
    reader.until_end();
    let whole: Vec<u8> = (1..=30_000).flat_map(|n| format!("{n}\n").into_bytes()).collect();
    assert_eq!(reader.told.stdout.strip_prefix(b"before\n"), Some(&whole[..]));
    assert_eq!(daemon.wait_ended(run)["exit_code"], 4);
    eventually(Duration::from_secs(5), "it is ready again", || daemon.get("/readyz").status == 200);
}
