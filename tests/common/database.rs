//! The database as others see it beside the daemon.

use rusqlite::Connection;

use super::{DEADLINE, Daemon};

/// A second connection to the database, as the sqlite3 shell's would be.
pub fn beside(daemon: &Daemon) -> Connection {
    let connection = Connection::open(daemon.state_dir().join("runabout.db")).unwrap();
    connection.busy_timeout(DEADLINE).unwrap();
    connection
}

/// The one number that a query answers.
#[track_caller]
pub fn number(connection: &Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}
