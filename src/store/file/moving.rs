//! Moves the events of a database of before to the tables in which they are now, a piece at a time.
//!
//! Each piece is a transaction that copies its rows and removes them from where they were, so that a crash loses nothing,
//! the next start goes on from there, and hardly more room is needed than a piece has. It is done before anybody is served;
//! whoever reads the file meanwhile finds every event in the view once.

use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior, named_params};

use crate::store::file::error::OpenError;
use crate::store::sql::moving;

/// Events of a piece at most …
const PIECE_ROWS: i64 = 5_000;
/// … and about so many bytes of what they carry.
const PIECE_BYTES: i64 = 4 * 1_024 * 1_024;
/// Pieces after which the log is moved into the database.
const CHECKPOINT_PIECES: u64 = 4;
/// How often the log tells how far it has come.
const TELL: Duration = Duration::from_secs(2);

/// Moves all that is there to be moved.
pub fn move_events(conn: &mut Connection) -> Result<(), OpenError> {
    let left = |conn: &Connection| conn.query_row(moving::COUNT, [], |row| row.get::<_, Option<i64>>(0));
    let Some(all) = left(conn)? else { return Ok(()) };
    let begun = Instant::now();
    log::info!(
        "about {all} events are moved to a new layout of the database; a stop loses nothing, the next start goes on"
    );
    let mut told = begun;
    let mut pieces = 0;
    while let Some(to) = end_of_piece(conn)? {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for statement in moving::PIECE {
            tx.prepare_cached(statement)?.execute(named_params! {":to": to})?;
        }
        tx.commit()?;
        pieces += 1;
        if pieces % CHECKPOINT_PIECES == 0 {
            // Whoever reads the file may keep it from that; then the log grows.
            conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        }
        if told.elapsed() >= TELL {
            told = Instant::now();
            let moved = all - left(conn)?.unwrap_or(0);
            log::info!("moved {moved} of about {all} events ({} %)", moved.saturating_mul(100) / all.max(1));
        }
    }
    log::info!("the events are in their new layout, after {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// The last event of the next piece; `None` where there is nothing left.
fn end_of_piece(conn: &Connection) -> Result<Option<i64>, OpenError> {
    let mut measure = conn.prepare_cached(moving::MEASURE)?;
    let mut rows = measure.query(named_params! {":rows": PIECE_ROWS})?;
    let (mut to, mut bytes) = (None, 0);
    while let Some(row) = rows.next()? {
        to = Some(row.get(0)?);
        bytes += row.get::<_, i64>(1)?;
        if bytes >= PIECE_BYTES {
            break;
        }
    }
    Ok(to)
}
