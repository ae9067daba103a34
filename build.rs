//! Tells the binary when it was built: a clock that shows an earlier time is wrong, and by it nothing is removed. And lists
//! the migrations, so that a new one is one file.
//!
//! `SOURCE_DATE_EPOCH` decides where a build is to be the same byte for byte; else the first build in a target directory.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo:rerun-if-changed=build.rs");
    let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.trim().parse::<u64>().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    println!("cargo:rustc-env=RUNABOUT_BUILT_S={}", given.unwrap_or_else(now));
    list_migrations();
}

/// Writes `MIGRATIONS`, the texts of `sql/migrations` by the numbers in their names, which leave none out.
fn list_migrations() {
    let dir = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("sql/migrations");
    println!("cargo:rerun-if-changed={}", dir.display());
    let entries = std::fs::read_dir(&dir).expect("the migrations are there");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    let mut list = String::from("/// The migrations, in order.\npub const MIGRATIONS: &[&str] = &[\n");
    for (nth, file) in files.iter().enumerate() {
        let name = file.file_name().and_then(|name| name.to_str()).expect("a name in UTF-8");
        assert!(name.starts_with(&format!("{:04}_", nth + 1)), "{name} is not migration {}", nth + 1);
        println!("cargo:rerun-if-changed={}", file.display());
        writeln!(list, "    include_str!({file:?}),").expect("a String takes everything");
    }
    list.push_str("];\n");
    let out = Path::new(&std::env::var("OUT_DIR").expect("cargo sets it")).join("migrations.rs");
    std::fs::write(out, list).expect("the target directory can be written");
}
