//! How fast: submits, runs, output; and how much memory.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use smol::Async;

use crate::daemon::{Daemon, contains, http, is_whole};

/// How long each rate is measured.
const SPAN: Duration = Duration::from_secs(3);
/// No-op runs of each measurement.
const RUNS: usize = 3_000;
/// Bytes that the printing command prints.
const OUTPUT_BYTES: usize = 200_000_000;
/// Idle readers whose memory is measured.
const READERS: usize = 200;

/// All of it, on a daemon of its own.
pub fn measure(dir: &Path) {
    println!("baseline: {:.0} appends of 4 KiB with fdatasync a second", fdatasyncs(dir));
    println!("baseline: {:.0} spawns of true a second, one at a time", spawns());
    let daemon = Daemon::start(&dir.join("speed"), &[]);
    println!("memory: {:.1} MB resident at the start", daemon.resident_mb());
    daemon.request("PUT", "/v1/queues/held", r#"{"paused":true}"#);
    for connections in [1, 64] {
        let rate = daemon.submits(connections);
        println!("submits: {rate:.0}/s from {connections} connections, each durable before its answer");
    }
    println!("memory: {:.1} MB resident with {} runs queued", daemon.resident_mb(), daemon.queued());
    for slots in [1, 8] {
        println!("runs: {:.0} no-op runs/s with {slots} slots", daemon.no_ops(slots));
    }
    println!("memory: {:.1} MB resident after {} no-op runs", daemon.resident_mb(), 2 * RUNS);
    println!("output: {:.0} MB/s of one command into SQLite with a live reader", daemon.output());
    println!("memory: {:.1} MB resident after it", daemon.resident_mb());
    println!("memory: {:.1} KB for each of {READERS} idle readers", daemon.reader_kb());
}

fn fdatasyncs(dir: &Path) -> f64 {
    let mut file = std::fs::File::create(dir.join("baseline")).unwrap();
    let page = [0_u8; 4096];
    let (started, mut count) = (Instant::now(), 0);
    while started.elapsed() < Duration::from_secs(1) {
        file.write_all(&page).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    f64::from(count) / started.elapsed().as_secs_f64()
}

fn spawns() -> f64 {
    let (started, mut count) = (Instant::now(), 0);
    while started.elapsed() < Duration::from_secs(1) {
        Command::new("true").status().unwrap();
        count += 1;
    }
    f64::from(count) / started.elapsed().as_secs_f64()
}

impl Daemon {
    fn queued(&self) -> i64 {
        let system: serde_json::Value = serde_json::from_str(&self.request("GET", "/v1/system", "")).unwrap();
        system["runs"]["queued"].as_i64().unwrap()
    }

    fn submits(&self, connections: usize) -> f64 {
        let submit = http("POST", "/v1/runs", r#"{"command":["true"],"queue":"held"}"#, "keep-alive");
        let until = Instant::now() + SPAN;
        let done = Arc::new(AtomicUsize::new(0));
        let executor = smol::LocalExecutor::new();
        let started = Instant::now();
        let tasks: Vec<_> = (0..connections)
            .map(|_| {
                let (socket, submit, done) = (self.socket().to_owned(), submit.clone(), done.clone());
                executor.spawn(async move {
                    let mut stream = Async::<UnixStream>::connect(&socket).await.unwrap();
                    let mut buffer = vec![0; 4096];
                    while Instant::now() < until {
                        stream.write_all(submit.as_bytes()).await.unwrap();
                        // The answer fits into one read but for an unlucky cut, which this notices.
                        let mut len = 0;
                        while !is_whole(&buffer[..len]) {
                            len += stream.read(&mut buffer[len..]).await.unwrap();
                        }
                        assert!(buffer.starts_with(b"HTTP/1.1 201"), "{}", String::from_utf8_lossy(&buffer[..len]));
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        smol::block_on(executor.run(async {
            for task in tasks {
                task.await;
            }
        }));
        done.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
    }

    fn no_ops(&self, slots: usize) -> f64 {
        let queue = format!("noop{slots}");
        let path = format!("/v1/queues/{queue}");
        self.request("PUT", &path, &format!(r#"{{"slots":{slots},"paused":true}}"#));
        for _ in 0..RUNS {
            self.request("POST", "/v1/runs", &format!(r#"{{"command":["true"],"queue":"{queue}"}}"#));
        }
        let last =
            self.request("POST", "/v1/runs", &format!(r#"{{"command":["true"],"queue":"{queue}","priority":-1}}"#));
        let last: serde_json::Value = serde_json::from_str(&last).unwrap();
        let started = Instant::now();
        self.request("PUT", &path, r#"{"paused":false}"#);
        let ended = self.request("GET", &format!("/v1/runs/{}?wait_s=300", last["id"]), "");
        assert!(ended.contains(r#""status":"succeeded""#), "{ended}");
        RUNS as f64 / started.elapsed().as_secs_f64()
    }

    fn output(&self) -> f64 {
        let script =
            format!("yes 0123456789012345678901234567890123456789012345678901234567890123 | head -c {OUTPUT_BYTES}");
        let body = serde_json::json!({ "script": script }).to_string();
        let started = Instant::now();
        let run: serde_json::Value = serde_json::from_str(&self.request("POST", "/v1/runs", &body)).unwrap();
        let (mut reader, _) = self.reader(&run["id"]);
        let (mut bytes, mut buffer) = (0, vec![0; 1 << 20]);
        let mut tail = Vec::new();
        // The last frame names its type: until then the frames are only counted.
        while !contains(&tail, br#""type":"end""#) {
            let len = reader.read(&mut buffer).unwrap();
            assert!(len > 0, "the stream ended without its end");
            bytes += len;
            tail.extend_from_slice(&buffer[..len]);
            tail.drain(..tail.len().saturating_sub(400));
        }
        assert!(bytes > OUTPUT_BYTES, "{bytes} bytes came");
        OUTPUT_BYTES as f64 / 1e6 / started.elapsed().as_secs_f64()
    }

    fn reader_kb(&self) -> f64 {
        let body = r#"{"script":"sleep 60"}"#;
        let run: serde_json::Value = serde_json::from_str(&self.request("POST", "/v1/runs", body)).unwrap();
        let warm: Vec<_> = (0..READERS / 10).map(|_| self.reader(&run["id"])).collect();
        let before = self.resident_mb();
        let readers: Vec<_> = (0..READERS).map(|_| self.reader(&run["id"])).collect();
        let kb = (self.resident_mb() - before) * 1024.0 / READERS as f64;
        drop((warm, readers));
        self.request("POST", &format!("/v1/runs/{}/cancel", run["id"]), "");
        kb
    }
}
