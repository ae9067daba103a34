//! The machine that everything is measured on, so that figures can be judged: its processors, its disk, its load.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long each of the two baselines is taken.
const SPAN: Duration = Duration::from_millis(500);

/// Cargo's target directory: the example stands in `release/examples` below it.
pub fn target() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.ancestors().nth(3).unwrap().to_owned()
}

/// What is told beside the figures.
pub fn describe(dir: &Path) -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find(|line| line.starts_with("model name") || line.starts_with("Model"));
    let memory = read("/proc/meminfo").split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok());
    json!({
        "date": jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        "cores": std::thread::available_parallelism().map_or(1, |count| count.get()),
        "processor": model.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown"),
        "memory_gb": memory.map(|kb| (kb * 1024.0 / 1e9).round()),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "file_system": file_system(dir),
        "flushes_per_s": flushes(dir).round(),
        "spawns_per_s": spawns(SPAN).round(),
    })
}

/// The load of the last minute: more than a little says that others were at work.
pub fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().next().unwrap_or("unknown").to_owned()
}

/// The kind of file system that a directory is on.
pub fn file_system(dir: &Path) -> String {
    let dir = dir.canonicalize().unwrap();
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    // The longest is the nearest, and of two at the same place the later one hides the other.
    let nearest = fields.filter(|fields| dir.starts_with(fields[1])).max_by_key(|fields| fields[1].len());
    nearest.map_or_else(|| "unknown".into(), |fields| fields[2].to_owned())
}

/// Appends of 4 KiB, each flushed, a second.
fn flushes(dir: &Path) -> f64 {
    let path = dir.join("baseline");
    let mut file = std::fs::File::create(&path).unwrap();
    let rate = rate(SPAN, || {
        file.write_all(&[0; 4096]).unwrap();
        file.sync_data().unwrap();
    });
    std::fs::remove_file(path).unwrap();
    rate
}

/// Processes that do nothing, started by `posix_spawn` and waited for, one at a time, a second.
pub fn spawns(span: Duration) -> f64 {
    rate(span, spawn)
}

/// Starts a process that does nothing by `posix_spawn`, and waits for it.
pub fn spawn() {
    assert!(Command::new("/bin/true").status().unwrap().success());
}

/// How often it can be done a second, one after another.
pub fn rate(span: Duration, mut what: impl FnMut()) -> f64 {
    let (begun, mut count) = (Instant::now(), 0.0);
    while begun.elapsed() < span {
        what();
        count += 1.0;
    }
    count / begun.elapsed().as_secs_f64()
}
