//! Lists of runs: the filter with the best index leads, the others sift what it gives.
//!
//! Bounded in what it looks at, so that no filter costs more than another on a database of any size.

use rusqlite::{Row, named_params};

use super::reads::Reader;
use super::runs::get;
use super::{StoreError, sql};
use crate::run::{Run, RunId, Status};

/// Which runs a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Any of these; empty is all.
    pub status: Vec<Status>,
    /// Of this queue.
    pub queue: Option<String>,
    /// With this tag.
    pub tag: Option<String>,
    /// Of this name.
    pub name: Option<String>,
    /// At most this many.
    pub limit: usize,
    /// Older than this one.
    pub before: Option<RunId>,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct RunPage {
    /// Newest first.
    pub runs: Vec<Run>,
    /// Where the next page starts; `None` at the end.
    pub next_before: Option<RunId>,
}

/// Candidates that one page of a list looks at, at most: beyond it, or when the read has taken its time, the page is cut
/// short and `next` goes on, so that a filter that hides almost everything costs no more than any other.
const LIST_SCAN_MAX: usize = 10_000;

/// A page of runs, newest first. The filter with the best index leads, the others sift.
pub(super) fn list(reader: &Reader<'_>, filter: &Filter) -> Result<RunPage, StoreError> {
    let before = filter.before.map_or(i64::MAX, |run| run.0);
    let (mut ids, mut next_before) = match (&filter.tag, &filter.name, &filter.queue) {
        (Some(tag), _, _) => sift(reader, sql::RUNS_LIST_BY_TAG, (":tag", tag.as_str()), before, filter)?,
        (_, Some(name), _) => sift(reader, sql::RUNS_LIST_BY_NAME, (":name", name.as_str()), before, filter)?,
        _ if !filter.status.is_empty() => list_by_status(reader, before, filter)?,
        (_, _, Some(queue)) => sift(reader, sql::RUNS_LIST_BY_QUEUE, (":queue", queue.as_str()), before, filter)?,
        _ => sift(reader, sql::RUNS_LIST, (":before", ""), before, filter)?,
    };
    if ids.len() > filter.limit {
        ids.truncate(filter.limit);
        next_before = ids.last().copied();
    }
    let mut runs = Vec::with_capacity(ids.len());
    for id in &ids {
        runs.push(get(reader.conn, *id, reader.printed(*id))?);
        if reader.is_over() && runs.len() < ids.len() {
            next_before = Some(*id);
            break;
        }
    }
    Ok(RunPage { runs, next_before })
}

/// The newest of each status, merged by id.
fn list_by_status(
    reader: &Reader<'_>,
    before: i64,
    filter: &Filter,
) -> Result<(Vec<RunId>, Option<RunId>), StoreError> {
    let mut ids = Vec::new();
    let mut cut_at = None;
    for status in &filter.status {
        let (found, cut) = sift(reader, sql::RUNS_LIST_BY_STATUS, (":status", status.as_str()), before, filter)?;
        ids.extend(found);
        cut_at = cut_at.max(cut);
    }
    ids.sort_unstable_by(|a, b| b.cmp(a));
    ids.dedup();
    if let Some(cut) = cut_at {
        // Below the highest point where a status was cut short, the merge would have holes.
        ids.retain(|id| *id >= cut);
    }
    Ok((ids, cut_at))
}

/// Candidates that pass the whole filter: one more than the limit where there are, and where the look was cut short.
fn sift(
    reader: &Reader<'_>,
    statement: &str,
    (key, value): (&str, &str),
    before: i64,
    filter: &Filter,
) -> Result<(Vec<RunId>, Option<RunId>), StoreError> {
    let mut statement = reader.conn.prepare_cached(statement)?;
    let mut rows = if key == ":before" {
        statement.query(named_params! {":before": before})?
    } else {
        statement.query(&[(key, &value as &dyn rusqlite::ToSql), (":before", &before)])?
    };
    let mut ids = Vec::new();
    let mut looked_at = 0;
    while let Some(row) = rows.next()? {
        let id = RunId(row.get(0)?);
        if passes(reader, row, id, filter)? {
            ids.push(id);
        }
        looked_at += 1;
        if ids.len() > filter.limit {
            break;
        }
        if looked_at == LIST_SCAN_MAX || reader.is_over() {
            return Ok((ids, Some(id)));
        }
    }
    Ok((ids, None))
}

fn passes(reader: &Reader<'_>, row: &Row<'_>, id: RunId, filter: &Filter) -> Result<bool, StoreError> {
    let text = |index: usize| -> rusqlite::Result<Option<&str>> { Ok(row.get_ref(index)?.as_str_or_null()?) };
    if !filter.status.is_empty() && !text(1)?.and_then(Status::parse).is_some_and(|s| filter.status.contains(&s)) {
        return Ok(false);
    }
    if filter.queue.is_some() && text(2)? != filter.queue.as_deref() {
        return Ok(false);
    }
    if filter.name.is_some() && text(3)? != filter.name.as_deref() {
        return Ok(false);
    }
    match &filter.tag {
        None => Ok(true),
        Some(tag) => {
            let mut has = reader.conn.prepare_cached(sql::RUNS_HAS_TAG)?;
            Ok(has.exists(named_params! {":tag": tag, ":run": id.0})?)
        }
    }
}
