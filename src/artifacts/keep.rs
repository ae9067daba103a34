//! Makes what a command left into artifacts: regular files with names that everybody can write, within limits. The rest is
//! removed and told.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fchmod, fchown, fstat, fsync, statat};
use rustix::process::{getegid, geteuid};
use sha2::{Digest as _, Sha256};

use super::walk::{DEPTH_MAX, enter, is_name, names, open_at, open_regular, refusal};
use crate::clock::UnixMs;
use crate::run::{ARTIFACTS_MAX, Artifact};

/// Names that are looked at in all; what comes behind them is removed.
const NAMES_MAX: usize = 10_000;
/// Time to hash the files of one run; those whose turn does not come have no hash.
const HASH_TIME: Duration = Duration::from_secs(30);
/// Bytes that are read at a time.
const PIECE_BYTES: usize = 64 * 1_024;
/// Names of what was removed that are told.
const TOLD_MAX: usize = 5;

/// What a run may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all its artifacts.
    pub bytes_per_run: u64,
}

/// What became of what a command left.
#[derive(Debug, Default)]
pub struct Kept {
    /// Its artifacts, by name.
    pub artifacts: Vec<Artifact>,
    /// What was removed and why, for people; empty where nothing was.
    pub removed: Vec<String>,
}

/// Removes a name in a directory, with all that is in it.
pub(super) type Discard<'a> = &'a dyn Fn(BorrowedFd<'_>, &OsStr);

struct Work<'a> {
    owner: Option<u32>,
    limits: Limits,
    discard: Option<Discard<'a>>,
    hurry: Option<&'a AtomicBool>,
    until: Instant,
    looked_at: usize,
    bytes: u64,
    artifacts: Vec<Artifact>,
    removed: BTreeMap<&'static str, (usize, Vec<String>)>,
}

/// What is there of a command that still runs.
pub(super) fn look(dir: BorrowedFd<'_>, owner: Option<u32>) -> Vec<Artifact> {
    let limits = Limits { bytes_per_run: u64::MAX };
    let mut work = Work::new(owner, limits, None, None);
    work.directory(dir, "", 0);
    work.artifacts
}

/// Hashes what becomes an artifact, and removes the rest.
pub(super) fn keep(
    dir: BorrowedFd<'_>,
    discard: Discard<'_>,
    owner: Option<u32>,
    limits: Limits,
    hurry: &AtomicBool,
) -> Kept {
    let mut work = Work::new(owner, limits, Some(discard), Some(hurry));
    work.directory(dir, "", 0);
    let told = |(why, (count, names)): (&&str, &(usize, Vec<String>))| {
        let more = if *count > names.len() { format!(" and {} more", count - names.len()) } else { String::new() };
        format!("{}{more}: {why}", names.join(", "))
    };
    Kept { removed: work.removed.iter().map(told).collect(), artifacts: work.artifacts }
}

/// Closes a directory to the user whose command wrote it: from now on it is the daemon's alone.
pub(super) fn seal(dir: BorrowedFd<'_>, of_other: bool) -> io::Result<()> {
    if of_other {
        fchown(dir, Some(geteuid()), Some(getegid()))?;
    }
    Ok(fchmod(dir, Mode::RWXU)?)
}

impl<'a> Work<'a> {
    fn new(
        owner: Option<u32>,
        limits: Limits,
        discard: Option<Discard<'a>>,
        hurry: Option<&'a AtomicBool>,
    ) -> Work<'a> {
        let until = Instant::now() + HASH_TIME;
        let (artifacts, removed) = (Vec::new(), BTreeMap::new());
        Work { owner, limits, discard, hurry, until, looked_at: 0, bytes: 0, artifacts, removed }
    }

    /// Looks at everything in a directory, by name.
    fn directory(&mut self, dir: BorrowedFd<'_>, path: &str, depth: usize) {
        // One more than may be, so that the excess is seen.
        let mut found = names(dir, NAMES_MAX + 1 - self.looked_at.min(NAMES_MAX)).unwrap_or_default();
        found.sort_unstable();
        for name in found {
            self.looked_at += 1;
            let shown = format!("{path}{}", name.to_string_lossy());
            if let Err(why) = self.entry(dir, &name, path, depth) {
                self.remove(dir, &name, shown, why);
            }
        }
        if self.looked_at > NAMES_MAX && self.discard.is_some() {
            // What was not even read.
            for name in names(dir, usize::MAX).unwrap_or_default() {
                let shown = format!("{path}{}", name.to_string_lossy());
                let is_kept =
                    self.artifacts.iter().any(|one| one.name == shown || one.name.starts_with(&format!("{shown}/")));
                if !is_kept {
                    self.remove(dir, &name, shown, "there are too many files");
                }
            }
        }
        if self.discard.is_some() {
            let _ = fsync(dir);
        }
    }

    fn entry(&mut self, dir: BorrowedFd<'_>, name: &OsStr, path: &str, depth: usize) -> Result<(), &'static str> {
        let Some(full) = name.to_str().map(|name| format!("{path}{name}")).filter(|full| is_name(full)) else {
            return Err("its name is too long, too deep, not UTF-8, or has a control character or a backslash in it");
        };
        if self.looked_at > NAMES_MAX || self.artifacts.len() >= ARTIFACTS_MAX {
            return Err("there are too many files");
        }
        let Ok(stat) = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) else { return Ok(()) };
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return refusal(&stat, self.owner).map_or_else(|| self.file(dir, name, full), Err);
        }
        if depth >= DEPTH_MAX {
            return Err("it is too deep");
        }
        let inner = if self.discard.is_some() {
            enter(dir, name)
        } else {
            open_at(dir, name, OFlags::DIRECTORY).map_err(Into::into)
        };
        let inner = inner.map_err(|_| "it cannot be read")?;
        if self.discard.is_some() {
            seal(inner.as_fd(), self.owner.is_some()).map_err(|_| "it cannot be read")?;
        }
        self.directory(inner.as_fd(), &format!("{full}/"), depth + 1);
        Ok(())
    }

    fn file(&mut self, dir: BorrowedFd<'_>, name: &OsStr, full: String) -> Result<(), &'static str> {
        if self.discard.is_none() {
            let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|_| "it is gone")?;
            self.artifacts.push(artifact(full, &stat, None));
            return Ok(());
        }
        let (file, stat) = open_regular(dir, name, self.owner).map_err(|_| "it cannot be read")?;
        let bytes = u64::try_from(stat.st_size).unwrap_or(0);
        if self.bytes.saturating_add(bytes) > self.limits.bytes_per_run {
            return Err("there is no more room for it (limits.artifact_bytes_per_run, retention.artifact_bytes)");
        }
        self.bytes += bytes;
        if self.owner.is_some() {
            fchown(&file, Some(geteuid()), Some(getegid())).map_err(|_| "it cannot be read")?;
        }
        fchmod(&file, Mode::RUSR | Mode::WUSR).map_err(|_| "it cannot be read")?;
        let sha256 = self.hash(&file, bytes);
        // What a process that is left wrote meanwhile is not what was hashed.
        let after = fstat(&file).map_err(|_| "it cannot be read")?;
        let is_same = after.st_size == stat.st_size
            && after.st_mtime == stat.st_mtime
            && after.st_mtime_nsec == stat.st_mtime_nsec;
        self.artifacts.push(artifact(full, &stat, sha256.filter(|_| is_same)));
        Ok(())
    }

    /// Hashes a file of so many bytes and flushes it; `None` where there is no time, or it is shorter.
    fn hash(&self, mut file: &File, bytes: u64) -> Option<String> {
        let (mut sha, mut piece, mut left) = (Sha256::new(), vec![0; PIECE_BYTES], bytes);
        while left > 0 {
            if Instant::now() > self.until || self.hurry.is_some_and(|hurry| hurry.load(Ordering::Relaxed)) {
                return None;
            }
            let most = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            let read = file.read(&mut piece[..most]).ok().filter(|read| *read > 0)?;
            sha.update(&piece[..read]);
            left -= read as u64;
        }
        file.sync_data().ok()?;
        Some(sha.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
            // A String takes everything.
            let _ = write!(hex, "{byte:02x}");
            hex
        }))
    }

    fn remove(&mut self, dir: BorrowedFd<'_>, name: &OsStr, shown: String, why: &'static str) {
        let Some(discard) = self.discard else { return };
        discard(dir, name);
        let (count, names) = self.removed.entry(why).or_default();
        *count += 1;
        if names.len() < TOLD_MAX {
            // Its bytes may be anything.
            names.push(crate::text::printable(&shown).into_owned());
        }
    }
}

fn artifact(name: String, stat: &Stat, sha256: Option<String>) -> Artifact {
    Artifact { name, bytes: stat.st_size, sha256, modified_at: modified_at(stat) }
}

/// When a file was last written.
pub(super) fn modified_at(stat: &Stat) -> UnixMs {
    UnixMs(
        stat.st_mtime.saturating_mul(1_000).saturating_add(i64::try_from(stat.st_mtime_nsec / 1_000_000).unwrap_or(0)),
    )
}
