//! The output quota: of what a run prints, its beginning and the newest stay, and what lies between goes.
//!
//! The append that exceeds it removes about twice what it adds, a piece of some 64 KiB at least, until the quota is kept
//! again: nobody waits for more than that, and the medium is written to in lumps, seldom. Only output goes, oldest first;
//! never a run's beginning, nor its newest event, from which the next `seq` is counted.

use rusqlite::{Connection, OptionalExtension, named_params};

use super::writer::Writer;
use super::{StoreError, sql};
use crate::event::Kind;
use crate::run::RunId;

/// The beginning that stays; half of the quota where that is less.
const HEAD_BYTES: i64 = 1_024 * 1_024;
/// What an event counts at least: about what its row and its place in the index take. Without it a command that prints
/// single bytes would store thirty times its quota.
pub(super) const EVENT_BYTES_MIN: i64 = 64;
/// What an append that has to trim removes beyond twice what it added.
const LUMP_BYTES: i64 = 64 * 1_024;
const LUMP_EVENTS: i64 = 64;
/// Events that are measured at a time.
const MEASURE_ROWS: i64 = 500;

/// What a run that is running has printed, over all its attempts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Output {
    /// In bytes.
    pub printed: i64,
    /// What of it is stored, where no event counts less than [`EVENT_BYTES_MIN`].
    pub stored: i64,
    /// It has exceeded the quota, and what is too much has not gone yet.
    trimming: bool,
}

impl Output {
    /// What an attempt begins with: where earlier ones printed something, it counts by its bytes alone.
    pub fn of_earlier_attempts(conn: &Connection, run: RunId, printed: i64) -> Result<Output, StoreError> {
        if printed == 0 {
            return Ok(Output::default());
        }
        let gone = Trimmed::of(conn, run)?.map_or(0, |trimmed| trimmed.bytes);
        Ok(Output { printed, stored: printed - gone, trimming: false })
    }

    /// Finds it again in the database.
    pub fn load(conn: &Connection, run: RunId) -> Result<Output, StoreError> {
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
pub(super) struct Trimmed {
    /// The last event of the beginning.
    pub after: i64,
    /// The last that went.
    pub to: i64,
    /// Of output, that went.
    pub bytes: i64,
}

impl Trimmed {
    fn of(conn: &Connection, run: RunId) -> Result<Option<Trimmed>, StoreError> {
        let mut statement = conn.prepare_cached(sql::TRIMMED_GET)?;
        let found = statement.query_row(named_params! {":run": run.0}, |row| {
            Ok(Trimmed { after: row.get(0)?, to: row.get(1)?, bytes: row.get(2)? })
        });
        Ok(found.optional()?)
    }
}

/// What one transaction appended to one run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Added {
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

fn weight(bytes: i64) -> i64 {
    bytes.max(EVENT_BYTES_MIN)
}

/// What is removed in one transaction.
#[derive(Default)]
struct Gone {
    events: i64,
    weight: i64,
    bytes: i64,
    highest_id: i64,
    to: i64,
}

/// Removes what is too much of a run's output, in the transaction that appended to it.
pub(super) fn trim(tx: &mut Writer<'_>, run: RunId, added: Added) -> Result<(), StoreError> {
    let quota = tx.rules.output_bytes;
    let Some(output) = tx.state.output.get(&run).copied() else { return Ok(()) };
    if output.stored <= quota + quota / 4 && !output.trimming {
        return Ok(());
    }
    let after = match Trimmed::of(tx.conn, run)? {
        Some(trimmed) => (trimmed.after, trimmed.to),
        None => head(tx, run, HEAD_BYTES.min(quota / 2)).map(|last| (last, last))?,
    };
    let must = output.stored - (quota + quota / 2);
    let may = output.stored - quota;
    let wanted = may.min(must.max(2 * added.bytes + LUMP_BYTES));
    let (gone, is_done) =
        choose(tx, run, after.1, Limits { must, wanted, may, events: 2 * added.events + LUMP_EVENTS })?;
    if gone.events > 0 {
        remove(tx, run, after, &gone)?;
    }
    if let Some(output) = tx.state.output.get_mut(&run) {
        output.stored -= gone.weight;
        output.trimming = !is_done;
    }
    Ok(())
}

/// The last event of a run's beginning.
fn head(tx: &Writer<'_>, run: RunId, head_bytes: i64) -> Result<i64, StoreError> {
    let (mut last, mut bytes) = (0, 0);
    while bytes < head_bytes {
        let before = last;
        for event in measure(tx, run, last)? {
            last = event.seq;
            bytes += event.weight();
            if bytes >= head_bytes {
                break;
            }
        }
        if last == before {
            break;
        }
    }
    Ok(last)
}

/// How much goes, in what [`weight`] says: up to `wanted`, in so many events unless it `must` be more, never beyond what
/// `may`.
struct Limits {
    must: i64,
    wanted: i64,
    may: i64,
    events: i64,
}

/// Chooses the oldest output after an event; answers too whether there is nothing more to do.
fn choose(tx: &Writer<'_>, run: RunId, after: i64, limits: Limits) -> Result<(Gone, bool), StoreError> {
    let mut gone = Gone { to: after, ..Gone::default() };
    let mut looked = after;
    loop {
        let events = measure(tx, run, looked)?;
        if events.is_empty() {
            return Ok((gone, true));
        }
        for event in events {
            looked = event.seq;
            if !event.is_output {
                continue;
            }
            if gone.weight + event.weight() > limits.may {
                return Ok((gone, true));
            }
            let is_enough = gone.weight >= limits.wanted || gone.events >= limits.events;
            if is_enough && gone.weight >= limits.must {
                return Ok((gone, false));
            }
            gone.events += 1;
            gone.weight += event.weight();
            gone.bytes += event.bytes;
            gone.highest_id = event.id;
            gone.to = event.seq;
        }
    }
}

fn remove(tx: &mut Writer<'_>, run: RunId, (head, after): (i64, i64), gone: &Gone) -> Result<(), StoreError> {
    tx.prepare(sql::META_RAISE)?.execute(named_params! {":key": "removed_event_id", ":value": gone.highest_id})?;
    tx.removed_events += tx.prepare(sql::EVENTS_DELETE_RANGE)?.execute(named_params! {
        ":run": run.0, ":after": after, ":to": gone.to, ":kind": Kind::Output.as_str(),
    })?;
    tx.prepare(sql::TRIMMED_ADD)?.execute(named_params! {
        ":run": run.0, ":after_seq": head, ":to_seq": gone.to, ":events": gone.events, ":bytes": gone.bytes,
    })?;
    Ok(())
}

/// An event, measured.
struct Measured {
    id: i64,
    seq: i64,
    is_output: bool,
    bytes: i64,
}

impl Measured {
    /// What it counts: nothing but output does.
    fn weight(&self) -> i64 {
        if self.is_output { weight(self.bytes) } else { 0 }
    }
}

fn measure(tx: &Writer<'_>, run: RunId, after: i64) -> Result<Vec<Measured>, StoreError> {
    let mut statement = tx.prepare(sql::EVENTS_MEASURE)?;
    let rows = statement.query_map(named_params! {":run": run.0, ":after": after, ":rows": MEASURE_ROWS}, |row| {
        let is_output = row.get_ref(2)?.as_str()? == Kind::Output.as_str();
        Ok(Measured { id: row.get(0)?, seq: row.get(1)?, is_output, bytes: row.get(3)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
