//! A database that is damaged is told at the start, with what to do, and stays byte for byte as it is.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::common::{DEADLINE, Daemon, TempDir, binary};

/// A daemon's directory with some runs, the newest of them only in the log; the daemon was killed.
fn left() -> Daemon {
    let mut daemon = Daemon::start();
    daemon.put("/v1/queues/idle", &json!({"paused": true})).expect(201);
    for _ in 0..40 {
        daemon.submit(&json!({"script": "true", "queue": "idle", "stdin": "x".repeat(9_000)}));
    }
    daemon.restart();
    daemon.submit(&json!({"script": "true", "queue": "idle"}));
    daemon.kill9();
    daemon
}

/// The bytes of the database and its log.
fn bytes(dir: &Path) -> BTreeMap<&'static str, Vec<u8>> {
    let read = |name: &'static str| Some((name, std::fs::read(dir.join(name)).ok()?));
    // SQLite makes an empty log where there is none.
    ["runabout.db", "runabout.db-wal"].into_iter().filter_map(read).filter(|(_, bytes)| !bytes.is_empty()).collect()
}

fn change(path: &Path, at: u64, change: impl Fn(&mut [u8]), length: usize) {
    let mut file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut bytes = vec![0; length];
    file.seek(SeekFrom::Start(at)).unwrap();
    file.read_exact(&mut bytes).unwrap();
    change(&mut bytes);
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&bytes).unwrap();
}

/// Starts the daemon on the directory; answers what it said when it refused. Nothing may have changed.
#[track_caller]
fn refusal(state: &Path) -> String {
    let before = bytes(state);
    let mut command = std::process::Command::new(binary());
    command.arg("serve").arg("--state-dir").arg(state).args(["--listen", "none"]);
    let done = command.stdin(std::process::Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{said}{}", String::from_utf8_lossy(&done.stdout));
    assert!(bytes(state) == before, "it was changed");
    assert!(said.contains("runabout.db: "), "it names the file: {said}");
    said
}

#[track_caller]
fn says_what_to_do(said: &str) {
    for word in ["damaged", "Nothing was changed", "keep a copy", "runabout restore", ".recover"] {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}

#[test]
fn pages_that_were_overwritten_are_found_after_a_stop_that_was_not_clean() {
    let daemon = left();
    let database = daemon.state_dir().join("runabout.db");
    let pages = std::fs::metadata(&database).unwrap().len() / 4_096;
    for page in (8..pages).step_by(5) {
        change(&database, page * 4_096, |bytes| bytes.fill(0xa5), 512);
    }
    says_what_to_do(&refusal(&daemon.state_dir()));
}

#[test]
fn a_file_that_was_cut_short_is_refused() {
    let daemon = left();
    let database = daemon.state_dir().join("runabout.db");
    let length = std::fs::metadata(&database).unwrap().len();
    OpenOptions::new().write(true).open(&database).unwrap().set_len(length / 2).unwrap();
    says_what_to_do(&refusal(&daemon.state_dir()));
}

#[test]
fn a_file_that_was_cut_short_is_refused_after_a_clean_stop_too() {
    let mut daemon = left();
    daemon.start_again();
    daemon.stop();
    let database = daemon.state_dir().join("runabout.db");
    let length = std::fs::metadata(&database).unwrap().len();
    OpenOptions::new().write(true).open(&database).unwrap().set_len(length / 2).unwrap();
    says_what_to_do(&refusal(&daemon.state_dir()));
}

#[test]
fn a_database_that_is_gone_while_its_log_is_not_is_refused() {
    let daemon = left();
    let database = daemon.state_dir().join("runabout.db");
    OpenOptions::new().write(true).open(&database).unwrap().set_len(0).unwrap();
    let said = refusal(&daemon.state_dir());
    says_what_to_do(&said);
    std::fs::remove_file(&database).unwrap();
    says_what_to_do(&refusal(&daemon.state_dir()));
    assert!(!database.exists(), "nor is one made");
}

#[test]
fn a_header_of_garbage_and_a_foreign_file_are_refused() {
    let daemon = left();
    let database = daemon.state_dir().join("runabout.db");
    change(&database, 0, |bytes| bytes.reverse(), 100);
    says_what_to_do(&refusal(&daemon.state_dir()));

    let dir = TempDir::new();
    let state = dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    for foreign in [&b"key = value\n"[..], &[0; 4_096], b"SQLite format 2\0 and so on, and so forth"] {
        std::fs::write(state.join("runabout.db"), foreign).unwrap();
        let said = refusal(&state);
        assert!(said.contains("not a Runabout database") && said.contains("another --state-dir"), "{said}");
    }
    std::fs::remove_file(state.join("runabout.db")).unwrap();
    let other = rusqlite::Connection::open(state.join("runabout.db")).unwrap();
    other.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1);").unwrap();
    let said = refusal(&state);
    assert!(said.contains("not a Runabout database"), "{said}");
    drop(other);
}

#[test]
fn damage_that_is_met_while_it_serves_ends_the_daemon_with_the_same_advice() {
    let mut daemon = left();
    daemon.start_again();
    daemon.stop();
    let database = daemon.state_dir().join("runabout.db");
    let pages = std::fs::metadata(&database).unwrap().len() / 4_096;
    // After a clean stop nobody looks; whatever is written meets it.
    for page in 8..pages {
        change(&database, page * 4_096, |bytes| bytes.fill(0xa5), 64);
    }
    let mut command = std::process::Command::new(binary());
    command.arg("serve").arg("--state-dir").arg(daemon.state_dir()).args(["--listen", "none"]);
    let child = command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    let mut child = child.stderr(std::process::Stdio::piped()).spawn().unwrap();
    // Either the start meets it, or the first submit does.
    let until = std::time::Instant::now() + DEADLINE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(std::time::Instant::now() < until, "it serves a damaged database");
        let body = json!({"script": "true"});
        if let Ok(answer) = daemon.call("POST", "/v1/runs").json(&body).within(Duration::from_secs(5)).try_send() {
            assert!(matches!(answer.status, 201 | 503), "{}", answer.text());
        }
    };
    assert_eq!(status.code(), Some(1));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    says_what_to_do(&said);
}

#[test]
fn a_sound_database_is_looked_at_after_a_crash_and_not_after_a_stop() {
    let mut daemon = left();
    daemon.start_again();
    let looked = |daemon: &Daemon| daemon.log().matches("the database is sound").count();
    assert_eq!(looked(&daemon), 1);
    daemon.restart();
    assert_eq!(looked(&daemon), 1);
    daemon.stop();
}
