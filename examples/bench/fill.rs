//! A database as a long life leaves it, made while no daemon has it open.
//!
//! It is written in the first schema, which never changes: the daemon that opens it brings it up to its own, so that
//! builds of different schemas can be measured beside each other.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rusqlite::Connection;

use crate::daemon;

const SCHEMA: &str = include_str!("../../sql/migrations/0001_runs.sql");
/// "Runa"
const APPLICATION_ID: i64 = 0x5275_6e61;

/// Makes the state of a daemon that is to be started on this directory, with a paused queue `load`. Should the machine
/// die meanwhile, the bench is over anyway.
pub fn database(dir: &Path, fill: impl FnOnce(&Connection)) {
    let state = dir.join("state");
    std::fs::DirBuilder::new().mode(0o700).create(&state).unwrap();
    let database = Connection::open(daemon::database(&state)).unwrap();
    database
        .execute_batch(
            "PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;
             PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; PRAGMA temp_store = MEMORY;",
        )
        .unwrap();
    database.execute_batch(SCHEMA).unwrap();
    database
        .execute_batch(
            "INSERT INTO meta (key, value) VALUES ('instance', 'abcdefghijkl');
             INSERT INTO queues (name, slots, paused) VALUES ('load', 1, 1);",
        )
        .unwrap();
    fill(&database);
    database.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
    database.pragma_update(None, "user_version", 1).unwrap();
    database.close().unwrap();
}

/// Adds so many runs of a status to a queue, each with so many events of output of a line.
pub fn runs(database: &Connection, count: usize, status: &str, queue: &str, events: usize) {
    let is_queued = status == "queued";
    let (reason, ended, ready) = if is_queued { ("NULL", "NULL", 1) } else { ("'exited'", "1000 + i", 0) };
    database
        .execute_batch(&format!(
            "BEGIN;
             CREATE TEMP TABLE base AS
             SELECT (SELECT coalesce(max(id), 0) FROM runs) AS run, (SELECT coalesce(max(id), 0) FROM run_events) AS event;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
             INSERT INTO runs (id, status, reason, name, queue, priority, ready, tags, command, env, on_interrupt, keep,
                               attempt, output_bytes, created_at, started_at, ended_at)
             SELECT run + i, '{status}', {reason}, 'name' || (i % 50), '{queue}', 0, {ready}, '[\"tag\"]', '[\"true\"]', '{{}}',
                    'fail', 0, 1, 0, i, iif({is_queued}, NULL, i), {ended} FROM n, base;
             INSERT INTO run_tags (tag, run) SELECT 'tag', id FROM runs, base WHERE id > run;
             INSERT INTO attempts (run, attempt, started_at, ended_at, exit_code, reason)
             SELECT id, 1, 1, 2, 0, 'exited' FROM runs, base WHERE id > run AND status <> 'queued';
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}),
                            m(j) AS (SELECT 1 UNION ALL SELECT j + 1 FROM m WHERE j < {events})
             INSERT INTO run_events (id, run, seq, at, kind, stream, data)
             SELECT event + (i - 1) * {events} + j, run + i, j, j,
                    iif(j = 1, 'queued', 'output'), iif(j = 1, NULL, 'stdout'),
                    iif(j = 1, '{{\"attempt\":1}}', 'a line of output, as long as lines are, number ' || j || char(10))
             FROM base CROSS JOIN n CROSS JOIN m;
             DROP TABLE base;
             COMMIT;"
        ))
        .unwrap();
}
