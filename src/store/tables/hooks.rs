//! Hooks: make, change, read, remove. What they send is in `deliveries`.

use rusqlite::{Connection, named_params};

use crate::clock::UnixMs;
use crate::hook::{DeliveryStatus, HOOKS_MAX, Hook, HookSpec, Secret, rotated};
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::refusal::Refusal;
use crate::store::sql;
use crate::store::tables::deliveries;
use crate::store::tables::handle::Store;
use crate::store::tables::hook_rows::{HookRow, find, from_row, get, write};

/// What a PUT came to.
#[derive(Clone, Debug)]
pub struct PutHook {
    /// The hook.
    pub hook: Hook,
    /// Whether it is new.
    pub created: bool,
    /// Whether anything of it is new.
    pub changed: bool,
}

impl Store {
    /// One hook.
    pub async fn hook(&self, name: String) -> Result<Hook, StoreError> {
        self.requests.read(move |snapshot| with_line(snapshot.conn, get(snapshot.conn, &name)?.hook)).await
    }

    /// All hooks by name.
    pub async fn hooks(&self) -> Result<Vec<Hook>, StoreError> {
        self.requests
            .read(|snapshot| {
                let mut list = snapshot.conn.prepare_cached(sql::HOOKS_LIST)?;
                let rows: Vec<Option<HookRow>> = list.query_map([], from_row)?.collect::<Result<_, _>>()?;
                rows.into_iter().flatten().map(|row| with_line(snapshot.conn, row.hook)).collect()
            })
            .await
    }

    /// Makes or changes a hook. One without a secret keeps those that it has; a new one gets `fresh`.
    pub async fn put_hook(
        &self,
        name: String,
        spec: HookSpec,
        secret: Option<Secret>,
        fresh: Secret,
    ) -> Result<PutHook, StoreError> {
        self.requests.write(move |tx| put(tx, &name, &spec, secret.clone(), &fresh)).await
    }

    /// Lets a hook tell of ends, or not.
    pub async fn enable_hook(&self, name: String, enabled: bool) -> Result<Hook, StoreError> {
        self.requests
            .write(move |tx| {
                let row = get(tx.conn, &name)?;
                let spec = HookSpec { enabled, ..row.hook.spec.clone() };
                if row.hook.spec != spec {
                    tx.may_grow()?;
                    write(tx, &name, &spec, &row.keys, None)?;
                }
                with_line(tx.conn, get(tx.conn, &name)?.hook)
            })
            .await
    }

    /// Removes a hook with its deliveries, these in pieces: a hook that is left half removed by a crash tells of nothing.
    pub async fn delete_hook(&self, name: String) -> Result<(), StoreError> {
        loop {
            let name = name.clone();
            if self.requests.write(move |tx| delete_piece(tx, &name)).await? {
                return Ok(());
            }
        }
    }
}

/// With what is to be sent.
fn with_line(conn: &Connection, mut hook: Hook) -> Result<Hook, StoreError> {
    let mut counts = conn.prepare_cached(sql::DELIVERIES_COUNT_OF_HOOK)?;
    let mut rows = counts.query(named_params! {":hook": hook.name})?;
    while let Some(row) = rows.next()? {
        match DeliveryStatus::parse(&row.get::<_, String>(0)?) {
            Some(DeliveryStatus::Pending) => hook.pending = row.get(1)?,
            Some(DeliveryStatus::Dead) => hook.dead = row.get(1)?,
            Some(DeliveryStatus::Delivered) | None => {}
        }
    }
    if let Some(first) = deliveries::first_pending(conn, &hook.name)? {
        (hook.next_at, hook.failures, hook.error) = (Some(first.next_at), first.failures, first.error);
    }
    let now = UnixMs::now();
    hook.rotating_until.retain(|until| *until > now);
    Ok(hook)
}

fn put(
    tx: &mut Writer<'_>,
    name: &str,
    spec: &HookSpec,
    secret: Option<Secret>,
    fresh: &Secret,
) -> Result<PutHook, StoreError> {
    let known = find(tx.conn, name)?;
    if known.is_none() {
        let count: i64 = tx.prepare(sql::HOOKS_COUNT)?.query_row([], |row| row.get(0))?;
        if count >= HOOKS_MAX {
            return Err(Refusal::TooManyHooks { limit: HOOKS_MAX }.into());
        }
    }
    tx.may_grow()?;
    let (created, keys) = (known.is_none(), known.as_ref().map(|row| row.keys.clone()).unwrap_or_default());
    let secret = if keys.is_empty() { Some(secret.unwrap_or_else(|| fresh.clone())) } else { secret };
    let keys_now = rotated(keys.clone(), secret, tx.now);
    // Who says that it is enabled has seen why it was not.
    let changed = known.is_none_or(|row| row.hook.spec != *spec || row.hook.stopped.is_some()) || keys != keys_now;
    if changed {
        write(tx, name, spec, &keys_now, None)?;
    }
    let hook = with_line(tx.conn, get(tx.conn, name)?.hook)?;
    Ok(PutHook { hook, created, changed })
}

/// Removes some of a hook's deliveries, and the hook with the last of them; returns whether it is gone.
fn delete_piece(tx: &mut Writer<'_>, name: &str) -> Result<bool, StoreError> {
    let row = get(tx.conn, name)?;
    if !deliveries::remove_of_hook(tx, name)? {
        if row.hook.spec.enabled {
            write(tx, name, &HookSpec { enabled: false, ..row.hook.spec }, &row.keys, None)?;
        }
        return Ok(false);
    }
    tx.prepare(sql::HOOKS_DELETE)?.execute(named_params! {":name": name})?;
    tx.counters.hooks.look_up_hooks(tx.conn)?;
    Ok(true)
}
