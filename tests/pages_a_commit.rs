//! How many pages a commit writes, which is what it costs on a flash card: counted in the write-ahead log, of the store
//! itself, so that a new index or a row that is written twice shows. A page is one of 2 KiB.

use futures_lite::future::block_on;
use runabout::event::Stream;
use runabout::run::{Exit, Measured, RunId};
use runabout::store::{ProcessMark, Store};
use rusqlite::Connection;

use crate::common::{TempDir, new_run, store};

/// A page in the log, with its header.
const FRAME_BYTES: u64 = 2_048 + 24;
/// The log's own header.
const LOG_BYTES: u64 = 32;

/// Pages in the log; each measure takes less than a checkpoint waits for.
fn frames(dir: &TempDir) -> f64 {
    let database = Connection::open(dir.path().join("runabout.db")).unwrap();
    let log = std::fs::metadata(dir.path().join("runabout.db-wal")).unwrap().len();
    let pages: i64 = database.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1)).unwrap();
    assert!(pages as u64 <= log.saturating_sub(LOG_BYTES) / FRAME_BYTES);
    pages as f64
}

/// Pages that each of `count` commits writes, on average, and not more than this.
#[track_caller]
fn assert_pages(dir: &TempDir, store: &Store, what: &str, most: f64, count: usize, mut commit: impl FnMut(usize)) {
    // In turns that fit into a log.
    let (mut pages, turn) = (0.0, 32);
    for from in (0..count).step_by(turn) {
        block_on(store.checkpoint()).unwrap();
        // The first commit after it begins the log anew.
        commit(from);
        let before = frames(dir);
        (from + 1..from + turn).for_each(&mut commit);
        pages += frames(dir) - before;
    }
    let each = pages / (count - count / turn) as f64;
    println!("{what}: {each:.2} pages a commit");
    assert!(each <= most, "{what}: {each:.2} pages a commit, and {most} are allowed");
}

fn submit(store: &Store, count: usize) {
    (0..count).for_each(|_| drop(block_on(store.submit(new_run())).unwrap()));
}

fn started(store: &Store) -> RunId {
    match block_on(store.orders().recv()).unwrap() {
        runabout::store::Order::Start(claimed) => claimed.run,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_submit_writes_its_row_its_event_and_a_page_of_two_indexes() {
    let dir = TempDir::new();
    let store = store(&dir);
    submit(&store, 100);
    assert_pages(&dir, &store, "a submit", 4.6, 128, |_| submit(&store, 1));
    block_on(store.close());
}

#[test]
fn the_end_of_a_run_and_the_start_of_the_next_share_their_pages() {
    let dir = TempDir::new();
    let store = store(&dir);
    submit(&store, 400);
    store.open_claims(true);
    block_on(store.claim()).unwrap();
    // What ended is filed with others now and then, which is counted here.
    assert_pages(&dir, &store, "an end with the next claim", 6.2, 256, |nth| {
        let mark =
            ProcessMark { pid: 1_000, start_ticks: 1_000, boot_id: "00000000-0000-0000-0000-000000000000".into() };
        let run = started(&store);
        assert_eq!(run, RunId(nth as i64 + 1));
        let exit = Exit::Code(0);
        block_on(store.finish(run, 1, Some(mark), None, exit, Measured::default())).unwrap();
    });
    block_on(store.close());
}

#[test]
fn a_line_of_output_is_one_page() {
    let dir = TempDir::new();
    let store = store(&dir);
    submit(&store, 8);
    store.open_claims(true);
    block_on(store.claim()).unwrap();
    let intake = store.backlog().open(started(&store));
    let _watch = store.backlog().watch(RunId(1));
    assert_pages(&dir, &store, "a line of output", 1.15, 128, |nth| {
        intake.push(Stream::Stdout, format!("line {nth} of a command that says what it does\n").as_bytes());
        block_on(store.flush()).unwrap();
    });
    block_on(store.close());
}
