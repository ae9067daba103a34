//! What `make bench` prints: how many submits, runs and megabytes a second; how much memory; that what is done often
//! costs the same with a million rows; and that nobody notices when two million events go.
//!
//! It starts daemons of its own on scratch state and talks to them over the Unix socket. Figures of one run can be
//! compared with each other, also with the two baselines that it takes first; machines are too noisy for more.
//! With arguments only these parts: `speed`, `rows`, `prune`.

#![allow(clippy::unwrap_used, missing_docs)]

mod daemon;
mod fill;
mod prune;
mod rows;
mod speed;

use std::path::Path;

/// A part of the bench: its name, and what it does in a directory of its own.
type Part = (&'static str, fn(&Path));

const PARTS: &[Part] = &[("speed", speed::measure), ("rows", rows::measure), ("prune", prune::measure)];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let known = |name: &String| PARTS.iter().any(|(part, _)| part == name);
    assert!(wanted.iter().all(known), "the parts are speed, rows and prune");
    let dir = std::env::temp_dir().join(format!("runabout-bench-{}", std::process::id()));
    for (name, measure) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            std::fs::create_dir_all(&dir).unwrap();
            measure(&dir);
            std::fs::remove_dir_all(&dir).unwrap();
        }
    }
}
