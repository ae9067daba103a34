//! What claims, lists, pages and prunes cost with few rows and with many: the same, within a factor of two.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::daemon::Daemon;
use crate::fill;

const FEW: i64 = 1_000;
const MANY: i64 = 1_000_000;
/// Requests of each measurement.
const REQUESTS: u32 = 300;
/// Runs that are claimed and ended in each.
const CLAIMS: i64 = 300;
/// How often each is measured; the best counts, since others use the machine too.
const ROUNDS: usize = 3;

/// What is measured, and how long it takes once.
type Measure = (&'static str, fn(&Daemon) -> Duration);

/// Fills two databases, measures in turns, and says what it costs in both.
pub fn measure(dir: &Path) {
    let (few, many) = (daemon(&dir.join("few"), FEW), daemon(&dir.join("many"), MANY));
    let measures: &[Measure] = &[
        ("claim, start and end of a run that does nothing", claim),
        ("a page of a list", |daemon| get(daemon, "/v1/runs?limit=50")),
        ("a page of a list by status", |daemon| get(daemon, "/v1/runs?status=queued&limit=50")),
        ("a page of a list by tag and name", |daemon| get(daemon, "/v1/runs?tag=tag&name=name7&limit=50")),
        ("a page of events, from the middle", events),
        ("a run that is pruned, with its events", prune),
    ];
    for (what, measure) in measures {
        let mut best = [Duration::MAX; 2];
        for _ in 0..ROUNDS {
            for (best, daemon) in best.iter_mut().zip([&few, &many]) {
                *best = measure(daemon).min(*best);
            }
        }
        let us = best.map(|took| took.as_secs_f64() * 1e6);
        println!(
            "rows: {:.0} µs with {FEW} rows, {:.0} µs with {MANY} ({:.2} times): {what}",
            us[0],
            us[1],
            us[1] / us[0]
        );
    }
}

/// One with so many runs that have ended, so many that wait, and a run of so many events.
fn daemon(dir: &Path, rows: i64) -> Daemon {
    let begun = Instant::now();
    let env = |count: i64| {
        [
            ("RUNABOUT_RETENTION_RUNS_COUNT", count.to_string()),
            ("RUNABOUT_RETENTION_DB_BYTES", (1_i64 << 40).to_string()),
        ]
    };
    let daemon = Daemon::start(dir, &env(0));
    daemon.request("PUT", "/v1/queues/load", r#"{"paused":true}"#);
    let database = daemon.database();
    drop(daemon);
    let database = fill::open(&database);
    fill::runs(&database, rows, "succeeded", "default", 1);
    fill::runs(&database, rows, "queued", "load", 1);
    fill::runs(&database, 1, "succeeded", "default", rows);
    drop(database);
    println!("rows: {rows} of each made in {:.1} s", begun.elapsed().as_secs_f64());
    Daemon::start(dir, &env(0))
}

fn get(daemon: &Daemon, path: &str) -> Duration {
    let begun = Instant::now();
    (0..REQUESTS).for_each(|_| drop(daemon.request("GET", path, "")));
    begun.elapsed() / REQUESTS
}

fn events(daemon: &Daemon) -> Duration {
    let newest = daemon.request("GET", "/v1/runs?queue=default&limit=1", "");
    let newest: serde_json::Value = serde_json::from_str(&newest).unwrap();
    let (run, last) = (&newest["runs"][0]["id"], newest["runs"][0]["last_seq"].as_i64().unwrap());
    get(daemon, &format!("/v1/runs/{run}/events?after={}&limit=100", last / 2))
}

fn ended(daemon: &Daemon) -> i64 {
    let system: serde_json::Value = serde_json::from_str(&daemon.request("GET", "/v1/system", "")).unwrap();
    system["runs"]["succeeded"].as_i64().unwrap()
}

fn claim(daemon: &Daemon) -> Duration {
    let before = ended(daemon);
    let begun = Instant::now();
    daemon.request("PUT", "/v1/queues/load", r#"{"paused":false}"#);
    let mut count = 0;
    while count < CLAIMS / ROUNDS as i64 {
        std::thread::sleep(Duration::from_millis(2));
        count = ended(daemon) - before;
    }
    daemon.request("PUT", "/v1/queues/load", r#"{"paused":true}"#);
    begun.elapsed() / count as u32
}

/// What a prune does with a run, one at a time: the row, what points to it, its events.
fn prune(daemon: &Daemon) -> Duration {
    let oldest = fill::number(&fill::open(&daemon.database()), "SELECT min(id) FROM runs");
    let begun = Instant::now();
    (oldest..oldest + 100).for_each(|run| drop(daemon.request("DELETE", &format!("/v1/runs/{run}"), "")));
    begun.elapsed() / 100
}
