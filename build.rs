//! Tells the binary when it was built: a clock that shows an earlier time is wrong, and by it nothing is removed. Lists the
//! migrations, so that a new one is one file. And makes the files of the web page, where there is a daemon to serve them.
//!
//! `SOURCE_DATE_EPOCH` decides where a build is to be the same byte for byte; else the first build in a target directory.

#[cfg(feature = "daemon")]
#[path = "build/modules.rs"]
mod modules;
#[cfg(feature = "daemon")]
#[path = "build/page.rs"]
mod page;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build");
    let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.trim().parse::<u64>().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    println!("cargo:rustc-env=RUNABOUT_BUILT_S={}", given.unwrap_or_else(now));
    list_migrations();
    #[cfg(feature = "daemon")]
    page::make(&directory("CARGO_MANIFEST_DIR").join("src/http/page"), &directory("OUT_DIR"));
}

/// One of the directories that cargo names.
fn directory(variable: &str) -> PathBuf {
    std::env::var_os(variable).expect("cargo sets it").into()
}

/// Writes `MIGRATIONS`, the texts of `sql/migrations` by the numbers in their names, which leave none out.
fn list_migrations() {
    let dir = directory("CARGO_MANIFEST_DIR").join("sql/migrations");
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
    std::fs::write(directory("OUT_DIR").join("migrations.rs"), list).expect("the target directory can be written");
}
