//! The database as the writing thread has it open: connection, memory, place on the disk, and what it shares with
//! others.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use async_channel::Sender;
use rusqlite::Connection;

use crate::dir::FileAt;
use crate::metrics::{Metrics, OfStatus};
use crate::run::Status;
use crate::store::engine::backlog::Backlog;
use crate::store::engine::committed::Committed;
use crate::store::engine::counters::Counters;
use crate::store::engine::orders::Order;
use crate::store::engine::published::Published;
use crate::store::engine::reads::ReadConnection;
use crate::store::engine::room::Room;
use crate::store::engine::rules::Rules;
use crate::store::error::Fault;
use crate::store::file::connect::Sharing;
use crate::store::file::open_files::OpenFiles;
use crate::store::settings::Remember;
use crate::wake::{Bell, Stop};

thread_local! {
    /// Pages in the write-ahead log after the last commit, reported by SQLite to a hook on this thread.
    static LOG_PAGES: Cell<i32> = const { Cell::new(0) };
}

/// The open database of the writing thread.
pub struct Database {
    pub conn: Connection,
    /// Counters and ids in memory.
    pub counters: Counters,
    pub rules: Rules,
    pub disk: Disk,
    pub log: Log,
    pub outside: Outside,
    /// Number of recoveries since the last commit.
    pub recoveries: u32,
    /// Why nothing more is written: the outcome of a commit stays unknown, or the database is damaged.
    pub broken: Option<String>,
}

/// Where the database is, and what space it has there.
pub struct Disk {
    /// The database's file.
    pub file: FileAt,
    /// Who may open it at the same time.
    pub sharing: Sharing,
    pub files: OpenFiles,
    pub room: Room,
}

/// Checkpoints, and who is told of them.
pub struct Log {
    /// When a checkpoint that failed is tried again.
    pub due: Option<Instant>,
    /// When memory was given back last, after a checkpoint.
    pub gave_back_at: Option<Instant>,
    /// Told after each checkpoint which ids were given out.
    pub remember: Remember,
    /// Told that the database was closed in order.
    pub note_closed: Arc<dyn Fn() + Send + Sync>,
}

/// What the thread shares with the rest of the daemon.
pub struct Outside {
    /// The connection of the reading thread.
    pub read_conn: Arc<ReadConnection>,
    /// Hints and counts for everyone.
    pub published: Arc<Published>,
    /// Output that waits for a commit.
    pub backlog: Backlog,
    /// Committed events that wait for the readers.
    pub committed: Committed,
    /// What commits ask of whoever runs commands.
    pub orders: Sender<Order>,
    pub bell: Bell,
    pub stop: Stop,
    pub metrics: Arc<Metrics>,
}

impl Database {
    /// Installs the hook that reports the log's length; needed once for each connection.
    pub fn watch_log(&self) {
        self.conn.wal_hook(Some(|_, pages| {
            LOG_PAGES.set(pages);
            Ok(())
        }));
    }

    /// Pages in the write-ahead log after the last commit; 0 once they have been moved.
    pub fn log_pages(&self) -> i32 {
        LOG_PAGES.get()
    }

    /// Notes that all of the log is in the database.
    pub fn log_was_moved(&mut self) {
        LOG_PAGES.set(0);
        self.log.due = None;
    }

    /// Notes that the file was written by a checkpoint; `is_whole`: the whole log is in it.
    pub fn note_written(&mut self, is_whole: bool) {
        let holds = is_whole.then(|| self.counters.high_water());
        self.disk.files.was_written(&self.conn, &self.disk.file.path(), holds);
    }

    /// Publishes counters and hints.
    pub fn publish_state(&self) {
        self.outside.published.publish(&self.counters, &self.rules);
        for &status in Status::ALL {
            let count = self.counters.counts[status as usize];
            self.outside.metrics.runs.get_or_create(&OfStatus { status }).set(count);
        }
    }

    /// Publishes whether the database can be written.
    pub fn tell_writable(&self, is_writable: bool) {
        self.outside.published.set_writable(is_writable);
        self.outside.metrics.storage_writable.set(i64::from(is_writable));
    }

    /// Checks that the open files are in their place, unless that was checked within a second and not `now`.
    ///
    /// # Errors
    /// [`Fault::Displaced`] where they have not.
    pub fn look_at_files(&mut self, now: bool) -> Result<(), Fault> {
        let files = &mut self.disk.files;
        if self.broken.is_some() || !(now || files.is_due()) {
            return Ok(());
        }
        let was_lost = files.is_lost();
        files.look(&self.conn, &self.disk.file.path(), &self.counters.instance);
        let is_lost = files.is_lost();
        if is_lost && !was_lost {
            self.tell_writable(false);
        }
        if is_lost { Err(Fault::Displaced) } else { Ok(()) }
    }

    /// Opens the reading connection, where a second connection is possible.
    pub fn open_for_readers(&self) -> Result<(), Fault> {
        let Outside { read_conn, .. } = &self.outside;
        if self.disk.sharing == Sharing::All { read_conn.open(&self.disk.file) } else { Ok(()) }
    }

    /// Stops all writing and makes the daemon end, so that the next start reads what is stored.
    pub fn give_up(&mut self, why: &str) {
        log::error!("the database failed and the daemon ends, so that the next start can read the truth: {why}");
        self.broken = Some(why.to_owned());
        self.tell_writable(false);
        self.outside.stop.fail();
    }
}
