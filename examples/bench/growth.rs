//! What submits, claims, lists, pages and prunes cost with few rows and with many.
//!
//! A database of N rows has N runs, half of them ended and half waiting, and one more run of N events.

use std::time::{Duration, Instant};

use crate::bench::{Bench, Build};
use crate::closed_loop::{Exchange, Until, rate};
use crate::daemon::{Daemon, http, is_answer};
use crate::fill;
use crate::submits::submit;

/// Rows of each database.
const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Of each read, in a round.
const READS: usize = 300;
/// Of each write: three rounds of them leave some of the least database.
const WRITES: usize = 100;

/// A daemon with so many rows, and the round it is in.
struct Filled {
    build: Build,
    rows: usize,
    daemon: Daemon,
}

/// What is measured, and how many microseconds it takes once.
type Measure = (&'static str, fn(&Filled, usize) -> f64);

const MEASURES: [Measure; 7] = [
    ("growth_submit", |filled, _| 1e6 / submit(&filled.daemon, "load", 1, Until::Answered(WRITES), || ())),
    ("growth_claim", claim),
    ("growth_list", |filled, _| get(filled, "/v1/runs?limit=50")),
    ("growth_by_status", |filled, _| get(filled, "/v1/runs?status=queued&limit=50")),
    ("growth_by_tag", |filled, _| get(filled, "/v1/runs?tag=tag&name=name7&limit=50")),
    ("growth_events", |filled, _| {
        let (run, middle) = (filled.rows + 1, filled.rows / 2);
        get(filled, &format!("/v1/runs/{run}/events?after={middle}&limit=100"))
    }),
    ("growth_prune", prune),
];

pub fn measure(bench: &mut Bench) {
    let mut all = Vec::new();
    for rows in if bench.is_quick() { &SIZES[..2] } else { &SIZES } {
        for build in bench.builds(0) {
            all.push(filled(bench, build, *rows));
        }
    }
    for round in bench.rounds() {
        for (key, measure) in MEASURES {
            for filled in &all {
                bench.add(&format!("{key}@{}", filled.rows), filled.build.name, measure(filled, round));
            }
        }
    }
}

fn filled(bench: &mut Bench, build: Build, rows: usize) -> Filled {
    let dir = bench.directory(&format!("{}-{rows}", build.name));
    let begun = Instant::now();
    fill::database(&dir, |database| {
        fill::runs(database, rows / 2, "succeeded", "default", 1);
        fill::runs(database, rows / 2, "queued", "load", 1);
        fill::runs(database, 1, "succeeded", "default", rows);
    });
    println!("  {rows} rows made in {:.1} s", begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    let keep_all = [
        ("RUNABOUT_RETENTION_RUNS_COUNT", "0"),
        ("RUNABOUT_RETENTION_RUNS_DAYS", "0"),
        ("RUNABOUT_RETENTION_DB_BYTES", "1099511627776"),
    ];
    let daemon = Daemon::start(&build, &dir, &keep_all);
    bench.add(&format!("growth_start@{rows}"), build.name, begun.elapsed().as_secs_f64() * 1e6);
    daemon.process.settled_bytes();
    Filled { build, rows, daemon }
}

fn get(filled: &Filled, path: &str) -> f64 {
    let request = http("GET", path, "", "keep-alive");
    let exchange = Exchange { request: request.as_bytes(), is_answer };
    1e6 / rate(vec![filled.daemon.connect()], &exchange, Until::Answered(READS), || ())
}

/// Claim, start and end of a run that does nothing.
fn claim(filled: &Filled, _: usize) -> f64 {
    let daemon = &filled.daemon;
    let before = daemon.runs("succeeded");
    let begun = Instant::now();
    daemon.request("PUT", "/v1/queues/load", r#"{"paused":false}"#);
    let mut count = 0;
    while count < WRITES as i64 {
        std::thread::sleep(Duration::from_millis(2));
        count = daemon.runs("succeeded") - before;
    }
    daemon.request("PUT", "/v1/queues/load", r#"{"paused":true}"#);
    begun.elapsed().as_secs_f64() * 1e6 / count as f64
}

/// What a prune does with a run, one at a time: the row, what points to it, its events.
fn prune(filled: &Filled, round: usize) -> f64 {
    let oldest = 1 + round * WRITES;
    let begun = Instant::now();
    (oldest..oldest + WRITES).for_each(|run| drop(filled.daemon.request("DELETE", &format!("/v1/runs/{run}"), "")));
    begun.elapsed().as_secs_f64() * 1e6 / WRITES as f64
}
