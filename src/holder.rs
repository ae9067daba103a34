//! Finds another process that has a database open (a daemon, Litestream, a shell) by SQLite's own locks, whatever the lock
//! file says.
//!
//! Only for a process that has not opened the database itself: closing any descriptor of a file releases all locks that the
//! process has on it.

use std::fmt;
use std::io;

use crate::dir::FileAt;
use crate::system::record_lock;

/// The suffix of the index of a database's write-ahead log.
pub const INDEX: &str = "-shm";
/// SQLite's locks in that index, as first byte and length (`os_unix.c`): eight bytes, then one that every process holds that
/// has the index open.
const INDEX_LOCKS: (i64, i64) = (120, 9);
/// … and in the database's file: `PENDING_BYTE` and what follows it.
const FILE_LOCKS: (i64, i64) = (0x4000_0000, 512);

/// A process that has the database open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its id; `None` when it is in another PID namespace, or holds its lock by an open file description.
    pub pid: Option<i32>,
    /// Its name, where that can be read.
    pub name: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.pid, &self.name) {
            (Some(pid), Some(name)) => write!(out, "{name} (pid {pid})"),
            (Some(pid), None) => write!(out, "process {pid}"),
            (None, _) => write!(out, "a process that cannot be named from here, as one of another container,"),
        }
    }
}

/// A process that has the database open, other than the process `but`; `None` when there is none.
///
/// # Errors
/// When the caller may not read the files.
pub fn of(database: &FileAt, but: Option<i32>) -> io::Result<Option<Holder>> {
    for (file, (from, length)) in [(database.with_suffix(INDEX), INDEX_LOCKS), (database.clone(), FILE_LOCKS)] {
        // A link, or something that is no file: nobody uses it as a database.
        if file.dir.check(&file.name).is_err() {
            continue;
        }
        let opened = match file.dir.read(&file.name) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        // Byte by byte, since the answer names only the first lock in the way, which may be that of `but`.
        let step = if but.is_some() { 1 } else { length };
        for start in (from..from + length).step_by(step as usize) {
            if let Some(pid) = record_lock(&opened, start, step)?.filter(|pid| pid.is_none() || *pid != but) {
                return Ok(Some(Holder { pid, name: pid.and_then(name) }));
            }
        }
    }
    Ok(None)
}

fn name(pid: i32) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}
