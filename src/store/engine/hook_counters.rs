//! What the writing thread keeps in memory of hooks: where there are none, the end of a run costs nothing more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, OptionalExtension, named_params};

use crate::clock::UnixMs;
use crate::hook::HookSpec;
use crate::store::error::Fault;
use crate::store::sql;

/// The mark that is given out next: over all loads, so that none comes twice.
static NEXT_MARK: AtomicU64 = AtomicU64::new(1);

/// Hooks and their deliveries, as far as ends and hints need them.
#[derive(Clone, Debug, Default)]
pub struct HookCounters {
    /// The hooks that are enabled, by name.
    pub enabled: Arc<[(String, HookSpec)]>,
    /// Number of deliveries.
    pub rows: i64,
    /// How many of them are to be sent.
    pub pending: i64,
    /// When the first of those was over that are.
    pub oldest_end: Option<UnixMs>,
    /// Highest id of a delivery that was given out.
    pub last_id: i64,
    /// How many were dropped unsent for lack of room, since that was last told.
    pub dropped: u64,
    /// Another number whenever something may be due that was not before.
    pub mark: u64,
}

impl HookCounters {
    /// Finds all of it in the database.
    pub fn load(conn: &Connection) -> Result<HookCounters, Fault> {
        let number = |statement: &str| -> Result<i64, Fault> {
            let found = conn.prepare_cached(statement)?.query_row([], |row| row.get::<_, Option<i64>>(0))?;
            Ok(found.unwrap_or(0))
        };
        let removed: Option<i64> = conn
            .prepare_cached(sql::META_GET)?
            .query_row(named_params! {":key": "removed_delivery_id"}, |row| row.get(0))
            .optional()?;
        let mut pending = conn.prepare_cached(sql::DELIVERIES_COUNT_PENDING)?;
        let pending: Vec<i64> = pending.query_map([], |row| row.get(1))?.collect::<Result<_, _>>()?;
        let mut counters = HookCounters {
            enabled: Arc::default(),
            rows: number(sql::DELIVERIES_COUNT)?,
            pending: pending.into_iter().sum(),
            oldest_end: None,
            last_id: number(sql::DELIVERIES_MAX_ID)?.max(removed.unwrap_or(0)),
            dropped: 0,
            mark: 0,
        };
        counters.look_up_hooks(conn)?;
        counters.look_up_oldest_end(conn)?;
        Ok(counters)
    }

    /// Looks up which hooks are enabled.
    pub fn look_up_hooks(&mut self, conn: &Connection) -> Result<(), Fault> {
        let mut list = conn.prepare_cached(sql::HOOKS_LIST)?;
        let rows = list.query_map([], |row| Ok((row.get("name")?, row.get::<_, String>("definition")?)))?;
        let mut enabled = Vec::new();
        for row in rows {
            let (name, definition): (String, String) = row?;
            // What cannot be read was brought about by another program; it tells nothing.
            let spec: Option<HookSpec> = serde_json::from_str(&definition).ok();
            enabled.extend(spec.filter(|spec| spec.enabled).map(|spec| (name, spec)));
        }
        self.enabled = enabled.into();
        self.touch();
        Ok(())
    }

    /// Looks up when the first of the deliveries was over that are.
    pub fn look_up_oldest_end(&mut self, conn: &Connection) -> Result<(), Fault> {
        let mut oldest = conn.prepare_cached(sql::DELIVERIES_OLDEST_END)?;
        self.oldest_end = oldest.query_row([], |row| row.get::<_, Option<i64>>(0))?.map(UnixMs);
        Ok(())
    }

    /// Notes that something may be due that was not before.
    pub fn touch(&mut self) {
        self.mark = NEXT_MARK.fetch_add(1, Ordering::Relaxed);
    }
}
