//! Rows as a long life leaves them, by SQL into the database of a daemon that is stopped.

use std::path::Path;

use rusqlite::Connection;

/// Opens the database. Should the machine die meanwhile, the bench is over anyway.
pub fn open(database: &Path) -> Connection {
    let connection = Connection::open(database).unwrap();
    connection
        .execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; PRAGMA temp_store = MEMORY;")
        .unwrap();
    connection
}

/// Adds so many runs of a status to a queue, each with so many events of output of a line.
pub fn runs(database: &Connection, count: i64, status: &str, queue: &str, events: i64) {
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
                    'fail', 0, 1, 0, i, i, {ended} FROM n, base;
             INSERT INTO run_tags (tag, run) SELECT 'tag', id FROM runs, base WHERE id > run;
             INSERT INTO attempts (run, attempt, started_at)
             SELECT id, 1, 1 FROM runs, base WHERE id > run AND status <> 'queued';
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}),
                            m(j) AS (SELECT 1 UNION ALL SELECT j + 1 FROM m WHERE j < {events})
             INSERT INTO run_events (id, run, seq, at, kind, stream, data)
             SELECT event + (i - 1) * {events} + j, run + i, j, j,
                    iif(j = 1, 'queued', 'output'), iif(j = 1, NULL, 'stdout'),
                    iif(j = 1, '{{}}', 'a line of output, as long as lines are, number ' || j || char(10))
             FROM base CROSS JOIN n CROSS JOIN m;
             DROP TABLE base;
             COMMIT;"
        ))
        .unwrap();
}

/// A figure of the database.
pub fn number(database: &Connection, sql: &str) -> i64 {
    database.query_row(sql, [], |row| row.get(0)).unwrap()
}
