//! What one command prints, into SQLite and to somebody who reads along, beside the same into a file that is synced.

use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::bench::{Bench, Build};
use crate::daemon::{Daemon, find};
use crate::frames::{Counter, Protocol};
use crate::process::done;

pub const FILE: &str = "file, synced";

/// Bytes that the command prints.
pub const BYTES: usize = 200_000_000;

pub fn measure(bench: &mut Bench) {
    for round in bench.rounds() {
        let bytes = bench.count(BYTES);
        for build in bench.builds(round) {
            let dir = bench.directory(build.name);
            let rate = daemon(bench, &build, &dir, bytes);
            bench.add("output", build.name, rate);
        }
        let file = bench.directory(FILE).join("output");
        let script = format!("{{ {}; }} > '{1}' && sync '{1}'", print(bytes), file.display());
        let begun = Instant::now();
        done(Command::new("sh").args(["-c", &script]));
        bench.add("output", FILE, bytes as f64 / 1e6 / begun.elapsed().as_secs_f64());
    }
}

fn print(bytes: usize) -> String {
    format!("yes 0123456789012345678901234567890123456789012345678901234567890123 | head -c {bytes}")
}

/// MB/s from the submit to the last frame; and what it holds behind that.
fn daemon(bench: &mut Bench, build: &Build, dir: &Path, bytes: usize) -> f64 {
    let daemon = Daemon::start(build, dir, &[]);
    let begun = Instant::now();
    let run = daemon.script(&print(bytes));
    let (mut stream, behind) = daemon.fresh_reader(run);
    let (mut came, mut counter) = (behind.len(), Counter::new(Protocol::WebSocket));
    counter.take(&behind);
    let (mut buffer, mut tail) = (vec![0; 1 << 20], behind);
    // The last frame names its type: until then frames are only counted.
    while find(&tail, br#""type":"end""#).is_none() {
        let len = stream.read(&mut buffer).unwrap();
        assert!(len > 0, "the stream ended without its end");
        came += len;
        counter.take(&buffer[..len]);
        tail.extend_from_slice(&buffer[len.saturating_sub(400)..len]);
        tail.drain(..tail.len().saturating_sub(400));
    }
    let took = begun.elapsed().as_secs_f64();
    let last_seq = daemon.ask("GET", &format!("/v1/runs/{run}"), "")["last_seq"].as_u64().unwrap();
    assert!(came > bytes && counter.events == last_seq, "{came} bytes, {} of {last_seq} events", counter.events);
    daemon.process.settled_bytes();
    bench.add("memory_output", build.name, daemon.process.resident_mib());
    bytes as f64 / 1e6 / took
}
