//! A database that any earlier version wrote is opened, with all that is in it; one of a newer version is refused and
//! left as it is. The earlier ones are made by the migrations themselves, so that a new migration is covered by being
//! there.

use std::path::Path;

use rusqlite::Connection;
use serde_json::json;

use crate::common::{Daemon, TempDir};

/// "Runa"
const APPLICATION_ID: i64 = 0x5275_6e61;

/// What a daemon of each version can have left: runs in every state, with attempts, events and tags, and who may come in.
/// In the words of the first schema; see [`rows`].
const ROWS: &str = include_str!("schemas/rows.sql");

/// Of the session in them.
const TOKEN: &str = "rbs_0123456789abcdef0123456789abcdef01234567";

/// How many migrations a daemon knew that no longer wrote whether a run is ready, but what holds it back.
const HELD_BY: usize = 4;

/// The rows as a daemon wrote them that knew so many migrations.
fn rows(known: usize) -> String {
    if known < HELD_BY {
        return ROWS.to_owned();
    }
    ROWS.replace("priority, ready,", "priority, held_by,")
        .replace("0, column5,", "0, column2 = 'queued' AND column5 = 0,")
}

/// The migrations in order, as they are in the repository.
fn migrations() -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/migrations");
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

/// A directory with the database of a daemon that knew the first `count` migrations; its rows were written when it knew
/// `written_at` of them.
fn database(count: usize, written_at: usize) -> TempDir {
    let dir = TempDir::new();
    std::fs::create_dir(dir.path().join("state")).unwrap();
    let conn = Connection::open(dir.path().join("state/runabout.db")).unwrap();
    conn.execute_batch("PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL").unwrap();
    for (known, migration) in (1..).zip(&migrations()[..count]) {
        conn.execute_batch(migration).unwrap();
        if known == written_at {
            conn.execute_batch(&rows(known)).unwrap();
        }
    }
    conn.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
    conn.pragma_update(None, "user_version", count as i64).unwrap();
    conn.close().unwrap();
    dir
}

#[test]
fn a_database_of_every_earlier_version_opens() {
    let newest = migrations().len();
    for version in 1..=newest {
        for written_at in [1, version] {
            let dir = database(version, written_at);
            let mut daemon = Daemon::builder().start_in(dir);
            let what = format!("schema {version}, rows written at {written_at}");
            assert_everything_is_there(&daemon, &what);
            // It goes on from there: no number is given out twice.
            assert_eq!(daemon.sh("echo on"), 6, "{what}");
            assert_eq!(daemon.wait_ended(6)["status"], "succeeded", "{what}");
            daemon.stop();
            let conn = Connection::open(daemon.state_dir().join("runabout.db")).unwrap();
            let pragma =
                |name: &str| conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0)).unwrap();
            assert_eq!(pragma("user_version"), newest as i64, "{what}");
            let checked: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
            assert_eq!(checked, "ok", "{what}");
            let orphaned = conn.prepare("PRAGMA foreign_key_check").unwrap().exists([]).unwrap();
            assert!(!orphaned, "{what}");
        }
    }
}

#[track_caller]
fn assert_everything_is_there(daemon: &Daemon, what: &str) {
    let one = daemon.run(1);
    assert_eq!(
        (&one["status"], &one["exit_code"], &one["name"]),
        (&json!("succeeded"), &json!(0), &json!("old")),
        "{what}"
    );
    assert_eq!(one["tags"], json!(["kept"]), "{what}");
    assert_eq!(daemon.kinds(1), ["queued", "started", "finished"], "{what}");
    assert_eq!(daemon.events(1)[2]["data"]["text"], "from before\n", "{what}");
    assert_eq!(daemon.run(2)["reason"], "signaled", "{what}");
    // What ran when that daemon died is settled, and what waited runs.
    assert_eq!(daemon.wait_ended(3)["status"], "interrupted", "{what}");
    assert_eq!(daemon.wait_ended(4)["status"], "succeeded", "{what}");
    assert_eq!(daemon.run(5)["status"], "queued", "it is held back until 2100: {what}");
    assert_eq!(daemon.get("/v1/system").expect(200).json()["instance"], "abcdefghijkl", "{what}");
    let queues = daemon.get("/v1/queues").expect(200).json();
    let gpu = queues["queues"].as_array().unwrap().iter().find(|queue| queue["name"] == "gpu").cloned();
    assert_eq!(gpu.map(|queue| queue["slots"].clone()), Some(json!(3)), "{what}");
    let session = daemon.tcp().with_token(TOKEN).get("/v1/session").expect(200).json();
    assert_eq!((&session["role"], &session["name"]), (&json!("viewer"), &json!("display")), "{what}");
}

#[test]
fn what_holds_a_run_back_is_checked_also_where_the_schema_was_older() {
    let newest = migrations().len();
    for written_at in [1, newest] {
        let dir = database(newest, written_at);
        let conn = Connection::open(dir.path().join("state/runabout.db")).unwrap();
        let held_by = |run: i64, bits: i64| {
            conn.execute("UPDATE runs SET held_by = ?2 WHERE id = ?1", [run, bits]).map_err(|error| error.to_string())
        };
        let stored: i64 = conn.query_row("SELECT held_by FROM runs WHERE id = 5", [], |row| row.get(0)).unwrap();
        assert_eq!(stored, 1, "its time holds it back; rows of {written_at}");
        assert_eq!((held_by(4, 15), held_by(5, 0)), (Ok(1), Ok(1)));
        for (run, bits) in [(4, 16), (4, -1), (1, 1), (3, 1)] {
            let refused = held_by(run, bits).unwrap_err();
            assert!(refused.contains("CHECK"), "{bits} of run {run}: {refused}");
        }
    }
}

#[test]
fn a_newer_database_is_refused_and_left_alone() {
    let newest = migrations().len();
    let dir = database(newest, newest);
    let file = dir.path().join("state/runabout.db");
    let conn = Connection::open(&file).unwrap();
    conn.pragma_update(None, "user_version", newest as i64 + 1).unwrap();
    conn.close().unwrap();
    let before = std::fs::read(&file).unwrap();
    let (code, said) = Daemon::builder().refused_in(&dir);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(&format!("version {}", newest + 1)) && said.contains("newer runabout"), "{said}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
}
