//! The reading thread. It has a connection of its own that cannot write, so that reads and commits never wait for each
//! other.
//!
//! A read takes its snapshot after it was requested, so that whoever was answered a write reads it. SQLite shows a
//! commit to others only once it is flushed, so that no read shows what a crash takes back. Each read is bounded in
//! rows, bytes and time, since an open one keeps the write-ahead log from beginning anew.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_channel::{Receiver, SendError, Sender};
use rusqlite::Connection;

use crate::dir::FileAt;
use crate::metrics::{Metrics, OfRequest};
use crate::store::engine::job::Job;
use crate::store::engine::published::Published;
use crate::store::engine::snapshot::{Printed, Read, Snapshot};
use crate::store::error::{Fault, closed};
use crate::store::file::connect::connect_to_read;

/// Time limit of a read that has found something; the next page continues. A usual read takes far less, and whoever
/// waits for the thread does not notice it.
const READ_TIME: Duration = Duration::from_millis(100);

/// The reading connection. The reading thread locks it for each read; the writing thread opens and closes it and waits
/// for reads to end. While there is none, the writing thread reads.
#[derive(Default)]
pub struct ReadConnection {
    /// Taken before the connection by both threads, so that a stream of reads lets the writer pass.
    turn: Mutex<()>,
    conn: Mutex<Option<Connection>>,
}

impl ReadConnection {
    /// Waits for the current read to end, and closes the connection.
    pub fn close(&self) {
        *self.for_writer() = None;
    }

    /// Opens the connection. Another connection that may write must be open.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(&self, file: &FileAt) -> Result<(), Fault> {
        *self.for_writer() = Some(connect_to_read(file)?);
        Ok(())
    }

    /// Waits for the current read to end. Another may have begun by then.
    pub fn wait_for_read(&self) {
        drop(self.for_writer());
    }

    /// Locks the connection for the writer, which keeps its turn meanwhile.
    fn for_writer(&self) -> MutexGuard<'_, Option<Connection>> {
        let _turn = lock(&self.turn);
        lock(&self.conn)
    }

    fn for_reader(&self) -> MutexGuard<'_, Option<Connection>> {
        drop(lock(&self.turn));
        lock(&self.conn)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The reading thread.
pub struct ReadThread {
    pub reads: Receiver<Read>,
    pub jobs: Sender<Job>,
    pub read_conn: Arc<ReadConnection>,
    pub published: Arc<Published>,
    pub metrics: Arc<Metrics>,
}

impl ReadThread {
    /// Runs until every handle is gone or the store is closed.
    pub fn run(self) {
        let counted = self.metrics.store_requests.get_or_create(&OfRequest { kind: "read" }).clone();
        while let Ok(read) = self.reads.recv_blocking() {
            counted.inc();
            let printed = self.published.printed();
            let conn = self.read_conn.for_reader();
            if let Some(conn) = &*conn {
                answer(conn, printed, read);
                continue;
            }
            drop(conn);
            if let Err(SendError(Job::Read(read))) = self.jobs.send_blocking(Job::Read(read)) {
                read(Err(closed()));
            }
        }
    }
}

/// Runs a read in one snapshot. `printed` was looked up before.
pub fn answer(conn: &Connection, printed: Arc<Printed>, read: Read) {
    // Deferred: the first statement takes the snapshot.
    match conn.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([])) {
        Ok(_) => read(Ok(&Snapshot { conn, printed, until: Instant::now() + READ_TIME })),
        Err(error) => return read(Err(error.into())),
    }
    // An error may have ended it already.
    if !conn.is_autocommit() {
        if let Err(error) = conn.prepare_cached("COMMIT").and_then(|mut end| end.execute([])) {
            log::warn!("a read could not be ended: {error}");
            let _ = conn.execute_batch("ROLLBACK");
        }
    }
}
