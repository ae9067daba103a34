//! Enrollment tokens, and how one is traded for a session. Only SHA-256 of a token ever comes here.

use rusqlite::{OptionalExtension, named_params};

use crate::access::Role;
use crate::clock::UnixMs;
use crate::store::engine::snapshot::Snapshot;
use crate::store::engine::writer::{Writer, json};
use crate::store::error::StoreError;
use crate::store::refusal::Refusal;
use crate::store::sql;
use crate::store::tables::handle::Store;
use crate::store::tables::sessions::session::{Session, TokenSha256};
use crate::store::tables::sessions::table::{self, NewSession, jobs_from};

/// Most tokens in a list.
const LIST_MAX: i64 = 1_000;

/// An enrollment token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrollmentToken {
    /// Id of the token.
    pub id: i64,
    /// The role of the sessions it makes.
    pub role: Role,
    /// With the role `trigger`: the jobs that they may start.
    pub jobs: Option<Vec<String>>,
    /// Label for people.
    pub label: Option<String>,
    /// Number of sessions that it may make.
    pub max_uses: i64,
    /// Number of sessions that it has made.
    pub uses: i64,
    /// Seconds that its sessions live; `None`: `sessions.ttl_s`.
    pub session_ttl_s: Option<i64>,
    /// When it was made.
    pub created_at: UnixMs,
    /// When it expires.
    pub expires_at: UnixMs,
}

/// An enrollment token to be made.
#[derive(Clone, Debug)]
pub struct NewEnrollmentToken {
    /// Of the token.
    pub token_sha256: TokenSha256,
    /// The role of the sessions it makes.
    pub role: Role,
    /// With the role `trigger`: the jobs that they may start.
    pub jobs: Option<Vec<String>>,
    /// What it is for.
    pub label: Option<String>,
    /// How many sessions it makes.
    pub max_uses: i64,
    /// Seconds until it expires.
    pub ttl_s: i64,
    /// Seconds that its sessions live; `None`: `sessions.ttl_s`.
    pub session_ttl_s: Option<i64>,
}

/// A request to trade a token for a session.
#[derive(Clone, Debug)]
pub struct Redeem {
    /// Of the enrollment token.
    pub enrollment_sha256: TokenSha256,
    /// Of the session's token, made by the caller.
    pub session_sha256: TokenSha256,
    /// What the session is to be called; `None`: the token's label, else what enrolls it, else its role.
    pub name: Option<String>,
    /// What enrolls it, in its own words.
    pub agent: Option<String>,
    /// Address of the client.
    pub address: Option<String>,
    /// `sessions.ttl_s`.
    pub default_ttl_s: i64,
}

impl Store {
    /// Makes an enrollment token.
    pub async fn make_enrollment_token(&self, new: NewEnrollmentToken) -> Result<EnrollmentToken, StoreError> {
        self.requests.write(move |tx| make(tx, &new)).await
    }

    /// Every enrollment token until it expires.
    pub async fn enrollment_tokens(&self) -> Result<Vec<EnrollmentToken>, StoreError> {
        self.requests.read(list).await
    }

    /// Withdraws an enrollment token.
    pub async fn delete_enrollment_token(&self, id: i64) -> Result<(), StoreError> {
        self.requests.write(move |tx| delete(tx, id)).await
    }

    /// Trades a use of an enrollment token for a session.
    pub async fn redeem(&self, redeemed: Redeem) -> Result<Session, StoreError> {
        self.requests.write(move |tx| redeem(tx, &redeemed)).await
    }
}

/// Makes an enrollment token.
fn make(tx: &mut Writer<'_>, new: &NewEnrollmentToken) -> Result<EnrollmentToken, StoreError> {
    let expires_at = tx.now.plus_s(new.ttl_s);
    let id = tx.prepare(sql::ENROLLMENT_INSERT)?.query_row(
        named_params! {
            ":token_sha256": new.token_sha256, ":role": new.role.as_str(), ":jobs": new.jobs.as_ref().map(json), ":label": new.label,
            ":max_uses": new.max_uses, ":session_ttl_s": new.session_ttl_s, ":now": tx.now.0,
            ":expires_at": expires_at.0,
        },
        |row| row.get(0),
    )?;
    tx.prepare(sql::META_RAISE)?.execute(named_params! {":key": "last_enrollment_token_id", ":value": id})?;
    tx.counters.expires(Some(expires_at));
    Ok(EnrollmentToken {
        id,
        role: new.role,
        jobs: new.jobs.clone(),
        label: new.label.clone(),
        max_uses: new.max_uses,
        uses: 0,
        session_ttl_s: new.session_ttl_s,
        created_at: tx.now,
        expires_at,
    })
}

/// Trades a use of an enrollment token for a session, in one transaction.
fn redeem(tx: &mut Writer<'_>, redeem: &Redeem) -> Result<Session, StoreError> {
    let spent = tx
        .prepare(sql::ENROLLMENT_REDEEM)?
        .query_row(named_params! {":token_sha256": redeem.enrollment_sha256, ":now": tx.now.0}, |row| {
            let role = Role::parse(row.get_ref(0)?.as_str()?).unwrap_or(Role::Viewer);
            Ok((role, row.get::<_, Option<String>>(1)?, row.get::<_, Option<i64>>(2)?, jobs_from(row)?))
        })
        .optional()?;
    let (role, label, session_ttl_s, jobs) = spent.ok_or(Refusal::EnrollmentInvalid)?;
    let new = NewSession {
        token_sha256: redeem.session_sha256,
        name: redeem.name.clone().or(label).or_else(|| redeem.agent.clone()).unwrap_or_else(|| role.to_string()),
        role,
        jobs,
        ttl_s: session_ttl_s.unwrap_or(redeem.default_ttl_s),
        address: redeem.address.clone(),
        agent: redeem.agent.clone(),
    };
    table::insert(tx, new)
}

/// Every enrollment token until it expires, used or not.
fn list(snapshot: &Snapshot<'_>) -> Result<Vec<EnrollmentToken>, StoreError> {
    let mut statement = snapshot.conn.prepare_cached(sql::ENROLLMENT_LIST)?;
    let rows = statement.query_map(named_params! {":now": UnixMs::now().0, ":rows": LIST_MAX}, |row| {
        Ok(EnrollmentToken {
            id: row.get("id")?,
            role: Role::parse(row.get_ref("role")?.as_str()?).unwrap_or(Role::Viewer),
            jobs: jobs_from(row)?,
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
fn delete(tx: &mut Writer<'_>, id: i64) -> Result<(), StoreError> {
    match tx.prepare(sql::ENROLLMENT_DELETE)?.execute(named_params! {":id": id})? {
        0 => Err(Refusal::EnrollmentTokenNotFound(id).into()),
        _ => Ok(()),
    }
}

/// Removes up to `rows` expired tokens; returns how many.
pub fn expire(tx: &Writer<'_>, rows: i64) -> Result<usize, StoreError> {
    Ok(tx.prepare(sql::ENROLLMENT_EXPIRE)?.execute(named_params! {":now": tx.now.0, ":rows": rows})?)
}
