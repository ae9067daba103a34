//! A start on a disk that is full: whatever is full, what is stored can be read, a submit is told why it is refused, and
//! everything goes on when there is room. Where even that cannot be, one message says what is missing.

use std::fs::{self, File};
use std::path::Path;

use rusqlite::Connection;
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use serde_json::json;

use crate::common::small_disk::{SmallDisk, in_namespace};
use crate::common::{DEADLINE, Daemon, Reader, Running, TempDir, cli, eventually, number, output_of};

const READS: &str = "disk_full_start::after_a_clean_stop_it_starts_on_a_disk_without_a_byte";

fn fill(disk: &SmallDisk) {
    disk.fill(0);
    // What some file systems keep back for a moment, too.
    rustix::fs::sync();
    disk.fill(0);
}

fn daemon_with_a_run(dir: TempDir) -> Daemon {
    let mut daemon = Daemon::builder().start_in(dir);
    assert_eq!(daemon.wait_ended(daemon.sh("seq 1 2000"))["status"], "succeeded");
    daemon.stop();
    daemon
}

/// It reads, and refuses, and takes up its work when there is room.
#[track_caller]
fn reads_and_refuses(daemon: &Daemon, kind: &str) {
    assert_eq!(daemon.run(1)["status"], "succeeded", "{kind}");
    assert!(output_of(&daemon.events(1)).0.ends_with(b"\n2000\n"), "{kind}");
    let problem = daemon.post("/v1/runs", &json!({"script": "true"})).expect_problem(507, "storage_full");
    assert!(problem["detail"].as_str().unwrap().contains("must be (limits.disk_free_bytes)"), "{kind}: {problem}");
}

#[track_caller]
fn goes_on(daemon: &Daemon, disk: &SmallDisk) {
    disk.make_room();
    eventually(DEADLINE, "a submit is taken", || {
        daemon.post("/v1/runs", &json!({"script": "true", "name": "after"})).status == 201
    });
    assert_eq!(daemon.wait_ended(2)["status"], "succeeded");
    eventually(DEADLINE, "it is ready", || daemon.get("/readyz").status == 200);
}

#[test]
fn after_a_clean_stop_it_starts_on_a_disk_without_a_byte() {
    in_namespace(READS, || {
        for kind in ["tmpfs", "ext4"] {
            let dir = TempDir::new();
            let disk = match kind {
                "tmpfs" => Some(SmallDisk::mount(&dir, 32)),
                _ => SmallDisk::mount_image(&dir, kind, 32),
            };
            let Some(disk) = disk else { continue };
            let mut daemon = daemon_with_a_run(dir);
            // Each time somebody else takes what a stop leaves.
            for _ in 0..2 {
                fill(&disk);
                daemon.start_again();
                assert_eq!(daemon.run(1)["status"], "succeeded", "{kind}");
                daemon.stop();
            }
            fill(&disk);
            daemon.start_again();
            reads_and_refuses(&daemon, kind);
            goes_on(&daemon, &disk);
            daemon.kill9();
            fill(&disk);
            daemon.start_again();
            assert_eq!(daemon.run(2)["name"], "after", "{kind}");
            drop(daemon);
            drop(disk);
        }
    });
}

#[test]
fn without_a_ballast_it_starts_alone_and_lets_others_in_when_there_is_room() {
    in_namespace("disk_full_start::without_a_ballast_it_starts_alone_and_lets_others_in_when_there_is_room", || {
        let dir = TempDir::new();
        let disk = SmallDisk::mount(&dir, 32);
        let mut daemon = daemon_with_a_run(dir);
        fs::remove_file(daemon.state_dir().join("runabout.ballast")).unwrap();
        fill(&disk);
        daemon.start_again();
        assert!(daemon.log().contains("nobody else can open the database"), "{}", daemon.log());
        reads_and_refuses(&daemon, "tmpfs");
        daemon.put("/v1/queues/other", &json!({"slots": 1})).expect_problem(507, "storage_full");
        assert_eq!(daemon.get("/readyz").status, 503);
        let database = daemon.state_dir().join("runabout.db");
        let beside = || Connection::open(&database).unwrap().query_row("SELECT 1 FROM runs", [], |_| Ok(()));
        assert!(beside().is_err(), "it has the database alone");
        goes_on(&daemon, &disk);
        beside().unwrap();
        assert_eq!(number(&Connection::open(&database).unwrap(), "SELECT COUNT(*) FROM runs"), 2);
        daemon.kill9();
        daemon.start_again();
        assert_eq!(daemon.run(2)["name"], "after");
        drop(daemon);
        drop(disk);
    });
}

#[track_caller]
fn refused_for(options: &str, filled_bytes: u64, words: &[&str]) {
    let dir = TempDir::new();
    let disk = SmallDisk::mount_with(&dir, options);
    let filler = vec![b'x'; filled_bytes as usize];
    if filled_bytes > 0 {
        fs::write(disk.path().join("filler"), filler).unwrap();
    }
    let (code, said) = Daemon::builder().refused_in(&dir);
    assert_eq!(code, 1, "{said}");
    let last = said.lines().last().unwrap_or_default();
    for word in ["there is no room to start", "df -i", "--state-dir"].iter().chain(words) {
        assert!(last.contains(word), "{options}: {word:?} is not in: {last}");
    }
    drop(disk);
}

#[test]
fn a_first_start_without_room_says_what_is_missing() {
    in_namespace("disk_full_start::a_first_start_without_room_says_what_is_missing", || {
        for free_kib in [4, 8, 16, 24, 40] {
            refused_for(&format!("size={}k", 400 + free_kib), 400 * 1_024, &["KiB free and 512 KiB are needed"]);
        }
        for files in [1, 2, 3, 4, 5] {
            refused_for(&format!("size=64m,nr_inodes={files}"), 0, &[" more files can be made and 5 are needed"]);
        }
        // The ballast takes none of the last.
        let dir = TempDir::new();
        let disk = SmallDisk::mount_with(&dir, "size=64m,nr_inodes=6");
        let daemon = Daemon::builder().start_in(dir);
        assert!(!Path::new(&daemon.state_dir().join("runabout.ballast")).exists());
        // Room is not what a second daemon lacks.
        let mut second = daemon.cli();
        second.args(["serve", "--listen", "none"]);
        let refused = Running::start(second).ended().expect(1);
        let held = format!("runabout: {} is held by another daemon: pid ", daemon.state_dir().display());
        assert!(refused.stderr.starts_with(&held) && !refused.stderr.contains("room"), "{refused:?}");
        drop(daemon);
        drop(disk);
    });
}

#[test]
fn a_btrfs_that_fills_holds_the_runs_and_ends_nobody() {
    in_namespace("disk_full_start::a_btrfs_that_fills_holds_the_runs_and_ends_nobody", || {
        let dir = TempDir::new();
        let Some(disk) = SmallDisk::mount_image(&dir, "btrfs", 120) else { return };
        let mut daemon = daemon_with_a_run(dir);
        daemon.start_again();
        let index = daemon.state_dir().join("runabout.db-shm");
        let flags = |path: &Path| ioctl_getflags(File::open(path).unwrap()).unwrap();
        // As an older daemon left it, that died.
        daemon.kill9();
        let state = File::open(daemon.state_dir()).unwrap();
        ioctl_setflags(&state, flags(&daemon.state_dir()) - IFlags::NOCOW).unwrap();
        fs::remove_file(&index).unwrap();
        fs::write(&index, [0; 32_768]).unwrap();
        assert!(!flags(&index).contains(IFlags::NOCOW));
        daemon.start_again();
        assert!(flags(&index).contains(IFlags::NOCOW) && flags(&daemon.state_dir()).contains(IFlags::NOCOW));
        assert!(cli(&daemon, &["doctor"]).text().contains("copy_on_write"));

        let gate = daemon.gate("gate");
        let run = daemon.sh(&format!("seq 1 20000; {}; seq 20001 200000", gate.wait()));
        let mut reader = Reader::open(&daemon, run, 0);
        reader.until_stdout("20000\n");
        fill(&disk);
        gate.open();
        eventually(DEADLINE, "nothing more can be written", || daemon.get("/readyz").status == 503);
        assert_eq!(daemon.run(1)["status"], "succeeded");
        disk.make_room();
        reader.until_end();
        let whole: Vec<u8> = (1..=200_000).flat_map(|n| format!("{n}\n").into_bytes()).collect();
        assert!(reader.told.stdout == whole, "output is exact");
        // Killed while it is full, and then stopped in order: both times it starts again.
        for end in [Daemon::kill9, |daemon: &mut Daemon| {
            daemon.stop();
        }] {
            fill(&disk);
            end(&mut daemon);
            daemon.start_again();
            assert_eq!(daemon.run(1)["status"], "succeeded");
            disk.make_room();
            daemon.wait_ended(daemon.sh("true"));
        }
        daemon.stop();
        drop(daemon);
        drop(disk);
    });
}
