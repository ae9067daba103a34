//! Reads and writes hold each other up in neither direction: submits beside readers who never pause, reads beside a
//! commit that waits for its flush, reads and readiness on a file system that is frozen.

use std::cell::Cell;
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use runabout::event::Kind;
use serde_json::json;

use crate::common::small_disk::in_namespace;
use crate::common::{Client, DEADLINE, Daemon, Reader, TempDir, Traced, eventually, new_run, store, strace_is_there};

const READS: &str = "store_requests_total{kind=\"read\"}";

/// Says so when it goes.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does something while so many connections ask for a path again and again.
fn beside_readers<T>(client: &Client, readers: usize, path: &str, work: impl FnOnce() -> T) -> T {
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        // Also where the work fails: the test must end.
        let _readers_end = SetOnDrop(&stop);
        for _ in 0..readers {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    client.get(path).expect(200);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        eventually(DEADLINE, "every reader is at it", || answered.load(Ordering::Relaxed) >= 2 * readers);
        work()
    })
}

#[test]
fn a_submit_waits_for_few_of_the_reads_that_never_pause() {
    let daemon = Daemon::start();
    let later = json!({"script": "true", "delay_s": 86_400});
    (0..120).for_each(|_| _ = daemon.submit(&later));
    beside_readers(&daemon, 6, "/v1/runs?limit=500", || {
        let mut during: Vec<f64> = (0..20)
            .map(|_| {
                let before = daemon.metrics().get(READS);
                daemon.submit(&later);
                daemon.metrics().get(READS) - before
            })
            .collect();
        during.sort_unstable_by(f64::total_cmp);
        eprintln!("reads during a submit: {during:?}");
        // Read in the same batch as the write, they were a thousand and more.
        assert!(during[10] < 200.0, "{during:?}");
    });
}

#[test]
fn a_submit_does_not_wait_for_all_the_events_that_clients_append() {
    const APPENDS: usize = 100;
    let dir = TempDir::new();
    let store = store(&dir);
    let executor = smol::LocalExecutor::new();
    smol::block_on(executor.run(async {
        let run = store.submit(new_run()).await.unwrap().run.id;
        let appended = Rc::new(Cell::new(0));
        // Nothing is written until all has been sent.
        let foreign = rusqlite::Connection::open(dir.path().join("runabout.db")).unwrap();
        foreign.execute_batch("BEGIN IMMEDIATE").unwrap();
        let appends: Vec<_> = (0..APPENDS)
            .map(|_| {
                let (store, appended) = (store.clone(), appended.clone());
                executor.spawn(async move {
                    let events =
                        vec![(Kind::Message, "{\"level\":\"info\",\"text\":\"one of many\"}".to_owned()); 1_000];
                    store.append(run, events).await.unwrap();
                    appended.set(appended.get() + 1);
                })
            })
            .collect();
        // All of them have been sent once each had its turn, and the submit behind them.
        for _ in 0..APPENDS {
            smol::future::yield_now().await;
        }
        let mut submit = Box::pin(store.submit(new_run()));
        assert!(smol::future::poll_once(submit.as_mut()).await.is_none());
        foreign.execute_batch("COMMIT").unwrap();
        submit.await.unwrap();
        eprintln!("{} appends of a thousand events before the submit", appended.get());
        assert!(appended.get() < APPENDS / 2, "{} of {APPENDS}", appended.get());
        for append in appends {
            append.await;
        }
        store.close().await;
    }));
}

#[test]
fn the_log_does_not_grow_beside_reads_that_never_pause() {
    let daemon = Daemon::start();
    (0..200).for_each(|_| _ = daemon.submit(&json!({"script": "true", "delay_s": 86_400})));
    beside_readers(&daemon, 4, "/v1/runs?limit=500", || {
        for _ in 0..120 {
            daemon.submit(&json!({"script": "true", "delay_s": 86_400, "stdin": "x".repeat(200_000)}));
        }
    });
    let log = std::fs::metadata(daemon.state_dir().join("runabout.db-wal")).unwrap().len();
    eprintln!("the log has {log} bytes after 24 MB were written");
    assert!(log < 12 * 1_048_576, "{log} bytes");
}

#[test]
fn reads_are_answered_while_a_commit_waits_for_its_flush() {
    if !strace_is_there() {
        return eprintln!("skipped: strace is not there, or ptrace is not allowed");
    }
    let daemon = Daemon::start();
    let done = daemon.sh("echo one");
    daemon.wait_ended(done);
    let log = daemon.dir().join("strace");
    let traced = Traced::inject(daemon.pid(), log, "fdatasync", "delay_enter=3000000:when=1");
    std::thread::scope(|scope| {
        let client = Client::clone(&daemon);
        let submit = scope.spawn(move || client.submit(&json!({"script": "true"})));
        eventually(DEADLINE, "a flush is under way", || traced.calls().iter().any(|call| call.contains("fdatasync")));
        let mut reads = 0;
        while !submit.is_finished() {
            daemon.get("/readyz").expect(200);
            assert_eq!(daemon.run(done)["status"], "succeeded");
            daemon.get(&format!("/v1/runs/{done}/events")).expect(200);
            reads += 1;
        }
        let run = submit.join().unwrap();
        eprintln!("{reads} rounds of reads beside one flush");
        assert!(reads >= 3, "{reads}");
        // What was answered is read.
        assert_eq!(daemon.run(run)["id"], run);
    });
    drop(traced);
}

/// An ext4 in a file, mounted as the state directory; thawed and unmounted when it is dropped. Declare it before the
/// daemon.
struct Freezer(std::path::PathBuf);

impl Freezer {
    /// `None`, and a word on it, where there is no loop device or no such file system.
    fn mount(dir: &TempDir) -> Option<Freezer> {
        let state = dir.path().join("state");
        let script = "truncate -s 64M $0.img && mkfs.ext4 -q $0.img && mkdir $0 && mount -o loop $0.img $0 && \
                      chmod 700 $0 && fsfreeze -f $0 && fsfreeze -u $0";
        let freezer = Freezer(state);
        if freezer.run(script) {
            return Some(freezer);
        }
        eprintln!("skipped: no file system can be mounted from a file, and frozen");
        None
    }

    fn run(&self, script: &str) -> bool {
        let run = Command::new("sh").args(["-c", script]).arg(&self.0).output();
        run.is_ok_and(|done| done.status.success())
    }

    fn freeze(&self) {
        assert!(self.run("fsfreeze -f $0"));
    }

    fn thaw(&self) {
        assert!(self.run("fsfreeze -u $0"));
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        let _ = self.run("fsfreeze -u $0");
        let _ = self.run("umount -l $0; rm -f $0.img");
    }
}

#[test]
fn on_a_frozen_file_system_reads_are_answered_and_writes_wait_for_the_thaw() {
    in_namespace("reads::on_a_frozen_file_system_reads_are_answered_and_writes_wait_for_the_thaw", || {
        let dir = TempDir::new();
        let Some(freezer) = Freezer::mount(&dir) else { return };
        let daemon = Daemon::builder().start_in(dir);
        let done = daemon.sh("echo one");
        daemon.wait_ended(done);
        let chatty = daemon.sh("while :; do echo chatty; sleep 0.01; done");
        let mut reader = Reader::open(&daemon, chatty, 0);
        reader.until_stdout("chatty\n");
        // Nobody has read since the last commit: what a read notes in the shared memory is not there to be found.
        let quiet = |path: &str| daemon.call("GET", path).within(Duration::from_secs(5)).send();
        freezer.freeze();
        // The test must end also where something fails.
        let thaws = Thaws(&freezer);
        std::thread::scope(|scope| {
            let client = Client::clone(&daemon);
            let submit = scope.spawn(move || client.submit(&json!({"script": "true"})));
            let frozen = Instant::now();
            while frozen.elapsed() < Duration::from_secs(2) {
                quiet("/readyz").expect(200);
                quiet("/v1/runs").expect(200);
                quiet(&format!("/v1/runs/{done}/events")).expect(200);
                quiet(&format!("/v1/runs/{chatty}/events")).expect(200);
                quiet("/v1/queues").expect(200);
            }
            assert!(!submit.is_finished(), "nothing is acknowledged that is not on the medium");
            eventually(DEADLINE, "it is said that writes wait", || quiet("/readyz").status == 503);
            let problem = quiet("/readyz").expect_problem(503, "storage_unavailable");
            assert!(problem["detail"].as_str().unwrap().contains("fsfreeze"), "{problem}");
            quiet("/v1/runs").expect(200);
            drop(thaws);
            let run = submit.join().unwrap();
            assert_eq!(daemon.run(run)["status"], "queued", "behind the one that prints");
        });
        eventually(DEADLINE, "it is ready again", || quiet("/readyz").status == 200);
        daemon.call("POST", &format!("/v1/runs/{chatty}/cancel")).send().expect(202);
        daemon.wait_ended(chatty);
        drop(reader);
        drop(daemon);
        drop(freezer);
    });
}

/// Thaws when it goes.
struct Thaws<'a>(&'a Freezer);

impl Drop for Thaws<'_> {
    fn drop(&mut self) {
        self.0.thaw();
    }
}
