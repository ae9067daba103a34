//! What `make bench` runs: the daemon beside its peers, round after round in turns, so that all of them meet the same
//! machine, and what is done often with a thousand rows and with a million.
//!
//! It starts every server itself, on scratch state and loopback or Unix sockets, and speaks each one's protocol. It
//! installs nothing: a peer that is missing is told in the table. Each part leaves its raw figures in
//! `target/bench/PART.json`. With arguments only these parts, or `table` (prints the figures that are there as
//! Markdown) or `docs` (puts them into docs/performance.md, with the picture beside it).
//!
//! - `BENCH_AGAINST=/path/to/another/runabout` measures that build, too, as `before`.
//! - `BENCH_QUICK=1` makes one round with a twentieth of everything: it shows that all works, and no figure.
//! - `BENCH_BINARY` is the build to be measured, `BENCH_DIR` the directory of scratch state and results.

#![allow(clippy::unwrap_used, missing_docs)]

mod bench;
mod closed_loop;
mod daemon;
mod fan_out;
mod fill;
mod frames;
mod growth;
mod jobs;
mod limits;
mod lines;
mod machine;
mod memory;
mod no_ops;
mod output;
mod peers;
mod picture;
mod process;
mod prune;
mod push;
mod submits;
mod table;
mod written;

use bench::Bench;

/// A part of the bench: its name, and what it does.
type Part = (&'static str, fn(&mut Bench));

const PARTS: &[Part] = &[
    ("limits", limits::measure),
    ("fan_out", fan_out::measure),
    ("submits", submits::measure),
    ("written", written::measure),
    ("no_ops", no_ops::measure),
    ("output", output::measure),
    ("push", push::measure),
    ("memory", memory::measure),
    ("jobs", jobs::measure),
    ("growth", growth::measure),
    ("prune", prune::measure),
];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let names: Vec<_> = PARTS.iter().map(|(part, _)| *part).chain(["table", "docs"]).collect();
    assert!(wanted.iter().all(|name| names.contains(&name.as_str())), "the parts are {}", names.join(", "));
    let is_wanted = |name: &str| wanted.iter().any(|wanted| wanted == name);
    for (name, measure) in PARTS.iter().filter(|(name, _)| wanted.is_empty() || is_wanted(name)) {
        let mut bench = Bench::new(name);
        measure(&mut bench);
        bench.save();
    }
    if wanted.is_empty() || is_wanted("table") {
        println!("\n{}", table::markdown());
    }
    if is_wanted("docs") {
        table::write_docs();
    }
}
