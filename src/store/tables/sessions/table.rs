//! Reads and writes the rows of sessions.

use std::sync::Arc;

use rusqlite::{OptionalExtension, Row, named_params};

use super::live::{Changes, LiveSession, Sessions};
use super::session::{Session, TokenSha256, expiry};
use crate::access::Role;
use crate::clock::UnixMs;
use crate::store::engine::snapshot::Snapshot;
use crate::store::engine::writer::{Writer, json};
use crate::store::error::StoreError;
use crate::store::refusal::Refusal;
use crate::store::sql;
use crate::store::tables::run_row::parsed;

/// A session to be made.
#[derive(Clone, Debug)]
pub struct NewSession {
    pub token_sha256: TokenSha256,
    pub name: String,
    pub role: Role,
    pub jobs: Option<Vec<String>>,
    pub ttl_s: i64,
    pub address: Option<String>,
    pub agent: Option<String>,
}

/// Makes a session.
pub fn insert(tx: &mut Writer<'_>, new: NewSession) -> Result<Session, StoreError> {
    let NewSession { token_sha256, name, role, jobs, ttl_s, address, agent } = new;
    let expires_at = expiry(tx.now, ttl_s);
    let id = tx.prepare(sql::SESSIONS_INSERT)?.query_row(
        named_params! {
            ":token_sha256": token_sha256, ":name": name, ":role": role.as_str(), ":ttl_s": ttl_s,
            ":jobs": jobs.as_ref().map(json), ":address": address, ":agent": agent,
            ":now": tx.now.0, ":expires_at": expires_at.map(|at| at.0),
        },
        |row| row.get(0),
    )?;
    tx.prepare(sql::META_RAISE)?.execute(named_params! {":key": "last_session_id", ":value": id})?;
    tx.counters.expires(expires_at);
    Ok(Session { id, name, role, jobs, ttl_s, address, agent, created_at: tx.now, last_used_at: tx.now, expires_at })
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.get("id")?,
        name: row.get("name")?,
        role: Role::parse(row.get_ref("role")?.as_str()?).unwrap_or(Role::Viewer),
        jobs: jobs_from(row)?,
        ttl_s: row.get("ttl_s")?,
        address: row.get("address")?,
        agent: row.get("agent")?,
        created_at: UnixMs(row.get("created_at")?),
        last_used_at: UnixMs(row.get("last_used_at")?),
        expires_at: row.get::<_, Option<i64>>("expires_at")?.map(UnixMs),
    })
}

/// The jobs of a row that has such a column. What cannot be read names none.
pub fn jobs_from(row: &Row<'_>) -> rusqlite::Result<Option<Vec<String>>> {
    Ok(row.get_ref("jobs")?.as_str_or_null()?.map(parsed))
}

/// Finds the session of a token, expired or not.
pub(super) fn by_token(snapshot: &Snapshot<'_>, token_sha256: &TokenSha256) -> Result<Option<Session>, StoreError> {
    let mut statement = snapshot.conn.prepare_cached(sql::SESSIONS_BY_TOKEN)?;
    Ok(statement.query_row(named_params! {":token_sha256": token_sha256}, from_row).optional()?)
}

/// Reads up to `rows` sessions with ids below `before`, expired or not, newest first.
pub(super) fn list(snapshot: &Snapshot<'_>, before: i64, rows: i64) -> Result<Vec<Session>, StoreError> {
    let mut statement = snapshot.conn.prepare_cached(sql::SESSIONS_LIST)?;
    let rows = statement.query_map(named_params! {":before": before, ":rows": rows}, from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Writes uses. A session without a row has ended: somebody else wrote to the database.
pub(super) fn write_uses(
    tx: &mut Writer<'_>,
    sessions: &Arc<Sessions>,
    used: Vec<LiveSession>,
) -> Result<(), StoreError> {
    let mut changes = Changes::default();
    for live in used {
        let session = live.session();
        let found = tx.prepare(sql::SESSIONS_TOUCH)?.execute(named_params! {
            ":id": session.id, ":last_used_at": session.last_used_at.0,
            ":expires_at": session.expires_at.map(|at| at.0),
        })?;
        match found {
            0 => changes.ended.push(session.id),
            _ => changes.written.push((live, session.last_used_at)),
        }
    }
    once_committed(tx, sessions, changes);
    Ok(())
}

/// Removes up to `rows` expired sessions; returns how many. Sessions with a later use that is not written yet live on.
pub fn expire(tx: &mut Writer<'_>, sessions: &Arc<Sessions>, rows: i64) -> Result<usize, StoreError> {
    write_uses(tx, sessions, sessions.outlived(tx.now))?;
    Ok(tx.prepare(sql::SESSIONS_EXPIRE)?.execute(named_params! {":now": tx.now.0, ":rows": rows})?)
}

/// Revokes a session.
pub(super) fn delete(tx: &mut Writer<'_>, sessions: &Arc<Sessions>, id: i64) -> Result<(), StoreError> {
    // Also one that is not there: a commit whose outcome was unknown may have removed it, and is tried again.
    once_committed(tx, sessions, Changes { ended: vec![id], ..Changes::default() });
    match tx.prepare(sql::SESSIONS_DELETE)?.execute(named_params! {":id": id})? {
        0 => Err(Refusal::SessionNotFound(id).into()),
        _ => Ok(()),
    }
}

/// Moves sessions that were made between two times of a wrong clock, so that they live as long as intended. Returns
/// how many.
pub fn shift(
    tx: &mut Writer<'_>,
    sessions: &Arc<Sessions>,
    from_ms: i64,
    to_ms: i64,
    by_ms: i64,
) -> Result<usize, StoreError> {
    write_uses(tx, sessions, sessions.unwritten())?;
    once_committed(tx, sessions, Changes { shifted: Some((from_ms..=to_ms, by_ms)), ..Changes::default() });
    let made_then = named_params! {":from": from_ms, ":to": to_ms, ":by": by_ms};
    Ok(tx.prepare(sql::SESSIONS_SHIFT)?.execute(made_then)?)
}

/// Applies changes to the cache right after the COMMIT.
fn once_committed(tx: &mut Writer<'_>, sessions: &Arc<Sessions>, changes: Changes) {
    let sessions = sessions.clone();
    tx.after_commit.push(Box::new(move || sessions.commit(changes)));
}
