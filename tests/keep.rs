//! A command that survives the daemon: whatever dies, each byte comes once, the exit code is true, its time is kept, and
//! nothing is left.

mod cgroups;
mod ends;
mod goes_on;
mod killed;
mod manager;
mod many;
mod newest;
mod recorded;
mod sizes;
mod tape;

use std::path::PathBuf;

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::common::{DEADLINE, Daemon, eventually, output_of};

#[track_caller]
fn survivor(daemon: &Daemon, script: &str) -> i64 {
    daemon.submit(&json!({"script": script, "survive": true}))
}

/// What the database says of a run's keeper.
fn keeper(daemon: &Daemon, run: i64) -> Option<Value> {
    let database =
        Connection::open_with_flags(daemon.state_dir().join("runabout.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    let text: Option<String> =
        database.query_row("SELECT keeper FROM runs WHERE id = ?1", [run], |row| row.get(0)).ok()?;
    serde_json::from_str(&text?).ok()
}

#[track_caller]
fn keeper_pid(daemon: &Daemon, run: i64) -> i32 {
    let mut pid = None;
    eventually(DEADLINE, "its keeper is recorded", || {
        pid = keeper(daemon, run).and_then(|keeper| keeper["pid"].as_i64());
        pid.is_some()
    });
    pid.unwrap_or_default() as i32
}

fn keep_directory(daemon: &Daemon) -> PathBuf {
    daemon.state_dir().join("keep")
}

fn left_files(daemon: &Daemon) -> Vec<String> {
    let entries = std::fs::read_dir(keep_directory(daemon)).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[track_caller]
fn assert_nothing_is_left(daemon: &Daemon) {
    eventually(DEADLINE, "no file is left", || left_files(daemon).is_empty());
    eventually(DEADLINE, "no process is left", || daemon.descendants().is_empty());
}

#[track_caller]
fn wait_printed(daemon: &Daemon, run: i64, text: &str) {
    eventually(DEADLINE, text, || String::from_utf8_lossy(&output_of(&daemon.events(run)).0).contains(text));
}

fn ending(run: &Value) -> Value {
    json!([run["status"], run["reason"], run["exit_code"], run["signal"]])
}
