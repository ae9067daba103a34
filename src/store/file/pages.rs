//! Size of the database, from figures that SQLite keeps at hand.

use rusqlite::Connection;

use crate::store::error::Fault;

/// Pages in use: all but the free ones.
pub fn pages_used(conn: &Connection) -> Result<i64, Fault> {
    Ok(figure(conn, "PRAGMA page_count")? - pages_free(conn)?)
}

/// Pages that are free for reuse.
pub fn pages_free(conn: &Connection) -> Result<i64, Fault> {
    figure(conn, "PRAGMA freelist_count")
}

/// Reads a pragma that returns one number.
pub fn figure(conn: &Connection, pragma: &str) -> Result<i64, Fault> {
    Ok(conn.prepare_cached(pragma)?.query_row([], |row| row.get(0))?)
}

/// Size of a page in bytes.
pub fn page_bytes(conn: &Connection) -> Result<u64, Fault> {
    Ok(u64::try_from(figure(conn, "PRAGMA page_size")?).unwrap_or(1).max(1))
}

/// Bytes in use: all pages but the free ones.
pub fn used_bytes(conn: &Connection) -> Result<u64, Fault> {
    Ok(u64::try_from(pages_used(conn)?).unwrap_or(0) * page_bytes(conn)?)
}
