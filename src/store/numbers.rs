//! The domain's numbers as SQL's integers.

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::numbers::{EventId, Position, RunId, Seq};

macro_rules! integers {
    ($($name:ident)+) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                self.0.to_sql()
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<$name> {
                i64::column_result(value).map($name)
            }
        }
    )+};
}

integers! { RunId Seq EventId Position EventKey }

/// By what an event is found among those of its run, which lie in one range of keys: `run << 32 | seq`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventKey(pub i64);

impl EventKey {
    /// The highest run that has keys.
    pub const RUN_MAX: RunId = RunId((1 << 31) - 1);
    const SEQ_MAX: i64 = (1 << 32) - 1;
    /// The last that a client may append: what the daemon itself has to say of a run, to its end, comes behind.
    pub const CLIENTS_SEQ_MAX: Seq = Seq(EventKey::SEQ_MAX - (1 << 20));

    /// Of an event; a `seq` beyond all is one beyond all of that run.
    pub fn of(run: RunId, seq: Seq) -> EventKey {
        EventKey(run.0 << 32 | seq.0.clamp(0, EventKey::SEQ_MAX))
    }

    /// Before the first of a run.
    pub fn before(run: RunId) -> EventKey {
        EventKey::of(run, Seq(0))
    }

    /// The last that a run can have.
    pub fn last(run: RunId) -> EventKey {
        EventKey::of(run, Seq(EventKey::SEQ_MAX))
    }

    /// Whose it is.
    pub fn run(self) -> RunId {
        RunId(self.0 >> 32)
    }

    /// The next of the same run.
    pub fn next(self) -> EventKey {
        EventKey(self.0 + 1)
    }

    /// The event's number in its run.
    pub fn seq(self) -> Seq {
        Seq(self.0 & EventKey::SEQ_MAX)
    }
}

/// Bits of an event's id that tell it from the others of its block.
const BLOCK_BITS: u32 = 6;

/// Which block of ids this one is in.
pub fn block_of(id: EventId) -> i64 {
    id.0 >> BLOCK_BITS
}

/// The first and the last id of a block.
pub fn ids_of(block: i64) -> (EventId, EventId) {
    (EventId(block << BLOCK_BITS), EventId(((block + 1) << BLOCK_BITS) - 1))
}
