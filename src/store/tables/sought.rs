//! What a list of runs asks of a run beyond what its indexes know: when it was submitted, with what it exited, and words in
//! its name, tags and command.
//!
//! None of it has an index: each would be one more page for every submit. A run that is looked at costs a lookup by its id.

use rusqlite::{Connection, OptionalExtension, named_params};

use crate::clock::UnixMs;
use crate::run::RunId;
use crate::store::error::StoreError;
use crate::store::sql;
use crate::store::tables::run_row::parsed;

/// What is sought; the default is anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sought {
    /// A part of its name, of one of its tags, of its script, or of its program and arguments with blanks between them;
    /// upper and lower case are the same.
    pub text: Option<String>,
    /// Submitted at this time or later.
    pub since: Option<UnixMs>,
    /// Submitted before this time.
    pub until: Option<UnixMs>,
    /// Exited with one of these codes; empty is all.
    pub exit: Vec<i64>,
}

/// What was found out about a run.
pub enum Found {
    /// It is what is sought.
    Yes,
    /// It is not.
    No,
    /// Neither it is, nor is any run of a lower number.
    TooOld,
}

impl Sought {
    /// Whether anything is.
    pub fn is_anything(&self) -> bool {
        *self == Sought::default()
    }

    /// Whether a run is what is sought. Runs are numbered in the order of their submits, so that below the first that was
    /// submitted too early there is none; a time from before this binary was built, of a clock that was not set yet, says
    /// nothing of others.
    /// `passes`: whether it is one by all else that is asked for.
    pub fn look_at(&self, conn: &Connection, run: RunId, passes: bool) -> Result<Found, StoreError> {
        if self.since.is_some() || self.until.is_some() || !self.exit.is_empty() {
            let mut statement = conn.prepare_cached(sql::RUNS_ENDED_AS)?;
            let (created_at, exit_code): (i64, Option<i64>) =
                statement.query_row(named_params! {":id": run}, |row| Ok((row.get(0)?, row.get(1)?)))?;
            let created_at = UnixMs(created_at);
            if let Some(since) = self.since.filter(|since| created_at < *since) {
                return Ok(if created_at.is_believed() || !since.is_believed() { Found::TooOld } else { Found::No });
            }
            let is_exit = self.exit.is_empty() || exit_code.is_some_and(|code| self.exit.contains(&code));
            if !passes || self.until.is_some_and(|until| created_at >= until) || !is_exit {
                return Ok(Found::No);
            }
        }
        match &self.text {
            Some(text) if !self.is_in_texts(conn, run, &text.to_lowercase())? => Ok(Found::No),
            _ => Ok(Found::Yes),
        }
    }

    fn is_in_texts(&self, conn: &Connection, run: RunId, sought: &str) -> Result<bool, StoreError> {
        let mut statement = conn.prepare_cached(sql::RUNS_TEXTS)?;
        let has = |text: Option<&str>| text.is_some_and(|text| text.to_lowercase().contains(sought));
        Ok(statement.query_row(named_params! {":id": run}, |row| {
            let text = |column: usize| -> rusqlite::Result<Option<&str>> { Ok(row.get_ref(column)?.as_str_or_null()?) };
            if has(text(0)?) || has(text(3)?) {
                return Ok(true);
            }
            let tags: Vec<String> = parsed(text(1)?.unwrap_or_default());
            let argv: Vec<String> = parsed(text(2)?.unwrap_or_default());
            Ok(tags.iter().any(|tag| has(Some(tag))) || has(Some(&argv.join(" "))))
        })?)
    }

    /// Below which id every run is that was submitted before `until`: found by halves, since ids rise with time. Where a clock
    /// was set back some that were submitted later are below it, too, which [`Sought::look_at`] sees.
    pub fn before(&self, conn: &Connection, last: RunId) -> Result<Option<RunId>, StoreError> {
        let Some(until) = self.until else { return Ok(None) };
        let mut at = conn.prepare_cached(sql::RUNS_AT)?;
        let (mut low, mut high) = (RunId(0), last.next());
        while low < high {
            let middle = RunId(low.0 + (high.0 - low.0) / 2);
            let found = at.query_row(named_params! {":id": middle}, |row| Ok((row.get(0)?, UnixMs(row.get(1)?))));
            let found: Option<(RunId, UnixMs)> = found.optional()?;
            match found {
                Some((run, created_at)) if created_at < until => low = run.next(),
                _ => high = middle,
            }
        }
        Ok(Some(low))
    }
}

/// When a run was submitted.
pub fn submitted_at(conn: &Connection, run: RunId) -> Result<Option<UnixMs>, StoreError> {
    let mut statement = conn.prepare_cached(sql::RUNS_ENDED_AS)?;
    Ok(statement.query_row(named_params! {":id": run}, |row| row.get(0).map(UnixMs)).optional()?)
}
