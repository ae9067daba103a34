//! Counts what each running run has printed and what of it is stored.

use rusqlite::{Connection, OptionalExtension, named_params};

use crate::numbers::Seq;
use crate::run::RunId;
use crate::store::error::Fault;
use crate::store::numbers::EventKey;
use crate::store::sql;

/// Least weight of an event: about the size of its row and index entry. Without it a command that prints single bytes
/// would store thirty times its quota.
pub const EVENT_BYTES_MIN: i64 = 64;

/// Output of a running run, over all its attempts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Output {
    /// Bytes that it has printed.
    pub printed: i64,
    /// Weight of what is stored; each event weighs at least [`EVENT_BYTES_MIN`].
    pub stored: i64,
    /// The quota is exceeded, and not all of the excess is removed yet.
    pub trimming: bool,
    /// The block of ids that its newest piece is in; `None`: none yet, or it is not known.
    pub block: Option<i64>,
    /// Somebody asked for its end without a grace, which was told.
    pub hurried: bool,
}

impl Output {
    /// Output at the start of an attempt. What earlier attempts printed counts by its bytes alone.
    pub fn of_earlier_attempts(conn: &Connection, run: RunId, printed: i64) -> Result<Output, Fault> {
        if printed == 0 {
            return Ok(Output::default());
        }
        let gone = Trimmed::of(conn, run)?.map_or(0, |trimmed| trimmed.bytes);
        Ok(Output { printed, stored: printed - gone, ..Output::default() })
    }

    /// Counts it anew in the database.
    pub fn load(conn: &Connection, run: RunId) -> Result<Output, Fault> {
        let (left, stored): (i64, i64) = conn.prepare_cached(sql::OUTPUT_BYTES)?.query_row(
            named_params! {
                ":first": EventKey::before(run), ":last": EventKey::last(run), ":least": EVENT_BYTES_MIN,
            },
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let gone = Trimmed::of(conn, run)?.map_or(0, |trimmed| trimmed.bytes);
        Ok(Output { printed: left + gone, stored, ..Output::default() })
    }

    /// Counts an appended event of so many bytes.
    pub fn add(&mut self, bytes: usize) {
        self.printed += bytes as i64;
        self.stored += weight(bytes as i64);
    }
}

/// Output that the quota removed from a run: everything between two events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trimmed {
    /// Last event of the beginning that stays.
    pub after: Seq,
    /// Last event that was removed.
    pub to: Seq,
    /// Bytes of output that were removed.
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

/// What one transaction appends to one run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Added {
    pub events: i64,
    pub bytes: i64,
}

impl Added {
    /// Counts one more event of so many bytes.
    pub fn add(&mut self, bytes: usize) {
        self.events += 1;
        self.bytes += weight(bytes as i64);
    }
}

/// Weight of an event of so many bytes.
pub fn weight(bytes: i64) -> i64 {
    bytes.max(EVENT_BYTES_MIN)
}
