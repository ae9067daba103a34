//! Checks the state directory's file system: its type, its free space, and the time that a flush takes.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, fstatfs, openat};
use rustix::io::Errno;

use super::super::files::{NewFile, size};
use super::finding::{Finding, Subject};
use crate::cow;
use crate::dir::Dir;
use crate::state_dir::DATABASE;

/// Flushes that are measured; the median counts.
const FLUSHES: usize = 9;
/// … unless they take longer than this together.
const FLUSHES_MAX: Duration = Duration::from_secs(3);
/// A longer flush makes submits slow.
const FLUSH_SLOW: Duration = Duration::from_millis(50);
/// Bytes written before each: a page of the database.
const PAGE_BYTES: usize = 4_096;
/// Free space below this many times the configured floor is reported as little.
const FLOORS_MIN: u64 = 8;
/// The least number of new files that can be made: SQLite needs some.
const FILES_MIN: u64 = 16;

/// File systems that are unfit for a database: type by statfs(2), and name.
const UNFIT: [(u64, &str); 7] = [
    (0x0102_1994, "tmpfs"),
    (0x8584_58f6, "ramfs"),
    (0x6969, "nfs"),
    (0x517b, "smb"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x0102_1997, "9p"),
];

/// Runs all checks of the file system.
pub(super) fn look(subject: &Subject) -> Vec<Finding> {
    let Ok(dir) = &subject.found else { return Vec::new() };
    let mut findings = vec![kind(dir), room(subject, dir), flush(dir)];
    findings.extend(copy_on_write(dir));
    findings
}

/// Checks that copy-on-write is off where it can be switched off.
fn copy_on_write(dir: &Arc<Dir>) -> Option<Finding> {
    const CHECK: &str = "copy_on_write";
    let is_dir_on = cow::is_dir_on(dir)?;
    if is_dir_on || cow::is_index_on(&dir.file(DATABASE)) == Some(true) {
        let found = "it is on, and a full disk ends the daemon (SIGBUS in the index of SQLite's log)";
        let advice = format!(
            "chattr +C {}, then restart the daemon; where that fails, choose another file system",
            dir.path().display()
        );
        return Some(Finding::warn(CHECK, found, advice));
    }
    Some(Finding::ok(CHECK, "off"))
}

fn kind(dir: &Dir) -> Finding {
    const CHECK: &str = "file_system";
    let kind = match fstatfs(dir) {
        Ok(found) => found.f_type as u64 & 0xffff_ffff,
        Err(error) => return Finding::unseen(CHECK, dir.path(), &error.into()),
    };
    match UNFIT.iter().find(|(unfit, _)| *unfit == kind) {
        Some((_, name @ ("tmpfs" | "ramfs"))) => {
            Finding::warn(CHECK, format!("{name}: it is in memory"), "all runs are gone with a reboot: use a disk")
        }
        Some((_, name)) => Finding::fail(
            CHECK,
            format!("{name}: it is on a network"),
            "SQLite's write-ahead log is not safe there: use a local disk",
        ),
        None => Finding::ok(CHECK, "local"),
    }
}

fn room(subject: &Subject, dir: &Dir) -> Finding {
    const CHECK: &str = "disk";
    let room = match dir.free_space() {
        Ok(room) => room,
        Err(error) => return Finding::unseen(CHECK, dir.path(), &error),
    };
    let (free, all) = (room.free_bytes, room.total_bytes);
    let floor = subject.config.limits.disk_free_bytes;
    let found = format!("{} of {} free; submits are refused below {}", size(free), size(all), size(floor));
    let files_left = room.free_files.filter(|files| *files < FILES_MIN);
    if free < floor {
        Finding::fail(CHECK, found, "make room: submits get 507 until there is some")
    } else if let Some(files) = files_left {
        Finding::fail(CHECK, format!("no more files can be made ({files} left)"), "remove some")
    } else if free < floor.saturating_mul(FLOORS_MIN) {
        Finding::warn(CHECK, found, "make room, or keep less: [retention]")
    } else {
        Finding::ok(CHECK, found)
    }
}

fn flush(dir: &Arc<Dir>) -> Finding {
    const CHECK: &str = "flush";
    match measured(dir) {
        Ok(took) if took > FLUSH_SLOW => Finding::warn(
            CHECK,
            format!("{} ms", took.as_millis()),
            "each submit waits for one: a slow card or disk, or something else that writes much",
        ),
        Ok(took) => Finding::ok(CHECK, format!("{:.2} ms", took.as_secs_f64() * 1_000.0)),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Finding::unseen(CHECK, dir.path(), &error),
        Err(error) => {
            Finding::fail(CHECK, format!("{}: {error}", dir.path().display()), "nothing can be written there")
        }
    }
}

/// The median time of a few flushes of a page.
fn measured(dir: &Arc<Dir>) -> io::Result<Duration> {
    let file = nameless(dir)?;
    let page = [0x5a; PAGE_BYTES];
    let begun = Instant::now();
    let mut took = Vec::with_capacity(FLUSHES);
    while took.len() < FLUSHES && begun.elapsed() < FLUSHES_MAX {
        let started = Instant::now();
        // In turn, so that the file grows no more: as the log does not.
        file.write_all_at(&page, (took.len() % 2 * PAGE_BYTES) as u64)?;
        file.sync_data()?;
        took.push(started.elapsed());
    }
    took.sort_unstable();
    Ok(took[took.len() / 2])
}

fn nameless(dir: &Arc<Dir>) -> io::Result<File> {
    match openat(dir, ".", OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR) {
        // Not every file system has such files.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
            NewFile::make(dir, ".runabout-doctor")?.file().try_clone()
        }
        other => Ok(File::from(other?)),
    }
}
