//! A keeper is small, and holds a megabyte at most.

use std::time::Duration;

use serde_json::json;

use super::{keeper_pid, survivor, wait_printed};
use crate::common::{DEADLINE, Daemon, eventually, output_of, threads};

#[test]
fn what_is_not_on_the_medium_is_a_megabyte_at_most_and_waits() {
    let mut daemon = Daemon::start();
    let gate = daemon.gate("go");
    let run = survivor(&daemon, &format!("{}; seq 1 400000; exec sha256sum </dev/null", gate.wait()));
    let keeper = keeper_pid(&daemon, run);
    daemon.wait_running(run);
    let dirty = || memory_of(keeper, "Private_Dirty:");
    let before = dirty();
    assert_eq!(threads(keeper).len(), 1);
    daemon.stop();
    gate.open();
    let held = |least: u64| dirty().saturating_sub(before) > least;
    eventually(DEADLINE, "it holds what it may", || held(900_000));
    // A pipe that is full is no end: it waits for as long as it takes.
    std::thread::sleep(Duration::from_millis(300));
    assert!(!held(2_200_000), "{} bytes", dirty() - before);
    daemon.start_again();
    assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
    let (printed, _) = output_of(&daemon.events(run));
    let numbers = (1..=400_000_u64).map(|number| format!("{number}\n")).collect::<String>();
    assert!(printed.starts_with(numbers.as_bytes()), "{} bytes of {}", printed.len(), numbers.len());
}

/// What a process has of its own in memory, with what it shares with others while these live.
pub fn private_bytes(pid: i32) -> u64 {
    memory_of(pid, "Private_")
}

fn memory_of(pid: i32, kind: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let kilobytes = |line: &str| line.split_whitespace().nth(1)?.parse::<u64>().ok();
    text.lines().filter(|line| line.starts_with(kind)).filter_map(kilobytes).sum::<u64>() * 1_024
}

#[test]
fn a_keeper_is_small() {
    let daemon = Daemon::start();
    let run = survivor(&daemon, "echo begun; exec sleep 300");
    let keeper = keeper_pid(&daemon, run);
    wait_printed(&daemon, run, "begun");
    let bytes = private_bytes(keeper);
    // What the linker has to relocate counts, of which a build without optimisation has five times as much.
    let limit = if cfg!(debug_assertions) { 5 } else { 1 } * 1_048_576;
    assert!(bytes > 0 && bytes <= limit, "{bytes} bytes of its own");
    daemon.post(&format!("/v1/runs/{run}/cancel"), &json!({})).expect(202);
    assert_eq!(daemon.wait_ended(run)["status"], "canceled");
}
