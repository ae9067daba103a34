//! Text in what runs printed: looked for from the newest run down, in bounded pieces, between which others are served.
//!
//! There is no index: one by trigrams has each commit of output write eight times as many bytes and doubles the file, which
//! all would pay for the few who search, while a piece of output is read at hundreds of megabytes a second.

use std::time::{Duration, Instant};

use rusqlite::{Row, named_params};

use crate::clock::UnixMs;
use crate::event::Stream;
use crate::numbers::Seq;
use crate::run::RunId;
use crate::store::engine::snapshot::Snapshot;
use crate::store::error::StoreError;
use crate::store::numbers::EventKey;
use crate::store::sql;
use crate::store::tables::handle::Store;
use crate::store::tables::lines::{Line, Lines};
use crate::store::tables::lists::{Filter, ids};
use crate::store::tables::run_row::get;
use crate::store::tables::sought::submitted_at;

/// Bytes of output that one page looks through: it says how far it looked, and the next goes on.
const PAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long one page takes, however slow the medium is.
const PAGE_TIME: Duration = Duration::from_secs(2);
/// Bytes that one read looks through.
const READ_BYTES_MAX: usize = 1024 * 1024;
/// How long one read takes: others wait for it.
const READ_TIME: Duration = Duration::from_millis(20);
/// Runs that one read takes from the list at once.
const READ_RUNS: usize = 100;
/// Pieces behind a place by which the end of the line before it is known.
const BEHIND_ROWS: i64 = 8;

/// What is searched for, and where.
#[derive(Clone, Debug)]
pub struct Search {
    /// The text; letters of ASCII are found in either case.
    pub text: String,
    /// In the output of these runs.
    pub filter: Filter,
    /// In the output of this one alone.
    pub run: Option<RunId>,
    /// Where to go on; `None`: at the newest.
    pub from: Option<Place>,
    /// At most so many lines.
    pub limit: usize,
}

/// How far a search has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// In the output of this run …
    pub run: RunId,
    /// … below this event …
    pub before: Seq,
    /// … of the event right below without so many of its lines that were found already.
    pub skip: usize,
}

/// A line that has it.
#[derive(Clone, Debug)]
pub struct Hit {
    /// Whose it is.
    pub run: RunId,
    /// The run's name.
    pub name: Option<String>,
    /// The event in which the text begins.
    pub seq: Seq,
    /// When that was printed.
    pub at: UnixMs,
    /// Where to.
    pub stream: Stream,
    /// The line, or what stands around the text in it.
    pub line: Line,
}

/// A page of what was found.
#[derive(Clone, Debug, Default)]
pub struct SearchPage {
    /// The newest first.
    pub hits: Vec<Hit>,
    /// Where to go on; `None`: all was looked through.
    pub next: Option<Place>,
    /// Where the page ends because enough was looked through: when the run there was submitted.
    pub looked_back_to: Option<UnixMs>,
    /// Bytes that were looked through.
    pub bytes: usize,
}

impl Store {
    /// A page of the lines that have a text.
    ///
    /// # Errors
    /// Where the one run is not there, or nothing can be read.
    pub async fn search(&self, mut search: Search) -> Result<SearchPage, StoreError> {
        let (until, limit) = (Instant::now() + PAGE_TIME, search.limit);
        let mut page = SearchPage::default();
        loop {
            search.limit = limit - page.hits.len();
            let asked = search.clone();
            let more = self.requests.read(move |snapshot| piece(snapshot, &asked)).await?;
            page.hits.extend(more.hits);
            page.bytes += more.bytes;
            search.from = more.next;
            let Some(place) = more.next else { return Ok(page) };
            page.next = Some(place);
            if page.hits.len() >= limit {
                return Ok(page);
            }
            if page.bytes >= PAGE_BYTES_MAX || Instant::now() >= until {
                let at = move |snapshot: &Snapshot<'_>| submitted_at(snapshot.conn, place.run);
                page.looked_back_to = self.requests.read(at).await?;
                return Ok(page);
            }
            page.next = None;
        }
    }
}

/// Looks through what one read may.
fn piece(snapshot: &Snapshot<'_>, search: &Search) -> Result<SearchPage, StoreError> {
    let mut looking = Looking { snapshot, search, until: Instant::now() + READ_TIME, page: SearchPage::default() };
    let begun = search.from.map(|place| place.run);
    let (runs, more) = match (search.run, begun) {
        (Some(_), Some(_)) => (Vec::new(), None),
        (Some(run), None) => {
            get(snapshot.conn, run, None)?;
            (vec![run], None)
        }
        (None, _) => {
            let before = begun.or(search.filter.before);
            ids(snapshot, &Filter { limit: READ_RUNS, before, ..search.filter.clone() })?.0
        }
    };
    let whole = runs.into_iter().map(|run| Place { run, before: Seq(i64::MAX), skip: 0 });
    for place in search.from.into_iter().chain(whole) {
        if let Some(next) = looking.run(place)? {
            looking.page.next = Some(next);
            return Ok(looking.page);
        }
    }
    // What is left are runs of lower numbers than this one, of which nothing is.
    looking.page.next = more.map(|run| Place { run, before: Seq(0), skip: 0 });
    Ok(looking.page)
}

/// One read under way.
struct Looking<'a> {
    snapshot: &'a Snapshot<'a>,
    search: &'a Search,
    until: Instant,
    page: SearchPage,
}

impl Looking<'_> {
    /// Looks through a run from a place down; answers where to go on in it, where the read is over before.
    fn run(&mut self, place: Place) -> Result<Option<Place>, StoreError> {
        let Place { run, before, mut skip } = place;
        let mut lines = self.lines_behind(run, before)?;
        let mut statement = self.snapshot.conn.prepare_cached(sql::OUTPUT_SEARCH)?;
        let keys = (EventKey::before(run), EventKey::of(run, before));
        let mut rows = statement.query(named_params! {":first": keys.0, ":before": keys.1})?;
        let mut name = None;
        while let Some(row) = rows.next()? {
            let (seq, at, stream, data) = output(row)?;
            // What was found in a piece that is gone meanwhile is not left out of another one.
            let known = if seq.next() == before { std::mem::take(&mut skip) } else { 0 };
            for (nth, line) in lines.find(stream, data).into_iter().rev().enumerate().skip(known) {
                if self.page.hits.len() == self.search.limit {
                    return Ok(Some(Place { run, before: seq.next(), skip: nth }));
                }
                if name.is_none() {
                    name = Some(get(self.snapshot.conn, run, None).ok().and_then(|run| run.spec.name));
                }
                self.page.hits.push(Hit { run, name: name.clone().flatten(), seq, at, stream, line });
            }
            self.page.bytes += data.len();
            if self.page.bytes >= READ_BYTES_MAX || Instant::now() >= self.until {
                return Ok(Some(Place { run, before: seq, skip: 0 }));
            }
        }
        let is_full = self.page.hits.len() == self.search.limit || Instant::now() >= self.until;
        Ok(is_full.then_some(Place { run, before: Seq(0), skip: 0 }))
    }

    /// The lines that begin before a place may end behind it.
    fn lines_behind(&self, run: RunId, before: Seq) -> Result<Lines, StoreError> {
        let mut lines = Lines::with(&self.search.text);
        if before == Seq(i64::MAX) || before == Seq(0) {
            return Ok(lines);
        }
        let mut statement = self.snapshot.conn.prepare_cached(sql::OUTPUT_BEHIND)?;
        let keys = (EventKey::of(run, before), EventKey::last(run));
        let mut rows = statement.query(named_params! {":from": keys.0, ":last": keys.1, ":rows": BEHIND_ROWS})?;
        let mut behind = Vec::new();
        while let Some(row) = rows.next()? {
            let (_, _, stream, data) = output(row)?;
            behind.push((stream, data.to_vec()));
        }
        behind.iter().rev().for_each(|(stream, data)| lines.pass(*stream, data));
        Ok(lines)
    }
}

/// A row of output.
fn output<'r>(row: &'r Row<'_>) -> rusqlite::Result<(Seq, UnixMs, Stream, &'r [u8])> {
    let key: EventKey = row.get(0)?;
    let stream = Stream::parse(row.get_ref(2)?.as_str()?).unwrap_or(Stream::Stdout);
    Ok((key.seq(), UnixMs(row.get(1)?), stream, row.get_ref(3)?.as_bytes()?))
}
