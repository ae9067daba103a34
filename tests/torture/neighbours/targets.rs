//! The fuzz targets, a minute each, where there is time for that: `tests/fuzz/targets/run`.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::trial::Trial;

const TARGETS: [&str; 6] = ["http", "bodies", "cursors", "schedules", "configuration", "frames"];
/// Of each.
const SECONDS: u64 = 60;

/// Runs them where there are minutes, and counts the inputs. Half of the part's time is theirs at most. The rounds behind have
/// the same numbers in any case.
pub fn run(at: &mut Trial) {
    let each = SECONDS.min(at.left().as_secs() / 2 / TARGETS.len() as u64);
    for target in TARGETS {
        if !at.is_long() {
            at.pass();
            continue;
        }
        let seed = at.seed;
        let inputs = at.round(&format!("inputs of the fuzz target {target}"), |_| inputs(target, each, seed));
        at.count(&format!("inputs of {target}"), inputs.unwrap_or(0));
    }
}

fn inputs(target: &str, seconds: u64, seed: u64) -> u64 {
    let run = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/targets/run");
    let mut command = Command::new(run);
    // libFuzzer's seeds have 32 bits.
    command.arg(seconds.to_string()).arg(target).env("SEED", (seed as u32).max(1).to_string());
    let ended = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().unwrap();
    let told = String::from_utf8_lossy(&ended.stdout).into_owned();
    print!("{told}");
    assert!(ended.status.success(), "{target}: {:?} within {:?}", ended.status, Duration::from_secs(seconds));
    let words: Vec<&str> = told.split_whitespace().collect();
    let inputs = words.iter().position(|word| *word == "inputs").and_then(|at| words.get(at.checked_sub(1)?));
    inputs.and_then(|count| count.parse().ok()).expect("it says how many inputs it tried")
}
