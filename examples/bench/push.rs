//! How long an event takes to a live reader, and how fast a reader catches up on what is stored, beside the sqlite3
//! shell reading the same rows.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::bench::{Bench, Build};
use crate::daemon::{Daemon, find, http, is_answer};
use crate::fill;
use crate::frames::{Counter, Protocol, Reading};
use crate::peers::SQLITE;

/// The shell, with one column after another as text; as JSON it is [`SQLITE`].
const SQLITE_TEXT: &str = "sqlite3, as text";

const EVENTS: usize = 1_000;
const STORED: usize = 300_000;
/// Between an event's arrival and the next one, so that it is not the load that is measured.
const PAUSE: Duration = Duration::from_millis(1);

pub fn measure(bench: &mut Bench) {
    for round in bench.rounds() {
        for build in bench.builds(round) {
            let dir = bench.directory(build.name);
            latency(bench, &build, &dir);
        }
    }
    catch_up(bench);
}

/// From before an event is appended to its frame at a reader, one after another.
fn latency(bench: &mut Bench, build: &Build, dir: &Path) {
    use std::io::Write;
    let daemon = Daemon::start(build, dir, &[]);
    daemon.request("PUT", "/v1/queues/held", r#"{"paused":true}"#);
    let run = daemon.ask("POST", "/v1/runs", crate::submits::BODY)["id"].as_i64().unwrap();
    let mut reading = Reading::new(daemon.reader(run));
    let append = http(
        "POST",
        &format!("/v1/runs/{run}/events"),
        r#"{"kind":"message","data":{"level":"info","text":"about as long as such a message is"}}"#,
        "keep-alive",
    );
    let mut writer = daemon.connect();
    let (mut took_ms, mut answer) = (Vec::new(), vec![0; 8192]);
    for _ in 0..bench.count(EVENTS) {
        let begun = Instant::now();
        writer.write_all(append.as_bytes()).unwrap();
        while reading.next()["kind"] != "message" {}
        took_ms.push(begun.elapsed().as_secs_f64() * 1e3);
        let mut len = 0;
        while !is_answer(&answer[..len]) {
            len += writer.read(&mut answer[len..]).unwrap();
        }
        std::thread::sleep(PAUSE);
    }
    took_ms.sort_by(f64::total_cmp);
    bench.add("push_p50", build.name, took_ms[took_ms.len() / 2]);
    bench.add("push_p99", build.name, took_ms[(took_ms.len() - 1) * 99 / 100]);
}

/// Reads a stored run from its beginning, in turns.
fn catch_up(bench: &mut Bench) {
    let count = bench.count(STORED);
    let daemons: Vec<_> = bench.builds(0).into_iter().map(|build| (build.name, stored(bench, &build, count))).collect();
    let shell = bench.peer(SQLITE);
    for _ in bench.rounds() {
        for (name, daemon) in &daemons {
            let took = stream(daemon, count);
            bench.add("catch_up", name, count as f64 / 1e3 / took.as_secs_f64());
        }
        for (name, mode) in [(SQLITE, "-json"), (SQLITE_TEXT, "-list")] {
            let Some(shell) = &shell else { continue };
            let took = select(shell, mode, &daemons[0].1);
            bench.add("catch_up", name, count as f64 / 1e3 / took.as_secs_f64());
        }
    }
}

/// A daemon with one run of so many events.
fn stored(bench: &Bench, build: &Build, count: usize) -> Daemon {
    let dir = bench.directory(build.name);
    fill::database(&dir, |database| fill::runs(database, 1, "succeeded", "default", count));
    Daemon::start(build, &dir, &[])
}

fn stream(daemon: &Daemon, count: usize) -> Duration {
    let begun = Instant::now();
    let (mut stream, behind) = daemon.fresh_reader(1);
    let mut counter = Counter::new(Protocol::WebSocket);
    counter.take(&behind);
    let (mut buffer, mut tail) = (vec![0; 1 << 18], behind);
    while find(&tail, br#"{"type":"end""#).is_none() {
        let len = stream.read(&mut buffer).unwrap();
        assert!(len > 0, "the stream ended without its end");
        counter.take(&buffer[..len]);
        tail.extend_from_slice(&buffer[len.saturating_sub(200)..len]);
        tail.drain(..tail.len().saturating_sub(200));
    }
    assert_eq!(counter.events, count as u64, "events that came");
    begun.elapsed()
}

/// The same rows in the same order, to a pipe that is read to its end.
fn select(shell: &Path, mode: &str, daemon: &Daemon) -> Duration {
    // By the tables beneath the view where it is one, each by its key, so that nothing is sorted.
    let is_view = "SELECT 1 FROM sqlite_schema WHERE type = 'view' AND name = 'run_events'";
    let database = rusqlite::Connection::open(daemon.database()).unwrap();
    let sql = match database.prepare(is_view).unwrap().exists([]).unwrap() {
        false => "SELECT id, run, seq, at, kind, stream, data FROM run_events WHERE run = 1 ORDER BY seq",
        true => {
            "SELECT id, run, seq, at, kind, stream, data FROM (
             SELECT id, run, seq, at, kind, NULL AS stream, data, key FROM events WHERE key BETWEEN 1 << 32 AND 2 << 32
             UNION ALL
             SELECT id, run, seq, at, 'output', stream, data, key FROM output WHERE key BETWEEN 1 << 32 AND 2 << 32
             ORDER BY key)"
        }
    };
    drop(database);
    let begun = Instant::now();
    let mut command = Command::new(shell);
    command.arg("-readonly").arg(mode).arg(daemon.database()).arg(sql).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut out, mut buffer) = (child.stdout.take().unwrap(), vec![0; 1 << 18]);
    while out.read(&mut buffer).unwrap() > 0 {}
    assert!(child.wait().unwrap().success());
    begun.elapsed()
}
