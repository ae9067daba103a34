//! Copy-on-write, switched off for the state directory on btrfs.
//!
//! There a full disk has no room for the copy of a page that is written again. SQLite writes the index of its log through
//! a shared mapping, and the kernel ends who writes to such a page that cannot be copied: SIGBUS. A file without
//! copy-on-write is written in place, as on other file systems.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{IFlags, fstatfs, ioctl_getflags, ioctl_setflags};

use crate::dir::{Dir, FileAt};
use crate::holder::{self, INDEX};

/// The file system that can switch it off for a file: `BTRFS_SUPER_MAGIC` of statfs(2).
const BTRFS: u64 = 0x9123_683e;

/// Switches it off for a directory; new files in it inherit that.
///
/// # Errors
/// Where the file system refuses; it is on then, and works but for what is above.
pub fn switch_off(dir: &Dir) -> io::Result<()> {
    if is_dir_on(dir) == Some(true) {
        ioctl_setflags(dir, ioctl_getflags(dir)? | IFlags::NOCOW)?;
    }
    Ok(())
}

/// Has an old index of the log, which is copied on write, made anew by the next who opens the database: it is worth
/// nothing where nobody has it open.
///
/// To be called by who holds the directory's lock and has not opened the database.
///
/// # Errors
/// Where the file cannot be removed, or who has it open cannot be seen.
pub fn renew_index(database: &FileAt) -> io::Result<()> {
    if is_index_on(database) == Some(true) && holder::of(database, None)?.is_none() {
        database.dir.remove(&database.with_suffix(INDEX).name)?;
    }
    Ok(())
}

/// Whether new files in a directory are copied on write; `None` where the file system does no such thing, or it cannot be
/// seen.
pub fn is_dir_on(dir: &Dir) -> Option<bool> {
    is_on(dir)
}

/// The same of the index of a database's log, which this process must not have open: its locks would be lost.
pub fn is_index_on(database: &FileAt) -> Option<bool> {
    is_on(database.dir.read(&database.with_suffix(INDEX).name).ok()?)
}

fn is_on(file: impl AsFd) -> Option<bool> {
    let is_btrfs = fstatfs(&file).ok()?.f_type as u64 & 0xffff_ffff == BTRFS;
    let flags = is_btrfs.then(|| ioctl_getflags(&file))?.ok()?;
    Some(!flags.contains(IFlags::NOCOW))
}
