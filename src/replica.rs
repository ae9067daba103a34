//! What Litestream keeps beside a database: a folder of changes, outside of every quota of ours.
//!
//! It only looks, and follows no links.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fd::AsFd;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};

use crate::dir::FileAt;

/// How deep its folder is: `ltx`, a level, a file.
const DEPTH_MAX: u32 = 4;
/// How old a count may be that is only told along with something else.
const AGE_MIN: Duration = Duration::from_secs(10);
/// … and so many times what it took, since all of its files are looked at.
const AGE_PER_LOOK: u32 = 100;

/// Its folder for a database.
pub fn folder(database: &FileAt) -> PathBuf {
    database.dir.path().join(name(database))
}

/// What the files in it hold, in bytes; 0 where there is none, or it cannot be seen.
pub fn bytes(database: &FileAt) -> u64 {
    held(&*database.dir, name(database).as_bytes(), DEPTH_MAX)
}

/// A count that is made anew once in a while.
#[derive(Debug, Default)]
pub struct Counted {
    bytes: u64,
    until: Option<Instant>,
}

impl Counted {
    /// As [`bytes()`], of late.
    pub fn bytes(&mut self, database: &FileAt) -> u64 {
        let began = Instant::now();
        if self.until.is_none_or(|until| until <= began) {
            self.bytes = bytes(database);
            self.until = Some(began + AGE_MIN.max(began.elapsed() * AGE_PER_LOOK));
        }
        self.bytes
    }
}

fn name(database: &FileAt) -> String {
    format!(".{}-litestream", database.name)
}

fn held(dir: impl AsFd, name: &[u8], depth: u32) -> u64 {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(folder) = openat(dir, name, flags, Mode::empty()) else { return 0 };
    let Ok(entries) = Dir::read_from(&folder) else { return 0 };
    let sizes = entries.flatten().filter(|entry| !matches!(entry.file_name().to_bytes(), b"." | b"..")).map(|entry| {
        let Ok(stat) = statat(&folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) else { return 0 };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory if depth > 0 => held(&folder, entry.file_name().to_bytes(), depth - 1),
            FileType::RegularFile => u64::try_from(stat.st_size).unwrap_or(0),
            _ => 0,
        }
    });
    sizes.sum()
}
