//! Whether an empty directory is still empty, by its status alone: one system call, where a look into it takes eight.
//!
//! Whoever makes, renames or removes something in a directory, and whoever changes its mode or its owner, sets its time of
//! change (POSIX says so of each of these calls). A kernel's clock may stand still for ten milliseconds, in which a second
//! change would leave the time as the first has set it: so a time tells nothing before it is well over.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Stat, statat};

use super::walk;

/// How long it is to be over: many times what the slowest clock stands still.
const SETTLED: Duration = Duration::from_millis(200);

/// A directory as it was found empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    status: Status,
    /// When it was first found in this state.
    first_at: Instant,
    is_settled: bool,
}

/// What changes with every change of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Status {
    device: u64,
    inode: u64,
    mode: u32,
    owner: u32,
    changed_s: i64,
    changed_ns: i64,
}

/// Whether a directory is empty, and its owner's alone. One in which nothing can have changed since it was seen so is not
/// looked into again.
pub(super) fn is_as_made(dir: BorrowedFd<'_>, name: &str, owner: u32, seen: &mut Option<Seen>) -> bool {
    let looked_at = Instant::now();
    let Ok(stat) = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) else { return false };
    let is_known = seen.is_some_and(|seen| seen.tells_of(&stat));
    let is_closed = || stat.st_mode & 0o7777 == 0o700 && stat.st_uid == owner;
    let is_empty = || walk::enter(dir, name.as_ref()).is_ok_and(|dir| walk::is_empty(dir.as_fd()));
    let is_as_made = is_known || is_closed() && is_empty();
    *seen = is_as_made.then(|| Seen::again(*seen, &stat, looked_at));
    is_as_made
}

impl Seen {
    /// It was found empty with this status, which was read after `looked_at`.
    pub(super) fn again(before: Option<Seen>, stat: &Stat, looked_at: Instant) -> Seen {
        let status = Status::of(stat);
        let first_at = before.filter(|seen| seen.status == status).map_or_else(Instant::now, |seen| seen.first_at);
        let is_settled = status.is_fine() && looked_at.saturating_duration_since(first_at) >= SETTLED;
        Seen { status, first_at, is_settled }
    }

    /// Whether one that has this status now is empty for certain.
    pub(super) fn tells_of(&self, stat: &Stat) -> bool {
        self.is_settled && self.status == Status::of(stat)
    }
}

impl Status {
    fn of(stat: &Stat) -> Status {
        Status {
            device: stat.st_dev,
            inode: stat.st_ino,
            mode: stat.st_mode,
            owner: stat.st_uid,
            changed_s: stat.st_ctime,
            changed_ns: i64::try_from(stat.st_ctime_nsec).unwrap_or(0),
        }
    }

    /// Whether its file system counts in less than milliseconds. One that counts in seconds would have to be given as many.
    fn is_fine(&self) -> bool {
        self.changed_ns % 1_000_000 != 0
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn stat(path: &Path) -> Stat {
        rustix::fs::lstat(path).expect("it is there")
    }

    /// Looks until its time of change is over.
    fn settled(path: &Path) -> Seen {
        let (mut seen, begun) = (None, Instant::now());
        loop {
            assert!(begun.elapsed() < Duration::from_secs(60), "{seen:?}");
            let (looked_at, stat) = (Instant::now(), stat(path));
            let now = Seen::again(seen, &stat, looked_at);
            if now.tells_of(&stat) {
                return now;
            }
            // One time in a thousand it is a whole millisecond.
            if !now.status.is_fine() {
                fs::write(path.join("touched"), "").expect("writable");
                fs::remove_file(path.join("touched")).expect("ours");
            }
            seen = Some(now);
            std::thread::yield_now();
        }
    }

    #[test]
    fn whatever_changes_in_a_directory_shows_once_it_was_left_alone_for_a_moment() {
        let path = std::env::temp_dir().join(format!("runabout-seen-{}", std::process::id()));
        fs::create_dir_all(&path).expect("writable");
        let looked_at = Instant::now();
        assert!(!Seen::again(None, &stat(&path), looked_at).tells_of(&stat(&path)), "nobody knows yet");
        let (file, other) = (path.join("file"), path.with_extension("other"));
        let changes: [(&str, &dyn Fn()); 5] = [
            ("made", &|| fs::write(&file, "").expect("writable")),
            ("renamed", &|| fs::rename(&file, &other).expect("ours")),
            ("brought", &|| fs::rename(&other, &file).expect("ours")),
            ("removed", &|| fs::remove_file(&file).expect("ours")),
            ("replaced", &|| {
                fs::rename(&path, &other).expect("ours");
                fs::create_dir(&path).expect("writable");
                fs::remove_dir(&other).expect("ours");
            }),
        ];
        for (what, change) in changes {
            let seen = settled(&path);
            assert!(seen.tells_of(&stat(&path)));
            change();
            assert!(!seen.tells_of(&stat(&path)), "{what}");
        }
        fs::remove_dir(&path).expect("empty");
    }
}
