//! Lists of runs: the filter with the best index selects, the others sift.
//!
//! A list is bounded in the rows it looks at, so that no filter costs more than another, and in bytes: it shows the
//! beginning of long fields, never a megabyte of arguments.

use rusqlite::{Row, ToSql, named_params};

use crate::clock::UnixMs;
use crate::run::{Command, Run, RunId, Spec, Status};
use crate::store::engine::snapshot::Snapshot;
use crate::store::error::StoreError;
use crate::store::sql;
use crate::store::tables::handle::Store;
use crate::store::tables::run_row::{get, last_run};
use crate::store::tables::sought::{Found, Sought, submitted_at};

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
    /// Of this job.
    pub job: Option<String>,
    /// What no index knows.
    pub sought: Sought,
    /// At most this many.
    pub limit: usize,
    /// Older than this one.
    pub before: Option<RunId>,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct RunPage {
    /// Newest first.
    pub runs: Vec<Listed>,
    /// Where the next page starts; `None` at the end.
    pub next_before: Option<RunId>,
    /// Where the page ends because enough was looked at: when the last of that was submitted.
    pub looked_back_to: Option<UnixMs>,
}

/// A run as a list shows it: without standard input and values of the environment, and with long fields cut.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The run.
    pub run: Run,
    /// The names of the fields that were cut short.
    pub truncated: Vec<&'static str>,
}

/// Most bytes of a text, or of a list of texts, in a list: what fits on a screen.
const FIELD_BYTES_MAX: usize = 1_024;
/// What each text of a list counts beside its bytes.
const ITEM_BYTES: usize = 4;
/// Bytes of runs that one page reads; beyond them `next` continues.
const READ_BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// Candidates that one page looks at. Beyond them, or at its time limit, the page ends and `next` continues, so that a
/// filter that hides almost everything costs no more than others.
const LIST_SCAN_MAX: usize = 10_000;
/// Candidates that one read looks at in search of what no index knows, each of which is looked up; others are let in between.
const SEEK_ROWS: usize = 2_000;
/// Reads that one page takes at most in such a search.
const SEEK_READS: usize = 10;
/// The newest runs, which are looked at before any index of statuses or queues.
const NEWEST_ROWS: usize = 500;

impl Store {
    /// A page of runs. One that is searched for is looked for among a bounded number of runs.
    ///
    /// # Errors
    /// Where nothing can be read.
    pub async fn runs(&self, filter: Filter) -> Result<RunPage, StoreError> {
        let mut page = self.read_runs(filter.clone()).await?;
        for _ in 1..SEEK_READS {
            let is_short = page.looked_back_to.is_some() && page.runs.len() < filter.limit;
            if filter.sought.is_anything() || !is_short {
                break;
            }
            let limit = filter.limit - page.runs.len();
            let more = self.read_runs(Filter { limit, before: page.next_before, ..filter.clone() }).await?;
            page.runs.extend(more.runs);
            page = RunPage { runs: page.runs, ..more };
        }
        Ok(page)
    }

    async fn read_runs(&self, filter: Filter) -> Result<RunPage, StoreError> {
        self.requests.read(move |snapshot| list(snapshot, &filter)).await
    }

    /// The ids alone of at most so many runs, and where more begin.
    ///
    /// # Errors
    /// Where nothing can be read.
    pub async fn run_ids(&self, filter: Filter) -> Result<(Vec<RunId>, Option<RunId>), StoreError> {
        self.requests.read(move |snapshot| Ok(ids(snapshot, &filter)?.0)).await
    }
}

/// Ids that the filter lets through, at most its limit, where more begin, and whether enough was looked at before the limit.
pub type Ids = ((Vec<RunId>, Option<RunId>), bool);

/// The newest ids that the filter lets through. The filter with the best index leads, the others sift.
pub fn ids(snapshot: &Snapshot<'_>, filter: &Filter) -> Result<Ids, StoreError> {
    let newest = filter.sought.before(snapshot.conn, last_run(snapshot.conn)?)?;
    let before = match (filter.before, newest) {
        (Some(before), Some(newest)) => Some(before.min(newest)),
        (before, newest) => before.or(newest),
    };
    let filter = &Filter { before, ..filter.clone() };
    let (mut ids, mut next_before) = match (&filter.tag, &filter.name) {
        // Nothing sifts by job, so that it leads.
        _ if filter.job.is_some() => {
            let of_job = [(":job", filter.job.as_deref().unwrap_or_default())];
            sift(snapshot, filter, &Candidates::of(sql::RUNS_LIST_BY_JOB, &of_job))?
        }
        (Some(tag), _) => sift(snapshot, filter, &Candidates::of(sql::RUNS_LIST_BY_TAG, &[(":tag", tag)]))?,
        (_, Some(name)) => sift(snapshot, filter, &Candidates::of(sql::RUNS_LIST_BY_NAME, &[(":name", name)]))?,
        _ if filter.status.is_empty() && filter.queue.is_none() => {
            sift(snapshot, filter, &Candidates::of(sql::RUNS_LIST, &[]))?
        }
        _ => list_by_status_or_queue(snapshot, filter)?,
    };
    let is_full = ids.len() > filter.limit;
    if is_full {
        ids.truncate(filter.limit);
        next_before = ids.last().copied();
    }
    Ok(((ids, next_before), next_before.is_some() && !is_full))
}

/// A page of runs, newest first.
fn list(snapshot: &Snapshot<'_>, filter: &Filter) -> Result<RunPage, StoreError> {
    let ((ids, mut next_before), is_cut) = ids(snapshot, filter)?;
    let mut looked_back_to = match next_before.filter(|_| is_cut) {
        Some(run) => submitted_at(snapshot.conn, run)?,
        None => None,
    };
    let (mut runs, mut read_bytes) = (Vec::with_capacity(ids.len()), 0);
    for id in &ids {
        let run = get(snapshot.conn, *id, snapshot.printed(*id))?;
        read_bytes += stored_bytes(&run.spec);
        runs.push(shortened(run));
        if (read_bytes >= READ_BYTES_MAX || snapshot.is_over()) && runs.len() < ids.len() {
            (next_before, looked_back_to) = (Some(*id), None);
            break;
        }
    }
    Ok(RunPage { runs, next_before, looked_back_to })
}

/// Bytes of a specification's fields that have no small limit.
fn stored_bytes(spec: &Spec) -> usize {
    let command = match &spec.command {
        Command::Argv(argv) => argv.iter().map(|argument| argument.len() + ITEM_BYTES).sum(),
        Command::Script(script) => script.len(),
    };
    let env: usize = spec.env.iter().map(|(key, value)| key.len() + value.len() + ITEM_BYTES).sum();
    command + env + spec.stdin.as_ref().map_or(0, String::len) + spec.cwd.as_ref().map_or(0, String::len)
}

fn shortened(mut run: Run) -> Listed {
    let spec = &mut run.spec;
    spec.stdin = None;
    let command = match &mut spec.command {
        Command::Argv(argv) => cut_list(argv).then_some("command"),
        Command::Script(script) => cut(script, FIELD_BYTES_MAX).then_some("script"),
    };
    let cwd = spec.cwd.as_mut().is_some_and(|cwd| cut(cwd, FIELD_BYTES_MAX)).then_some("cwd");
    let mut keys: Vec<String> = std::mem::take(&mut spec.env).into_keys().collect();
    let env_keys = cut_list(&mut keys).then_some("env_keys");
    spec.env = keys.into_iter().map(|key| (key, String::new())).collect();
    let error = run.outcome.error.as_mut().is_some_and(|error| cut(error, FIELD_BYTES_MAX)).then_some("error");
    Listed { run, truncated: [command, cwd, env_keys, error].into_iter().flatten().collect() }
}

/// Cuts a text at a character; returns whether it was longer.
fn cut(text: &mut String, bytes_max: usize) -> bool {
    if text.len() <= bytes_max {
        return false;
    }
    let end = (0..=bytes_max).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
    text.shrink_to_fit();
    true
}

/// Cuts a list of texts; returns whether it was longer.
fn cut_list(texts: &mut Vec<String>) -> bool {
    let mut left = FIELD_BYTES_MAX;
    for at in 0..texts.len() {
        let text = &mut texts[at];
        if text.len() + ITEM_BYTES > left {
            cut(text, left.saturating_sub(ITEM_BYTES));
            let shown = at + usize::from(!text.is_empty());
            texts.truncate(shown);
            texts.shrink_to_fit();
            return true;
        }
        left -= text.len() + ITEM_BYTES;
    }
    false
}

/// Runs by status, or by queue where no status is asked for: of what was filed by its index, of each status; of the rest,
/// which is what is queued, runs, or has just ended, by its own. What is newest is often enough, and is looked at first.
fn list_by_status_or_queue(
    snapshot: &Snapshot<'_>,
    filter: &Filter,
) -> Result<(Vec<RunId>, Option<RunId>), StoreError> {
    let newest = Candidates { rows_max: NEWEST_ROWS, ..Candidates::of(sql::RUNS_LIST, &[]) };
    let (ids, cut) = sift(snapshot, filter, &newest)?;
    if cut.is_none() || ids.len() > filter.limit {
        return Ok((ids, cut));
    }
    let statuses: String = filter.status.iter().map(|status| format!("{status},")).collect();
    let statuses = (!statuses.is_empty()).then(|| format!(",{statuses}"));
    let of_fresh = [(":status", statuses.as_deref()), (":queue", filter.queue.as_deref())];
    let filed = filter.status.iter().filter(|status| status.is_terminal());
    let mut sources: Vec<Candidates<'_>> =
        filed.map(|status| Candidates::of(sql::RUNS_LIST_BY_STATUS, &[(":status", status.as_str())])).collect();
    if let (true, Some(queue)) = (filter.status.is_empty(), &filter.queue) {
        sources.push(Candidates::of(sql::RUNS_LIST_BY_QUEUE, &[(":queue", queue)]));
    }
    // Of what is searched for, more have to be looked at than are shown.
    let rows_max = if filter.sought.is_anything() { filter.limit + 1 } else { SEEK_ROWS.max(filter.limit + 1) };
    sources.push(Candidates { statement: sql::RUNS_LIST_FRESH, keys: of_fresh.to_vec(), rows_max });
    merge(snapshot, filter, &sources)
}

/// The newest of several sources, merged by id.
fn merge(
    snapshot: &Snapshot<'_>,
    filter: &Filter,
    sources: &[Candidates<'_>],
) -> Result<(Vec<RunId>, Option<RunId>), StoreError> {
    let mut ids = Vec::new();
    let mut cut_at = None;
    for source in sources {
        let (found, cut) = sift(snapshot, filter, source)?;
        ids.extend(found);
        cut_at = cut_at.max(cut);
    }
    ids.sort_unstable_by(|a, b| b.cmp(a));
    ids.dedup();
    if let Some(cut) = cut_at {
        // Below the highest point where a source was cut short, the merge would have holes.
        ids.retain(|id| *id >= cut);
    }
    Ok((ids, cut_at))
}

/// Where runs come from that a list may show, newest first.
struct Candidates<'a> {
    statement: &'static str,
    /// What it is given beside where to begin.
    keys: Vec<(&'static str, Option<&'a str>)>,
    /// How many of them are looked at, at most.
    rows_max: usize,
}

impl<'a> Candidates<'a> {
    fn of(statement: &'static str, keys: &[(&'static str, &'a str)]) -> Candidates<'a> {
        let keys = keys.iter().map(|(key, value)| (*key, Some(*value))).collect();
        Candidates { statement, keys, rows_max: LIST_SCAN_MAX }
    }
}

/// Candidates that pass the whole filter: one more than the limit where there are, and where the look was cut short.
fn sift(
    snapshot: &Snapshot<'_>,
    filter: &Filter,
    candidates: &Candidates<'_>,
) -> Result<(Vec<RunId>, Option<RunId>), StoreError> {
    let before = filter.before.map_or(i64::MAX, |run| run.0);
    let seek_max = if filter.sought.is_anything() { usize::MAX } else { SEEK_ROWS };
    let looked_at_max = candidates.rows_max.min(seek_max);
    let rows_max = candidates.rows_max as i64;
    let mut statement = snapshot.conn.prepare_cached(candidates.statement)?;
    let mut keys: Vec<(&str, &dyn ToSql)> = vec![(":before", &before)];
    keys.extend(candidates.keys.iter().map(|(key, value)| (*key, value as &dyn ToSql)));
    if candidates.statement == sql::RUNS_LIST_FRESH {
        keys.push((":rows", &rows_max));
    }
    let mut rows = statement.query(keys.as_slice())?;
    let mut ids = Vec::new();
    let mut looked_at = 0;
    while let Some(row) = rows.next()? {
        let id = RunId(row.get(0)?);
        match look_at(snapshot, row, id, filter)? {
            Found::Yes => ids.push(id),
            Found::No => {}
            Found::TooOld => return Ok((ids, None)),
        }
        looked_at += 1;
        if ids.len() > filter.limit {
            break;
        }
        if looked_at == looked_at_max || snapshot.is_over() {
            return Ok((ids, Some(id)));
        }
    }
    Ok((ids, None))
}

fn look_at(snapshot: &Snapshot<'_>, row: &Row<'_>, id: RunId, filter: &Filter) -> Result<Found, StoreError> {
    let passes = passes(snapshot, row, id, filter)?;
    if filter.sought.is_anything() || !passes && filter.sought.since.is_none() {
        return Ok(if passes { Found::Yes } else { Found::No });
    }
    filter.sought.look_at(snapshot.conn, id, passes)
}

fn passes(snapshot: &Snapshot<'_>, row: &Row<'_>, id: RunId, filter: &Filter) -> Result<bool, StoreError> {
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
            let mut has = snapshot.conn.prepare_cached(sql::RUNS_HAS_TAG)?;
            Ok(has.exists(named_params! {":tag": tag, ":run": id.0})?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_at_a_character_and_short_ones_left_alone() {
        let mut text = "é".repeat(FIELD_BYTES_MAX);
        assert!(cut(&mut text, FIELD_BYTES_MAX - 1) && text.len() == FIELD_BYTES_MAX - 2);
        assert!(!cut(&mut text, FIELD_BYTES_MAX));
        let cut_to = |given: &[String]| {
            let mut texts = given.to_vec();
            (cut_list(&mut texts), texts.iter().map(String::len).collect::<Vec<_>>())
        };
        assert_eq!(cut_to(&["a".repeat(500), "b".repeat(500)]), (false, vec![500, 500]));
        assert_eq!(cut_to(&["a".repeat(500), "b".repeat(5_000), "c".into()]), (true, vec![500, 516]));
        assert_eq!(cut_to(&vec![String::new(); 1_000]), (true, vec![0; FIELD_BYTES_MAX / ITEM_BYTES]));
    }
}
