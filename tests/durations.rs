//! How long a run took is the time that has passed, wherever somebody sets the clock meanwhile.

// The clock is in the test's hand only where the daemon is a debug build.
#![cfg(debug_assertions)]

use crate::common::{Clock, DEADLINE, Daemon, now_ms};

const YEAR_MS: i64 = 365 * 86_400_000;

#[test]
fn a_run_takes_as_long_as_it_takes_while_the_clock_is_set() {
    let begun = now_ms();
    let (daemon, clock) = Clock::start(Daemon::builder(), begun);
    let (go, at) = (daemon.state_dir().join("go"), |years: i64| now_ms() + years * YEAR_MS);
    // As a board without a battery, which learns the year; then back again.
    for years in [1, 0] {
        let since = std::time::Instant::now();
        let run = daemon.sh(&format!("sleep 0.3; until [ -e '{}' ]; do sleep 0.05; done", go.display()));
        daemon.wait_running(run);
        clock.set(&daemon, at(years));
        std::fs::write(&go, "").unwrap();
        daemon.wait_ended(run);
        let most = i64::try_from(since.elapsed().as_millis()).unwrap();
        let finished = daemon.events(run).pop().unwrap();
        let took = finished["data"]["duration_ms"].as_i64().unwrap();
        assert!((300..=most).contains(&took), "{took} of {most} ms: {finished}");
        std::fs::remove_file(&go).unwrap();
    }
    let sum = daemon.metrics().sum("run_duration_seconds_sum");
    assert!(sum < 2.0 * DEADLINE.as_secs_f64(), "{sum} s");
}
