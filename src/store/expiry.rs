//! What expires goes, in pieces: sessions, enrollment tokens, idempotency keys, and deleted runs' events.

use rusqlite::named_params;

use super::writer::Writer;
use super::{StoreError, events, sql};

/// Rows of a kind that one transaction removes at most, so that nobody waits for it.
const PIECE_ROWS: i64 = 500;

/// What a pass removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Expired sessions.
    pub sessions: usize,
    /// Expired enrollment tokens.
    pub enrollment_tokens: usize,
    /// Idempotency keys whose run is gone and whose day is over.
    pub idempotency_keys: usize,
    /// Events of deleted runs.
    pub events: usize,
}

impl Removed {
    /// All of it.
    pub fn total(&self) -> usize {
        self.sessions + self.enrollment_tokens + self.idempotency_keys + self.events
    }

    /// Adds another piece.
    pub fn add(&mut self, piece: &Removed) {
        self.sessions += piece.sessions;
        self.enrollment_tokens += piece.enrollment_tokens;
        self.idempotency_keys += piece.idempotency_keys;
        self.events += piece.events;
    }
}

/// Removes one piece; nothing when all is done.
pub(super) fn remove_piece(tx: &mut Writer<'_>) -> Result<Removed, StoreError> {
    let remove = |tx: &Writer<'_>, statement: &str| -> Result<usize, StoreError> {
        Ok(tx.prepare(statement)?.execute(named_params! {":now": tx.now.0, ":rows": PIECE_ROWS})?)
    };
    tx.state.doomed = false;
    let removed = Removed {
        sessions: remove(tx, sql::SESSIONS_EXPIRE)?,
        enrollment_tokens: remove(tx, sql::ENROLLMENT_EXPIRE)?,
        idempotency_keys: remove(tx, sql::IDEMPOTENCY_EXPIRE)?,
        events: events::remove_piece(tx)?,
    };
    tx.state.look_up_expiry(tx.conn)?;
    Ok(removed)
}
