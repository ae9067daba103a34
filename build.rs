//! Tells the binary when it was built: a clock that shows an earlier time is wrong, and by it nothing is removed.
//!
//! `SOURCE_DATE_EPOCH` decides where a build is to be the same byte for byte; else the first build in a target directory.

use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo:rerun-if-changed=build.rs");
    let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.trim().parse::<u64>().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    println!("cargo:rustc-env=RUNABOUT_BUILT_S={}", given.unwrap_or_else(now));
}
