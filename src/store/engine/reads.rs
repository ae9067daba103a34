//! The reading thread: a connection of its own that cannot write, so that no read waits for a commit and no commit for
//! reads, however many there are.
//!
//! A read begins after it was asked for and sees, in one snapshot, all that was committed by then: whoever was answered
//! a write reads it. SQLite shows a commit to others only once it is flushed, so that no read shows what a crash takes
//! back. A read is bounded in rows, bytes and time, since an open one keeps the write-ahead log from beginning anew.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_channel::{Receiver, SendError, Sender};
use rusqlite::Connection;

use crate::dir::FileAt;
use crate::metrics::{Metrics, OfRequest};
use crate::run::RunId;
use crate::store::engine::handle;
use crate::store::engine::handle::Store;
use crate::store::engine::job::Job;
use crate::store::engine::shared::{Printed, Shared};
use crate::store::error::StoreError;
use crate::store::file::migrate;

/// Reads that may wait for the thread; who comes then waits for a place.
pub(in crate::store) const READS_MAX: usize = 4_096;
/// After this a read that has found something gives what it has: the next page goes on. Much more than one takes, less
/// than somebody notices who waits for the thread, or with the checkpoint for a read to end.
const READ_TIME: Duration = Duration::from_millis(100);

/// One request to the reading thread.
pub(in crate::store) type Read = Box<dyn FnOnce(Result<&Reader<'_>, StoreError>) + Send>;

/// What a read works with: one snapshot.
pub(in crate::store) struct Reader<'a> {
    pub conn: &'a Connection,
    /// Looked up before the snapshot was taken: of a run that runs in it, this is never more than its events tell.
    printed: Arc<Printed>,
    until: Instant,
}

impl Reader<'_> {
    /// What a run that is running has printed, in bytes.
    pub fn printed(&self, run: RunId) -> Option<i64> {
        self.printed.get(&run).copied()
    }

    /// Whether the read has taken its time, and is to give what it has found.
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }
}

/// The way to the reading connection: the reading thread goes through it for each read. Without one, reads go to the
/// thread that writes.
#[derive(Default)]
pub(in crate::store) struct Door {
    /// Held for a moment by whoever comes, so that a reader who comes again and again lets the writer pass.
    turn: Mutex<()>,
    conn: Mutex<Option<Connection>>,
}

impl Door {
    /// Waits until the read that is under way is over, and closes the connection.
    pub fn shut(&self) {
        *self.pass() = None;
    }

    /// Opens the connection; while somebody has the database open who may write.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(&self, file: &FileAt) -> Result<(), StoreError> {
        *self.pass() = Some(migrate::connect_to_read(file)?);
        Ok(())
    }

    /// Waits until the read that is under way is over; another may have begun by then.
    pub fn outwait(&self) {
        drop(self.pass());
    }

    fn pass(&self) -> MutexGuard<'_, Option<Connection>> {
        let _turn = lock(&self.turn);
        lock(&self.conn)
    }

    fn enter(&self) -> MutexGuard<'_, Option<Connection>> {
        drop(lock(&self.turn));
        lock(&self.conn)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything the reading thread owns or shares.
pub(in crate::store) struct ReadThread {
    pub reads: Receiver<Read>,
    pub jobs: Sender<Job>,
    pub door: Arc<Door>,
    pub shared: Arc<Shared>,
    pub metrics: Arc<Metrics>,
}

impl ReadThread {
    /// Works until every handle is gone or the store is closed.
    pub fn run(self) {
        let counted = self.metrics.store_requests.get_or_create(&OfRequest { kind: "read" }).clone();
        while let Ok(read) = self.reads.recv_blocking() {
            counted.inc();
            let printed = self.shared.printed();
            let conn = self.door.enter();
            if let Some(conn) = &*conn {
                answer(conn, printed, read);
                continue;
            }
            drop(conn);
            if let Err(SendError(Job::Read(read))) = self.jobs.send_blocking(Job::Read(read)) {
                read(Err(handle::closed()));
            }
        }
    }
}

/// Answers a read from one snapshot. `printed` was looked up before.
pub(in crate::store) fn answer(conn: &Connection, printed: Arc<Printed>, read: Read) {
    // Deferred: the first statement takes the snapshot.
    match conn.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([])) {
        Ok(_) => read(Ok(&Reader { conn, printed, until: Instant::now() + READ_TIME })),
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

impl Store {
    /// Has something read; for the other files of the store that have requests of their own.
    pub(in crate::store) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Reader<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = async_channel::bounded(1);
        let read: Read = Box::new(move |reader| {
            // Who has gone meanwhile need not be answered.
            if !Sender::is_closed(&reply) {
                let _ = reply.try_send(reader.and_then(work));
            }
        });
        self.reads.send(read).await.map_err(handle::gone)?;
        answer.recv().await.map_err(handle::gone)?
    }
}
