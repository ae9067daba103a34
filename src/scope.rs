//! What a reader asks for: the events of one run, or of all runs through a filter, from a cursor on.
//!
//! Knows no transport and no way to the events: only how they are numbered and which of them are shown.

use crate::event::{INSTANCE_LEN, Kind};
use crate::numbers::{EventId, Position, RunId, Seq};

/// The most runs that one reader of several names.
pub const FILTER_RUNS_MAX: usize = 100;

/// The events that a reader follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those of one run, numbered by [`Seq`] without a hole.
    Run(RunId),
    /// Those of all runs that a filter shows, numbered by [`EventId`], which leaves numbers out.
    All(EventFilter),
}

impl Scope {
    /// The number that an event has in here.
    pub fn position(&self, id: EventId, seq: Seq) -> Position {
        match self {
            Scope::Run(_) => seq.into(),
            Scope::All(_) => id.into(),
        }
    }

    /// Whether an event may come right behind a cursor: in a run each number is given out, of all runs any may be hidden.
    pub fn continues(&self, cursor: Position, next: Position) -> bool {
        match self {
            Scope::Run(_) => next == cursor.next(),
            Scope::All(_) => next > cursor,
        }
    }

    /// The runs whose output is shown, where they are named: it is committed sooner while somebody reads it.
    pub fn watched_runs(&self) -> &[RunId] {
        match self {
            Scope::Run(run) => std::slice::from_ref(run),
            Scope::All(filter) => filter.runs().filter(|_| filter.wants_output()).unwrap_or_default(),
        }
    }

    /// The queue that the filter names: no event tells its run's queue, so that it is looked up.
    pub fn queue(&self) -> Option<&str> {
        match self {
            Scope::Run(_) => None,
            Scope::All(filter) => filter.queue(),
        }
    }
}

/// Which events a reader of all runs is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFilter {
    kinds: Vec<Kind>,
    /// In order, each once.
    runs: Option<Vec<RunId>>,
    queue: Option<String>,
}

impl EventFilter {
    /// What all three let through. Where no kinds are named it is all of them; but output, which is most of what
    /// happens, only where its runs are named.
    pub fn new(kinds: Option<Vec<Kind>>, queue: Option<String>, runs: Option<Vec<RunId>>) -> EventFilter {
        let named = runs.is_some();
        let most = || Kind::ALL.iter().copied().filter(|kind| named || *kind != Kind::Output).collect();
        let runs = runs.map(|mut runs| {
            runs.sort_unstable();
            runs.dedup();
            runs
        });
        EventFilter { kinds: kinds.unwrap_or_else(most), runs, queue }
    }

    /// Whether such an event is shown, as far as its queue allows: that is not known of an event.
    pub fn shows(&self, kind: Kind, run: RunId) -> bool {
        self.kinds.contains(&kind) && self.runs.as_ref().is_none_or(|runs| runs.binary_search(&run).is_ok())
    }

    /// Whether output is shown.
    pub fn wants_output(&self) -> bool {
        self.kinds.contains(&Kind::Output)
    }

    /// The runs that were named, in order, each once.
    pub fn runs(&self) -> Option<&[RunId]> {
        self.runs.as_deref()
    }

    /// The queue that was named.
    pub fn queue(&self) -> Option<&str> {
        self.queue.as_deref()
    }
}

/// Where a reader stands: it has seen everything up to here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// After this `seq` (or `id`); 0 is the start.
    After(Position),
    /// Only what comes from now on.
    Latest,
    /// The newest N, then what comes.
    Newest(i64),
    /// After this one of that very database.
    Of(String, Position),
}

impl Cursor {
    /// Reads a cursor; `None` when it is none of the four forms.
    pub fn parse(text: &str) -> Option<Cursor> {
        let digits = |text: &str| -> Option<i64> {
            let plain = !text.is_empty() && text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| text.parse().ok()).flatten()
        };
        if text == "latest" {
            return Some(Cursor::Latest);
        }
        if let Some(newest) = text.strip_prefix('-') {
            return digits(newest).map(Cursor::Newest);
        }
        if let Some(after) = digits(text) {
            return Some(Cursor::After(Position(after)));
        }
        let (instance, after) = text.split_once('-')?;
        let known = instance.len() == INSTANCE_LEN
            && instance.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        known.then(|| digits(after)).flatten().map(|after| Cursor::Of(instance.to_owned(), Position(after)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_strictly() {
        assert_eq!(Cursor::parse("0"), Some(Cursor::After(Position(0))));
        assert_eq!(Cursor::parse("latest"), Some(Cursor::Latest));
        assert_eq!(Cursor::parse("-20"), Some(Cursor::Newest(20)));
        assert_eq!(Cursor::parse("k3v9x2m7q0tz-17"), Some(Cursor::Of("k3v9x2m7q0tz".into(), Position(17))));
        for wrong in ["", "-", "x", "1x", "+1", " 1", "--1", "K3V9X2M7Q0TZ-1", "k3v9x2m7q0tz-", "99999999999999999999"]
        {
            assert_eq!(Cursor::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn output_is_shown_where_it_or_its_runs_are_named() {
        let shows = |filter: &EventFilter, kind| [RunId(1), RunId(3)].map(|run| filter.shows(kind, run));
        let plain = EventFilter::new(None, None, None);
        assert_eq!((shows(&plain, Kind::Output), shows(&plain, Kind::Queued)), ([false; 2], [true; 2]));
        let of_runs = EventFilter::new(None, None, Some(vec![RunId(3), RunId(2), RunId(3)]));
        assert_eq!((shows(&of_runs, Kind::Output), of_runs.runs()), ([false, true], Some(&[RunId(2), RunId(3)][..])));
        let of_kinds = EventFilter::new(Some(vec![Kind::Output]), None, None);
        assert_eq!((shows(&of_kinds, Kind::Output), shows(&of_kinds, Kind::Queued)), ([true; 2], [false; 2]));
    }
}
