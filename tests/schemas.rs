//! A database that any earlier version wrote is opened, with all that is in it; one of a newer version is refused and
//! left as it is. The earlier ones are made by the migrations themselves, so that a new migration is covered by being
//! there.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use runabout::event::Kind;
use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use crate::common::{DEADLINE, Daemon, TempDir, binary, number};

/// "Runa"
const APPLICATION_ID: i64 = 0x5275_6e61;

/// What a daemon of each version can have left: runs in every state, with attempts, events and tags, and who may come in.
/// In the words of the first schema; see [`rows`].
const ROWS: &str = include_str!("schemas/rows.sql");

/// Of the session in them.
const TOKEN: &str = "rbs_0123456789abcdef0123456789abcdef01234567";

/// How many migrations a daemon knew that no longer wrote whether a run is ready, but what holds it back.
const HELD_BY: usize = 4;

/// How many it knew that wrote output where its run's is, and an attempt's process into its run's row.
const FEWER_PAGES: usize = 7;

/// The rows as a daemon wrote them that knew so many migrations.
fn rows(known: usize) -> String {
    if known < HELD_BY {
        return ROWS.to_owned();
    }
    let rows = ROWS
        .replace("priority, ready,", "priority, held_by,")
        .replace("0, column5,", "0, column2 = 'queued' AND column5 = 0,");
    if known < FEWER_PAGES {
        return rows;
    }
    let told = "CREATE TEMP TABLE told (id, run, seq, at, kind, stream, data); INSERT INTO told ";
    let rows =
        rows.replace("INSERT INTO run_events", told).replace("INSERT INTO attempts", "INSERT INTO past_attempts");
    rows + "UPDATE runs SET fresh = 1 WHERE ended_at IS NULL;
            INSERT INTO events (id, key, at, kind, data)
            SELECT id, run << 32 | seq, at, kind, data FROM told WHERE kind <> 'output';
            INSERT INTO output (id, key, at, stream, data)
            SELECT id, run << 32 | seq, at, stream, data FROM told WHERE kind = 'output';
            INSERT INTO output_blocks (block, run, key) SELECT id >> 6, run, key FROM output;
            DROP TABLE told;"
}

/// The migrations in order, as they are in the repository.
pub(crate) fn migrations() -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/migrations");
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

/// A directory with the database of a daemon that knew the first `count` migrations; its rows were written when it knew
/// `written_at` of them.
pub(crate) fn database(count: usize, written_at: usize) -> TempDir {
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
pub(crate) fn assert_everything_is_there(daemon: &Daemon, what: &str) {
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

/// Events of the database whose move is interrupted, of some runs by turns; half of them are output.
const EVENTS: i64 = 60_000;

/// What readers of the file see of them: how many there are, and sums that no other rows have.
fn seen(conn: &Connection) -> rusqlite::Result<Vec<i64>> {
    let sums =
        "SELECT count(*), sum(id), sum(run * seq), sum(octet_length(data)), sum(stream IS NOT NULL) FROM run_events
                WHERE run BETWEEN 100 AND 107";
    conn.query_row(sums, [], |row| (0..5).map(|column| row.get(column)).collect())
}

#[test]
fn events_that_are_moved_are_all_there_whenever_the_daemon_is_killed() {
    let dir = database(FEWER_PAGES - 1, 1);
    let file = dir.path().join("state/runabout.db");
    let conn = Connection::open(&file).unwrap();
    conn.execute_batch(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 7)
         INSERT INTO runs (id, status, reason, queue, priority, held_by, tags, script, env, on_interrupt, keep, attempt,
                           exit_code, output_bytes, created_at, started_at, ended_at)
         SELECT 100 + i, 'succeeded', 'exited', 'default', 0, 0, '[]', 'true', '{{}}', 'fail', 1, 1, 0, 0, 1, 1, 1 FROM n;
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {EVENTS} - 1)
         INSERT INTO run_events (id, run, seq, at, kind, stream, data)
         SELECT 1000 + i, 100 + i % 8, 1 + i / 8, i, iif(i / 8 % 2, 'output', 'message'), iif(i / 8 % 2, 'stdout', NULL),
                printf('\"%.*c\"', i % 700, 'x') FROM n;"
    ))
    .unwrap();
    let before = seen(&conn).unwrap();
    assert_eq!(before[0], EVENTS);
    let bytes_before = std::fs::metadata(&file).unwrap().len();
    conn.close().unwrap();
    let start = || {
        let mut serve = Command::new(binary());
        serve.args(["serve", "--listen", "none", "--state-dir"]).arg(dir.path().join("state"));
        serve.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut daemon = start();
    let mut kills = 0;
    for killed_at in [1, EVENTS / 3, EVENTS / 2, EVENTS - 6_000] {
        let until = Instant::now() + DEADLINE;
        let moved = loop {
            assert!(Instant::now() < until, "nothing is moved");
            let Ok(conn) = Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_ONLY) else { continue };
            let version = conn.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).unwrap_or(0);
            if version > FEWER_PAGES as i64 {
                break EVENTS;
            }
            let moved = "SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM output)";
            let moved: i64 = conn.query_row(moved, [], |row| row.get(0)).unwrap_or(0);
            if moved >= killed_at {
                break moved;
            }
        };
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        let conn = Connection::open(&file).unwrap();
        assert_eq!(seen(&conn).unwrap(), before, "killed when {moved} were moved");
        kills += i32::from(moved < EVENTS);
        conn.close().unwrap();
        daemon = start();
    }
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    println!("killed {kills} times in the middle");
    assert!(kills > 0);
    let daemon = Daemon::builder().start_in(dir);
    assert_everything_is_there(&daemon, "after the move");
    let conn = Connection::open(daemon.state_dir().join("runabout.db")).unwrap();
    assert_eq!(seen(&conn).unwrap(), before);
    let blocks = "SELECT (SELECT count(*) FROM output_blocks),
                         (SELECT count(*) FROM (SELECT 1 FROM output GROUP BY id >> 6, run)),
                         (SELECT count(*) FROM output_blocks JOIN output USING (key) WHERE output.id >> 6 = block)";
    let counts: [i64; 3] = conn.query_row(blocks, [], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?])).unwrap();
    assert_eq!((counts[0], counts[0]), (counts[1], counts[2]));
    assert_eq!(daemon.events(107).len() as i64, EVENTS / 8);
    let size = number(&conn, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size") as u64;
    assert!(size < bytes_before + bytes_before / 2, "{bytes_before} bytes became {size}");
}

#[test]
fn every_kind_of_event_can_be_stored_also_where_the_schema_was_older() {
    let newest = migrations().len();
    for written_at in [1, newest] {
        let dir = database(newest, written_at);
        let conn = Connection::open(dir.path().join("state/runabout.db")).unwrap();
        let insert = "INSERT INTO events (id, key, at, kind, data) VALUES (?1, 1 << 32 | ?1, 0, ?2, '{}')";
        for (id, kind) in (1_000_000..).zip(Kind::ALL.iter().filter(|kind| **kind != Kind::Output)) {
            let stored = conn.execute(insert, (id, kind.as_str()));
            assert_eq!(stored, Ok(1), "{kind:?}: a migration that widens the CHECK of events.kind is missing");
        }
        assert!(conn.execute(insert, (2_000_000, "unheard")).is_err());
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
