//! A database that an earlier schema made opens, is brought up to date, and goes on where it stood.

use std::os::unix::fs::DirBuilderExt as _;

use runabout::store::sql;
use rusqlite::Connection;
use serde_json::json;

use crate::common::{Daemon, Reader, TempDir, output_of};

/// A state directory as the daemon of a schema left it: one run that has ended, one that waits.
fn left_by(version: usize) -> TempDir {
    let dir = TempDir::new();
    let state = dir.path().join("state");
    std::fs::DirBuilder::new().mode(0o700).create(&state).unwrap();
    let database = Connection::open(state.join("runabout.db")).unwrap();
    database
        .execute_batch("PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL")
        .unwrap();
    for migration in &sql::MIGRATIONS[..version] {
        database.execute_batch(migration).unwrap();
    }
    database
        .execute_batch(&format!(
            "PRAGMA application_id = {};
             PRAGMA user_version = {version};
             INSERT INTO meta (key, value) VALUES ('instance', 'abcdefghijkl');
             INSERT INTO runs (id, status, reason, queue, priority, ready, tags, script, env, on_interrupt, keep, attempt,
                               exit_code, output_bytes, created_at, started_at, ended_at)
             VALUES (3, 'succeeded', 'exited', 'default', 0, 0, '[\"old\"]', 'echo old', '{{}}', 'fail', 0, 1, 0, 4,
                     1750000000000, 1750000000000, 1750000000001);
             INSERT INTO runs (id, status, queue, priority, ready, tags, script, env, on_interrupt, keep, attempt,
                               output_bytes, created_at)
             VALUES (4, 'queued', 'default', 0, 1, '[]', 'echo new', '{{}}', 'fail', 0, 1, 0, 1750000000002);
             INSERT INTO run_tags (tag, run) VALUES ('old', 3);
             INSERT INTO attempts (run, attempt, started_at, ended_at, exit_code, reason)
             VALUES (3, 1, 1750000000000, 1750000000001, 0, 'exited');
             INSERT INTO run_events (id, run, seq, at, kind, stream, data) VALUES
               (11, 3, 1, 1750000000000, 'queued', NULL, '{{\"attempt\":1}}'),
               (12, 3, 2, 1750000000000, 'started', NULL, '{{\"attempt\":1}}'),
               (13, 3, 3, 1750000000000, 'output', 'stdout', 'old' || char(10)),
               (14, 3, 4, 1750000000001, 'finished', NULL,
                '{{\"status\":\"succeeded\",\"reason\":\"exited\",\"exit_code\":0,\"queue\":\"default\",\"tags\":[]}}'),
               (15, 4, 1, 1750000000002, 'queued', NULL, '{{\"attempt\":1}}');",
            0x5275_6e61
        ))
        .unwrap();
    dir
}

#[test]
fn a_database_of_every_earlier_schema_opens_and_goes_on() {
    for version in 1..=sql::MIGRATIONS.len() {
        let mut daemon = Daemon::builder().start_in(left_by(version));
        let ended = daemon.wait_ended(4);
        assert_eq!((&ended["status"], &ended["output_bytes"]), (&json!("succeeded"), &json!(4)), "schema {version}");
        for (run, printed) in [(3, "old\n"), (4, "new\n")] {
            assert_eq!(output_of(&daemon.events(run)).0, printed.as_bytes(), "schema {version}");
            Reader::open(&daemon, run, 0).until_end();
        }
        let next = daemon.sh("true");
        assert!(next > 4 && daemon.wait_ended(next)["status"] == "succeeded");
        daemon.delete("/v1/runs/3").expect(204);
        daemon.call("POST", "/v1/maintenance").send().expect(200);
        daemon.stop();
        let database = Connection::open(daemon.state_dir().join("runabout.db")).unwrap();
        let fact = |sql: &str| database.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
        assert_eq!(fact("SELECT user_version || '' FROM pragma_user_version"), sql::MIGRATIONS.len().to_string());
        assert_eq!(fact("PRAGMA integrity_check"), "ok");
    }
}
