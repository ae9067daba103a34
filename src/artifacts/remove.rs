//! Removes a directory with all that is in it, however deep that is, and follows no link.
//!
//! A directory in a directory is moved up before its turn comes, so that two descriptors are enough for any depth.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::fs::{AtFlags, FileType, renameat, statat, unlinkat};
use rustix::io::Errno;

use super::walk::{enter, names};

/// Names that are read at a time.
const NAMES_AT_ONCE: usize = 1_000;

/// Removes whatever has this name.
pub(super) fn tree(at: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    if !is_dir(at, name.as_ref()) {
        return unlink(at, name.as_ref());
    }
    let top = enter(at, name.as_ref())?;
    let mut moved = 0_u64;
    loop {
        let found = names(top.as_fd(), NAMES_AT_ONCE)?;
        if found.is_empty() {
            break;
        }
        for name in &found {
            if !is_dir(top.as_fd(), name) {
                unlink(top.as_fd(), name)?;
                continue;
            }
            lift(top.as_fd(), name, &mut moved)?;
            match unlinkat(&top, name, AtFlags::REMOVEDIR) {
                // Somebody who still runs added to it; its turn comes again.
                Err(Errno::NOTEMPTY | Errno::EXIST) => {}
                other => other?,
            }
        }
    }
    Ok(unlinkat(at, name, AtFlags::REMOVEDIR)?)
}

/// Empties a directory: files go, directories are moved up.
fn lift(top: BorrowedFd<'_>, name: &OsStr, moved: &mut u64) -> io::Result<()> {
    let dir = enter(top, name)?;
    loop {
        let found = names(dir.as_fd(), NAMES_AT_ONCE)?;
        if found.is_empty() {
            return Ok(());
        }
        for inner in &found {
            if !is_dir(dir.as_fd(), inner) {
                unlink(dir.as_fd(), inner)?;
                continue;
            }
            // To be moved it must be open to its owner, since its way up is in it.
            drop(enter(dir.as_fd(), inner)?);
            loop {
                *moved += 1;
                match renameat(&dir, inner, top, format!("{moved}~")) {
                    // Taken by what was there before.
                    Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
                    other => break other?,
                }
            }
        }
    }
}

fn is_dir(at: BorrowedFd<'_>, name: &OsStr) -> bool {
    statat(at, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

fn unlink(at: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    match unlinkat(at, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        other => Ok(other?),
    }
}
