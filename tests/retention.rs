//! Finished runs go: by their number and by what the database has in use, those that ended first at first; what is live
//! or kept stays; nobody waits for it; and the space goes back to the disk.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::common::{Client, DEADLINE, Daemon, Reader, beside, eventually, number};

fn is_gone(daemon: &Client, run: i64) -> bool {
    let response = daemon.get(&format!("/v1/runs/{run}"));
    if response.status == 200 {
        return false;
    }
    response.expect_problem(410, "run_pruned");
    true
}

#[track_caller]
fn maintain(daemon: &Client) -> Value {
    daemon.call("POST", "/v1/maintenance").within(Duration::from_secs(120)).send().expect(200).json()
}

/// Finished runs as many daemons before have left them, in a database that no daemon has open: each with so many events
/// of output, of so many bytes. Answers the first and the last.
fn add_runs(database: &Connection, runs: i64, events: i64, bytes: i64) -> (i64, i64) {
    let first = number(database, "SELECT coalesce(max(id), 0) + 1 FROM runs");
    let last = first + runs - 1;
    database
        .execute_batch(&format!(
            "BEGIN;
             WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})
             INSERT INTO runs (id, status, reason, name, queue, priority, held_by, tags, script, env, on_interrupt, keep,
                               attempt, exit_code, output_bytes, created_at, started_at, ended_at)
             SELECT i, 'succeeded', 'exited', 'old', 'default', 0, 0, '[\"old\",\"tag' || (i % 9) || '\"]', 'true', '{{}}',
                    'fail', 0, 1, 0, {events} * {bytes}, i, i, i FROM n;
             INSERT INTO run_tags (tag, run) SELECT 'old', id FROM runs WHERE name = 'old' AND id >= {first};
             INSERT INTO run_tags (tag, run) SELECT 'tag' || (id % 9), id FROM runs WHERE name = 'old' AND id >= {first};
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {events}),
                            base(id) AS (SELECT coalesce(max(id), 0) FROM run_events)
             INSERT INTO output (id, key, at, stream, data)
             SELECT base.id + (runs.id - {first}) * {events} + i, runs.id << 32 | i, i, 'stdout', zeroblob({bytes})
             FROM base, runs, n WHERE runs.id >= {first} AND {events} > 0;
             INSERT INTO output_blocks (block, run, key)
             SELECT id >> 6, run, min(key) FROM output WHERE run >= {first} GROUP BY id >> 6, run;
             COMMIT;"
        ))
        .unwrap();
    (first, last)
}

#[test]
fn more_finished_runs_than_are_kept_go_and_those_that_ended_first_at_first() {
    let daemon = Daemon::with_config("[retention]\nruns_count = 5");
    daemon.put("/v1/queues/wide", &json!({"slots": 8})).expect(201);
    let gate = daemon.gate("live");
    let live = daemon.submit(&json!({"script": gate.wait(), "queue": "wide"}));
    daemon.wait_running(live);
    let kept = daemon.submit(&json!({"script": "true", "keep": true}));
    daemon.wait_ended(kept);
    // It ends after those that were submitted behind it.
    let last = daemon.gate("late");
    let late = daemon.submit(&json!({"script": last.wait(), "queue": "wide"}));
    let runs: Vec<i64> = (0..8).map(|_| daemon.sh("echo something")).collect();
    eventually(DEADLINE, "the last of them ends", || !daemon.run(runs[7])["ended_at"].is_null());
    eventually(DEADLINE, "three go", || runs[..3].iter().all(|run| is_gone(&daemon, *run)));
    last.open();
    daemon.wait_ended(late);
    eventually(DEADLINE, "another goes", || is_gone(&daemon, runs[3]));
    for run in &runs[4..] {
        assert_eq!(daemon.kinds(*run), ["queued", "started", "finished"]);
    }
    assert_eq!(daemon.run(kept)["keep"], true);
    assert_eq!(daemon.run(live)["status"], "running");
    eventually(DEADLINE, "all is counted", || daemon.metrics().get("pruned_total{what=\"runs\"}") == 4.0);
    assert_eq!(daemon.metrics().get("pruned_total{what=\"events\"}"), 16.0);
    assert_eq!(daemon.get("/v1/system").json()["runs"]["succeeded"], 6);
    assert_eq!(daemon.get("/v1/runs").json()["runs"].as_array().unwrap().len(), 7);

    // What is not kept any more counts again, and as it ended first it goes first.
    daemon.patch(&format!("/v1/runs/{kept}"), &json!({"keep": false})).expect(200);
    eventually(DEADLINE, "it goes", || is_gone(&daemon, kept));
    // And what is kept in time does not.
    daemon.patch(&format!("/v1/runs/{}", runs[4]), &json!({"keep": true})).expect(200);
    let next: Vec<i64> = (0..2).map(|_| daemon.sh("true")).collect();
    next.iter().for_each(|run| drop(daemon.wait_ended(*run)));
    eventually(DEADLINE, "the next goes", || is_gone(&daemon, runs[5]));
    assert!(!is_gone(&daemon, runs[4]));
    gate.open();
    daemon.wait_ended(live);
    eventually(DEADLINE, "and so on", || is_gone(&daemon, runs[6]));
    assert!(!is_gone(&daemon, late) && !is_gone(&daemon, live));
    assert!(daemon.sh("true") > live, "no id is given out twice");
}

#[test]
fn zero_keeps_all_of_them() {
    let daemon = Daemon::with_config("[retention]\nruns_count = 0\nruns_days = 0");
    let run = daemon.sh("true");
    daemon.wait_ended(run);
    let removed = maintain(&daemon);
    assert_eq!((&removed["runs"], daemon.kinds(run).len()), (&json!(0), 3), "{removed}");
}

#[test]
fn a_database_that_has_too_much_in_use_is_relieved_of_what_ended_first() {
    const QUOTA: i64 = 4 * 1_024 * 1_024;
    let daemon = Daemon::with_config(&format!("[retention]\ndb_bytes = {QUOTA}"));
    let database = beside(&daemon);
    let used = || {
        let used = "SELECT (page_count - freelist_count) * page_size
                    FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
        number(&database, used)
    };
    let kept = daemon.submit(&json!({"script": "head -c 500000 /dev/zero", "keep": true}));
    daemon.wait_ended(kept);
    let runs: Vec<i64> = (0..16).map(|_| daemon.sh("head -c 500000 /dev/zero")).collect();
    daemon.wait_ended(runs[15]);
    eventually(DEADLINE, "it comes down", || used() <= QUOTA);
    maintain(&daemon);
    let gone: Vec<bool> = runs.iter().map(|run| is_gone(&daemon, *run)).collect();
    let left = gone.iter().filter(|gone| !**gone).count();
    assert!(gone.is_sorted_by(|a, b| a >= b), "those that ended first, and no other: {gone:?}");
    // Half a megabyte each; one is kept, and some room is made for what comes.
    assert!((4..=7).contains(&left), "{left} are left of what {QUOTA} bytes hold");
    assert_eq!(daemon.run(kept)["output_bytes"], 500_000);
    // All that was free has gone back, to the end of the file.
    let file = std::fs::metadata(daemon.state_dir().join("runabout.db")).unwrap().len() as i64;
    assert!(file <= QUOTA, "{file}");
}

#[test]
fn many_runs_go_in_pieces_while_others_are_served_and_the_space_goes_back() {
    let mut daemon = Daemon::start();
    daemon.stop();
    // Of every kind: many small events, few large ones, none at all.
    let mut database = beside(&daemon);
    let (first, _) = add_runs(&database, 200, 100, 40);
    add_runs(&database, 20, 40, 16_384);
    let (_, last) = add_runs(&database, 100, 0, 0);
    let newest = number(&database, "SELECT max(id) FROM run_events");
    drop(database);
    let path = daemon.state_dir().join("runabout.db");
    let file = || std::fs::metadata(&path).unwrap().len();
    let before = file();
    assert!(before > 14_000_000, "{before}");
    daemon.rebuild(|builder| builder.config("[retention]\nruns_count = 1"));
    daemon.start_again();

    let feed = daemon.feed("lines");
    let live = daemon.sh(&format!("while read -r line; do echo \"$line\"; done < {}", feed.path()));
    let mut reader = Reader::open(&daemon, live, 0);
    let mut feed = Some(feed);
    let client: &Client = &daemon;
    let asked = std::thread::scope(|scope| {
        let pass = scope.spawn(move || maintain(client));
        let mut lines = 0;
        while !pass.is_finished() || lines < 20 {
            lines += 1;
            if let Some(feed) = &mut feed {
                feed.say(&format!("line {lines}\n"));
            }
            reader.until_stdout(&format!("line {lines}\n"));
            daemon.submit(&json!({"script": "true", "delay_s": 3_600}));
        }
        pass.join().unwrap()
    });
    drop(feed.take());
    reader.until_end();
    assert!(!daemon.log().contains("locked"));
    // What the daemon had removed by itself before it was asked is not in the answer.
    let pruned = |what: &str| daemon.metrics().get(&format!("pruned_total{{what={what:?}}}"));
    eventually(DEADLINE, "all are gone", || pruned("runs") >= 319.0);
    assert!(asked["runs"].as_i64().unwrap() <= 320 && asked["events"].as_i64().unwrap() <= 20_800, "{asked}");
    assert!((first..last).all(|run| is_gone(&daemon, run)));
    maintain(&daemon);
    database = beside(&daemon);
    for table in ["doomed_runs", "run_tags", "trimmed_runs", "attempts WHERE run < (SELECT min(id) FROM runs)"] {
        let rows = number(&database, &format!("SELECT count(*) FROM {table}"));
        assert!(rows <= 2, "{rows} rows in {table}");
    }
    assert_eq!(number(&database, &format!("SELECT count(*) FROM run_events WHERE run BETWEEN 1 AND {last} - 1")), 0);
    assert!(number(&database, "SELECT min(id) FROM run_events WHERE run > 0") > newest, "no id is given out twice");
    let after = file();
    assert!(after < 1_000_000, "{after} of {before} bytes are left");
    assert_eq!(database.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
}

#[test]
fn a_pass_tells_what_it_removed_and_by_how_much_the_file_became_shorter() {
    let daemon = Daemon::with_config("[retention]\nruns_count = 1000");
    let runs: Vec<i64> = (0..3).map(|_| daemon.sh("head -c 1000000 /dev/zero")).collect();
    runs.iter().for_each(|run| drop(daemon.wait_ended(*run)));
    maintain(&daemon);
    let file = || std::fs::metadata(daemon.state_dir().join("runabout.db")).unwrap().len() as i64;
    let before = file();
    runs.iter().for_each(|run| drop(daemon.delete(&format!("/v1/runs/{run}")).expect(204)));
    let removed = maintain(&daemon);
    let freed = removed["freed_bytes"].as_i64().unwrap();
    assert!(freed >= 3_000_000 && before - file() == freed, "{removed}: from {before} to {} bytes", file());
    assert_eq!(maintain(&daemon)["freed_bytes"], 0);
    // The command line says the same in words.
    let said = daemon.cli().arg("prune").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), "removed nothing\n");
}

#[test]
fn a_crash_in_the_middle_is_gone_on_from_at_the_next_start() {
    let mut daemon = Daemon::start();
    daemon.stop();
    let database = beside(&daemon);
    let (_, last) = add_runs(&database, 400, 100, 40);
    database.busy_timeout(Duration::ZERO).unwrap();
    daemon.rebuild(|builder| builder.config("[retention]\nruns_count = 1"));
    let left = || number(&database, "SELECT count(*) FROM runs");
    let mut crashes = 0;
    loop {
        daemon.start_again();
        let begun = left();
        // Whoever holds the lock stands between two pieces.
        let until = Instant::now() + DEADLINE;
        while left() == begun && begun > 1 || database.execute_batch("BEGIN IMMEDIATE").is_err() {
            assert!(Instant::now() < until, "nothing goes, {begun} are left");
        }
        let now = left();
        daemon.kill9();
        database.execute_batch("ROLLBACK").unwrap();
        if now == 1 {
            break;
        }
        crashes += 1;
    }
    println!("killed {crashes} times in the middle");
    assert!(crashes > 0);
    daemon.start_again();
    maintain(&daemon);
    assert_eq!(daemon.run(last)["last_seq"], 100);
    for (table, rows) in [("doomed_runs", 0), ("run_events WHERE run > 0", 100), ("run_tags", 2), ("attempts", 1)] {
        assert_eq!(number(&database, &format!("SELECT count(*) FROM {table}")), rows, "{table}");
    }
    assert!((1..last).all(|run| is_gone(&daemon, run)));
    assert!(daemon.sh("true") > last);
}

#[test]
fn a_daemon_that_is_to_end_does_not_finish_its_pass_first() {
    let mut daemon = Daemon::start();
    daemon.stop();
    add_runs(&beside(&daemon), 2_000, 20, 40);
    daemon.rebuild(|builder| builder.config("[retention]\nruns_count = 1"));
    daemon.start_again();
    let took = daemon.stop();
    let left = number(&beside(&daemon), "SELECT count(*) FROM runs");
    println!("it ended after {took:?} with {left} runs left");
    assert!(left > 1, "it was over before");
}
