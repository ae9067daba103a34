//! The room on a file system: the one look at it that everything shares.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{StatVfs, fstatvfs, statvfs};

/// What a file system has, and what of it is free for this user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeSpace {
    /// Bytes that are free for us.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
    /// Files that can be made; `None` where the file system counts none.
    pub free_files: Option<u64>,
}

impl FreeSpace {
    /// Of the file system that a path is on.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn at(path: &Path) -> io::Result<FreeSpace> {
        Ok(FreeSpace::from(statvfs(path)?))
    }

    /// Of the file system that an open file or directory is on.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn around(file: impl AsFd) -> io::Result<FreeSpace> {
        Ok(FreeSpace::from(fstatvfs(file)?))
    }
}

impl From<StatVfs> for FreeSpace {
    fn from(vfs: StatVfs) -> FreeSpace {
        FreeSpace {
            free_bytes: vfs.f_bavail.saturating_mul(vfs.f_frsize),
            total_bytes: vfs.f_blocks.saturating_mul(vfs.f_frsize),
            free_files: (vfs.f_files > 0).then_some(vfs.f_favail),
        }
    }
}
