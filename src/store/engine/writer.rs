//! One transaction under way: what its jobs share, and the events they will have caused once it is committed.
//!
//! A job decides before it writes, so that a refusal leaves nothing behind and no savepoint is needed. An error of SQLite's
//! own rolls the whole batch back, as does a move that the table of transitions lacks; then each job is tried by itself.

use rusqlite::{CachedStatement, Connection, ToSql, named_params};

use crate::clock::UnixMs;
use crate::event::{Data, Event, Kind};
use crate::numbers::{EventId, Seq};
use crate::run::{RunId, Status};
use crate::store::engine::backlog::{Backlog, Piece};
use crate::store::engine::orders::Order;
use crate::store::engine::room::Room;
use crate::store::engine::rules::Rules;
use crate::store::engine::state::State;
use crate::store::error::StoreError;
use crate::store::refusal::Refusal;
use crate::store::sql;

/// What a job of a batch works with.
pub struct Writer<'a> {
    pub conn: &'a Connection,
    pub state: &'a mut State,
    pub backlog: &'a Backlog,
    /// One time for the whole batch.
    pub now: UnixMs,
    pub room: &'a Room,
    /// What a look at the room said; one is enough for a transaction.
    pub room_seen: Option<Result<(), StoreError>>,
    /// Why this transaction carries only what must be, if it does.
    pub held: Option<Refusal>,
    /// How much may wait, and what may stay.
    pub rules: &'a Rules,
    /// In commit order; those of output get their bytes from `pieces`, in the same order, after the commit.
    pub events: Vec<Event>,
    /// The output of this transaction, so that it can be put back.
    pub pieces: Vec<Piece>,
    /// Runs that ended, each with the milliseconds since its last attempt started, if one did.
    pub ended: Vec<(Status, Option<i64>)>,
    /// Events of deleted runs, and what was too much of others, that were removed.
    pub removed_events: usize,
    /// Runs that were removed.
    pub removed_runs: usize,
    /// Whether a job freed a slot or asked for claims.
    pub claim_wanted: bool,
    /// What whoever runs commands is to do once it is committed.
    pub orders: Vec<Order>,
    /// What is to change in memory once it is committed, in this order; for what seldom changes.
    pub after_commit: Vec<Box<dyn FnOnce()>>,
}

impl<'a> Writer<'a> {
    /// A statement by its text; prepared once per connection.
    pub fn prepare(&self, statement: &str) -> Result<CachedStatement<'a>, StoreError> {
        Ok(self.conn.prepare_cached(statement)?)
    }

    /// Refuses what can wait while the database cannot take more.
    pub fn may_add(&self) -> Result<(), StoreError> {
        self.held.clone().map_or(Ok(()), |why| Err(why.into()))
    }

    /// The same, and refuses below the floor and beyond the quota: for what brings more with it than itself.
    pub fn may_grow(&mut self) -> Result<(), StoreError> {
        self.may_add()?;
        let (room, conn, prunable) = (self.room, self.conn, self.state.prunable > 0);
        self.room_seen.get_or_insert_with(|| room.may_grow(conn, prunable)).clone()
    }

    /// Appends an event of the daemon's or a client's own.
    pub fn append(&mut self, run: RunId, kind: Kind, data: String) -> Result<Seq, StoreError> {
        let (id, seq) = self.insert_event(run, kind, None, &data)?;
        self.events.push(Event { id, run, seq, at: self.now, kind, data: Data::Json(data) });
        Ok(seq)
    }

    /// Writes an event's row; answers its id and `seq`.
    pub fn insert_event(
        &self,
        run: RunId,
        kind: Kind,
        stream: Option<&str>,
        data: &dyn ToSql,
    ) -> Result<(EventId, Seq), StoreError> {
        let id = self.state.next_event_id();
        let seq = self.prepare(sql::EVENTS_APPEND)?.query_row(
            named_params! {
                ":id": id, ":run": run.0, ":at": self.now.0, ":kind": kind.as_str(), ":stream": stream, ":data": data,
            },
            |row| row.get(0),
        )?;
        Ok((id, seq))
    }
}

/// `value` as JSON text; what the domain serialises always does.
pub fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("maps of strings and plain structs always serialise")
}
