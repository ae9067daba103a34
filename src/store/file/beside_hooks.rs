//! What the hooks of a database have to tell, read beside the daemon. No URL and no secret is read.

use crate::store::file::beside::ReadOnlyDatabase;
use crate::store::file::error::OpenError;
use crate::store::sql;

/// How a hook fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookHealth {
    /// Its name.
    pub name: String,
    /// Why it was disabled by itself.
    pub stopped: Option<String>,
    /// How often its first delivery that is to be sent has failed.
    pub failures: i64,
    /// Why, the last time.
    pub error: Option<String>,
    /// How many deliveries were given up, of those that are kept.
    pub dead: i64,
}

impl ReadOnlyDatabase {
    /// How each hook fares.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn hooks(&self) -> Result<Vec<HookHealth>, OpenError> {
        // An older schema has none.
        if !self.conn.table_exists(None, "hooks")? {
            return Ok(Vec::new());
        }
        let mut statement = self.conn.prepare(sql::UPKEEP_HOOKS)?;
        let hooks = statement.query_map([], |row| {
            Ok(HookHealth {
                name: row.get("name")?,
                stopped: row.get("stopped")?,
                failures: row.get::<_, Option<i64>>("failures")?.unwrap_or(0),
                error: row.get("error")?,
                dead: row.get("dead")?,
            })
        })?;
        Ok(hooks.collect::<Result<_, _>>()?)
    }
}
