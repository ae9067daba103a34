//! What `make bench` prints: how many submits, runs and megabytes a second, and how much memory.
//!
//! It starts a daemon of its own on scratch state and talks to it over the Unix socket. Figures of one run can be
//! compared with each other, also with the two baselines that it takes first; machines are too noisy for more.

#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use smol::Async;

/// How long each rate is measured.
const SPAN: Duration = Duration::from_secs(3);
/// No-op runs of each measurement.
const RUNS: usize = 3_000;
/// Bytes that the printing command prints.
const OUTPUT_BYTES: usize = 200_000_000;
/// Idle readers whose memory is measured.
const READERS: usize = 200;

fn main() {
    let dir = std::env::temp_dir().join(format!("runabout-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    println!("baseline: {:.0} appends of 4 KiB with fdatasync a second", fdatasyncs(&dir));
    println!("baseline: {:.0} spawns of true a second, one at a time", spawns());
    let daemon = Daemon::start(&dir);
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
    drop(daemon);
    let _ = std::fs::remove_dir_all(&dir);
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

struct Daemon {
    child: Child,
    socket: PathBuf,
}

impl Daemon {
    fn start(dir: &Path) -> Daemon {
        // The example stands in target/release/examples, the daemon one above.
        let binary = std::env::current_exe().unwrap().parent().unwrap().join("../runabout");
        let state = dir.join("state");
        let mut child = Command::new(&binary)
            .args(["serve", "--listen", "none", "--log", "warn", "--state-dir"])
            .arg(&state)
            .env("RUNABOUT_LIMITS_QUEUED_RUNS", "10000000")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; run `cargo build --release` first", binary.display()));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("listening on"), "{line}");
        Daemon { child, socket: state.join("runabout.sock") }
    }

    fn resident_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }

    fn request(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.write_all(http(method, path, body, "close").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {answer}");
        body.to_owned()
    }

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
                let (socket, submit, done) = (self.socket.clone(), submit.clone(), done.clone());
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
        let mut reader = self.reader(&run["id"]);
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

    /// A WebSocket whose first frames have come.
    fn reader(&self, run: &serde_json::Value) -> UnixStream {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        write!(
            stream,
            "GET /v1/runs/{run}/events HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
        )
        .unwrap();
        let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
        while !contains(&said, br#""type":"hello""#) {
            let len = stream.read(&mut buffer).unwrap();
            assert!(len > 0, "{}", String::from_utf8_lossy(&said));
            said.extend_from_slice(&buffer[..len]);
        }
        stream
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn http(method: &str, path: &str, body: &str, connection: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: {connection}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Whether a whole answer is there: its head, and as much body as the head says.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let declared = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    answer.len() >= end + 4 + declared.unwrap_or(0)
}
