//! On a card whose every flush takes long: reads stay quick, lines are pushed soon, and output leaves the medium to
//! others.
//!
//! `strace` holds each flush up; where it cannot be used, these tests say so and pass.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::{Client, DEADLINE, Daemon, Frame, Gate, Reader, TempDir, eventually, strace_is_there};

/// What a loaded machine and `strace` add to anything.
const SLACK: Duration = Duration::from_millis(250);

/// A daemon whose every flush takes this much longer, and the log of its flushes.
struct Slow {
    daemon: Daemon,
    flush: Duration,
    log: PathBuf,
}

impl Slow {
    /// `None`, and a word on it, where there is no `strace`.
    fn start(flush_ms: u64) -> Option<Slow> {
        if !strace_is_there() {
            eprintln!("skipped: strace is not there, or ptrace is not allowed");
            return None;
        }
        let dir = TempDir::new();
        let log = dir.path().join("flushes");
        let inject = format!("inject=fdatasync,fsync:delay_exit={}", flush_ms * 1_000);
        let log_name = log.display().to_string();
        let words =
            ["strace", "-f", "-qq", "--seccomp-bpf", "-o", &log_name, "-e", "trace=fdatasync,fsync", "-e", &inject];
        let daemon = Daemon::builder().wrapper(&words).start_in(dir);
        Some(Slow { daemon, flush: Duration::from_millis(flush_ms), log })
    }

    /// How many flushes were begun so far.
    fn flushes(&self) -> usize {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().filter(|line| line.contains("sync(")).count()
    }
}

/// Says so when it goes.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does something while a thread reads a run to its end, or until the work is done.
fn while_read<T>(client: &Client, run: i64, work: impl FnOnce(&AtomicBool) -> T) -> T {
    let (reads, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut reader = Reader::open(client, run, "latest");
            while !stop.load(Ordering::Relaxed) {
                match reader.next_within(Duration::from_millis(100)) {
                    Some(Frame::Closed(_) | Frame::Lost) => break,
                    Some(Frame::Event(_)) => reads.store(true, Ordering::Relaxed),
                    _ => {}
                }
            }
        });
        // Also where the work fails: the test must end.
        let _reader_ends = SetOnDrop(&stop);
        work(&reads)
    })
}

fn reads_stay_quick(slow: &Slow) {
    let daemon = &slow.daemon;
    let run = daemon.submit(&json!({"command": ["yes"]}));
    daemon.wait_running(run);
    let quick = |what: &str| {
        let mut took: Vec<Duration> = (0..5)
            .flat_map(|_| ["/v1/runs", &format!("/v1/runs/{run}"), "/v1/queues"].map(str::to_owned))
            .map(|path| {
                let begun = Instant::now();
                daemon.get(&path).expect(200);
                begun.elapsed()
            })
            .collect();
        took.sort_unstable();
        eprintln!("GET beside yes, {what}, flush {:?}: median {:?}, slowest {:?}", slow.flush, took[7], took[14]);
        // One in ten may meet a machine that is busy otherwise.
        assert!(took[13] < Duration::from_millis(500), "{what}: {took:?}");
    };
    quick("unwatched");
    while_read(daemon, run, |reads| {
        eventually(DEADLINE, "the reader is pushed to", || reads.load(Ordering::Relaxed));
        quick("watched");
    });
    daemon.call("POST", &format!("/v1/runs/{run}/cancel")).send().expect(202);
    daemon.wait_ended(run);
}

fn a_quiet_line_is_pushed_soon(slow: &Slow) {
    const LINES: usize = 5;
    let daemon = &slow.daemon;
    let gates: Vec<Gate> = (0..LINES).map(|nth| daemon.gate(&format!("gate{nth}"))).collect();
    let script: Vec<String> =
        gates.iter().enumerate().map(|(nth, gate)| format!("{}; echo {nth}", gate.wait())).collect();
    let run = daemon.sh(&script.join("\n"));
    let mut reader = Reader::open(daemon, run, 0);
    daemon.wait_running(run);
    let mut took: Vec<Duration> = gates
        .iter()
        .enumerate()
        .map(|(nth, gate)| {
            // What makes a line a quiet one: nothing was written for longer than the pacing looks back.
            std::thread::sleep(5 * slow.flush + Duration::from_millis(100));
            gate.open();
            let begun = Instant::now();
            reader.until_stdout(&format!("{nth}\n"));
            begun.elapsed()
        })
        .collect();
    reader.until_end();
    took.sort_unstable();
    eprintln!("a quiet line, flush {:?}: {took:?}", slow.flush);
    assert!(took[LINES / 2] < 2 * slow.flush + SLACK, "{took:?}");
}

fn a_commit_costs_one_flush(slow: &Slow) {
    const SUBMITS: usize = 20;
    let submit = || slow.daemon.submit(&json!({"script": "true", "delay_s": 3_600}));
    submit();
    let (commits, flushes) = (slow.daemon.metrics().get("commits_total"), slow.flushes());
    let begun = Instant::now();
    (0..SUBMITS).for_each(|_| _ = submit());
    let took = begun.elapsed();
    let (commits, flushes) = (slow.daemon.metrics().get("commits_total") - commits, slow.flushes() - flushes);
    eprintln!("{SUBMITS} submits, flush {:?}: {commits} commits, {flushes} flushes, {took:?}", slow.flush);
    assert_eq!(commits, SUBMITS as f64);
    // Acknowledged is durable: never fewer. A checkpoint and a log that grows cost some more.
    assert!((SUBMITS..=SUBMITS + 6).contains(&flushes), "{flushes} flushes for {SUBMITS} submits");
    assert!(took > slow.flush * SUBMITS as u32, "{took:?}: an answer came before its flush");
}

/// A command that prints a short line a hundred times a second.
const CHATTY: &str = "while :; do echo chatty; sleep 0.01; done";
/// How long it is looked at.
const WINDOW: Duration = Duration::from_secs(3);

fn output_that_nobody_reads_is_written_seldom(slow: &Slow) {
    let daemon = &slow.daemon;
    let run = daemon.sh(CHATTY);
    daemon.wait_running(run);
    eventually(DEADLINE, "it prints", || daemon.run(run)["output_bytes"].as_i64() > Some(0));
    let commits = || daemon.metrics().get("commits_total");
    let (before, begun) = (commits(), Instant::now());
    // The window is the measure itself.
    std::thread::sleep(WINDOW);
    let (written, seconds) = (commits() - before, begun.elapsed().as_secs_f64());
    eprintln!("unwatched, flush {:?}: {written} commits in {seconds:.1} s", slow.flush);
    assert!(written >= 1.0 && written <= 2.0 * seconds + 1.0, "{written} commits in {seconds} s");
    daemon.call("POST", &format!("/v1/runs/{run}/cancel")).send().expect(202);
    daemon.wait_ended(run);
}

fn output_that_is_read_leaves_the_medium_to_others(slow: &Slow) {
    let daemon = &slow.daemon;
    let run = daemon.sh(CHATTY);
    daemon.wait_running(run);
    while_read(daemon, run, |reads| {
        eventually(DEADLINE, "the reader is pushed to", || reads.load(Ordering::Relaxed));
        let (before, begun) = (slow.flushes(), Instant::now());
        // The window is the measure itself.
        std::thread::sleep(WINDOW);
        let (flushes, took) = (slow.flushes() - before, begun.elapsed());
        let share = flushes as f64 * slow.flush.as_secs_f64() / took.as_secs_f64();
        eprintln!("watched, flush {:?}: {flushes} flushes in {took:?}, {:.0} % of it", slow.flush, share * 100.0);
        assert!(flushes >= 3, "it is pushed while it is read");
        assert!(share < 0.33, "{flushes} flushes are {:.0} % of the time", share * 100.0);
    });
    daemon.call("POST", &format!("/v1/runs/{run}/cancel")).send().expect(202);
    daemon.wait_ended(run);
}

#[test]
fn a_slow_card_stays_usable() {
    let Some(slow) = Slow::start(30) else { return };
    a_commit_costs_one_flush(&slow);
    a_quiet_line_is_pushed_soon(&slow);
    output_that_nobody_reads_is_written_seldom(&slow);
    output_that_is_read_leaves_the_medium_to_others(&slow);
    reads_stay_quick(&slow);
}

#[test]
fn a_bad_card_stays_usable() {
    let Some(slow) = Slow::start(100) else { return };
    a_commit_costs_one_flush(&slow);
    a_quiet_line_is_pushed_soon(&slow);
    output_that_nobody_reads_is_written_seldom(&slow);
    output_that_is_read_leaves_the_medium_to_others(&slow);
    reads_stay_quick(&slow);
}
