//! Names of a database: the instance that its readers know it by, and the id of its cookie.
//!
//! An older copy never keeps the name of the newer database: a reader would wait for events that it has already seen
//! under other ids.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, named_params};

use crate::event::INSTANCE_LEN;
use crate::numbers::{EventId, RunId};
use crate::store::file::error::OpenError;
use crate::store::sql;

/// Gives the database a new name and reserves all ids up to these; returns the name.
pub fn begin_anew(conn: &mut Connection, run: RunId, event: EventId) -> Result<String, OpenError> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let name = name_anew(&tx)?;
    for (key, value) in [("removed_run_id", run.0), ("removed_event_id", event.0)] {
        tx.execute(sql::META_RAISE, named_params! {":key": key, ":value": value})?;
    }
    tx.commit()?;
    Ok(name)
}

/// The id of the cookie: the first name of the database.
pub fn cookie_id(conn: &Connection, instance: &str) -> Result<String, OpenError> {
    let mut get = conn.prepare_cached(sql::META_GET)?;
    let first = get.query_row(named_params! {":key": "cookie_id"}, |row| row.get(0)).optional()?;
    Ok(first.unwrap_or_else(|| instance.to_owned()))
}

/// Gives the database a new name; returns it.
pub fn name_anew(tx: &Transaction<'_>) -> Result<String, OpenError> {
    let name = new_instance().map_err(|error| OpenError::Failed(error.to_string()))?;
    // Browsers know its sessions by the first.
    tx.execute(sql::META_KEEP_COOKIE, [])?;
    tx.execute(sql::META_SET, named_params! {":key": "instance", ":value": name})?;
    Ok(name)
}

/// 12 characters of `[a-z0-9]`, about 62 random bits.
fn new_instance() -> Result<String, getrandom::Error> {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut name = String::with_capacity(INSTANCE_LEN);
    while name.len() < INSTANCE_LEN {
        let mut byte = [0_u8];
        getrandom::fill(&mut byte)?;
        // 252 is the largest multiple of 36 in a byte: above it the letters would not be equally likely.
        if byte[0] < 252 {
            name.push(char::from(ALPHABET[usize::from(byte[0]) % ALPHABET.len()]));
        }
    }
    Ok(name)
}
