//! Two million events go while others work: what a submit waits, that a live reader misses nothing, and how small the
//! file is afterwards.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::bench::{Bench, Build};
use crate::daemon::{Daemon, http, is_answer};
use crate::fill;
use crate::frames::Reading;

const RUNS: usize = 20_000;
const EVENTS_PER_RUN: usize = 100;
/// Between two submits: 50 a second.
const PERIOD: Duration = Duration::from_millis(20);

/// Fills a database, and empties it.
pub fn measure(bench: &mut Bench) {
    for build in bench.builds(0) {
        let dir = bench.directory(build.name);
        let runs = bench.count(RUNS);
        fill::database(&dir, |database| fill::runs(database, runs, "succeeded", "default", EVENTS_PER_RUN));
        prune(bench, &build, &dir, runs);
    }
}

fn prune(bench: &mut Bench, build: &Build, dir: &Path, runs: usize) {
    // All stay until they are told to go, but for the one that ends last.
    let daemon = Daemon::start(build, dir, &[("RUNABOUT_RETENTION_RUNS_COUNT", "0")]);
    daemon.process.settled_bytes();
    drop(daemon);
    let daemon = Daemon::start(build, dir, &[("RUNABOUT_RETENTION_RUNS_COUNT", "1")]);
    let run = daemon.script("while :; do echo line; sleep 0.01; done");
    let reading = Reading::new(daemon.reader(run));
    let over = AtomicBool::new(false);
    let begun = Instant::now();
    let (mut waited, events) = std::thread::scope(|scope| {
        let submits = scope.spawn(|| submits(&daemon, &over));
        let reader = scope.spawn(|| follow(reading));
        daemon.request("POST", "/v1/maintenance", "");
        bench.add("prune_took", build.name, begun.elapsed().as_secs_f64());
        over.store(true, Ordering::SeqCst);
        daemon.request("POST", &format!("/v1/runs/{run}/cancel"), "");
        (submits.join().unwrap(), reader.join().unwrap())
    });
    assert!(events > 0, "the reader saw nothing");
    waited.sort_unstable();
    let at = |percent: usize| waited[(waited.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    bench.add("prune_submit_p50", build.name, at(50));
    bench.add("prune_submit_p99", build.name, at(99));
    bench.add("prune_submit_slowest", build.name, at(100));
    bench.add("prune_file", build.name, std::fs::metadata(daemon.database()).unwrap().len() as f64 / 1e6);
    let left = daemon.runs("succeeded");
    assert!(left <= 1, "{left} of {runs} runs are left");
    drop(daemon);
    let log = std::fs::read_to_string(dir.join("log")).unwrap();
    assert!(!log.contains("locked"), "{log}");
}

/// Submits at a fixed pace until it is over; answers how long each waited since its time had come.
fn submits(daemon: &Daemon, over: &AtomicBool) -> Vec<Duration> {
    let submit = http("POST", "/v1/runs", r#"{"command":["true"],"queue":"load"}"#, "keep-alive");
    let mut stream = daemon.connect();
    let (mut waited, mut buffer) = (Vec::new(), vec![0; 8192]);
    let mut due = Instant::now();
    while !over.load(Ordering::SeqCst) {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        stream.write_all(submit.as_bytes()).unwrap();
        let mut len = 0;
        while !is_answer(&buffer[..len]) {
            len += stream.read(&mut buffer[len..]).unwrap();
        }
        waited.push(due.elapsed());
        due += PERIOD;
    }
    waited
}

/// Reads to the end; fails where an event is missing. Answers how many there were.
fn follow(mut reading: Reading) -> i64 {
    let mut last = None;
    loop {
        let object = reading.next();
        match object["type"].as_str() {
            Some("event") => {
                let seq = object["seq"].as_i64().unwrap();
                assert!(last.is_none_or(|last| seq == last + 1), "an event is missing before {object}");
                last = Some(seq);
            }
            Some("gap") => panic!("a gap: {object}"),
            Some("end") => return last.unwrap_or(0),
            _ => {}
        }
    }
}
