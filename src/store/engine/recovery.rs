//! Recovers from a medium that failed: settles what became of a failed COMMIT, and whether the medium can be written
//! again.
//!
//! An error from COMMIT is not a rollback. SQLite takes the transaction back for everybody who has the database open,
//! but its frames may stand in the write-ahead log, whole and valid, and whoever opens the database after a crash would
//! find them. The next commit writes over them, beginning with the first. So the answer is not looked up, it is brought
//! about: a small commit, the seal, that must succeed; from then on what failed has not happened, also after a power
//! cut, and can be tried again. Then the connection is closed without a checkpoint and opened anew, so that the log is
//! read from its beginning, and all of it is written into the database and flushed: after a failed flush the page cache
//! may show what the medium lacks. Where any of that fails the daemon answers that it does not know, and ends.

use std::time::Duration;

use rusqlite::{Connection, named_params};
use rustix::io::Errno;

use crate::clock::UnixMs;
use crate::store::engine::database::Database;
use crate::store::engine::room::Load;
use crate::store::engine::writer::Writer;
use crate::store::error::{Fault, StoreError};
use crate::store::file::by_descriptor::system_error;
use crate::store::file::connect::{Sharing, connect, leave_log};
use crate::store::file::open_files::OpenFiles;
use crate::store::sql;

/// Recoveries in a row, without a commit, after which the medium is given up.
const RECOVERIES_MAX: u32 = 3;
/// Pauses before a step is tried again: many failures are short.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

impl Database {
    /// Makes sure that what failed did not happen; returns whether the database can be written.
    pub fn recover(&mut self, error: &Fault) -> bool {
        self.recoveries += 1;
        self.outside.metrics.store_recoveries.inc();
        log::error!("the medium that holds the database failed, looking what it holds: {error:?}");
        let recovered = if self.recoveries > RECOVERIES_MAX {
            Err(Fault::Unavailable(format!("{RECOVERIES_MAX} times in a row")))
        } else {
            self.try_recover()
        };
        match recovered {
            Ok(()) => log::warn!("the database was read again and is sound to write; what had failed is tried again"),
            Err(then) => self.give_up(&format!("{error:?}, then {then:?}")),
        }
        self.broken.is_none()
    }

    fn try_recover(&mut self) -> Result<(), Fault> {
        let sealed = seal_patiently(&self.conn)?;
        self.note_written(false);
        let mut opened = self.open_anew(sealed);
        for pause in PAUSES {
            if opened.is_ok() {
                break;
            }
            std::thread::sleep(pause);
            opened = self.open_anew(sealed);
        }
        opened
    }

    /// Closes the connection and opens it anew, without moving the log. Until there is a reading connection again,
    /// this one is read by.
    fn reconnect(&mut self, sharing: Sharing) -> Result<(), Fault> {
        // Another file would be opened in its place.
        self.look_at_files(true)?;
        // SQLite keeps the log's index while anybody has it open, so that all of ours close first.
        self.outside.read_conn.close();
        let old = std::mem::replace(&mut self.conn, Connection::open_in_memory()?);
        leave_log(&old)?;
        old.close().map_err(|(_, error)| error)?;
        self.conn = connect(&self.disk.file, sharing)?;
        self.disk.sharing = sharing;
        self.watch_log();
        // The log is opened by the first read.
        read_seal(&self.conn)?;
        self.disk.files = OpenFiles::of(&self.conn, &self.disk.file.path(), sharing);
        Ok(())
    }

    /// Lets other processes open the database again, where it was opened alone on a full disk.
    pub fn share_if_there_is_room(&mut self) {
        let is_useless = || self.broken.is_some() || self.disk.room.has_none();
        if self.disk.sharing == Sharing::All || is_useless() || self.look_at_files(true).is_err() {
            return;
        }
        let shared = self.reconnect(Sharing::All).or_else(|_| self.reconnect(Sharing::Nobody));
        let shared = shared.and_then(|()| self.disk.room.set_wall(&self.conn, Load::Whole));
        match shared.and_then(|()| self.open_for_readers()) {
            Ok(()) if self.disk.sharing == Sharing::All => {
                log::info!("there is room: others can open the database again")
            }
            Ok(()) => {}
            Err(error) => self.give_up(&format!("{error:?}")),
        }
    }

    fn open_anew(&mut self, sealed: i64) -> Result<(), Fault> {
        self.reconnect(self.disk.sharing)?;
        if let Err(error) = write_back(&self.conn) {
            let is_full = refined(error.clone(), &self.conn) == Fault::Full;
            if !(is_full && self.disk.room.give_ballast_back()) {
                return Err(error);
            }
            write_back(&self.conn)?;
        }
        if read_seal(&self.conn)? != sealed {
            return Err(Fault::Damaged("the seal is not there".into()));
        }
        self.disk.room.set_wall(&self.conn, Load::Whole)?;
        self.counters = self.counters.reload(&self.conn)?;
        self.note_written(false);
        self.publish_state();
        self.open_for_readers()
    }
}

/// Writes a time into `meta`, to find out whether the database can be written.
pub fn probe(tx: &mut Writer<'_>) -> Result<(), StoreError> {
    tx.may_add()?;
    tx.prepare(sql::META_SET)?.execute(named_params! {":key": "probed_at", ":value": tx.now.0})?;
    Ok(())
}

fn seal_patiently(conn: &Connection) -> Result<i64, Fault> {
    let mut sealed = seal(conn);
    for pause in PAUSES {
        if sealed.is_ok() {
            break;
        }
        std::thread::sleep(pause);
        // It may be this part of the log's file that cannot be written: a log that begins anew has another.
        let _ = write_back(conn);
        sealed = seal(conn);
    }
    sealed
}

/// Commits one page in the place of the commit that failed.
fn seal(conn: &Connection) -> Result<i64, Fault> {
    if !conn.is_autocommit() {
        let _ = conn.execute_batch("ROLLBACK");
    }
    // Never the value that is there already.
    let value = UnixMs::now().0.max(read_seal(conn)? + 1);
    conn.prepare_cached(sql::META_SET)?.execute(named_params! {":key": "sealed_at", ":value": value})?;
    Ok(value)
}

fn read_seal(conn: &Connection) -> Result<i64, Fault> {
    let mut statement = conn.prepare_cached(sql::META_GET)?;
    let mut rows = statement.query(named_params! {":key": "sealed_at"})?;
    Ok(rows.next()?.map_or(Ok(0), |row| row.get(0))?)
}

/// Moves the whole log into the database, flushes it, and begins the log anew.
fn write_back(conn: &Connection) -> Result<(), Fault> {
    // Somebody else who reads may keep the log from beginning anew; it is written back all the same.
    Ok(conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
}

/// Tells a full disk, a disk quota and a read-only file system from a medium that fails.
///
/// Only for a write: a refused write cannot have completed a commit, a refused flush may have.
pub fn refined(error: Fault, conn: &Connection) -> Fault {
    if !matches!(error, Fault::Io { is_write: true, .. }) {
        return error;
    }
    match system_error(conn) {
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => Fault::Full,
        Errno::ROFS => Fault::ReadOnly,
        _ => error,
    }
}
