//! What each run that is running has printed and keeps, counted as the quota counts it.

use rusqlite::{Connection, OptionalExtension, named_params};

use crate::numbers::Seq;
use crate::run::RunId;
use crate::store::error::Fault;
use crate::store::sql;

/// What an event counts at least: about what its row and its place in the index take. Without it a command that prints
/// single bytes would store thirty times its quota.
pub const EVENT_BYTES_MIN: i64 = 64;

/// What a run that is running has printed, over all its attempts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Output {
    /// In bytes.
    pub printed: i64,
    /// What of it is stored, where no event counts less than [`EVENT_BYTES_MIN`].
    pub stored: i64,
    /// It has exceeded the quota, and what is too much has not gone yet.
    pub trimming: bool,
}

impl Output {
    /// What an attempt begins with: where earlier ones printed something, it counts by its bytes alone.
    pub fn of_earlier_attempts(conn: &Connection, run: RunId, printed: i64) -> Result<Output, Fault> {
        if printed == 0 {
            return Ok(Output::default());
        }
        let gone = Trimmed::of(conn, run)?.map_or(0, |trimmed| trimmed.bytes);
        Ok(Output { printed, stored: printed - gone, trimming: false })
    }

    /// Finds it again in the database.
    pub fn load(conn: &Connection, run: RunId) -> Result<Output, Fault> {
        let (left, stored): (i64, i64) = conn
            .prepare_cached(sql::EVENTS_OUTPUT_BYTES)?
            .query_row(named_params! {":run": run.0, ":least": EVENT_BYTES_MIN}, |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let gone = Trimmed::of(conn, run)?.map_or(0, |trimmed| trimmed.bytes);
        Ok(Output { printed: left + gone, stored, trimming: false })
    }

    /// An event of so many bytes was appended.
    pub fn add(&mut self, bytes: usize) {
        self.printed += bytes as i64;
        self.stored += weight(bytes as i64);
    }
}

/// What the quota took of a run: output between two of its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trimmed {
    /// The last event of the beginning.
    pub after: Seq,
    /// The last that went.
    pub to: Seq,
    /// Of output, that went.
    pub bytes: i64,
}

impl Trimmed {
    pub fn of(conn: &Connection, run: RunId) -> Result<Option<Trimmed>, Fault> {
        let mut statement = conn.prepare_cached(sql::TRIMMED_GET)?;
        let found = statement.query_row(named_params! {":run": run.0}, |row| {
            Ok(Trimmed { after: row.get(0)?, to: row.get(1)?, bytes: row.get(2)? })
        });
        Ok(found.optional()?)
    }
}

/// What one transaction appended to one run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Added {
    pub events: i64,
    pub bytes: i64,
}

impl Added {
    /// One more event of so many bytes.
    pub fn add(&mut self, bytes: usize) {
        self.events += 1;
        self.bytes += weight(bytes as i64);
    }
}

/// What an event of so many bytes counts.
pub fn weight(bytes: i64) -> i64 {
    bytes.max(EVENT_BYTES_MIN)
}
