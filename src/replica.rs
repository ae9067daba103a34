//! Measures the folder of changes that Litestream keeps beside a database, which no quota of Runabout's covers.
//!
//! It changes nothing and follows no links.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fd::AsFd;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};

use crate::dir::FileAt;

/// Directory levels in the folder: `ltx`, a level, its files.
const DEPTH_MAX: u32 = 4;
/// How old a measurement may be …
const AGE_MIN: Duration = Duration::from_secs(10);
/// … and at least this many times what it took, since every file is looked at.
const AGE_PER_LOOK: u32 = 100;

/// The folder that belongs to a database.
pub fn folder(database: &FileAt) -> PathBuf {
    database.dir.path().join(name(database))
}

/// The size of all files in it, in bytes; 0 when there is none, or it cannot be read.
pub fn bytes(database: &FileAt) -> u64 {
    held(&*database.dir, name(database).as_bytes(), DEPTH_MAX)
}

/// A cached measurement.
#[derive(Debug, Default)]
pub struct Counted {
    bytes: u64,
    until: Option<Instant>,
}

impl Counted {
    /// The size as in [`bytes()`], measured now or a short while ago.
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
