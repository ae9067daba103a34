//! What a reader asks for: the events of one run, or of all runs through a filter, after a cursor.
//!
//! It knows how events are numbered and which of them pass, not how they are stored or sent.

use crate::event::{INSTANCE_LEN, Kind};
use crate::numbers::{EventId, Position, RunId, Seq};

/// The most runs that a filter may name.
pub const FILTER_RUNS_MAX: usize = 100;

/// The events that a reader follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those of one run, numbered by [`Seq`] without gaps.
    Run(RunId),
    /// Those of all runs that pass a filter, numbered by [`EventId`], with gaps.
    All(EventFilter),
}

impl Scope {
    /// The number by which this scope orders an event.
    pub fn position(&self, id: EventId, seq: Seq) -> Position {
        match self {
            Scope::Run(_) => seq.into(),
            Scope::All(_) => id.into(),
        }
    }

    /// Whether an event may follow a cursor directly. In one run every number is used; among all runs any may be missing.
    pub fn continues(&self, cursor: Position, next: Position) -> bool {
        match self {
            Scope::Run(_) => next == cursor.next(),
            Scope::All(_) => next > cursor,
        }
    }

    /// The named runs whose output passes. Output is committed sooner while it has a reader.
    pub fn watched_runs(&self) -> &[RunId] {
        match self {
            Scope::Run(run) => std::slice::from_ref(run),
            Scope::All(filter) => filter.runs().filter(|_| filter.wants_output()).unwrap_or_default(),
        }
    }

    /// The queue that the filter names. An event does not carry its run's queue, so that it has to be looked up.
    pub fn queue(&self) -> Option<&str> {
        match self {
            Scope::Run(_) => None,
            Scope::All(filter) => filter.queue(),
        }
    }
}

/// The events that a reader of all runs asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFilter {
    kinds: Vec<Kind>,
    /// Sorted, each once.
    runs: Option<Vec<RunId>>,
    queue: Option<String>,
}

impl EventFilter {
    /// Events that pass all three. Without kinds it is all kinds, but `output`, the bulk of all events, only when runs are
    /// named.
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

    /// Whether an event of this kind and run passes. Its queue is not checked: an event does not carry it.
    pub fn shows(&self, kind: Kind, run: RunId) -> bool {
        self.kinds.contains(&kind) && self.runs.as_ref().is_none_or(|runs| runs.binary_search(&run).is_ok())
    }

    /// Whether `output` events pass.
    pub fn wants_output(&self) -> bool {
        self.kinds.contains(&Kind::Output)
    }

    /// The named runs, sorted, each once.
    pub fn runs(&self) -> Option<&[RunId]> {
        self.runs.as_deref()
    }

    /// The named queue.
    pub fn queue(&self) -> Option<&str> {
        self.queue.as_deref()
    }
}

/// The position from which a reader reads on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// After this `seq` or `id`; 0 is the start.
    After(Position),
    /// Only events from now on.
    Latest,
    /// The newest N, then events from now on.
    Newest(i64),
    /// After this `seq` or `id` of the database with this instance.
    Of(String, Position),
}

impl Cursor {
    /// Parses one of the four forms.
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
