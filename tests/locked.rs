//! Somebody else who holds the database's lock (the sqlite3 shell, a backup) holds up writes for as long, and no reads.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::{Client, DEADLINE, Daemon, eventually};

#[test]
fn reads_go_on_beside_a_foreign_lock_and_writes_wait_for_it() {
    let daemon = Daemon::start();
    let done = daemon.sh("echo one");
    daemon.wait_ended(done);
    let other = rusqlite::Connection::open(daemon.state_dir().join("runabout.db")).unwrap();
    other.busy_timeout(DEADLINE).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let held = Instant::now();
    std::thread::scope(|scope| {
        let client = Client::clone(&daemon);
        let asked = daemon.metrics().get("store_requests_total{kind=\"read\"}");
        let submitted = scope.spawn(move || client.submit(&json!({"script": "echo two"})));
        let mut reads = 0.0;
        eventually(DEADLINE, "it is read meanwhile", || {
            daemon.run(done);
            daemon.get(&format!("/v1/runs/{done}/events")).expect(200);
            reads = daemon.metrics().get("store_requests_total{kind=\"read\"}") - asked;
            held.elapsed() > Duration::from_millis(1_500)
        });
        assert!(reads >= 20.0, "{reads} reads beside the lock");
        assert!(!submitted.is_finished(), "it waits");
        other.execute_batch("ROLLBACK").unwrap();
        let run = submitted.join().unwrap();
        assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
    });

    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    daemon.post("/v1/runs", &json!({"script": "true"})).expect_problem(503, "storage_unavailable");
    other.execute_batch("ROLLBACK").unwrap();
    eventually(DEADLINE, "it is ready again", || daemon.get("/readyz").status == 200);
    daemon.sh("true");
}
