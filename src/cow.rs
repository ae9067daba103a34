//! Switches copy-on-write off for the state directory on btrfs.
//!
//! With copy-on-write, a page that is written again needs room for its copy, which a full disk lacks. SQLite writes the index
//! of its log through a shared mapping, and the kernel kills a process (SIGBUS) whose page cannot be copied. A file without
//! copy-on-write is written in place, as on other file systems.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{IFlags, fstatfs, ioctl_getflags, ioctl_setflags};

use crate::dir::{Dir, FileAt};
use crate::holder::{self, INDEX};

/// `BTRFS_SUPER_MAGIC` of statfs(2).
const BTRFS: u64 = 0x9123_683e;

/// Switches copy-on-write off for a directory; files that are made in it inherit that.
///
/// # Errors
/// When the file system refuses. The daemon then works, but a full disk may end it.
pub fn switch_off(dir: &Dir) -> io::Result<()> {
    if is_dir_on(dir) == Some(true) {
        ioctl_setflags(dir, ioctl_getflags(dir)? | IFlags::NOCOW)?;
    }
    Ok(())
}

/// Removes an index of the log that is still copied on write, unless a process has it open. SQLite makes a new one when the
/// database is opened.
///
/// The caller holds the directory's lock and has not opened the database.
///
/// # Errors
/// When the file cannot be removed, or it cannot be seen whether a process has it open.
pub fn renew_index(database: &FileAt) -> io::Result<()> {
    if is_index_on(database) == Some(true) && holder::of(database, None)?.is_none() {
        database.dir.remove(&database.with_suffix(INDEX).name)?;
    }
    Ok(())
}

/// Whether new files in a directory are copied on write; `None` when the file system is not btrfs, or cannot be asked.
pub fn is_dir_on(dir: &Dir) -> Option<bool> {
    is_on(dir)
}

/// Whether the index of a database's log is copied on write. This process must not have it open, or it would lose its locks.
pub fn is_index_on(database: &FileAt) -> Option<bool> {
    is_on(database.dir.read(&database.with_suffix(INDEX).name).ok()?)
}

fn is_on(file: impl AsFd) -> Option<bool> {
    let is_btrfs = fstatfs(&file).ok()?.f_type as u64 & 0xffff_ffff == BTRFS;
    let flags = is_btrfs.then(|| ioctl_getflags(&file))?.ok()?;
    Some(!flags.contains(IFlags::NOCOW))
}
