//! What reaches the medium: for a submit, for a run that does nothing, and for a line that somebody watches.
//!
//! Counted is the daemon's `write_bytes` (see [`crate::process::Process::written_bytes`]) from quiet to quiet, so that
//! the log and what a checkpoint moves from it are both in it.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use crate::bench::{Bench, Build};
use crate::closed_loop::Until;
use crate::daemon::Daemon;
use crate::frames::Reading;
use crate::submits::submit;

const SUBMITS: usize = 1_000;
const RUNS: usize = 1_000;
const LINES: usize = 60;
/// Between two lines: longer than the least time between two commits of output, so that each has its own.
const PERIOD_S: &str = "0.08";

pub fn measure(bench: &mut Bench) {
    for round in bench.rounds() {
        for build in bench.builds(round) {
            let dir = bench.directory(build.name);
            let daemon = Daemon::start(&build, &dir, &[]);
            submits(bench, &build, &daemon);
            no_ops(bench, &build, &daemon);
            lines(bench, &build, &daemon, &dir);
        }
    }
}

/// What it writes meanwhile for each of so many, in KiB.
fn kib_each(daemon: &Daemon, count: usize, what: impl FnOnce()) -> f64 {
    let before = daemon.process.settled_bytes();
    what();
    (daemon.process.settled_bytes() - before) / 1024.0 / count as f64
}

fn submits(bench: &mut Bench, build: &Build, daemon: &Daemon) {
    daemon.request("PUT", "/v1/queues/held", r#"{"paused":true}"#);
    let count = bench.count(SUBMITS);
    let kib = kib_each(daemon, count, || {
        submit(daemon, "held", 1, Until::Answered(count), || ());
    });
    bench.add("written_submit", build.name, kib);
}

fn no_ops(bench: &mut Bench, build: &Build, daemon: &Daemon) {
    let count = bench.count(RUNS);
    daemon.request("PUT", "/v1/queues/one", r#"{"paused":true}"#);
    submit(daemon, "one", 8, Until::Answered(count), || ());
    let kib = kib_each(daemon, count, || {
        daemon.request("PUT", "/v1/queues/one", r#"{"paused":false}"#);
        while daemon.runs("succeeded") < count as i64 {
            sleep(Duration::from_millis(20));
        }
    });
    bench.add("written_no_op", build.name, kib);
}

fn lines(bench: &mut Bench, build: &Build, daemon: &Daemon, dir: &Path) {
    let count = bench.count(LINES);
    let (go, over) = (dir.join("go"), dir.join("over"));
    let wait = |file: &Path| format!("until [ -e '{}' ]; do sleep 0.05; done", file.display());
    let run = daemon.script(&format!(
        "{}; for i in $(seq {count}); do echo \"a line of output, as long as lines are, number $i\"; sleep {PERIOD_S}; done; {}",
        wait(&go),
        wait(&over)
    ));
    let mut reading = Reading::new(daemon.reader(run));
    while daemon.runs("running") == 0 {
        sleep(Duration::from_millis(5));
    }
    // On a busy machine two lines may share a commit.
    let (mut commits, last) = (0, format!("number {count}\n"));
    let kib = kib_each(daemon, 1, || {
        std::fs::write(&go, "").unwrap();
        loop {
            let event = reading.next();
            commits += usize::from(event["kind"] == "output");
            if event["data"]["text"].as_str().is_some_and(|text| text.ends_with(&last)) {
                break;
            }
        }
    });
    std::fs::write(&over, "").unwrap();
    bench.add("written_line", build.name, kib / commits as f64);
}
