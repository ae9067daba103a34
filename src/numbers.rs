//! The numbers of runs and events, each a type of its own, so that none is mistaken for another.
//!
//! In JSON and SQL each is a plain integer.

use serde_json::Value;

/// A whole number in JSON; `60.0` is one, as JSON Schema and JavaScript have it, where it is told exactly.
pub fn whole(value: &Value) -> Option<i64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let exact = |number: f64| (number.fract() == 0.0 && number.abs() <= EXACT_MAX).then_some(number as i64);
    value.as_i64().or_else(|| value.as_f64().and_then(exact))
}

/// Defines number types with the same traits.
macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl $name {
            /// The number after this one.
            pub const fn next(self) -> $name {
                $name(self.0.saturating_add(1))
            }

            /// The number before this one.
            pub const fn previous(self) -> $name {
                $name(self.0.saturating_sub(1))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(out)
            }
        }
    )+};
}

numbers! {
    /// A run's number: rising, never given out twice, also after deletion.
    RunId;
    /// An event's number in its run: 1, 2, 3 … in commit order. 0 is before the first.
    Seq;
    /// An event's number among those of all runs: rising in commit order, with gaps. 0 is before the first.
    EventId;
    /// An event's number for a reader: its [`Seq`] for one run, its [`EventId`] for all runs.
    Position;
}

impl RunId {
    /// The run of what belongs to no single one: no run has this number.
    pub const NONE: RunId = RunId(0);
}

impl From<Seq> for Position {
    fn from(seq: Seq) -> Position {
        Position(seq.0)
    }
}

impl From<EventId> for Position {
    fn from(id: EventId) -> Position {
        Position(id.0)
    }
}
