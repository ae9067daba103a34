//! Idempotency keys: a client's names for its submits, each of which stands for the run that it made.

use rusqlite::{OptionalExtension, named_params};

use crate::run::RunId;
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::refusal::Refusal;
use crate::store::sql;

/// A client's name for a request, with the request's digest.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    /// 1 to 255 visible ASCII characters.
    pub key: String,
    /// Digest of content type, query and body.
    pub request_sha256: [u8; 32],
}

/// The run that a key stands for.
///
/// # Errors
/// Where it was used with another request.
pub fn find(tx: &Writer<'_>, key: &IdempotencyKey) -> Result<Option<RunId>, StoreError> {
    let known: Option<(i64, Vec<u8>)> = tx
        .prepare(sql::IDEMPOTENCY_GET)?
        .query_row(named_params! {":key": key.key}, |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match known {
        None => Ok(None),
        Some((_, sha256)) if sha256 != key.request_sha256 => Err(Refusal::IdempotencyMismatch.into()),
        Some((run, _)) => Ok(Some(RunId(run))),
    }
}

/// Records a key for a run.
pub fn insert(tx: &Writer<'_>, key: &IdempotencyKey, run: RunId) -> Result<(), StoreError> {
    tx.prepare(sql::IDEMPOTENCY_INSERT)?.execute(named_params! {
        ":key": key.key, ":run": run.0, ":request_sha256": key.request_sha256, ":now": tx.now.0,
    })?;
    Ok(())
}

/// Keeps the key of a run that is removed for another day.
pub fn release(tx: &Writer<'_>, run: RunId) -> Result<(), StoreError> {
    tx.prepare(sql::IDEMPOTENCY_RELEASE)?.execute(named_params! {":run": run.0, ":now": tx.now.0})?;
    Ok(())
}

/// Removes up to `rows` expired keys; returns how many.
pub fn expire(tx: &Writer<'_>, rows: i64) -> Result<usize, StoreError> {
    Ok(tx.prepare(sql::IDEMPOTENCY_EXPIRE)?.execute(named_params! {":now": tx.now.0, ":rows": rows})?)
}
