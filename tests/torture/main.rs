//! The torture: the promises of the README against kills, power cuts, faults, bad neighbours, clocks and want, by parts that
//! anyone can run: `make torture`, or `cargo test --test torture -- --help`.
//!
//! Bounded, seeded, repeatable. Each part prints what it tried and how often; a failure leaves its files, and the seed and the
//! round that repeat it. What was acknowledged and shown is in one model, `told.rs`, which every part holds the daemon to.

// A part may panic: that is how a round fails.
#![allow(clippy::unwrap_used)]

mod check;
#[allow(unused_macros)]
#[path = "../common/mod.rs"]
mod common;
mod faults;
mod kill;
mod load;
mod neighbours;
mod power;
#[allow(dead_code)]
#[path = "../hooks/receiver.rs"]
mod receiver;
mod record;
#[allow(dead_code, unused_imports)]
#[path = "../schemas.rs"]
mod schemas;
mod soak;
mod told;
mod traced;
mod trial;
mod want;

use std::process::ExitCode;

use self::trial::Part;

/// In the order in which they are run.
const PARTS: &[Part] = &[kill::PART, power::PART, faults::PART, want::PART, neighbours::PART, soak::PART];

fn main() -> ExitCode {
    trial::main(PARTS)
}
