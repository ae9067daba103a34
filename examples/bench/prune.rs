//! Two million events go while others work: what a submit waits, that a live reader misses nothing, and how small the
//! file is afterwards.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_tungstenite::tungstenite::protocol::Role;
use async_tungstenite::tungstenite::{Message, WebSocket};

use crate::daemon::{Daemon, http, is_whole};
use crate::fill;

const RUNS: i64 = 20_000;
const EVENTS_PER_RUN: i64 = 100;
/// Between two submits: 50 a second.
const PERIOD: Duration = Duration::from_millis(20);

/// Fills a database, and empties it.
pub fn measure(dir: &Path) {
    let dir = dir.join("prune");
    let env = |count: i64| [("RUNABOUT_RETENTION_RUNS_COUNT", count.to_string())];
    let daemon = Daemon::start(&dir, &env(0));
    daemon.request("PUT", "/v1/queues/held", r#"{"paused":true}"#);
    let path = daemon.database();
    drop(daemon);
    fill::runs(&fill::open(&path), RUNS, "succeeded", "default", EVENTS_PER_RUN);
    let mb = || std::fs::metadata(&path).unwrap().len() as f64 / 1e6;
    println!("prune: {RUNS} runs with {} events are {:.0} MB", RUNS * EVENTS_PER_RUN, mb());
    let daemon = Daemon::start(&dir, &env(1));
    let run = daemon.request("POST", "/v1/runs", r#"{"script":"while :; do echo line; sleep 0.01; done"}"#);
    let run: serde_json::Value = serde_json::from_str(&run).unwrap();
    let reader = daemon.reader(&run["id"]);
    let over = AtomicBool::new(false);
    let begun = Instant::now();
    let (mut waited, events) = std::thread::scope(|scope| {
        let submits = scope.spawn(|| submits(&daemon, &over));
        let reader = scope.spawn(|| follow(reader));
        let removed = daemon.request("POST", "/v1/maintenance", "");
        println!("prune: all gone after {:.1} s: {removed}", begun.elapsed().as_secs_f64());
        over.store(true, Ordering::SeqCst);
        daemon.request("POST", &format!("/v1/runs/{}/cancel", run["id"]), "");
        (submits.join().unwrap(), reader.join().unwrap())
    });
    waited.sort_unstable();
    let at = |percent: usize| waited[(waited.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!(
        "prune: {} submits meanwhile, 50 a second, each durable: {:.1} ms in the middle, 99 % within {:.1} ms, the slowest {:.1} ms",
        waited.len(),
        at(50),
        at(99),
        at(100)
    );
    println!("prune: {events} events came to a live reader, and none was missing");
    println!("prune: the file is {:.1} MB", mb());
    drop(daemon);
    let log = std::fs::read_to_string(dir.join("log")).unwrap();
    assert!(!log.contains("locked"), "{log}");
    let left = fill::number(&fill::open(&path), &format!("SELECT count(*) FROM run_events WHERE run < {RUNS}"));
    assert_eq!(left, 0, "events are left");
}

/// Submits at a fixed pace until it is over; answers how long each waited since its time had come.
fn submits(daemon: &Daemon, over: &AtomicBool) -> Vec<Duration> {
    let submit = http("POST", "/v1/runs", r#"{"command":["true"],"queue":"held"}"#, "keep-alive");
    let mut stream = UnixStream::connect(daemon.socket()).unwrap();
    let (mut waited, mut buffer) = (Vec::new(), vec![0; 4096]);
    let mut due = Instant::now();
    while !over.load(Ordering::SeqCst) {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        stream.write_all(submit.as_bytes()).unwrap();
        let mut len = 0;
        while !is_whole(&buffer[..len]) {
            len += stream.read(&mut buffer[len..]).unwrap();
        }
        assert!(buffer.starts_with(b"HTTP/1.1 201"), "{}", String::from_utf8_lossy(&buffer[..len]));
        waited.push(due.elapsed());
        due += PERIOD;
    }
    waited
}

/// Reads to the end; fails where an event is missing. Answers how many there were.
fn follow((stream, read): (UnixStream, Vec<u8>)) -> i64 {
    let mut socket = WebSocket::from_partially_read(stream, read, Role::Client, None);
    let mut last = 0;
    loop {
        let Message::Text(text) = socket.read().unwrap() else { continue };
        let object: serde_json::Value = serde_json::from_str(&text).unwrap();
        match object["type"].as_str() {
            Some("event") => {
                assert_eq!(object["seq"], last + 1, "an event is missing");
                last += 1;
            }
            Some("gap") => panic!("a gap: {object}"),
            Some("end") => return last,
            _ => {}
        }
    }
}
