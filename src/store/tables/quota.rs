//! The output quota: of what a run prints, its beginning and its newest part stay; what is between is removed.
//!
//! An append that exceeds the quota removes about twice what it adds, at least some 64 KiB, until the quota is kept
//! again: nobody waits for more, and the medium is written seldom. Only output is removed, oldest first; never a run's
//! beginning, nor its newest event, from which the next `seq` is counted.
//!
//! The output of all running runs has to fit into the database, whatever each may keep: up to half of the database's
//! quota, less where runs that may not be removed leave less. Beyond it the largest outputs are trimmed to a share, so
//! that no run waits for room until another ends that waits for room itself.

use memchr::memchr_iter;
use rusqlite::named_params;
use rusqlite::types::ValueRef;

use crate::event::OUTPUT_BYTES_MAX;
use crate::numbers::{EventId, Seq};
use crate::run::RunId;
use crate::store::engine::output::{Added, Trimmed, weight};
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::numbers::{EventKey, block_of};
use crate::store::sql;
use crate::store::tables::blocks;

/// Bytes of the beginning that stay; half of the quota where that is less.
const HEAD_BYTES: i64 = 1_024 * 1_024;
/// Share of the database's quota that running runs may keep …
const LIVE_PERCENT: i64 = 50;
/// … where no more than this share is then used, so that submits go on …
const FILLED_PERCENT: i64 = 90;
/// … but at least this part of what is left before the hard limit, which is this share of the quota.
const LIVE_PART_MIN: i64 = 4;
const WALL_PERCENT: i64 = 125;
/// Least share in bytes: the newest event fits in it.
const SHARE_BYTES_MIN: i64 = 2 * OUTPUT_BYTES_MAX as i64;
/// Bytes and events that an append removes beyond twice what it adds.
const LUMP_BYTES: i64 = 64 * 1_024;
const LUMP_EVENTS: i64 = 64;
/// Events that are measured at a time.
const MEASURE_ROWS: i64 = 500;

/// What one transaction removes.
#[derive(Default)]
struct Gone {
    events: i64,
    weight: i64,
    bytes: i64,
    highest_id: EventId,
    to: Seq,
    /// The blocks of ids that it was in.
    blocks: Vec<i64>,
}

/// Removes the excess of a run's output in the transaction that appended to it.
pub fn trim(tx: &mut Writer<'_>, run: RunId, added: Added) -> Result<(), StoreError> {
    let quota = tx.rules.output_bytes;
    let Some(output) = tx.counters.output.get(&run).copied() else { return Ok(()) };
    if output.stored <= quota + quota / 4 && !output.trimming {
        return Ok(());
    }
    let must = output.stored - (quota + quota / 2);
    let wanted = must.max(2 * added.bytes + LUMP_BYTES);
    let (_, is_done) = take(tx, run, quota, must, wanted, 2 * added.events + LUMP_EVENTS)?;
    if let Some(output) = tx.counters.output.get_mut(&run) {
        output.trimming = !is_done;
    }
    Ok(())
}

/// Removes a run's oldest output behind its beginning until it keeps `keep`, or so many bytes or events are removed.
/// Returns what was removed, and whether there is no more to remove.
fn take(
    tx: &mut Writer<'_>,
    run: RunId,
    keep: i64,
    must: i64,
    wanted: i64,
    events: i64,
) -> Result<(Gone, bool), StoreError> {
    let stored = tx.counters.output.get(&run).map_or(0, |output| output.stored);
    let after = match Trimmed::of(tx.conn, run)? {
        Some(trimmed) => (trimmed.after, trimmed.to),
        None => head(tx, run, HEAD_BYTES.min(keep / 2)).map(|last| (last, last))?,
    };
    let may = stored - keep;
    let (gone, is_done) = choose(tx, run, after.1, Limits { must, wanted: wanted.min(may), may, events })?;
    if gone.events > 0 {
        remove(tx, run, after, &gone)?;
    }
    if let Some(output) = tx.counters.output.get_mut(&run) {
        output.stored -= gone.weight;
    }
    Ok((gone, is_done))
}

/// Weight of the stored output of all running runs.
fn kept(tx: &Writer<'_>) -> i64 {
    tx.counters.output.values().map(|output| output.stored).sum()
}

/// Weight that it may have.
fn live_bytes(tx: &Writer<'_>) -> i64 {
    let quota = tx.rules.quota_bytes();
    let most = quota / 100 * LIVE_PERCENT;
    let room = if tx.counters.prunable > 0 {
        // What may be removed makes room before they have to.
        most
    } else {
        let others = (tx.rules.bytes(tx.counters.pages_used) - in_pages(kept(tx))).max(0);
        let before_wall = (quota / 100 * WALL_PERCENT - others).max(0);
        (quota / 100 * FILLED_PERCENT - others).max(before_wall / LIVE_PART_MIN).min(most)
    };
    room / 5 * 4
}

/// Most bytes on pages of so many bytes of output: a piece of 16 KiB has five pages of 4 KiB.
fn in_pages(bytes: i64) -> i64 {
    bytes / 4 * 5
}

/// Whether running runs keep too much output of which some can be removed: more than their own appends leave, or so
/// much that submits are refused.
pub fn is_live_excess(tx: &mut Writer<'_>) -> bool {
    let kept = kept(tx);
    tx.counters.live_stays = tx.counters.live_stays.min(kept);
    let may = live_bytes(tx);
    let is_submit_refused = tx.counters.prunable == 0 && tx.rules.is_beyond_quota(tx.counters);
    kept > tx.counters.live_stays && kept > if is_submit_refused { may } else { may + may / 2 }
}

/// Makes room for output that is about to be appended, where running runs keep a quarter more than they may.
pub fn trim_live(tx: &mut Writer<'_>, added: Added) -> Result<(), StoreError> {
    let may = live_bytes(tx);
    if kept(tx) + added.bytes > may + may / 4 {
        trim_largest(tx, may, 2 * added.bytes + LUMP_BYTES, 2 * added.events + LUMP_EVENTS)?;
    }
    Ok(())
}

/// Removes a piece of the excess of running runs; returns how many events.
pub fn trim_live_piece(tx: &mut Writer<'_>, bytes: i64) -> Result<usize, StoreError> {
    let events = trim_largest(tx, live_bytes(tx), bytes, MEASURE_ROWS)?;
    if events == 0 {
        // Beginnings, and what is newest.
        tx.counters.live_stays = kept(tx);
    }
    Ok(events)
}

/// Trims the largest outputs to the share that all together may keep; returns how many events were removed.
fn trim_largest(tx: &mut Writer<'_>, may: i64, mut wanted: i64, mut events: i64) -> Result<usize, StoreError> {
    let mut runs: Vec<(RunId, i64)> = tx.counters.output.iter().map(|(run, output)| (*run, output.stored)).collect();
    runs.sort_unstable_by_key(|(run, stored)| (-stored, run.0));
    let share = share(may, &runs);
    let mut went = 0;
    for (run, stored) in runs {
        if wanted <= 0 || events <= 0 || stored <= share {
            break;
        }
        let (gone, _) = take(tx, run, share, 0, wanted, events)?;
        wanted -= gone.weight;
        events -= gone.events;
        went += gone.events;
    }
    Ok(usize::try_from(went).unwrap_or(0))
}

/// The share of each run so that all together keep no more than they may. `runs`: largest first.
fn share(may: i64, runs: &[(RunId, i64)]) -> i64 {
    let mut rest: i64 = runs.iter().map(|(_, stored)| stored).sum();
    for (nth, (_, stored)) in runs.iter().enumerate() {
        rest -= stored;
        // The first ones have this much each; does the next have less?
        let share = (may - rest) / (nth as i64 + 1);
        if runs.get(nth + 1).is_none_or(|(_, next)| *next <= share) {
            return share.max(SHARE_BYTES_MIN);
        }
    }
    may.max(SHARE_BYTES_MIN)
}

/// The last event of a run's beginning.
fn head(tx: &Writer<'_>, run: RunId, head_bytes: i64) -> Result<Seq, StoreError> {
    let (mut last, mut bytes) = (Seq(0), 0);
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

/// How much is removed, in [`weight`]: up to `wanted`, in so many events unless it `must` be more, never beyond `may`.
struct Limits {
    must: i64,
    wanted: i64,
    may: i64,
    events: i64,
}

/// Selects the oldest output after an event; returns too whether there is nothing more to do.
///
/// The newest piece is not selected, though a run that may keep less than its beginning has too much without it: from it the
/// next `seq` is counted, and the block of ids in which more of its output may come is known by it.
fn choose(tx: &Writer<'_>, run: RunId, after: Seq, limits: Limits) -> Result<(Gone, bool), StoreError> {
    let mut gone = Gone { to: after, ..Gone::default() };
    let (mut looked, mut newest) = (after, None);
    loop {
        let events = measure(tx, run, looked)?;
        if events.is_empty() {
            return Ok((gone, true));
        }
        for event in events {
            looked = event.seq;
            let Some(event): Option<Measured> = newest.replace(event) else { continue };
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
            if gone.blocks.last() != Some(&block_of(event.id)) {
                gone.blocks.push(block_of(event.id));
            }
        }
    }
}

fn remove(tx: &mut Writer<'_>, run: RunId, (head, after): (Seq, Seq), gone: &Gone) -> Result<(), StoreError> {
    tx.prepare(sql::META_RAISE)?.execute(named_params! {":key": "removed_event_id", ":value": gone.highest_id})?;
    let range = (EventKey::of(run, after), EventKey::of(run, gone.to));
    let lines = count_lines(tx, range)?;
    tx.removed_events += tx.prepare(sql::OUTPUT_DELETE_TO)?.execute(named_params! {
        ":after": range.0, ":to": range.1,
    })?;
    blocks::leave(tx, run, &gone.blocks)?;
    tx.prepare(sql::TRIMMED_ADD)?.execute(named_params! {
        ":run": run.0, ":after_seq": head, ":to_seq": gone.to, ":events": gone.events, ":lines": lines,
        ":bytes": gone.bytes,
    })?;
    Ok(())
}

/// Counts the line ends of output between two keys. Its pages are read for this, which to be freed they have to be anyway.
fn count_lines(tx: &Writer<'_>, (after, to): (EventKey, EventKey)) -> Result<i64, StoreError> {
    let mut statement = tx.prepare(sql::OUTPUT_CONTENTS)?;
    let mut rows = statement.query(named_params! {":after": after, ":to": to})?;
    let mut lines = 0;
    while let Some(row) = rows.next()? {
        if let ValueRef::Text(bytes) | ValueRef::Blob(bytes) = row.get_ref(0)? {
            lines += memchr_iter(b'\n', bytes).count();
        }
    }
    Ok(lines as i64)
}

/// A piece of output, measured.
struct Measured {
    id: EventId,
    seq: Seq,
    bytes: i64,
}

impl Measured {
    /// What it counts.
    fn weight(&self) -> i64 {
        weight(self.bytes)
    }
}

fn measure(tx: &Writer<'_>, run: RunId, after: Seq) -> Result<Vec<Measured>, StoreError> {
    let mut statement = tx.prepare(sql::OUTPUT_MEASURE)?;
    let range = named_params! {
        ":after": EventKey::of(run, after), ":last": EventKey::last(run), ":rows": MEASURE_ROWS,
    };
    let rows = statement.query_map(range, |row| {
        Ok(Measured { id: row.get(0)?, seq: row.get::<_, EventKey>(1)?.seq(), bytes: row.get(2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share of so many bytes, for runs that keep this much, in units of [`SHARE_BYTES_MIN`].
    fn share_of(may: i64, kept: &[i64]) -> i64 {
        let runs: Vec<(RunId, i64)> =
            kept.iter().enumerate().map(|(nth, kept)| (RunId(nth as i64 + 1), kept * SHARE_BYTES_MIN)).collect();
        share(may * SHARE_BYTES_MIN, &runs) / SHARE_BYTES_MIN
    }

    #[test]
    fn those_that_keep_the_most_give_first() {
        assert_eq!(share_of(10, &[20]), 10);
        assert_eq!(share_of(10, &[20, 2]), 8);
        assert_eq!(share_of(12, &[20, 9, 2]), 5);
        assert_eq!(share_of(12, &[20, 20, 20, 20]), 3);
        assert!(share_of(50, &[20, 9, 2]) >= 20, "who keeps little is left alone");
        assert_eq!(share_of(0, &[20, 20]), 1, "what is newest stays");
    }
}
