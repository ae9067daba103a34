//! Sessions and the enrollment tokens that they are traded for. Only SHA-256 of a token ever comes here.

use rusqlite::{OptionalExtension, Row, named_params};

use super::reads::Reader;
use super::writer::Writer;
use super::{StoreError, sql};
use crate::access::Role;
use crate::clock::UnixMs;

/// A token as it is stored.
pub type TokenSha256 = [u8; 32];

/// Sessions or tokens that one list shows, at most.
pub const LIST_MAX: i64 = 1_000;

/// Somebody who was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its number.
    pub id: i64,
    /// A label for people; need not be unique.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Seconds that a use renews it for; 0: it never expires.
    pub ttl_s: i64,
    /// Where it was enrolled from.
    pub address: Option<String>,
    /// When.
    pub created_at: UnixMs,
    /// Written at most hourly.
    pub last_used_at: UnixMs,
    /// `None`: never.
    pub expires_at: Option<UnixMs>,
}

/// An enrollment token, without the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrollmentToken {
    /// Its number.
    pub id: i64,
    /// The role of the sessions it makes.
    pub role: Role,
    /// What it is for.
    pub label: Option<String>,
    /// How many sessions it makes.
    pub max_uses: i64,
    /// How many it has made.
    pub uses: i64,
    /// Seconds that its sessions live; `None`: `sessions.ttl_s`.
    pub session_ttl_s: Option<i64>,
    /// When it was made.
    pub created_at: UnixMs,
    /// When it goes.
    pub expires_at: UnixMs,
}

/// An enrollment token to be made.
#[derive(Clone, Debug)]
pub struct NewEnrollmentToken {
    /// Of the token.
    pub token_sha256: TokenSha256,
    /// The role of the sessions it makes.
    pub role: Role,
    /// What it is for.
    pub label: Option<String>,
    /// How many sessions it makes.
    pub max_uses: i64,
    /// Seconds until it expires.
    pub ttl_s: i64,
    /// Seconds that its sessions live; `None`: `sessions.ttl_s`.
    pub session_ttl_s: Option<i64>,
}

/// What a redeem brings along.
#[derive(Clone, Debug)]
pub struct Redeem {
    /// Of the enrollment token.
    pub enrollment_sha256: TokenSha256,
    /// Of the session's token, made by the caller.
    pub session_sha256: TokenSha256,
    /// What the session is to be called; `None`: the token's label, else its role.
    pub name: Option<String>,
    /// Where from.
    pub address: Option<String>,
    /// `sessions.ttl_s`.
    pub default_ttl_s: i64,
}

fn expiry(now: UnixMs, ttl_s: i64) -> Option<UnixMs> {
    (ttl_s > 0).then(|| now.plus_s(ttl_s))
}

/// Makes an enrollment token.
pub(super) fn make_enrollment_token(
    tx: &mut Writer<'_>,
    new: &NewEnrollmentToken,
) -> Result<EnrollmentToken, StoreError> {
    let expires_at = tx.now.plus_s(new.ttl_s);
    let id = tx.prepare(sql::ENROLLMENT_INSERT)?.query_row(
        named_params! {
            ":token_sha256": new.token_sha256, ":role": new.role.as_str(), ":label": new.label,
            ":max_uses": new.max_uses, ":session_ttl_s": new.session_ttl_s, ":now": tx.now.0,
            ":expires_at": expires_at.0,
        },
        |row| row.get(0),
    )?;
    tx.state.expires(Some(expires_at));
    Ok(EnrollmentToken {
        id,
        role: new.role,
        label: new.label.clone(),
        max_uses: new.max_uses,
        uses: 0,
        session_ttl_s: new.session_ttl_s,
        created_at: tx.now,
        expires_at,
    })
}

/// Trades a use of an enrollment token for a session, in one transaction.
pub(super) fn redeem(tx: &mut Writer<'_>, redeem: &Redeem) -> Result<Session, StoreError> {
    let spent = tx
        .prepare(sql::ENROLLMENT_REDEEM)?
        .query_row(named_params! {":token_sha256": redeem.enrollment_sha256, ":now": tx.now.0}, |row| {
            let role = Role::parse(row.get_ref(0)?.as_str()?).unwrap_or(Role::Viewer);
            Ok((role, row.get::<_, Option<String>>(1)?, row.get::<_, Option<i64>>(2)?))
        })
        .optional()?;
    let (role, label, session_ttl_s) = spent.ok_or(StoreError::EnrollmentInvalid)?;
    let ttl_s = session_ttl_s.unwrap_or(redeem.default_ttl_s);
    let name = redeem.name.clone().or(label).unwrap_or_else(|| role.to_string());
    let expires_at = expiry(tx.now, ttl_s);
    let id = tx.prepare(sql::SESSIONS_INSERT)?.query_row(
        named_params! {
            ":token_sha256": redeem.session_sha256, ":name": name, ":role": role.as_str(), ":ttl_s": ttl_s,
            ":address": redeem.address, ":now": tx.now.0, ":expires_at": expires_at.map(|at| at.0),
        },
        |row| row.get(0),
    )?;
    tx.state.expires(expires_at);
    let address = redeem.address.clone();
    Ok(Session { id, name, role, ttl_s, address, created_at: tx.now, last_used_at: tx.now, expires_at })
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.get("id")?,
        name: row.get("name")?,
        role: Role::parse(row.get_ref("role")?.as_str()?).unwrap_or(Role::Viewer),
        ttl_s: row.get("ttl_s")?,
        address: row.get("address")?,
        created_at: UnixMs(row.get("created_at")?),
        last_used_at: UnixMs(row.get("last_used_at")?),
        expires_at: row.get::<_, Option<i64>>("expires_at")?.map(UnixMs),
    })
}

/// Whose token it is, expired or not.
pub(super) fn by_token(reader: &Reader<'_>, token_sha256: &TokenSha256) -> Result<Option<Session>, StoreError> {
    let mut statement = reader.conn.prepare_cached(sql::SESSIONS_BY_TOKEN)?;
    Ok(statement.query_row(named_params! {":token_sha256": token_sha256}, from_row).optional()?)
}

/// Every session that has not expired, newest first.
pub(super) fn list(reader: &Reader<'_>) -> Result<Vec<Session>, StoreError> {
    let mut statement = reader.conn.prepare_cached(sql::SESSIONS_LIST)?;
    let rows = statement.query_map(named_params! {":now": UnixMs::now().0, ":rows": LIST_MAX}, from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Writes down that sessions were used.
pub(super) fn touch(tx: &Writer<'_>, session: &Session) -> Result<(), StoreError> {
    tx.prepare(sql::SESSIONS_TOUCH)?.execute(named_params! {
        ":id": session.id, ":last_used_at": session.last_used_at.0,
        ":expires_at": session.expires_at.map(|at| at.0),
    })?;
    Ok(())
}

/// Revokes a session.
pub(super) fn delete(tx: &mut Writer<'_>, id: i64) -> Result<(), StoreError> {
    match tx.prepare(sql::SESSIONS_DELETE)?.execute(named_params! {":id": id})? {
        0 => Err(StoreError::SessionNotFound(id)),
        _ => Ok(()),
    }
}

/// Every enrollment token until it expires, used or not.
pub(super) fn list_enrollment_tokens(reader: &Reader<'_>) -> Result<Vec<EnrollmentToken>, StoreError> {
    let mut statement = reader.conn.prepare_cached(sql::ENROLLMENT_LIST)?;
    let rows = statement.query_map(named_params! {":now": UnixMs::now().0, ":rows": LIST_MAX}, |row| {
        Ok(EnrollmentToken {
            id: row.get("id")?,
            role: Role::parse(row.get_ref("role")?.as_str()?).unwrap_or(Role::Viewer),
            label: row.get("label")?,
            max_uses: row.get("max_uses")?,
            uses: row.get("uses")?,
            session_ttl_s: row.get("session_ttl_s")?,
            created_at: UnixMs(row.get("created_at")?),
            expires_at: UnixMs(row.get("expires_at")?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Withdraws an enrollment token.
pub(super) fn delete_enrollment_token(tx: &mut Writer<'_>, id: i64) -> Result<(), StoreError> {
    match tx.prepare(sql::ENROLLMENT_DELETE)?.execute(named_params! {":id": id})? {
        0 => Err(StoreError::EnrollmentTokenNotFound(id)),
        _ => Ok(()),
    }
}
