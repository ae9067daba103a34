//! How large the database is, by the figures that SQLite has at hand.

use rusqlite::Connection;

use crate::store::error::Fault;

/// Pages that hold something: all but those that are free for reuse.
pub fn pages_used(conn: &Connection) -> Result<i64, Fault> {
    Ok(figure(conn, "PRAGMA page_count")? - pages_free(conn)?)
}

/// Pages of the file that are free for reuse.
pub fn pages_free(conn: &Connection) -> Result<i64, Fault> {
    figure(conn, "PRAGMA freelist_count")
}

/// One of the figures that SQLite has at hand.
pub fn figure(conn: &Connection, pragma: &str) -> Result<i64, Fault> {
    Ok(conn.prepare_cached(pragma)?.query_row([], |row| row.get(0))?)
}

/// Bytes of a page.
pub fn page_bytes(conn: &Connection) -> Result<u64, Fault> {
    Ok(u64::try_from(figure(conn, "PRAGMA page_size")?).unwrap_or(1).max(1))
}

/// What the database has in use: its pages, less those that are free for reuse.
pub fn used_bytes(conn: &Connection) -> Result<u64, Fault> {
    Ok(u64::try_from(pages_used(conn)?).unwrap_or(0) * page_bytes(conn)?)
}
