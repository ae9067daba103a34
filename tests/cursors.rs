//! Durable cursors: put, moved and removed over HTTP and by commands; retention waits for the lowest of them until the
//! database is full, and not for one that nobody has put for long; nobody is woken by them.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::common::{DEADLINE, Daemon, Reader, Via, cli, eventually};

/// The newest event's id.
fn last_id(daemon: &Daemon) -> i64 {
    daemon.get("/v1/events").expect(200).json()["last_id"].as_i64().unwrap()
}

fn runs_there(daemon: &Daemon) -> Vec<i64> {
    let page = daemon.get("/v1/runs?limit=500").expect(200).json();
    let mut runs: Vec<i64> = page["runs"].as_array().unwrap().iter().map(|run| run["id"].as_i64().unwrap()).collect();
    runs.sort_unstable();
    runs
}

/// Runs something to its end; gives its number and its last event's id.
fn ended(daemon: &Daemon) -> (i64, i64) {
    let run = daemon.sh("true");
    daemon.wait_ended(run);
    (run, daemon.events(run).last().unwrap()["id"].as_i64().unwrap())
}

#[track_caller]
fn put(daemon: &Daemon, name: &str, id: i64) -> Value {
    daemon.put(&format!("/v1/cursors/{name}"), &json!({"id": id})).json()
}

/// Every pass of retention that is due has been made.
fn maintain(daemon: &Daemon) -> Value {
    daemon.post("/v1/maintenance", &json!({})).expect(200).json()
}

#[test]
fn a_cursor_is_made_moved_read_and_removed() {
    let daemon = Daemon::start();
    let (_, last) = ended(&daemon);
    let instance = daemon.get("/v1/system").json()["instance"].clone();
    let made = daemon.put("/v1/cursors/report", &json!({"id": 1})).expect(201).json();
    assert_eq!(
        (&made["name"], &made["id"], &made["instance"], &made["behind"], &made["holds"]),
        (&json!("report"), &json!(1), &instance, &json!(last - 1), &json!(true))
    );
    assert_eq!(made["created_at"], made["moved_at"]);
    let moved = daemon.put("/v1/cursors/report", &json!({"id": last, "instance": instance})).expect(200).json();
    assert_eq!((&moved["id"], &moved["behind"], &moved["created_at"]), (&json!(last), &json!(0), &made["created_at"]));
    assert!(moved["moved_at"].as_str() >= made["moved_at"].as_str(), "{moved}");
    assert_eq!(daemon.get("/v1/cursors/report").expect(200).json(), moved);
    // What was read can be put back, and a cursor may go back.
    assert_eq!(daemon.put("/v1/cursors/report", &made).expect(200).json()["id"], 1);
    put(&daemon, "a-second", 0);
    let names = daemon.get("/v1/cursors").expect(200).json();
    let names: Vec<&Value> = names["cursors"].as_array().unwrap().iter().map(|cursor| &cursor["name"]).collect();
    assert_eq!(names, ["a-second", "report"]);
    daemon.delete("/v1/cursors/report").expect(204);
    daemon.get("/v1/cursors/report").expect_problem(404, "cursor_not_found");
    daemon.delete("/v1/cursors/report").expect_problem(404, "cursor_not_found");
}

#[test]
fn a_cursor_that_leads_nowhere_is_refused() {
    let daemon = Daemon::start();
    let (_, last) = ended(&daemon);
    let instance = daemon.get("/v1/system").json()["instance"].clone();
    let refused = |body: Value, status, code: &str| {
        daemon.put("/v1/cursors/report", &body).expect_problem(status, code)["details"].clone()
    };
    let there = json!({"last_id": last, "instance": instance});
    assert_eq!(refused(json!({"id": last + 1}), 409, "cursor_ahead"), there);
    assert_eq!(refused(json!({"id": 1, "instance": "abcdefghijkl"}), 409, "instance_changed"), there);
    for (body, field) in [
        (json!({}), "id"),
        (json!({"id": -1}), "id"),
        (json!({"id": "1"}), "id"),
        (json!({"id": 1, "instance": "x"}), "instance"),
        (json!({"id": 1, "at": 2}), "at"),
    ] {
        assert_eq!(refused(body, 422, "invalid")["violations"][0]["field"], field);
    }
    daemon.put("/v1/cursors/Report", &json!({"id": 1})).expect_problem(422, "invalid");
    assert_eq!(daemon.get("/v1/cursors").json(), json!({"cursors": []}), "nothing was made");
    // Whoever may not submit may not hold retention up.
    daemon.tcp_as("viewer").put("/v1/cursors/report", &json!({"id": 1})).expect_problem(403, "forbidden");
    daemon.tcp_as("operator").put("/v1/cursors/report", &json!({"id": 1})).expect(201);
    daemon.tcp_as("viewer").get("/v1/cursors/report").expect(200);
}

#[test]
fn there_are_a_thousand_at_most() {
    let mut daemon = Daemon::start();
    daemon.stop();
    let database = Connection::open(daemon.state_dir().join("runabout.db")).unwrap();
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
                INSERT INTO cursors (name, id, instance, created_at, moved_at)
                SELECT 'reader' || i, 0, 'abcdefghijkl', 1, 1 FROM n";
    assert_eq!(database.execute(many, []).unwrap(), 999);
    drop(database);
    daemon.start_again();
    daemon.put("/v1/cursors/last", &json!({"id": 0})).expect(201);
    let refused = daemon.put("/v1/cursors/one-more", &json!({"id": 0})).expect_problem(429, "too_many_cursors");
    assert_eq!(refused["details"]["limit"], 1_000);
    daemon.put("/v1/cursors/reader7", &json!({"id": 0})).expect(200);
    assert_eq!(daemon.get("/v1/cursors").expect(200).json()["cursors"].as_array().unwrap().len(), 1_000);
    // The figures have one line for each, and none for one that is gone.
    let lines =
        || daemon.get("/metrics").text().lines().filter(|line| line.starts_with("runabout_cursor_behind{")).count();
    assert_eq!(lines(), 1_000);
    daemon.delete("/v1/cursors/reader7").expect(204);
    assert_eq!(lines(), 999);
    daemon.put("/v1/cursors/one-more", &json!({"id": 0})).expect(201);
}

#[test]
fn retention_by_number_waits_for_the_lowest_cursor() {
    let daemon = Daemon::with_config("[retention]\nruns_count = 2\n");
    put(&daemon, "slow", 0);
    put(&daemon, "fast", 0);
    let runs: Vec<(i64, i64)> = (0..6).map(|_| ended(&daemon)).collect();
    let ids = |from: usize| runs[from..].iter().map(|(run, _)| *run).collect::<Vec<_>>();
    put(&daemon, "fast", runs[5].1);
    assert_eq!(maintain(&daemon)["runs"], 0);
    assert_eq!(runs_there(&daemon), ids(0));
    // Up to the cursor, and not the run whose last event it has not come to.
    put(&daemon, "slow", runs[2].1 - 1);
    eventually(DEADLINE, "two go by themselves", || runs_there(&daemon) == ids(2));
    assert_eq!(maintain(&daemon)["runs"], 0);
    put(&daemon, "slow", runs[2].1);
    eventually(DEADLINE, "the third goes, too", || runs_there(&daemon) == ids(3));
    // The one that is gone holds nothing; there are as many as are to be kept.
    daemon.delete("/v1/cursors/slow").expect(204);
    eventually(DEADLINE, "the rest goes", || runs_there(&daemon) == ids(4));
    assert_eq!(maintain(&daemon)["runs"], 0);
    // Whoever deletes a run means it.
    put(&daemon, "slow", 0);
    daemon.delete(&format!("/v1/runs/{}", runs[4].0)).expect(204);
    assert_eq!(runs_there(&daemon), ids(5));
}

/// By whom the database is to be filled: half a megabyte each.
const LARGE: &str = "head -c 500000 /dev/zero";

#[test]
fn a_full_database_waits_for_nobody_and_the_reader_is_told_by_a_gap() {
    const QUOTA: i64 = 4 * 1_024 * 1_024;
    let daemon = Daemon::with_config(&format!("[retention]\nruns_count = 1\ndb_bytes = {QUOTA}"));
    put(&daemon, "slow", 0);
    let runs: Vec<i64> = (0..4).map(|_| daemon.sh(LARGE)).collect();
    daemon.wait_ended(runs[3]);
    assert_eq!(maintain(&daemon)["runs"], 0);
    assert_eq!(runs_there(&daemon), runs, "there is room for them, and they are held");
    assert_eq!(daemon.metrics().get("unread_pruned_total"), 0.0);
    let more: Vec<i64> = (0..12).map(|_| daemon.sh(LARGE)).collect();
    daemon.wait_ended(more[11]);
    eventually(DEADLINE, "those that ended first go", || !runs_there(&daemon).contains(&runs[0]));
    maintain(&daemon);
    let left = runs_there(&daemon);
    assert!((4..=8).contains(&left.len()), "no more went than had to: {left:?}");
    assert!(daemon.metrics().get("unread_pruned_total") >= 8.0);
    assert!(daemon.log().contains("though a cursor holds them"), "{}", daemon.log());
    let page = daemon.get("/v1/events?after=0").expect(200).json();
    assert_eq!((&page["gaps"][0]["from"], &page["gaps"][0]["partial"]), (&json!(1), &json!(true)), "{}", page["gaps"]);
    // What is left is held as before.
    put(&daemon, "slow", last_id(&daemon));
    eventually(DEADLINE, "it goes as soon as it was read", || runs_there(&daemon).len() == 1);
}

#[test]
fn what_belongs_to_no_run_waits_too() {
    let mut daemon = Daemon::start();
    let runs: Vec<(i64, i64)> = (0..4).map(|_| ended(&daemon)).collect();
    daemon.delete(&format!("/v1/runs/{}", runs[0].0)).expect(204);
    let oldest = last_id(&daemon);
    put(&daemon, "slow", oldest - 1);
    daemon.stop();
    let database = Connection::open(daemon.state_dir().join("runabout.db")).unwrap();
    let many = "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 5100)
                INSERT INTO events (id, key, at, kind, data)
                SELECT 1000 + i, i, 0, 'removed', '{\"count\":1,\"ranges\":[{\"first\":1,\"last\":1}]}' FROM n";
    assert_eq!(database.execute(many, []).unwrap(), 5_099);
    drop(database);
    daemon.start_again();
    let removed = || daemon.all_events("kinds=removed", 0);
    daemon.delete(&format!("/v1/runs/{}", runs[1].0)).expect(204);
    assert_eq!((removed().len(), removed()[0]["id"].as_i64()), (5_101, Some(oldest)), "the oldest is held");
    put(&daemon, "slow", oldest);
    daemon.delete(&format!("/v1/runs/{}", runs[2].0)).expect(204);
    assert_eq!(removed()[0]["id"], 1_002, "it goes with the next that comes");
    // Of a backlog some go with each.
    put(&daemon, "slow", last_id(&daemon));
    daemon.delete(&format!("/v1/runs/{}", runs[3].0)).expect(204);
    let left = removed();
    assert_eq!((left.len(), left[0]["id"].as_i64()), (5_102 - 64, Some(1_002 + 64)));
}

#[test]
fn a_cursor_survives_a_crash_a_backup_and_a_restore() {
    let mut daemon = Daemon::with_config("[retention]\nruns_count = 1\n");
    put(&daemon, "report", 0);
    let runs: Vec<(i64, i64)> = (0..3).map(|_| ended(&daemon)).collect();
    put(&daemon, "report", runs[0].1);
    let copy = daemon.dir().join("copy.db").to_str().unwrap().to_owned();
    cli(&daemon, &["backup", &copy]).expect(0);
    // Acknowledged is durable.
    let newer = ended(&daemon);
    let acknowledged = put(&daemon, "report", newer.1);
    daemon.kill9();
    daemon.start_again();
    assert_eq!(daemon.get("/v1/cursors/report").expect(200).json()["id"], acknowledged["id"]);
    let old = daemon.get("/v1/system").json()["instance"].clone();
    daemon.stop();
    cli(&daemon, &["restore", &copy]).expect(0);
    daemon.start_again();
    let new = daemon.get("/v1/system").json()["instance"].clone();
    let restored = daemon.get("/v1/cursors/report").expect(200).json();
    // It says of which database it was, and holds what it held: what came after it has not been read of this one.
    assert_eq!((&restored["id"], &restored["instance"], &restored["holds"]), (&json!(runs[0].1), &old, &json!(true)));
    maintain(&daemon);
    assert_eq!(runs_there(&daemon), [runs[1].0, runs[2].0]);
    // Who goes on as before is told; ids that were given out meanwhile are not ahead, and are nobody's.
    let put_to = |body: Value| daemon.put("/v1/cursors/report", &body);
    put_to(json!({"id": newer.1, "instance": old})).expect_problem(409, "instance_changed");
    assert_eq!(put_to(json!({"id": newer.1, "instance": new})).expect(200).json()["instance"], new);
    put_to(json!({"id": last_id(&daemon) + 1_000})).expect_problem(409, "cursor_ahead");
    eventually(DEADLINE, "what was read goes", || runs_there(&daemon) == [runs[2].0]);
}

#[test]
fn a_cursor_beyond_the_newest_event_is_taken_back_at_the_start() {
    let mut daemon = Daemon::with_config("[retention]\nruns_count = 1\n");
    put(&daemon, "report", 0);
    let (_, last) = ended(&daemon);
    daemon.stop();
    let database = Connection::open(daemon.state_dir().join("runabout.db")).unwrap();
    database.execute("UPDATE cursors SET id = 1000000", []).unwrap();
    drop(database);
    daemon.start_again();
    assert_eq!(daemon.get("/v1/cursors/report").expect(200).json()["id"], last);
    assert!(daemon.log().contains("1 cursors were beyond the newest event"), "{}", daemon.log());
    // What comes now is held.
    let runs: Vec<(i64, i64)> = (0..2).map(|_| ended(&daemon)).collect();
    maintain(&daemon);
    assert_eq!(runs_there(&daemon), [runs[0].0, runs[1].0]);
}

#[test]
fn a_cursor_that_stays_where_it_was_takes_no_commit_and_a_move_wakes_nobody() {
    let daemon = Daemon::start();
    let (_, last) = ended(&daemon);
    put(&daemon, "report", 1);
    let figure = |name: &str| daemon.metrics().sum(name);
    let commits = figure("commits_total");
    for _ in 0..20 {
        daemon.put("/v1/cursors/report", &json!({"id": 1})).expect(200);
    }
    assert_eq!(figure("commits_total"), commits);
    let woken = figure("scheduler_wakeups_total");
    for id in 2..=last {
        daemon.put("/v1/cursors/report", &json!({"id": id})).expect(200);
    }
    assert_eq!((figure("commits_total"), figure("scheduler_wakeups_total")), (commits + (last - 1) as f64, woken));
    let behind = |daemon: &Daemon| daemon.metrics().get("cursor_behind{cursor=\"report\"}");
    assert_eq!(behind(&daemon), 0.0);
    ended(&daemon);
    assert_eq!(behind(&daemon), 3.0);
    assert!(daemon.metrics().get("cursor_age_seconds{cursor=\"report\"}") < 60.0);
}

#[test]
fn a_live_reader_that_moves_its_cursor_misses_nothing_that_retention_would_have_taken() {
    let daemon = Daemon::with_config("[retention]\nruns_count = 1\n");
    put(&daemon, "report", 0);
    let mut first = Reader::open_all(Via::Ndjson, &daemon, "kinds=finished", 0);
    let mut told = 0;
    for round in 1..=5 {
        for _ in 0..4 {
            daemon.sh("true");
        }
        let events = first.until_finished(4);
        told += events.len();
        let id = events.last().unwrap()["id"].as_i64().unwrap();
        // It goes away, and comes back at its durable cursor.
        put(&daemon, "report", id);
        let cursor = daemon.get("/v1/cursors/report").json()["id"].as_i64().unwrap();
        assert_eq!(cursor, id, "round {round}");
        first = Reader::open_all(Via::Ndjson, &daemon, "kinds=finished", cursor);
    }
    assert_eq!(told, 20);
}

#[test]
fn commands_list_set_and_delete_cursors() {
    let daemon = Daemon::start();
    let (_, last) = ended(&daemon);
    let instance = daemon.get("/v1/system").json()["instance"].as_str().unwrap().to_owned();
    let text = |arguments: &[&str]| cli(&daemon, arguments).expect(0).text();
    let set = text(&["cursor", "set", "report", "latest"]);
    assert_eq!(set.split_whitespace().skip(5).take(3).collect::<Vec<_>>(), ["report", &last.to_string(), "0"], "{set}");
    let set = cli(&daemon, &["--json", "cursor", "set", "report", "1"]).expect(0).json();
    assert_eq!((&set["id"], &set["behind"]), (&json!(1), &json!(last - 1)));
    cli(&daemon, &["cursor", "set", "other", &format!("{instance}-2")]).expect(0);
    let listed = cli(&daemon, &["cursor", "ls", "--json"]).expect(0).json();
    assert_eq!(listed, daemon.get("/v1/cursors").json()["cursors"].clone());
    let table = text(&["cursor", "ls"]);
    let line = table.lines().nth(2).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(line[..3], ["report", "1", &(last - 1).to_string()], "{table}");
    assert_eq!(line.last(), Some(&"holds"), "{table}");
    let ahead = cli(&daemon, &["cursor", "set", "report", "4711"]).expect(1).stderr;
    assert!(ahead.contains("beyond the newest event"), "{ahead}");
    cli(&daemon, &["cursor", "set", "report", "abcdefghijkl-1"]).expect(1);
    for wrong in ["-1", "x", "", "-"] {
        cli(&daemon, &["cursor", "set", "report", wrong]).expect(2);
    }
    cli(&daemon, &["cursor", "rm", "report", "other"]).expect(0);
    assert!(cli(&daemon, &["cursor", "rm", "report"]).expect(1).stderr.contains("no cursor \"report\""));
    assert_eq!(daemon.get("/v1/cursors").json(), json!({"cursors": []}));
}
