//! A transaction under way: what its jobs share, and what is published once it is committed.
//!
//! A job decides before it writes, so that a refusal leaves nothing behind and no savepoint is needed. A fault rolls
//! the whole batch back; then each job is tried by itself.

use rusqlite::{CachedStatement, Connection, named_params};

use crate::clock::UnixMs;
use crate::event::{Data, Event, Kind};
use crate::numbers::Seq;
use crate::run::{RunId, Status};
use crate::store::engine::backlog::{Backlog, Piece};
use crate::store::engine::counters::Counters;
use crate::store::engine::orders::Order;
use crate::store::engine::room::Room;
use crate::store::engine::rules::Rules;
use crate::store::error::StoreError;
use crate::store::numbers::EventKey;
use crate::store::refusal::Refusal;
use crate::store::sql;

/// What a time at which a job was due came to.
#[derive(Clone, Copy, Debug)]
pub struct Fired {
    /// `run`, or why there was none.
    pub outcome: &'static str,
    /// How late it was, in milliseconds.
    pub late_ms: i64,
}

/// What a job works with.
pub struct Writer<'a> {
    pub conn: &'a Connection,
    pub counters: &'a mut Counters,
    pub backlog: &'a Backlog,
    /// The time of the whole transaction.
    pub now: UnixMs,
    pub room: &'a Room,
    /// Result of the check for room, made at most once in a transaction.
    pub room_seen: Option<Result<(), StoreError>>,
    /// Why this transaction carries only essential jobs, if it does.
    pub held: Option<Refusal>,
    /// The configured limits.
    pub rules: &'a Rules,
    /// Events in commit order. Those of output get their bytes from `pieces` after the commit.
    pub events: Vec<Event>,
    /// Output of this transaction, so that it can be put back.
    pub pieces: Vec<Piece>,
    /// Runs that ended, each with the milliseconds since its last attempt began, if one did.
    pub ended: Vec<(Status, Option<i64>)>,
    /// Times at which jobs were due, and what became of them.
    pub fired: Vec<Fired>,
    /// Number of events that were removed.
    pub removed_events: usize,
    /// Runs that were removed.
    pub removed_runs: Vec<RunId>,
    /// Whether a job freed a slot or asked for claims.
    pub claim_wanted: bool,
    /// Jobs that change nothing that anybody waits for.
    pub quiet_jobs: usize,
    /// Orders for whoever runs commands, once it is committed.
    pub orders: Vec<Order>,
    /// Changes in memory once it is committed, in this order. A box each: only for what is rare.
    pub after_commit: Vec<Box<dyn FnOnce()>>,
}

impl<'a> Writer<'a> {
    /// Whether this transaction, of so many jobs, is to wake who waits for commits: not where all of them were quiet.
    pub fn rings(&self, jobs: usize) -> bool {
        let are_quiet = self.quiet_jobs > 0 && self.quiet_jobs == jobs && !self.claim_wanted && !self.counters.telling;
        !(are_quiet && self.events.is_empty() && self.orders.is_empty())
    }

    /// Prepares a statement, once for each connection.
    pub fn prepare(&self, statement: &str) -> Result<CachedStatement<'a>, StoreError> {
        Ok(self.conn.prepare_cached(statement)?)
    }

    /// Refuses jobs that can wait while the database cannot take more.
    pub fn may_add(&self) -> Result<(), StoreError> {
        self.held.clone().map_or(Ok(()), |why| Err(why.into()))
    }

    /// The same, and also below the minimum of free space and beyond the quota: for jobs whose runs will need more.
    pub fn may_grow(&mut self) -> Result<(), StoreError> {
        self.may_add()?;
        let (room, conn, prunable) = (self.room, self.conn, self.counters.prunable > 0);
        self.room_seen.get_or_insert_with(|| room.may_grow(conn, prunable)).clone()
    }

    /// Appends an event of the daemon or a client; returns its `seq`.
    pub fn append(&mut self, run: RunId, kind: Kind, data: String) -> Result<Seq, StoreError> {
        let (id, key) = (self.counters.next_event_id(), self.next_key(run)?);
        self.prepare(sql::EVENTS_APPEND)?.execute(named_params! {
            ":id": id, ":event_key": key, ":at": self.now.0, ":kind": kind.as_str(), ":data": data,
        })?;
        let seq = key.seq();
        self.events.push(Event { id, run, seq, at: self.now, kind, data: Data::Json(data) });
        Ok(seq)
    }

    /// The key of a run's next event.
    pub fn next_key(&self, run: RunId) -> Result<EventKey, StoreError> {
        Ok(self.prepare(sql::EVENTS_NEXT_KEY)?.query_row(named_params! {":run": run}, |row| row.get(0))?)
    }
}

/// `value` as JSON text. The domain's types can always be serialised.
pub fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("maps of strings and plain structs always serialise")
}
