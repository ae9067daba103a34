//! What a power cut may take, and what it may leave: nothing is shown that is not on the medium, and a database that was
//! about to be made is made anew. `make torture PARTS=power` tries thousands of cuts; what it found is here.

use serde_json::json;

use crate::common::{Daemon, TempDir, strace_is_there};

#[test]
fn what_a_killed_daemon_may_not_have_flushed_is_flushed_before_the_next_one_serves() {
    if !strace_is_there() {
        return eprintln!("skipped: strace is not there, or ptrace is not allowed");
    }
    let dir = TempDir::new();
    let log = dir.path().join("flushes");
    let mut daemon = Daemon::builder().start_in(dir);
    // So that the next one has nothing to write by itself, which would flush it all.
    daemon.put("/v1/queues/default", &json!({"paused": true})).expect(200);
    let run = daemon.sh("true");
    daemon.kill9();
    let log_name = log.display().to_string();
    let trace = ["strace", "-f", "-qq", "-y", "-o", &log_name, "-e", "trace=fsync,fdatasync"];
    daemon.rebuild(|builder| builder.wrapper(&trace));
    daemon.start_again();
    let flushes = std::fs::read_to_string(&log).unwrap();
    for name in ["/state/runabout.db-wal>", "/state/runabout.db>", "/state>"] {
        let is_flushed = flushes.lines().any(|line| line.contains(name) && line.ends_with("= 0"));
        assert!(is_flushed, "{name} is not flushed: {flushes}");
    }
    assert_eq!(daemon.run(run)["status"], "queued");
    daemon.stop();
}

/// The first page was on its way when the power went, and of it the first sector is not there; how to take it back is.
#[test]
fn a_database_that_was_about_to_be_made_is_made_anew() {
    let dir = TempDir::new();
    let state = dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let mut page = vec![0; 2_048];
    page[1_024..].fill(0xa5);
    std::fs::write(state.join("runabout.db"), &page).unwrap();
    // SQLite's journal of a database that had no pages: its mark, no records, a nonce, sizes of the database, of a sector and
    // of a page.
    let mut journal = vec![0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    journal.extend([0_u32, 7, 0, 512, 2_048].into_iter().flat_map(u32::to_be_bytes));
    journal.resize(512, 0);
    std::fs::write(state.join("runabout.db-journal"), &journal).unwrap();
    let mut daemon = Daemon::builder().start_in(dir);
    daemon.wait_ended(daemon.sh("true"));
    daemon.stop();
    // What is no database has no journal that could make one of it.
    std::fs::write(daemon.state_dir().join("runabout.db"), &page).unwrap();
    std::fs::write(daemon.state_dir().join("runabout.db-journal"), "of nothing").unwrap();
    assert!(daemon.try_start_again().is_err());
    assert!(daemon.log().contains("it is not a Runabout database"), "{}", daemon.log());
}
