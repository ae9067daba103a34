//! Stores output: an event for each piece. What exceeds the quota is removed in the same transaction.

use std::time::Instant;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{ToSql, named_params};

use crate::event::{Data, Event, Kind};
use crate::run::RunId;
use crate::store::engine::backlog::Piece;
use crate::store::engine::output::Added;
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::numbers::{EventKey, block_of};
use crate::store::sql;
use crate::store::tables::blocks;
use crate::store::tables::handle::Store;
use crate::store::tables::quota;

impl Store {
    /// Commits the ready output of one run, also while other output waits for room: for a run that is ending.
    pub async fn flush_run(&self, run: RunId) -> Result<(), StoreError> {
        self.requests.write(move |tx| append(tx, tx.backlog.take_ready_of(run))).await
    }
}

/// Appends the ready output of all runs. It is only taken here, after BEGIN, since it must be settled or put back.
pub fn append_ready(tx: &mut Writer<'_>) -> Result<(), StoreError> {
    append(tx, tx.backlog.take_ready(Instant::now()))
}

/// Appends pieces of output. Their bytes stay in the pieces until the commit, so that they can be put back.
pub fn append(tx: &mut Writer<'_>, pieces: Vec<Piece>) -> Result<(), StoreError> {
    // Kept first: whatever fails below, every piece taken from the backlog is known here.
    let first = tx.pieces.len();
    tx.pieces.extend(pieces);
    let mut all = Added::default();
    tx.pieces[first..].iter().for_each(|piece| all.add(piece.bytes.len()));
    if all.events > 0 {
        // Before it is added: where there is little room left, this makes it.
        quota::trim_live(tx, all)?;
    }
    let mut added: Vec<(RunId, Added)> = Vec::new();
    let mut key = EventKey::default();
    let mut append = tx.prepare(sql::OUTPUT_APPEND)?;
    for index in first..tx.pieces.len() {
        let piece = &tx.pieces[index];
        let (run, stream, len) = (piece.run, piece.stream, piece.bytes.len());
        // A run's pieces come together.
        if added.last().is_some_and(|(last, _)| *last == run) {
            key = key.next();
        } else {
            added.push((run, Added::default()));
            key = tx.next_key(run)?;
        }
        let (id, seq) = (tx.counters.next_event_id(), key.seq());
        append.execute(named_params! {
            ":event_key": key, ":id": id, ":at": tx.now.0, ":stream": stream.as_str(), ":data": OutputBytes(&piece.bytes),
        })?;
        let output = tx.counters.output.entry(run).or_default();
        output.add(len);
        if output.block.replace(block_of(id)) != Some(block_of(id)) {
            blocks::enter(tx, id, key)?;
        }
        let data = Data::Output(stream, Vec::new());
        tx.events.push(Event { id, run, seq, at: tx.now, kind: Kind::Output, data });
    }
    added.into_iter().try_for_each(|(run, added)| quota::trim(tx, run, added))
}

/// Output is TEXT where it is UTF-8, so that the sqlite3 shell shows it, and BLOB where it is not.
struct OutputBytes<'a>(&'a [u8]);

impl ToSql for OutputBytes<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match std::str::from_utf8(self.0) {
            Ok(_) => ValueRef::Text(self.0),
            Err(_) => ValueRef::Blob(self.0),
        }))
    }
}
