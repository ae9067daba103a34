//! Removes what has expired in pieces: sessions, enrollment tokens, idempotency keys, runs and their events; and gives
//! free space back.
//!
//! A piece is one transaction, so small that nobody waits for it. After a crash the rest is found again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use event_listener::EventListener;
use rusqlite::named_params;

use crate::clock::UnixMs;
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::file::pages::{figure, pages_free, pages_used};
use crate::store::sql;
use crate::store::tables::events::{Budget, PIECE_BYTES, PIECE_ROWS};
use crate::store::tables::handle::Store;
use crate::store::tables::sessions::live::Sessions;
use crate::store::tables::sessions::table as sessions;
use crate::store::tables::{
    artifacts, cursors, deliveries, enrollment, events, firings_expiry, idempotency, quota, retention, runs,
};

/// Most runs that one transaction removes: each has rows in some ten tables and indexes.
const PIECE_RUNS: usize = 50;
/// Longest time that one transaction gives space back, without its commit.
const VACUUM_TIME: Duration = Duration::from_millis(10);
/// Most pages that one transaction gives back: each may have to be moved, with those that point to it.
const VACUUM_PAGES: i64 = 512;
/// Free pages that are kept for what comes next, unless all are asked for: at least 1 MiB …
const SLACK_PAGES: i64 = 512;
/// … and this part of the pages in use. Moving pages that will be needed again wears out the medium.
const SLACK_PART: i64 = 8;

/// What a pass removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Expired sessions.
    pub sessions: usize,
    /// Expired enrollment tokens.
    pub enrollment_tokens: usize,
    /// Idempotency keys whose run is gone and whose day is over.
    pub idempotency_keys: usize,
    /// Finished runs that were too old or too many.
    pub runs: usize,
    /// Those of them that a durable cursor held: there was no room to wait for it.
    pub unread_runs: usize,
    /// Events of runs that are gone.
    pub events: usize,
    /// What became of times at which jobs were due, too old or too many.
    pub firings: usize,
    /// Deliveries to hooks that were over, and too old.
    pub hook_deliveries: usize,
    /// Runs whose artifacts were removed to make room for others'.
    pub artifacts: usize,
    /// Bytes by which the file became shorter.
    pub freed_bytes: u64,
}

impl Removed {
    /// Number of all rows.
    pub fn total(&self) -> usize {
        self.sessions
            + self.enrollment_tokens
            + self.idempotency_keys
            + self.runs
            + self.events
            + self.firings
            + self.hook_deliveries
            + self.artifacts
    }

    /// Adds another piece.
    pub fn add(&mut self, piece: &Removed) {
        self.sessions += piece.sessions;
        self.enrollment_tokens += piece.enrollment_tokens;
        self.idempotency_keys += piece.idempotency_keys;
        self.runs += piece.runs;
        self.unread_runs += piece.unread_runs;
        self.events += piece.events;
        self.firings += piece.firings;
        self.hook_deliveries += piece.hook_deliveries;
        self.artifacts += piece.artifacts;
        self.freed_bytes += piece.freed_bytes;
    }
}

/// How much free space is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vacuum {
    /// What is hardly needed again soon.
    Spare,
    /// All of it.
    Whole,
}

impl Store {
    /// When the next thing expires; 0: something is to be removed now.
    pub fn next_removal(&self) -> Option<UnixMs> {
        self.published.next_removal()
    }

    /// Resolves when something is to be removed before [`Store::next_removal`], and when the clock was set.
    pub fn listen_for_removals(&self) -> EventListener {
        self.published.listen_for_removals()
    }

    /// Removes one piece of what has expired.
    pub async fn remove_expired(&self) -> Result<Removed, StoreError> {
        let sessions = self.sessions.clone();
        self.requests.write_bulk(move |tx| remove_piece(tx, &sessions)).await
    }

    /// Gives a piece of the free space back to the disk; returns how many bytes, 0 when there is no more.
    pub async fn vacuum(&self, vacuum: Vacuum) -> Result<u64, StoreError> {
        self.requests.write_bulk(move |tx| vacuum_piece(tx, vacuum)).await
    }

    /// Looks again for what is due, since the clock was set.
    pub fn clock_was_set(&self) {
        self.sessions.clock_was_set();
        self.published.clock_was_set();
    }

    /// Moves the expiry of what was made between two times of a wrong clock by this much, so that it lives as long as
    /// intended.
    pub async fn shift(&self, from: UnixMs, to: UnixMs, by_ms: i64) -> Result<usize, StoreError> {
        let sessions = self.sessions.clone();
        self.requests.write_bulk(move |tx| shift(tx, &sessions, from.0, to.0, by_ms)).await
    }
}

/// Removes one piece; nothing is removed when all is done.
fn remove_piece(tx: &mut Writer<'_>, live: &Arc<Sessions>) -> Result<Removed, StoreError> {
    let mut removed = Removed {
        sessions: sessions::expire(tx, live, PIECE_ROWS)?,
        enrollment_tokens: enrollment::expire(tx, PIECE_ROWS)?,
        idempotency_keys: idempotency::expire(tx, PIECE_ROWS)?,
        ..Removed::default()
    };
    removed.firings += firings_expiry::expire(tx)?;
    removed.hook_deliveries += deliveries::expire(tx)?;
    removed.artifacts += artifacts::make_room(tx)?;
    // Each run's events before the next run: what is in use is known only then, and little is ever half done.
    let mut budget = Budget::new();
    // No cursor moves meanwhile: there may be a thousand.
    let floor = tx.counters.cursors.all.floor(tx.rules.cursor_ms, tx.now);
    loop {
        removed.events += events::remove_deleted(tx, &mut budget)?;
        if tx.counters.deleting || removed.runs == PIECE_RUNS {
            break;
        }
        let Some(victim) = retention::next_victim(tx, floor)? else { break };
        runs::forget(tx, victim.run)?;
        removed.runs += 1;
        removed.unread_runs += usize::from(victim.is_unread);
    }
    if tx.counters.live_excess {
        removed.events += quota::trim_live_piece(tx, PIECE_BYTES)?;
    }
    tx.counters.look_up_expiry(tx.conn)?;
    Ok(removed)
}

/// Gives a piece of the free space back to the disk; returns how many bytes, 0 when there is no more.
fn vacuum_piece(tx: &mut Writer<'_>, vacuum: Vacuum) -> Result<u64, StoreError> {
    let slack = match vacuum {
        Vacuum::Spare => SLACK_PAGES.max(pages_used(tx.conn)? / SLACK_PART),
        Vacuum::Whole => 0,
    };
    let spare = (pages_free(tx.conn)? - slack).min(VACUUM_PAGES);
    if spare <= 0 {
        return Ok(0);
    }
    let before = figure(tx.conn, "PRAGMA page_count")?;
    let until = Instant::now() + VACUUM_TIME;
    // A page a step. What was not stepped to is left as it is.
    let mut statement = tx.prepare("PRAGMA incremental_vacuum")?;
    let mut steps = statement.query([])?;
    let mut given = 0;
    while given < spare && Instant::now() < until && steps.next()?.is_some() {
        given += 1;
    }
    drop(steps);
    let pages = before - figure(tx.conn, "PRAGMA page_count")?;
    Ok(u64::try_from(pages * figure(tx.conn, "PRAGMA page_size")?).unwrap_or(0))
}

/// Moves the expiry of what was made by a wrong clock.
fn shift(tx: &mut Writer<'_>, live: &Arc<Sessions>, from_ms: i64, to_ms: i64, by_ms: i64) -> Result<usize, StoreError> {
    let mut shifted = sessions::shift(tx, live, from_ms, to_ms, by_ms)?;
    shifted += cursors::shift(tx, from_ms, to_ms, by_ms)?;
    for statement in [sql::ENROLLMENT_SHIFT, sql::IDEMPOTENCY_SHIFT] {
        let made_then = named_params! {":from": from_ms, ":to": to_ms, ":by": by_ms};
        shifted += tx.prepare(statement)?.execute(made_then)?;
    }
    tx.counters.look_up_expiry(tx.conn)?;
    Ok(shifted)
}
