//! A replicator beside the daemon, as Litestream is: its own tables in the database, a read transaction that it never
//! lets go of for long, its own checkpoints. Neither is in the other's way.

use std::time::Duration;

use rusqlite::Connection;

use crate::common::small_disk::{SmallDisk, in_namespace};
use crate::common::{Daemon, TempDir, cli};

/// What Litestream does to a database, in its own statements.
struct Replicator(Connection);

impl Replicator {
    fn start(daemon: &Daemon) -> Replicator {
        let database = Connection::open(daemon.state_dir().join("runabout.db")).unwrap();
        database.busy_timeout(Duration::from_secs(1)).unwrap();
        let mode: String = database.query_row("PRAGMA journal_mode = wal", [], |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
        database.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
        database
            .execute_batch(
                "CREATE TABLE IF NOT EXISTS _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER);
                 CREATE TABLE IF NOT EXISTS _litestream_lock (id INTEGER);
                 INSERT INTO _litestream_seq (id, seq) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET seq = seq + 1;",
            )
            .unwrap();
        let replicator = Replicator(database);
        replicator.read();
        replicator
    }

    /// The transaction that keeps others from starting the log anew.
    fn read(&self) {
        self.0.execute_batch("BEGIN").unwrap();
        let _: i64 = self.0.query_row("SELECT COUNT(1) FROM _litestream_seq", [], |row| row.get(0)).unwrap();
    }

    fn checkpoint(&self, mode: &str) -> (i64, i64, i64) {
        self.0.execute_batch("ROLLBACK").unwrap();
        let pragma = format!("PRAGMA wal_checkpoint({mode})");
        let done = self.0.query_row(&pragma, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        self.0
            .execute_batch(
                "INSERT INTO _litestream_seq (id, seq) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET seq = seq + 1;
                 BEGIN; INSERT INTO _litestream_lock (id) VALUES (1); ROLLBACK;",
            )
            .unwrap();
        self.read();
        done
    }
}

#[test]
fn a_replicator_beside_the_daemon_is_in_nobodys_way() {
    let mut daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("true"));
    let replicator = Replicator::start(&daemon);
    let log = daemon.state_dir().join("runabout.db-wal");
    let length = || std::fs::metadata(&log).unwrap().len();
    // More than the daemon lets stand in the log by itself: its own checkpoints come, and cannot start it anew.
    daemon.wait_ended(daemon.sh("head -c 6000000 /dev/urandom | base64"));
    daemon.post("/v1/maintenance", &serde_json::json!({})).expect(200);
    assert!(length() > 8_000_000, "{}", length());
    for mode in ["PASSIVE", "TRUNCATE", "PASSIVE", "RESTART"] {
        let (busy, ..) = replicator.checkpoint(mode);
        assert_eq!(busy, 0, "{mode}");
        let run = daemon.sh("seq 2000");
        assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
    }
    assert!(length() < 8_000_000, "{}", length());
    let copy = daemon.dir().join("copy.db");
    cli(&daemon, &["backup", copy.to_str().unwrap()]).expect(0);
    // A stop does not wait for the transaction, and the log that it leaves is whole.
    let took = daemon.stop();
    assert!(took < Duration::from_secs(4), "{took:?}: it waited until SQLite gave up");
    daemon.start_again();
    assert_eq!(daemon.events(2).last().unwrap()["data"]["status"], "succeeded");
    replicator.checkpoint("TRUNCATE");
    daemon.kill9();
    daemon.start_again();
    assert_eq!(daemon.wait_ended(daemon.sh("true"))["status"], "succeeded");
    // A copy that has its tables is one of ours all the same.
    drop(replicator);
    daemon.stop();
    cli(&daemon, &["restore", copy.to_str().unwrap()]).expect(0);
    daemon.start_again();
    assert_eq!(daemon.run(2)["status"], "succeeded");
}

#[test]
fn a_restore_waits_for_who_reads_and_names_it() {
    let mut daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("true"));
    let copy = daemon.dir().join("copy.db");
    let copy = copy.to_str().unwrap();
    cli(&daemon, &["backup", copy]).expect(0);
    let replicator = Replicator::start(&daemon);
    let own = format!("(pid {})", std::process::id());
    let folder = daemon.state_dir().join(".runabout.db-litestream/ltx/0");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("1.ltx"), [0; 20_480]).unwrap();
    let told = cli(&daemon, &["doctor"]).text();
    assert!(told.contains(&own) && told.contains("keeps 20.0 KiB in"), "{told}");
    daemon.stop();
    let database = daemon.state_dir().join("runabout.db");
    let before = std::fs::read(&database).unwrap();
    let refused = cli(&daemon, &["restore", copy]).expect(1).stderr;
    assert!(refused.contains(&own) && refused.contains("litestream reset"), "{refused}");
    assert!(std::fs::read(&database).unwrap() == before, "nothing was changed");
    let told = cli(&daemon, &["doctor"]).text();
    assert!(told.contains("somebody else had the database open"), "{told}");
    daemon.start_again();
    assert!(!daemon.log().contains("the last stop was not clean"), "nor what is known of the stop: {}", daemon.log());
    daemon.stop();
    drop(replicator);
    let warned = cli(&daemon, &["restore", copy]).expect(0).stderr;
    assert!(warned.contains("before Litestream starts again"), "{warned}");
}

#[test]
fn on_a_full_disk_a_refusal_says_what_it_keeps() {
    in_namespace("litestream::on_a_full_disk_a_refusal_says_what_it_keeps", || {
        let dir = TempDir::new();
        let disk = SmallDisk::mount(&dir, 32);
        let daemon = Daemon::builder().start_in(dir);
        let folder = daemon.state_dir().join(".runabout.db-litestream/ltx/0");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("1.ltx"), vec![0; 3 << 20]).unwrap();
        disk.fill(0);
        let problem =
            daemon.post("/v1/runs", &serde_json::json!({"script": "true"})).expect_problem(507, "storage_full");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("Litestream keeps 3072 KiB in .runabout.db-litestream"), "{detail}");
        drop(daemon);
        drop(disk);
    });
}

#[test]
fn a_stop_in_order_beside_it_is_known_as_one() {
    let mut daemon = Daemon::start();
    let replicator = Replicator::start(&daemon);
    daemon.wait_ended(daemon.sh("seq 100"));
    let log = daemon.state_dir().join("runabout.db-wal");
    let looked = |daemon: &Daemon| daemon.log().matches("the last stop was not clean").count();
    for _ in 0..2 {
        daemon.stop();
        assert!(std::fs::metadata(&log).unwrap().len() > 0, "the log stays");
        daemon.start_again();
        assert_eq!(looked(&daemon), 0, "{}", daemon.log());
    }
    daemon.kill9();
    daemon.start_again();
    assert_eq!(looked(&daemon), 1, "{}", daemon.log());
    drop(replicator);
}
