//! A disk that is full: submits are refused, nothing acknowledged is lost, output waits in its pipes, ends and cancels
//! are written from what was kept for them, and everything goes on by itself when there is room again.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::common::small_disk::{SmallDisk, in_namespace};
use crate::common::{Client, DEADLINE, Daemon, Reader, TempDir, cli, cpu_ms, eventually, output_of, wait_gone};

const MIB: u64 = 1_048_576;
/// Beyond every disk here, so that it is the disk that is full.
const QUOTA: &str = "1073741824";
/// What the log says once when it begins, and once when it is over.
const BEGINS: &str = "nothing more can be written";
const ENDS: &str = "the database can be written again";

fn ready(client: &Client) -> bool {
    client.get("/readyz").status == 200
}

fn said(daemon: &Daemon, what: &str) -> usize {
    daemon.log().matches(what).count()
}

/// A disk, a daemon on it, and a paused queue with room for many.
fn daemon_on(mib: u64, config: &str) -> (SmallDisk, Daemon) {
    let dir = TempDir::new();
    let disk = SmallDisk::mount(&dir, mib);
    let daemon = Daemon::builder().config(config).env("RUNABOUT_RETENTION_DB_BYTES", QUOTA).start_in(dir);
    daemon.put("/v1/queues/idle", &json!({"paused": true})).expect(201);
    (disk, daemon)
}

/// `seq FROM TO`, as the command prints it.
fn seq(from: u64, to: u64) -> Vec<u8> {
    (from..=to).flat_map(|n| format!("{n}\n").into_bytes()).collect()
}

/// Submits until it is told to stop; notes what was acknowledged, by key, and how often it was refused for lack of room.
fn submit_all_the_time(
    client: &Client,
    who: usize,
    stop: &AtomicBool,
    acknowledged: &Mutex<BTreeMap<String, i64>>,
    refused: &AtomicUsize,
) {
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let key = format!("{who}-{number}");
        let body = json!({"script": "true", "queue": "idle", "stdin": "x".repeat(2_000)});
        let answer = client.call("POST", "/v1/runs").header("Idempotency-Key", &key).json(&body).send();
        match answer.status {
            201 => {
                let id = answer.json()["id"].as_i64().unwrap();
                acknowledged.lock().unwrap().insert(key, id);
            }
            507 => {
                let problem = answer.expect_problem(507, "storage_full");
                assert!(problem["details"]["free_bytes"].is_u64(), "{problem}");
                refused.fetch_add(1, Ordering::Relaxed);
            }
            other => panic!("{other}: {}", answer.text()),
        }
    }
}

/// Says so when it goes.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_disk_that_fills_in_the_middle_of_a_burst_loses_nothing() {
    in_namespace("disk_full::a_disk_that_fills_in_the_middle_of_a_burst_loses_nothing", || {
        let (disk, mut daemon) = daemon_on(64, "[limits]\ndisk_free_bytes = 1_048_576\n");
        daemon.put("/v1/queues/default", &json!({"slots": 4})).expect(200);
        let gate = daemon.gate("gate");
        // What follows meets a full disk: more than fits into what SQLite has of it already.
        let loud = format!("seq 1 20000; {}; seq 20001 800000", gate.wait());
        let run = daemon.sh(&loud);
        let short_gate = daemon.gate("short");
        let short = daemon.sh(&format!("echo before; {}; echo after; exit 7", short_gate.wait()));
        let waiting = daemon.submit(&json!({"script": "true", "queue": "idle"}));
        let mut reader = Reader::open(&daemon, run, 0);
        reader.until_stdout("20000\n");
        daemon.wait_running(short);

        let (stop, refused) = (AtomicBool::new(false), AtomicUsize::new(0));
        let acknowledged = Mutex::new(BTreeMap::new());
        std::thread::scope(|scope| {
            // Also where something fails: the test must end.
            let stops = SetOnDrop(&stop);
            for who in 0..3 {
                let client = Client::clone(&daemon);
                let (stop, acknowledged, refused) = (&stop, &acknowledged, &refused);
                scope.spawn(move || submit_all_the_time(&client, who, stop, acknowledged, refused));
            }
            eventually(DEADLINE, "a burst is under way", || acknowledged.lock().unwrap().len() > 50);
            disk.fill(0);
            gate.open();
            eventually(DEADLINE, "submits are refused", || refused.load(Ordering::Relaxed) > 10);
            eventually(DEADLINE, "output cannot be written", || !ready(&daemon));
            assert_eq!(daemon.metrics().get("storage_writable"), 0.0);

            // What frees and ends goes on, from what was kept for it; what only reads does anyway.
            daemon.call("POST", &format!("/v1/runs/{waiting}/cancel")).send().expect(200);
            daemon.delete(&format!("/v1/runs/{waiting}")).expect(204);
            short_gate.open();
            assert_eq!(daemon.wait_ended(short)["exit_code"], 7);
            assert_eq!(output_of(&daemon.events(short)).0, b"before\nafter\n");
            assert_eq!(daemon.run(run)["status"], "running");
            daemon.get("/v1/runs").expect(200);
            daemon.get(&format!("/v1/runs/{run}/events?after=1")).expect(200);
            let before = cpu_ms(daemon.pid());
            std::thread::sleep(Duration::from_secs(1));
            let (used, during) = (cpu_ms(daemon.pid()) - before, refused.load(Ordering::Relaxed));
            eprintln!("{used} ms of processor time in a second of a full disk, {during} submits refused so far");
            drop(stops);
        });
        assert!(!ready(&daemon));
        assert_eq!((said(&daemon, BEGINS), said(&daemon, ENDS)), (1, 0));

        disk.make_room();
        // Nobody has to do anything.
        reader.until_end();
        eventually(DEADLINE, "it is ready again", || ready(&daemon));
        assert_eq!(daemon.metrics().get("storage_writable"), 1.0);
        assert!(reader.told.stdout == seq(1, 800_000), "output is exact");
        assert_eq!((said(&daemon, BEGINS), said(&daemon, ENDS)), (1, 1), "one line each");
        daemon.submit(&json!({"script": "true", "queue": "idle"}));

        daemon.kill9();
        daemon.start_again();
        assert!(output_of(&daemon.events(run)).0 == seq(1, 800_000));
        let acknowledged = acknowledged.into_inner().unwrap();
        eprintln!("{} acknowledged, {} refused", acknowledged.len(), refused.into_inner());
        for (key, id) in acknowledged {
            let body = json!({"script": "true", "queue": "idle", "stdin": "x".repeat(2_000)});
            let again = daemon.call("POST", "/v1/runs").header("Idempotency-Key", &key).json(&body).send().expect(200);
            assert_eq!(again.json()["id"], id);
        }
        drop(daemon);
        drop(disk);
    });
}

#[test]
fn below_the_floor_submits_are_refused_and_the_rest_goes_on() {
    in_namespace("disk_full::below_the_floor_submits_are_refused_and_the_rest_goes_on", || {
        let (disk, daemon) = daemon_on(32, "");
        let body = json!({"script": "true"});
        let submit = || daemon.call("POST", "/v1/runs").header("Idempotency-Key", "one").json(&body).send();
        let done = submit().expect(201).json()["id"].as_i64().unwrap();
        daemon.wait_ended(done);
        let gate = daemon.gate("gate");
        let run = daemon.sh(&format!("echo one; {}; echo two", gate.wait()));
        daemon.wait_running(run);
        disk.fill(8 * MIB - 65_536);

        let refusal = daemon.post("/v1/runs", &json!({"script": "true"}));
        assert!(refusal.header("retry-after").is_some());
        let problem = refusal.expect_problem(507, "storage_full");
        assert_eq!(problem["details"]["needed_bytes"], 8_388_608);
        assert!(problem["details"]["free_bytes"].as_u64().unwrap() < 8_388_608, "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("8192 KiB must be") && detail.contains("runabout rm"), "{detail}");
        daemon.call("POST", &format!("/v1/runs/{done}/retry")).send().expect_problem(507, "storage_full");
        let told = cli(&daemon, &["add", "--", "true"]).expect(1);
        assert!(told.stderr.contains("nearly full"), "{}", told.stderr);
        // A run that is there already is no submit.
        assert_eq!(submit().expect(200).json()["id"], done);

        assert!(ready(&daemon), "it can be written");
        daemon
            .post(&format!("/v1/runs/{run}/events"), &json!({"kind": "progress", "data": {"percent": 1}}))
            .expect(201);
        daemon.enroll("operator");
        gate.open();
        assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
        assert_eq!(output_of(&daemon.events(run)).0, b"one\ntwo\n");
        daemon.delete(&format!("/v1/runs/{run}")).expect(204);
        assert_eq!((said(&daemon, "submits are refused"), said(&daemon, BEGINS)), (1, 0));

        disk.make_room();
        daemon.sh("true");
        assert_eq!(said(&daemon, "submits are taken again"), 1);
        drop(daemon);
        drop(disk);
    });
}

#[test]
fn an_end_that_cannot_be_written_waits_and_keeps_its_slot() {
    in_namespace("disk_full::an_end_that_cannot_be_written_waits_and_keeps_its_slot", || {
        let (disk, daemon) = daemon_on(32, "[limits]\ndisk_free_bytes = 0\n");
        let (gate, other) = (daemon.gate("gate"), daemon.gate("other"));
        // What it prints last waits to be written with its end: that needs more than may be left of the log's file.
        let run = daemon.sh(&format!("echo it begins; {}; seq 1 40000; exit 9", gate.wait()));
        let pid = daemon.wait_running(run);
        let next = daemon.sh("echo next");
        daemon.put("/v1/queues/other", &json!({"slots": 1})).expect(201);
        let loud = format!("{}; seq 1 800000", other.wait());
        let loud = daemon.submit(&json!({"script": loud, "queue": "other"}));
        daemon.wait_running(loud);
        // Output fills the log's file, which is there already, and then meets the end of the disk; somebody takes what
        // was kept for the ends, too.
        disk.fill(0);
        other.open();
        eventually(DEADLINE, "output cannot be written", || !ready(&daemon));
        let mut refused = 0;
        eventually(DEADLINE, "nothing at all can be written", || {
            disk.fill(0);
            let token = daemon.post("/v1/enrollment-tokens", &json!({"role": "viewer", "label": "x".repeat(200)}));
            refused = if token.status == 507 { refused + 1 } else { 0 };
            refused > 20
        });
        gate.open();
        wait_gone(pid);
        daemon.post("/v1/runs", &json!({"script": "true"})).expect_problem(507, "storage_full");
        let now = daemon.run(run);
        assert_eq!((&now["status"], &now["exit_code"]), (&json!("running"), &Value::Null));
        assert_eq!(daemon.run(next)["status"], "queued", "the slot is taken");

        disk.make_room();
        let ended = daemon.wait_ended(run);
        assert_eq!((&ended["status"], &ended["exit_code"]), (&json!("failed"), &json!(9)), "how it ended is not lost");
        assert_eq!(daemon.wait_ended(next)["status"], "succeeded");
        assert_eq!(daemon.wait_ended(loud)["status"], "succeeded");
        assert!(output_of(&daemon.events(loud)).0 == seq(1, 800_000));
        assert_eq!((said(&daemon, BEGINS), said(&daemon, ENDS)), (1, 1), "one line each");
        drop(daemon);
        drop(disk);
    });
}

#[test]
fn a_daemon_starts_and_stops_on_a_disk_without_a_byte_free() {
    in_namespace("disk_full::a_daemon_starts_and_stops_on_a_disk_without_a_byte_free", || {
        let (disk, mut daemon) = daemon_on(32, "");
        let run = daemon.sh("echo kept; exec sleep 300");
        daemon.wait_running(run);
        let mut reader = Reader::open(&daemon, run, 0);
        reader.until_stdout("kept\n");
        daemon.kill9();
        disk.fill(0);
        daemon.start_again();
        assert_eq!(output_of(&daemon.events(run)).0, b"kept\n");
        assert_eq!(daemon.wait_ended(run)["status"], "interrupted");
        daemon.post("/v1/runs", &json!({"script": "true"})).expect_problem(507, "storage_full");
        daemon.signal(Signal::TERM);
        assert_eq!(daemon.wait_exit(DEADLINE).code(), Some(0));
        disk.make_room();
        daemon.start_again();
        let run = daemon.sh("echo again");
        assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
        drop(daemon);
        drop(disk);
    });
}

#[test]
fn a_quota_full_of_queued_runs_is_said_and_can_be_emptied() {
    let daemon = Daemon::with_config("[retention]\ndb_bytes = 4_194_304\n");
    daemon.put("/v1/queues/idle", &json!({"paused": true})).expect(201);
    let body = json!({"script": "true", "queue": "idle", "stdin": "x".repeat(100_000)});
    let mut taken = Vec::new();
    let problem = loop {
        let answer = daemon.post("/v1/runs", &body);
        if answer.status != 201 {
            break answer.expect_problem(507, "storage_full");
        }
        taken.push(answer.json()["id"].as_i64().unwrap());
        assert!(taken.len() < 100, "there is no end to it");
    };
    assert!(taken.len() > 30, "{} of 4 MiB", taken.len());
    assert_eq!(problem["details"]["quota_bytes"], 4_194_304);
    assert!(problem["detail"].as_str().unwrap().contains("retention.db_bytes"), "{problem}");
    assert!(ready(&daemon), "what was taken can be run");
    for run in taken.iter().take(10) {
        daemon.call("POST", &format!("/v1/runs/{run}/cancel")).send().expect(200);
        // Now that it has ended, it goes by itself until there is room.
        let gone = daemon.delete(&format!("/v1/runs/{run}")).status;
        assert!(matches!(gone, 204 | 410), "{gone}");
    }
    daemon.post("/v1/runs", &body).expect(201);
    daemon.put("/v1/queues/idle", &json!({"paused": false, "slots": 8})).expect(200);
    let succeeded = (taken.len() - 10 + 1) as f64;
    eventually(DEADLINE, "what was taken is run", || {
        daemon.metrics().get("runs_finished_total{status=\"succeeded\"}") >= succeeded
    });
}

/// The output that is left of a run, and whether the quota took some.
fn left_of(daemon: &Daemon, run: i64) -> (Vec<u8>, bool) {
    let (mut events, mut after, mut is_trimmed) = (Vec::new(), 0, false);
    loop {
        let page = daemon.get(&format!("/v1/runs/{run}/events?after={after}")).expect(200).json();
        is_trimmed |= page["gaps"].as_array().unwrap().iter().any(|gap| gap["reason"] == "quota");
        let more = page["events"].as_array().unwrap();
        let Some(last) = more.last() else { return (output_of(&events).0, is_trimmed) };
        after = last["seq"].as_i64().unwrap();
        events.extend(more.iter().cloned());
    }
}

#[test]
fn a_run_that_prints_more_than_the_database_may_hold_is_trimmed_and_holds_nobody() {
    in_namespace("disk_full::a_run_that_prints_more_than_the_database_may_hold_is_trimmed_and_holds_nobody", || {
        let dir = TempDir::new();
        let disk = SmallDisk::mount(&dir, 64);
        let daemon = Daemon::builder().start_in(dir);
        daemon.put("/v1/queues/other", &json!({"slots": 1})).expect(201);
        let gate = daemon.gate("gate");
        // The quota is a tenth of the disk: 6.4 MiB. It prints 16 MB, and then it stays.
        let run = daemon.sh(&format!("seq 1 2200000; {}; echo last", gate.wait()));
        let whole = seq(1, 2_200_000);
        let mut was_ready = true;
        eventually(DEADLINE, "all of it is taken", || {
            was_ready &= ready(&daemon);
            daemon.run(run)["output_bytes"] == whole.len()
        });
        assert!(was_ready && said(&daemon, BEGINS) == 0, "nothing ever waited");
        let (left, is_trimmed) = left_of(&daemon, run);
        eprintln!("{} bytes of {} are left", left.len(), whole.len());
        assert!(is_trimmed && left.len() > MIB as usize && left.len() < 4 * MIB as usize);
        let cut = left.iter().zip(&whole).take_while(|(left, whole)| left == whole).count();
        assert!(cut > 256 * 1_024, "its beginning stays: {cut} bytes");
        assert!(whole.ends_with(&left[cut..]), "and what is newest");
        // While it lives, others come and go.
        for _ in 0..3 {
            let other = daemon.submit(&json!({"script": "seq 1 100000", "queue": "other"}));
            assert_eq!(daemon.wait_ended(other)["status"], "succeeded");
        }
        gate.open();
        assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
        assert!(left_of(&daemon, run).0.ends_with(b"last\n"));
        drop(daemon);
        drop(disk);
    });
}

#[test]
fn runs_that_are_kept_fill_the_database_and_hold_no_run() {
    let daemon = Daemon::with_config("[retention]\ndb_bytes = 2_097_152\n");
    daemon.put("/v1/queues/idle", &json!({"paused": true, "slots": 2})).expect(201);
    let runs: Vec<i64> = (0..8)
        .map(|_| daemon.submit(&json!({"script": "seq 1 400000; echo last", "queue": "idle", "keep": true})))
        .collect();
    daemon.put("/v1/queues/idle", &json!({"paused": false})).expect(200);
    for &run in &runs {
        assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
        let (left, _) = left_of(&daemon, run);
        assert!(left.ends_with(b"last\n"), "{} bytes of run {run}", left.len());
    }
    let file = std::fs::metadata(daemon.state_dir().join("runabout.db")).unwrap().len();
    eprintln!("{file} bytes of 2 MiB");
    assert!(file < 8 * MIB, "{file} bytes");
    // What somebody kept is somebody's to let go: then it goes on.
    let full = || daemon.post("/v1/runs", &json!({"script": "true"})).status == 507;
    if full() {
        runs.iter().for_each(|run| _ = daemon.patch(&format!("/v1/runs/{run}"), &json!({"keep": false})).expect(200));
        eventually(DEADLINE, "there is room", || !full());
    }
}

#[test]
fn the_quota_follows_the_size_of_the_file_system() {
    in_namespace("disk_full::the_quota_follows_the_size_of_the_file_system", || {
        let dir = TempDir::new();
        let disk = SmallDisk::mount(&dir, 32);
        let daemon = Daemon::builder().start_in(dir);
        daemon.put("/v1/queues/idle", &json!({"paused": true})).expect(201);
        let body = json!({"script": "true", "queue": "idle", "stdin": "x".repeat(200_000)});
        let submit = || daemon.post("/v1/runs", &body);
        let problem = loop {
            let answer = submit();
            if answer.status != 201 {
                break answer.expect_problem(507, "storage_full");
            }
        };
        assert_eq!(problem["details"]["quota_bytes"], 32 * MIB / 10);
        disk.resize(64);
        eventually(DEADLINE, "there is more room", || submit().status == 201);
        drop(daemon);
        drop(disk);
    });
}
