//! One transaction under way: what its jobs share, and the events they will have caused once it is committed.
//!
//! A job decides before it writes, so that a refusal leaves nothing behind and no savepoint is needed. An error of SQLite's
//! own rolls the whole batch back, as does a move that the table of transitions lacks; then each job is tried by itself.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ToSql, named_params};

use crate::clock::UnixMs;
use crate::event::{Data, Event, Kind};
use crate::numbers::{EventId, Seq};
use crate::run::{RunId, Status};
use crate::store::engine::backlog::{Backlog, Piece};
use crate::store::engine::orders::Order;
use crate::store::engine::room::Room;
use crate::store::engine::state::State;
use crate::store::error::StoreError;
use crate::store::sql;
use crate::store::tables::quota;
use crate::store::tables::quota::Added;
use crate::store::tables::retention::Rules;
use crate::store::tables::sessions::Changes;

/// What a job of a batch works with.
pub(in crate::store) struct Writer<'a> {
    pub conn: &'a Connection,
    pub state: &'a mut State,
    pub backlog: &'a Backlog,
    /// One time for the whole batch.
    pub now: UnixMs,
    /// `limits.queued_runs`.
    pub queued_runs_max: i64,
    pub room: &'a Room,
    /// What a look at the room said; one is enough for a transaction.
    pub room_seen: Option<Result<(), StoreError>>,
    /// Why this transaction carries only what must be, if it does.
    pub held: Option<StoreError>,
    /// What may stay.
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
    /// What those who use sessions are to see once it is committed.
    pub sessions: Changes,
}

impl<'a> Writer<'a> {
    /// A statement by its text; prepared once per connection.
    pub fn prepare(&self, statement: &str) -> Result<CachedStatement<'a>, StoreError> {
        Ok(self.conn.prepare_cached(statement)?)
    }

    /// Refuses what can wait while the database cannot take more.
    pub fn may_add(&self) -> Result<(), StoreError> {
        self.held.clone().map_or(Ok(()), Err)
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

    /// Appends pieces of output; their bytes stay in the pieces until the commit, so that they can be put back.
    pub fn append_output(&mut self, pieces: Vec<Piece>) -> Result<(), StoreError> {
        // Kept first: whatever fails below, every piece taken from the backlog is known here.
        let first = self.pieces.len();
        self.pieces.extend(pieces);
        let mut all = Added::default();
        self.pieces[first..].iter().for_each(|piece| all.add(piece.bytes.len()));
        if all.events > 0 {
            // Before it is added: where there is little room left, this makes it.
            quota::trim_live(self, all)?;
        }
        let mut added: Vec<(RunId, Added)> = Vec::new();
        for index in first..self.pieces.len() {
            let piece = &self.pieces[index];
            let (run, stream, len) = (piece.run, piece.stream, piece.bytes.len());
            let data = OutputBytes(&piece.bytes);
            let (id, seq) = self.insert_event(run, Kind::Output, Some(stream.as_str()), &data)?;
            self.state.output.entry(run).or_default().add(len);
            // A run's pieces come together.
            if added.last().is_none_or(|(last, _)| *last != run) {
                added.push((run, Added::default()));
            }
            if let Some((_, added)) = added.last_mut() {
                added.add(len);
            }
            let data = Data::Output(stream, Vec::new());
            self.events.push(Event { id, run, seq, at: self.now, kind: Kind::Output, data });
        }
        added.into_iter().try_for_each(|(run, added)| quota::trim(self, run, added))
    }

    fn insert_event(
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

/// Output is TEXT where it is UTF-8, so that the sqlite3 shell shows it, and BLOB where it is not.
struct OutputBytes<'a>(&'a [u8]);

impl ToSql for OutputBytes<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match std::str::from_utf8(self.0) {
            Ok(_) => ValueRef::Text(self.0),
            Err(_) => ValueRef::Blob(self.0),
        }))
    }
}

/// `value` as JSON text; what the domain serialises always does.
pub(in crate::store) fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("maps of strings and plain structs always serialise")
}
