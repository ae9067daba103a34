//! The database as the writing thread has it open: its connection, what is kept in memory of it, where it is, and whom what
//! happens to it concerns.

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
use crate::store::engine::orders::Order;
use crate::store::engine::reads::ReadConnection;
use crate::store::engine::room::Room;
use crate::store::engine::rules::Rules;
use crate::store::engine::shared::Shared;
use crate::store::engine::state::State;
use crate::store::error::Fault;
use crate::store::file::connect::Sharing;
use crate::store::file::place::Place;
use crate::store::settings::Remember;
use crate::wake::{Bell, Stop};

thread_local! {
    /// Pages in the write-ahead log after the last commit, as SQLite tells its hook on the committing thread.
    static LOG_PAGES: Cell<i32> = const { Cell::new(0) };
}

/// Everything of the writing thread but its jobs.
pub struct Database {
    pub conn: Connection,
    /// What need not be counted.
    pub state: State,
    pub rules: Rules,
    pub disk: Disk,
    pub log: Log,
    pub outside: Outside,
    /// Recoveries since the last commit.
    pub recoveries: u32,
    /// Set where the outcome of a commit stays unknown, or the database is damaged: nothing more is written.
    pub broken: Option<String>,
}

/// Where the database is, and what room it has there.
pub struct Disk {
    /// The database's file.
    pub file: FileAt,
    /// Who may have it open beside this thread.
    pub sharing: Sharing,
    pub place: Place,
    pub room: Room,
}

/// The write-ahead log's affairs.
pub struct Log {
    /// When a checkpoint that failed is tried again.
    pub due: Option<Instant>,
    /// Is told how far the database has come, after each checkpoint.
    pub remember: Remember,
    /// Is told that it was closed in order.
    pub note_closed: Arc<dyn Fn() + Send + Sync>,
}

/// What this thread has in common with the rest of the daemon.
pub struct Outside {
    /// What others read by.
    pub read_conn: Arc<ReadConnection>,
    /// What it tells everyone.
    pub shared: Arc<Shared>,
    /// Output on its way in.
    pub backlog: Backlog,
    /// Events on their way out.
    pub committed: Committed,
    /// What commits ask of whoever runs commands.
    pub orders: Sender<Order>,
    pub bell: Bell,
    pub stop: Stop,
    pub metrics: Arc<Metrics>,
}

impl Database {
    /// Has SQLite say how long the log is, on every connection anew.
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

    /// All of the log is in the database.
    pub fn log_was_moved(&mut self) {
        LOG_PAGES.set(0);
        self.log.due = None;
    }

    /// The file was written, outside of a commit; `is_whole`: with all that the log holds.
    pub fn note_written(&mut self, is_whole: bool) {
        let holds = is_whole.then(|| self.state.high_water());
        self.disk.place.was_written(&self.conn, &self.disk.file.path(), holds);
    }

    /// Says what stands in memory to those who ask from outside.
    pub fn publish_state(&self) {
        self.outside.shared.publish(&self.state, &self.rules);
        for &status in Status::ALL {
            let count = self.state.counts[status as usize];
            self.outside.metrics.runs.get_or_create(&OfStatus { status }).set(count);
        }
    }

    /// Says whether the database can be written, for those who ask from outside.
    pub fn tell_writable(&self, is_writable: bool) {
        self.outside.shared.set_writable(is_writable);
        self.outside.metrics.storage_writable.set(i64::from(is_writable));
    }

    /// Whether the open files have their names; a look that is young enough is not made again, unless `now`.
    ///
    /// # Errors
    /// [`Fault::Displaced`] where they have not.
    pub fn look_at_place(&mut self, now: bool) -> Result<(), Fault> {
        let place = &mut self.disk.place;
        if self.broken.is_some() || !(now || place.is_due()) {
            return Ok(());
        }
        let was_lost = place.is_lost();
        place.look(&self.conn, &self.disk.file.path(), &self.state.instance);
        let is_lost = place.is_lost();
        if is_lost && !was_lost {
            self.tell_writable(false);
        }
        if is_lost { Err(Fault::Displaced) } else { Ok(()) }
    }

    /// Lets others read by a connection of their own, where there may be another.
    pub fn open_for_readers(&self) -> Result<(), Fault> {
        let Outside { read_conn, .. } = &self.outside;
        if self.disk.sharing == Sharing::All { read_conn.open(&self.disk.file) } else { Ok(()) }
    }

    /// Writes nothing more and asks the daemon to end: the next start reads the truth.
    pub fn give_up(&mut self, why: &str) {
        log::error!("the database failed and the daemon ends, so that the next start can read the truth: {why}");
        self.broken = Some(why.to_owned());
        self.tell_writable(false);
        self.outside.stop.fail();
    }
}
