//! Moves the write-ahead log into the database: when nothing waits, when it has become long, and at the end.
//!
//! The log's file is kept, since growing it costs a second flush. A checkpoint waits for the read that is under way,
//! which would keep the log from beginning anew.

use std::time::{Duration, Instant};

use crate::store::engine::database::Database;
use crate::store::engine::recovery::refined;
use crate::store::error::Fault;
use crate::store::file::error::DAMAGED;
use crate::store::file::pages::figure;
use crate::system;

/// Length of the log from which it is checkpointed while nothing waits.
const CHECKPOINT_IDLE_BYTES: i64 = 1_024 * 1_024;
/// Length of the log from which it is checkpointed although jobs wait.
const CHECKPOINT_BUSY_BYTES: i64 = 4 * 1_024 * 1_024;
/// How often memory is given back while checkpoint follows checkpoint: what is used again is mapped again page by page.
const GIVE_BACK_APART: Duration = Duration::from_secs(10);
/// Pause after a checkpoint that failed.
const CHECKPOINT_RETRY: Duration = Duration::from_secs(1);
/// How long the last checkpoint waits for other processes that read.
const CLOSING_BUSY: Duration = Duration::from_millis(250);

impl Database {
    pub fn checkpoint_if_due(&mut self, is_idle: bool) {
        let bytes = self.rules.bytes(self.log_pages().into());
        let is_due = bytes >= CHECKPOINT_BUSY_BYTES || (bytes >= CHECKPOINT_IDLE_BYTES && is_idle);
        if is_due && self.broken.is_none() && self.log.due.is_none_or(|due| Instant::now() >= due) {
            self.checkpoint("PASSIVE");
            // A megabyte of log is a good sign that much came and went. Where that goes on, as much is needed again at once.
            if is_idle && self.log.gave_back_at.is_none_or(|at| at.elapsed() >= GIVE_BACK_APART) {
                self.log.gave_back_at = Some(Instant::now());
                system::give_memory_back();
            }
        }
    }

    /// Moves the log's pages into the database; `mode` is SQLite's.
    pub fn checkpoint(&mut self, mode: &str) {
        if self.look_at_files(true).is_err() {
            self.log.due = Some(Instant::now() + CHECKPOINT_RETRY);
            return;
        }
        // A read that sees an older state keeps the pages since from moving …
        self.outside.read_conn.wait_for_read();
        self.outside.published.set_writing(Some(Instant::now()));
        self.move_log(mode);
        self.outside.published.set_writing(None);
        // … and one that began before all had moved keeps the log from beginning anew.
        self.outside.read_conn.wait_for_read();
    }

    fn move_log(&mut self, mode: &str) {
        let pragma = format!("PRAGMA wal_checkpoint({mode})");
        // Whether it was kept from it, the pages in the log, those of them that are in the file now.
        let done = self
            .conn
            .query_row(&pragma, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)));
        let error = match done {
            Ok((busy, pages, moved)) => {
                self.note_written(busy == 0 && pages == moved);
                (self.log.remember)(&self.counters.high_water());
                self.log_was_moved();
                return;
            }
            Err(error) => error,
        };
        // What failed may have moved a part.
        self.note_written(false);
        let is_first = self.log.due.replace(Instant::now() + CHECKPOINT_RETRY).is_none();
        match refined(error.into(), &self.conn) {
            error @ Fault::Io { .. } => _ = self.recover(&error),
            Fault::Damaged(why) => self.give_up(&format!("it is damaged: {why}. {DAMAGED}")),
            error if is_first => log::warn!("the log cannot be moved into the database yet: {error:?}"),
            _ => {}
        }
    }

    /// Gives the ballast back and makes room in the log; returns whether there was any ballast.
    pub fn give_ballast_back(&mut self) -> bool {
        let given = self.disk.room.give_ballast_back();
        if given {
            self.checkpoint("PASSIVE");
        }
        given
    }

    /// The first reader after a commit writes into the shared memory how far the log reads. On a frozen file system it
    /// would wait for the thaw, so the writer does it before.
    pub fn mark_commit(&self) {
        if let Err(error) = figure(&self.conn, "PRAGMA data_version") {
            log::debug!("the last commit is not marked for those who read: {error:?}");
        }
    }

    pub fn close(mut self) {
        // The last who closes moves what is left of the log: nobody who may only read is to be that.
        self.outside.read_conn.close();
        let is_in_place = self.look_at_files(true).is_ok() || self.disk.files.lacks_log_alone(&self.disk.file.path());
        if !is_in_place {
            self.disk.files.set_log_aside(&self.disk.file.path());
        } else if self.broken.is_none() {
            // Whoever reads beside us, and would hold the log for longer than this, keeps it.
            let _ = self.conn.busy_timeout(CLOSING_BUSY);
            self.move_log("TRUNCATE");
            // The log has gone: what it took up is there for the next start, before anybody else has it.
            self.disk.room.keep_part();
        }
        if self.broken.is_some() || !is_in_place {
            // Closing would write: what is there is for the next start to look at.
            std::mem::forget(self.conn);
        } else {
            match self.conn.close() {
                Ok(()) => (self.log.note_closed)(),
                Err((_, error)) => log::error!("closing the database: {error}"),
            }
        }
    }
}
