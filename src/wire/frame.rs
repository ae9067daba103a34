//! What a stream holds besides events, as it is written. Events write themselves (see `event`), and what is read of both
//! is in [`super::event`].

use serde::Serialize;

use crate::event::{Gap, TrimmedOutput};
use crate::numbers::{EventId, Position, RunId, Seq};

/// The objects of a stream that are not events: of one run and of all the same, but for how events are numbered.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs)] // the fields are the contract's own
pub enum Frame<'a> {
    /// First.
    Hello {
        #[serde(skip_serializing_if = "Option::is_none")]
        run: Option<RunId>,
        instance: &'a str,
        after: Position,
        #[serde(flatten)]
        stands: Stands,
    },
    /// Events that are gone.
    Gap {
        from: Position,
        to: Position,
        reason: &'static str,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        partial: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        trimmed: Option<TrimmedOutput>,
    },
    /// Of all runs at once: nothing that was asked for lies before this.
    Cursor { id: Position },
    /// Once, when the stored events are out.
    CaughtUp {
        #[serde(flatten)]
        at: At,
    },
    /// When nothing else was said for a while.
    Heartbeat {
        #[serde(flatten)]
        last: Last,
    },
    /// Last, of one run.
    End { run: RunId, status: &'static str, reason: Option<&'static str>, exit_code: Option<i64>, last_seq: Position },
}

/// Where a scope stands.
#[derive(Serialize)]
#[serde(untagged)]
#[allow(missing_docs)] // the fields are the contract's own
pub enum Stands {
    /// One run.
    Run { first_seq: Seq, last_seq: Seq, status: &'static str },
    /// All runs.
    All { first_id: EventId, last_id: EventId },
}

/// A position, by the name that it has in its scope.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub enum At {
    /// Of one run.
    Seq(Position),
    /// Of all runs.
    Id(Position),
}

/// The newest event that its reader knows of, by the name that it has in its scope.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Last {
    /// Of one run.
    LastSeq(Position),
    /// Of all runs.
    LastId(Position),
}

impl Frame<'_> {
    /// These events were removed.
    pub fn gap(gap: &Gap) -> Frame<'static> {
        let Gap { from, to, reason, partial, trimmed } = *gap;
        Frame::Gap { from, to, reason: reason.as_str(), partial, trimmed }
    }
}
