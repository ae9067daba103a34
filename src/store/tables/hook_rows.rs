//! The rows of hooks: read and written for those who change a hook and for those who send what it tells.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use crate::clock::UnixMs;
use crate::hook::{Hook, HookSpec, Key};
use crate::store::engine::writer::{Writer, json};
use crate::store::error::StoreError;
use crate::store::refusal::Refusal;
use crate::store::sql;

/// A hook as its row has it.
pub struct HookRow {
    pub hook: Hook,
    pub keys: Vec<Key>,
}

/// Reads a hook.
pub fn get(conn: &Connection, name: &str) -> Result<HookRow, StoreError> {
    find(conn, name)?.ok_or_else(|| Refusal::HookNotFound(name.to_owned()).into())
}

/// Reads a hook, if it is there.
pub fn find(conn: &Connection, name: &str) -> Result<Option<HookRow>, StoreError> {
    let mut statement = conn.prepare_cached(sql::HOOKS_GET)?;
    Ok(statement.query_row(named_params! {":name": name}, from_row).optional()?.flatten())
}

/// `None` where the row cannot be read, which only another program can have brought about.
pub fn from_row(row: &Row<'_>) -> rusqlite::Result<Option<HookRow>> {
    let Ok(spec) = serde_json::from_str(row.get_ref("definition")?.as_str()?) else { return Ok(None) };
    let keys: Vec<Key> = serde_json::from_str(row.get_ref("keys")?.as_str()?).unwrap_or_default();
    let hook = Hook {
        name: row.get("name")?,
        spec,
        stopped: row.get("stopped")?,
        rotating_until: keys.iter().filter_map(|key| key.until_ms.map(UnixMs)).collect(),
        created_at: UnixMs(row.get("created_at")?),
        changed_at: UnixMs(row.get("changed_at")?),
        pending: 0,
        dead: 0,
        next_at: None,
        failures: 0,
        error: None,
    };
    Ok(Some(HookRow { hook, keys }))
}

/// Writes a hook's row.
pub fn write(
    tx: &mut Writer<'_>,
    name: &str,
    spec: &HookSpec,
    keys: &[Key],
    stopped: Option<&str>,
) -> Result<(), StoreError> {
    tx.prepare(sql::HOOKS_PUT)?.execute(named_params! {
        ":name": name, ":definition": json(spec), ":keys": json(&keys), ":stopped": stopped, ":now": tx.now.0,
    })?;
    tx.counters.hooks.look_up_hooks(tx.conn)?;
    Ok(())
}

/// Disables a hook whose target wants no more.
pub fn stop(tx: &mut Writer<'_>, name: &str, why: &str) -> Result<(), StoreError> {
    let Some(row) = find(tx.conn, name)? else { return Ok(()) };
    write(tx, name, &HookSpec { enabled: false, ..row.hook.spec }, &row.keys, Some(why))
}
