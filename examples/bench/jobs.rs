//! What jobs cost while nothing is due, and what a storm of retries does to a queue beside it.

use std::time::Duration;

use crate::bench::{Bench, Build};
use crate::daemon::Daemon;

/// Jobs that fire at night.
const JOBS: usize = 1_000;
/// Runs that fail once a second each.
const FAILING: usize = 200;
/// Submits beside them, and the time between two.
const SUBMITS: usize = 200;
const PAUSE: Duration = Duration::from_millis(20);

pub fn measure(bench: &mut Bench) {
    for round in bench.rounds() {
        for build in bench.builds(round) {
            storm(bench, &build);
        }
    }
    for build in bench.builds(0) {
        idle(bench, &build);
    }
}

/// Once and no median: neither memory nor timers are a matter of luck.
fn idle(bench: &mut Bench, build: &Build) {
    let daemon = Daemon::start(build, &bench.directory("idle"), &[]);
    daemon.process.settled_bytes();
    let without = daemon.process.resident_mib();
    for job in 0..bench.count(JOBS) {
        let body = format!(
            r#"{{"run":{{"script":"echo {job}"}},"schedule":"{} {} * * *","zone":"Europe/Berlin"}}"#,
            job % 60,
            1 + job % 4
        );
        daemon.request("PUT", &format!("/v1/jobs/job-{job}"), &body);
    }
    daemon.process.settled_bytes();
    let settled = daemon.process.switches();
    let watched = Duration::from_secs(if bench.is_quick() { 2 } else { 30 });
    std::thread::sleep(watched);
    let switches = daemon.process.switches() - settled;
    bench.add("jobs_switches", build.name, switches * 60.0 / watched.as_secs_f64());
    bench.add("jobs_memory", build.name, daemon.process.resident_mib() - without);
}

/// From a submit to the start of its command, by the daemon's own stamps, while others fail and are tried again.
fn storm(bench: &mut Bench, build: &Build) {
    let daemon = Daemon::start(build, &bench.directory("storm"), &[]);
    daemon.request("PUT", "/v1/queues/storm", r#"{"slots":2}"#);
    for _ in 0..bench.count(FAILING) {
        let body = r#"{"command":["false"],"queue":"storm","retry":{"attempts":100,"delay_s":1,"factor":1}}"#;
        daemon.request("POST", "/v1/runs", body);
    }
    let mut took_ms = Vec::new();
    for _ in 0..bench.count(SUBMITS) {
        let run = daemon.ask("POST", "/v1/runs", r#"{"command":["true"]}"#)["id"].as_i64().unwrap();
        let run = daemon.ask("GET", &format!("/v1/runs/{run}?wait_s=10"), "");
        let stamp = |key: &str| run[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond();
        took_ms.push((stamp("started_at") - stamp("created_at")) as f64);
        std::thread::sleep(PAUSE);
    }
    took_ms.sort_by(f64::total_cmp);
    bench.add("storm_p50", build.name, took_ms[took_ms.len() / 2]);
    bench.add("storm_p99", build.name, took_ms[(took_ms.len() - 1) * 99 / 100]);
}
