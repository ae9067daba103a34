//! Finds another process that has a database open (a daemon, Litestream, a shell) by SQLite's own locks, whatever the lock
//! file says.
//!
//! Only for a process that has not opened the database itself: closing any descriptor of a file releases all locks that the
//! process has on it.

#![allow(unsafe_code)]

use std::fmt;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd as _;

use crate::dir::FileAt;

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
            if let Some(pid) = locked_by(&opened, start, step)?.filter(|pid| pid.is_none() || *pid != but) {
                return Ok(Some(Holder { pid, name: pid.and_then(name) }));
            }
        }
    }
    Ok(None)
}

/// The process whose lock is in the way of locking this range; the inner `None` is one that has no id here.
fn locked_by(file: &File, start: i64, length: i64) -> io::Result<Option<Option<i32>>> {
    // SAFETY: a `flock` is integers, for which zero is a value.
    let mut lock: libc::flock = unsafe { MaybeUninit::zeroed().assume_init() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = start as libc::off_t;
    lock.l_len = length as libc::off_t;
    // SAFETY: the pointer is to a `flock` of our own, which the call fills in; nothing is locked. Not by rustix, which takes
    // the -1 of a lock that goes with no process for a number.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &raw mut lock) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let is_held = lock.l_type != libc::F_UNLCK as libc::c_short;
    Ok(is_held.then(|| Some(lock.l_pid).filter(|pid| *pid > 0)))
}

fn name(pid: i32) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}
