//! Which other process has a database open, by the locks that SQLite holds on its file, whatever a lock file says.

#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd as _;

use crate::dir::FileAt;

/// Where SQLite locks a database (its os.h: PENDING_BYTE), and how many bytes: pending, reserved, shared.
const LOCKED_AT: i64 = 0x4000_0000;
const LOCKED_BYTES: i64 = 512;

/// Another process that has the database open: a daemon for as long as it runs, Litestream, a shell. The number of one in
/// another PID namespace is 0.
///
/// Not to be asked while this process has it open itself: its own locks would be lost.
///
/// # Errors
/// Where the file cannot be opened.
pub fn user_of(file: &FileAt) -> io::Result<Option<i32>> {
    let opened = file.dir.read(&file.name)?;
    // SAFETY: a `flock` is integers, for which zero is a value.
    let mut lock: libc::flock = unsafe { MaybeUninit::zeroed().assume_init() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = LOCKED_AT as libc::off_t;
    lock.l_len = LOCKED_BYTES as libc::off_t;
    // SAFETY: the pointer is to a `flock` of our own, which the call fills in; nothing is locked.
    let asked = unsafe { libc::fcntl(opened.as_raw_fd(), libc::F_GETLK, &raw mut lock) };
    if asked != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((lock.l_type != libc::F_UNLCK as libc::c_short).then_some(lock.l_pid))
}
