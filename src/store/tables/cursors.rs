//! Durable cursors: put, read, removed. What they hold is asked by `retention` and `events`.
//!
//! A cursor that is put where it was is written seldom, and one that moves is one small commit that wakes nobody.

use std::sync::Arc;

use rusqlite::{Connection, named_params};

use crate::clock::UnixMs;
use crate::cursor::{CONFIRM_MS, CURSORS_MAX, Cursors, DurableCursor};
use crate::numbers::EventId;
use crate::store::engine::cursor_counters::CursorCounters;
use crate::store::engine::writer::Writer;
use crate::store::error::{Fault, StoreError};
use crate::store::refusal::Refusal;
use crate::store::sql;
use crate::store::tables::handle::Store;
use crate::store::tables::heads::all_head;

/// Durable cursors, and what they are measured by.
#[derive(Clone, Debug)]
pub struct CursorsSeen {
    /// All of them.
    pub all: Arc<Cursors>,
    /// The newest event.
    pub last: EventId,
    /// How long one that is not moved holds what comes after it, in milliseconds; `None`: for ever.
    pub hold_ms: Option<i64>,
}

impl Store {
    /// The durable cursors, as of the last commit.
    pub fn cursors(&self) -> CursorsSeen {
        let published = &self.published;
        // The cursors first: none of them is beyond an event that is looked up later.
        let all = published.cursors();
        CursorsSeen { all, last: published.last_event(), hold_ms: published.cursor_ms() }
    }

    /// Makes or moves a cursor; answers whether it is new. `instance` is the database that its reader means. One that stays
    /// where it is takes no transaction, but once an hour.
    ///
    /// # Errors
    /// For an event that is not there yet or of another database, for one cursor too many, and where there is no room.
    pub async fn put_cursor(
        &self,
        name: String,
        id: EventId,
        instance: Option<String>,
    ) -> Result<(DurableCursor, bool), StoreError> {
        let (seen, now) = (self.published.cursors(), UnixMs::now());
        let known = seen.0.get(&name).filter(|known| known.id == id && known.instance == self.instance());
        let is_fresh = |known: &DurableCursor| (0..CONFIRM_MS).contains(&(now.0 - known.moved_at.0));
        if let Some(known) =
            known.filter(|known| is_fresh(known) && instance.as_ref().is_none_or(|of| *of == known.instance))
        {
            return Ok((known.clone(), false));
        }
        self.requests.write(move |tx| put(tx, &name, id, instance.as_deref())).await
    }

    /// Removes a cursor.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn delete_cursor(&self, name: String) -> Result<(), StoreError> {
        self.requests.write(move |tx| delete(tx, &name)).await
    }
}

fn put(
    tx: &mut Writer<'_>,
    name: &str,
    id: EventId,
    instance: Option<&str>,
) -> Result<(DurableCursor, bool), StoreError> {
    let (own, last) = (tx.counters.instance.clone(), all_head(tx.conn)?.last_id);
    if instance.is_some_and(|instance| instance != own) {
        return Err(Refusal::InstanceChanged { instance: own, last }.into());
    }
    if id > last {
        return Err(Refusal::CursorAhead { instance: own, last }.into());
    }
    let (made_at, now) = (tx.counters.cursors.all.0.get(name).map(|known| known.created_at), tx.now);
    match made_at {
        // Whoever moves one lets retention make room.
        Some(_) => tx.may_add()?,
        None if tx.counters.cursors.all.0.len() >= CURSORS_MAX => {
            return Err(Refusal::TooManyCursors { limit: CURSORS_MAX }.into());
        }
        None => tx.may_grow()?,
    }
    tx.prepare(sql::CURSORS_PUT)?.execute(named_params! {
        ":name": name, ":id": id, ":instance": own, ":now": now.0,
    })?;
    let cursor = DurableCursor { id, instance: own, created_at: made_at.unwrap_or(now), moved_at: now };
    Arc::make_mut(&mut tx.counters.cursors.all).0.insert(name.to_owned(), cursor.clone());
    tx.quiet_jobs += 1;
    Ok((cursor, made_at.is_none()))
}

fn delete(tx: &mut Writer<'_>, name: &str) -> Result<(), StoreError> {
    if !tx.counters.cursors.all.0.contains_key(name) {
        return Err(Refusal::CursorNotFound(name.to_owned()).into());
    }
    tx.prepare(sql::CURSORS_DELETE)?.execute(named_params! {":name": name})?;
    Arc::make_mut(&mut tx.counters.cursors.all).0.remove(name);
    tx.quiet_jobs += 1;
    Ok(())
}

/// Moves the times of the cursors that were put between two times of a wrong clock.
pub fn shift(tx: &mut Writer<'_>, from_ms: i64, to_ms: i64, by_ms: i64) -> Result<usize, StoreError> {
    let put_then = named_params! {":from": from_ms, ":to": to_ms, ":by": by_ms};
    let shifted = tx.prepare(sql::CURSORS_SHIFT)?.execute(put_then)?;
    if shifted > 0 {
        let again = CursorCounters::load(tx.conn).map_err(StoreError::Failed)?;
        tx.counters.cursors.all = again.all;
    }
    Ok(shifted)
}

/// Takes back cursors that are beyond the newest event, which only another program can have brought about.
///
/// # Errors
/// Where that cannot be written.
pub fn settle(conn: &Connection, cursors: &mut CursorCounters, last: EventId) -> Result<(), Fault> {
    if cursors.all.0.values().all(|cursor| cursor.id <= last) {
        return Ok(());
    }
    let settled = conn.execute(sql::CURSORS_SETTLE, named_params! {":last": last})?;
    log::warn!("{settled} cursors were beyond the newest event, {last}; they are there now");
    *cursors = CursorCounters::load(conn)?;
    Ok(())
}
