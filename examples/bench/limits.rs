//! What holds the figures where they are: the least that a thing costs on this machine, without a daemon.

use std::fs::File;
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::event::epoll;

use crate::bench::{Bench, Build, OURS};
use crate::daemon::Daemon;
use crate::fan_out::{BATCH, CLIENT_CORE, EVENT_BYTES, SERVER_CORE, WINDOW};
use crate::machine::{rate, spawn};
use crate::process::{cores, pin, unpin};

/// What stands before an event's text on a WebSocket.
const FRAME_BYTES: usize = 4;
const READERS: usize = 100;
/// Bytes that a commit of one submit or one end of a run flushes, in whole blocks of 4 KiB.
const COMMIT_BYTES: usize = 12 * 1024;
/// Output: bytes of a row, and rows of a commit.
const ROW_BYTES: usize = 16 * 1024;
const ROWS: i64 = 4;
/// Runs of a commit, where 64 connections submit.
const SUBMITS: i64 = 64;
/// The file that is overwritten.
const FILE_BYTES: usize = 4 << 20;

pub fn measure(bench: &mut Bench) {
    for round in bench.rounds() {
        if cores() >= 2 {
            bench.add("limit_fan_out_100", OURS, sockets(bench.span() / 2, 1));
            bench.add("limit_fan_out_100_two", OURS, sockets(bench.span() / 2, 2));
        }
        let dir = bench.directory("limits");
        let mut flush = flush(&dir);
        bench.add("limit_submit_1", OURS, rate(bench.span() / 2, &mut flush));
        let started = rate(bench.span() / 2, || {
            spawn();
            flush();
        });
        bench.add("limit_no_ops_1", OURS, started);
        let build = bench.builds(round).into_iter().find(|build| build.name == OURS).unwrap();
        let database = database(&build, &dir);
        let (runs, events) = (copying(&database, "runs", &["id"]), copying(&database, "events", &["id", "key"]));
        let submits = commits(&database, bench.span() / 2, (SUBMITS, 128), |id| {
            database.prepare_cached(&runs).unwrap().execute([id]).unwrap();
            database.prepare_cached(&events).unwrap().execute([id, id << 32 | 1]).unwrap();
        });
        bench.add("limit_submit_64", OURS, submits * SUBMITS as f64);
        let text = "0123456789012345678901234567890123456789012345678901234567890123\n".repeat(ROW_BYTES / 65 + 1);
        let outputs = commits(&database, bench.span() / 2, (ROWS, 64), |id| {
            let print = "INSERT INTO output (key, id, at, stream, data) VALUES (?1, ?1, 1, 'stdout', ?2)";
            let row = rusqlite::params![(1_i64 << 40) + id, &text[..ROW_BYTES]];
            database.prepare_cached(print).unwrap().execute(row).unwrap();
        });
        bench.add("limit_output", OURS, outputs * (ROWS as usize * ROW_BYTES) as f64 / 1e6);
    }
}

/// Events, times readers, that one core gets rid of by nothing but writes of so many batches each.
fn sockets(span: Duration, batches: usize) -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let pairs = (0..READERS).map(|_| (TcpStream::connect(address).unwrap(), listener.accept().unwrap().0));
    let (readers, mut writers): (Vec<_>, Vec<_>) = pairs.unzip();
    let bytes = vec![b'x'; batches * BATCH as usize * (EVENT_BYTES + FRAME_BYTES)];
    let (whole, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let (mut written, begun) = (0, Instant::now());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pin(CLIENT_CORE);
            read_all(&readers, bytes.len() as u64, &whole, &over);
        });
        pin(SERVER_CORE);
        while begun.elapsed() < span {
            while written - whole.load(Ordering::Acquire) >= WINDOW.div_ceil(batches as u64) {
                std::thread::yield_now();
            }
            writers.iter_mut().for_each(|writer| writer.write_all(&bytes).unwrap());
            written += 1;
        }
        over.store(true, Ordering::Release);
        drop(writers);
    });
    unpin();
    (written as usize * batches * BATCH as usize * READERS) as f64 / 1e6 / begun.elapsed().as_secs_f64()
}

/// Reads until all are closed; `whole`: how many writes of so many bytes everybody has got.
fn read_all(readers: &[TcpStream], write_bytes: u64, whole: &AtomicU64, over: &AtomicBool) {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    for (index, reader) in readers.iter().enumerate() {
        epoll::add(&epoll, reader, epoll::EventData::new_u64(index as u64), epoll::EventFlags::IN).unwrap();
    }
    let mut got = vec![0_u64; readers.len()];
    let mut buffer = vec![0; 256 * 1024];
    let mut space = [const { MaybeUninit::<epoll::Event>::uninit() }; 128];
    while !over.load(Ordering::Acquire) {
        for event in epoll::wait(&epoll, &mut space, None).unwrap().0 {
            let index = event.data.u64() as usize;
            got[index] += (&readers[index]).read(&mut buffer).unwrap() as u64;
        }
        whole.store(got.iter().min().unwrap() / write_bytes, Ordering::Release);
    }
}

/// Overwrites as much as a commit does of a file that is there already, and flushes it.
fn flush(dir: &Path) -> impl FnMut() + use<> {
    let file = File::create(dir.join("flushed")).unwrap();
    file.write_all_at(&vec![0; FILE_BYTES], 0).unwrap();
    file.sync_all().unwrap();
    let mut at = 0;
    move || {
        file.write_all_at(&[1; COMMIT_BYTES], at).unwrap();
        file.sync_data().unwrap();
        at = (at + COMMIT_BYTES as u64) % (FILE_BYTES - COMMIT_BYTES) as u64 / 4096 * 4096;
    }
}

/// A daemon's database with one run, as the daemon opens it.
fn database(build: &Build, dir: &Path) -> Connection {
    let daemon = Daemon::start(build, dir, &[]);
    daemon.request("PUT", "/v1/queues/held", r#"{"paused":true}"#);
    daemon.request("POST", "/v1/runs", crate::submits::BODY);
    drop(daemon);
    let database = Connection::open(crate::daemon::database(&dir.join("state"))).unwrap();
    database
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;
             PRAGMA cache_size = -512;",
        )
        .unwrap();
    database
}

/// A statement that writes the first row of a table again, with these columns anew.
fn copying(database: &Connection, table: &str, anew: &[&str]) -> String {
    let mut columns = database.prepare("SELECT name FROM pragma_table_xinfo(?1) WHERE hidden = 0").unwrap();
    let columns = columns.query_map([table], |row| row.get(0)).unwrap();
    let mut same: Vec<String> = columns.map(Result::unwrap).collect();
    same.retain(|column| !anew.contains(&column.as_str()));
    let (same, places) = (same.join(", "), vec!["?"; anew.len()].join(", "));
    let anew = anew.join(", ");
    format!("INSERT INTO {table} ({anew}, {same}) SELECT {places}, {same} FROM {table} ORDER BY id LIMIT 1")
}

/// Commits a second, each of so many rows; after so many of them, some 4 MiB, the log is moved into the database, as the
/// daemon does while it is busy.
fn commits(database: &Connection, span: Duration, (rows, moved): (i64, i64), mut insert: impl FnMut(i64)) -> f64 {
    /// Behind all that the daemon wrote.
    const FIRST: i64 = 1_000;
    let (mut id, mut count) = (FIRST, 0);
    rate(span, || {
        database.execute_batch("BEGIN IMMEDIATE").unwrap();
        for _ in 0..rows {
            id += 1;
            insert(id);
        }
        database.execute_batch("COMMIT").unwrap();
        count += 1;
        if count % moved == 0 {
            database.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
        }
    })
}
