//! The cgroup of one attempt: its limits, its processes, what they used, and its end.
//!
//! A command may make cgroups in its own, so that whatever is looked for is looked for in all of them.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use crate::run::{Enforced, Limits, Usage};

/// What attempts are limited by.
pub(super) const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];
/// The time in which `cpu.max` counts, in microseconds: the kernel's own.
const CPU_PERIOD_US: i64 = 100_000;
/// Cgroups that a command makes in its own may lie this deep …
const DEPTH_MAX: usize = 16;
/// … and so many in all.
const GROUPS_MAX: usize = 4_096;

/// The cgroup of an attempt. Dropping it leaves it there.
#[derive(Debug)]
pub struct Group {
    above: Arc<OwnedFd>,
    name: CString,
    dir: OwnedFd,
}

impl AsFd for Group {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

impl Group {
    pub(super) fn open(above: Arc<OwnedFd>, name: CString) -> io::Result<Group> {
        let dir = subgroup(&above, name.as_c_str())?;
        Ok(Group { above, name, dir })
    }

    /// Its name, for people.
    pub fn name(&self) -> String {
        self.name.to_string_lossy().into_owned()
    }

    /// Sets its limits. Where a command loses one process for lack of memory, it loses all: half of one gives wrong results.
    pub(super) fn limit(&self, limits: &Limits, enforced: &Enforced) -> io::Result<()> {
        let _ = write(&self.dir, "cgroup.max.depth", &DEPTH_MAX.to_string());
        let _ = write(&self.dir, "cgroup.max.descendants", &GROUPS_MAX.to_string());
        if enforced.no_memory.is_none() {
            // Linux 4.19.
            let _ = write(&self.dir, "memory.oom.group", "1");
        }
        if let Some(bytes) = limits.memory_bytes {
            write(&self.dir, "memory.max", &bytes.to_string())?;
            // Else it would only be slow where it is too large, and make everybody else slow. Not there without swap.
            let _ = write(&self.dir, "memory.swap.max", "0");
        }
        if let Some(percent) = limits.cpu_percent {
            write(&self.dir, "cpu.max", &format!("{} {CPU_PERIOD_US}", percent * CPU_PERIOD_US / 100))?;
        }
        if let Some(tasks) = limits.tasks {
            write(&self.dir, "pids.max", &tasks.to_string())?;
        }
        Ok(())
    }

    /// Whether any process is in it, or in a cgroup below.
    pub fn is_populated(&self) -> bool {
        // Gone with its file, or unreadable: nobody can be told from it.
        read(&self.dir, "cgroup.events").is_ok_and(|events| number(&events, "populated") == Some(1))
    }

    /// The processes in it and below, dead ones that nobody has reaped among them.
    pub fn pids(&self) -> Vec<i32> {
        let mut pids = Vec::new();
        each(&self.dir, DEPTH_MAX, &mut GROUPS_MAX.clone(), &mut |dir| {
            let listed = read(dir, "cgroup.procs").unwrap_or_default();
            pids.extend(listed.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|&pid| pid > 0));
        });
        pids
    }

    /// Ends every process in it and below, in one step that no fork escapes.
    pub fn kill(&self) {
        match write(&self.dir, "cgroup.kill", "1") {
            Ok(()) => {}
            // Linux before 5.14. They cannot fork while they are frozen, and a frozen one dies of SIGKILL.
            Err(_) => {
                let _ = write(&self.dir, "cgroup.freeze", "1");
                for pid in self.pids().into_iter().filter_map(Pid::from_raw) {
                    let _ = kill_process(pid, Signal::KILL);
                }
                let _ = write(&self.dir, "cgroup.freeze", "0");
            }
        }
    }

    /// Whether the kernel has killed a process of it for lack of memory.
    pub fn was_out_of_memory(&self) -> bool {
        let events = read(&self.dir, "memory.events").unwrap_or_default();
        ["oom_kill", "oom_group_kill"].iter().any(|key| number(&events, key).is_some_and(|count| count > 0))
    }

    /// What its processes have used until now, of those that are gone too.
    pub fn usage(&self) -> Option<Usage> {
        let stat = read(&self.dir, "cpu.stat").ok()?;
        let peak = read(&self.dir, "memory.peak").ok();
        Some(Usage {
            user_ms: number(&stat, "user_usec")? / 1_000,
            system_ms: number(&stat, "system_usec")? / 1_000,
            // Linux 5.19, with its controller.
            memory_peak_bytes: peak.and_then(|peak| peak.trim().parse().ok()),
        })
    }

    /// Removes it with those below.
    ///
    /// # Errors
    /// Where a process is left in it.
    pub fn remove(&self) -> io::Result<()> {
        let removed = || unlinkat(&*self.above, self.name.as_c_str(), AtFlags::REMOVEDIR);
        match removed() {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY) if !self.is_populated() => {}
            Err(error) => return Err(error.into()),
        }
        remove_below(&self.dir, DEPTH_MAX);
        match removed() {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Looks at a cgroup and at those below.
fn each(dir: &OwnedFd, depth_left: usize, left: &mut usize, look: &mut impl FnMut(&OwnedFd)) {
    if *left == 0 {
        return;
    }
    *left -= 1;
    look(dir);
    if depth_left > 0 {
        for name in below(dir) {
            if let Ok(inner) = subgroup(dir, name.as_c_str()) {
                each(&inner, depth_left - 1, left, look);
            }
        }
    }
}

fn remove_below(dir: &OwnedFd, depth_left: usize) {
    for name in below(dir) {
        if let Ok(inner) = subgroup(dir, name.as_c_str()) {
            if depth_left > 0 {
                remove_below(&inner, depth_left - 1);
            }
            let _ = unlinkat(dir, name.as_c_str(), AtFlags::REMOVEDIR);
        }
    }
}

/// The names of the cgroups in a cgroup.
fn below(dir: &OwnedFd) -> Vec<CString> {
    let Ok(entries) = Dir::read_from(dir) else { return Vec::new() };
    let dirs = entries.flatten().filter(|entry| entry.file_type() == FileType::Directory);
    let names = dirs.map(|entry| entry.file_name().to_owned());
    names.filter(|name| !matches!(name.to_bytes(), b"." | b"..")).collect()
}

fn subgroup(dir: &OwnedFd, name: &std::ffi::CStr) -> io::Result<OwnedFd> {
    Ok(openat(dir, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
}

/// The number of a line `KEY NUMBER`.
fn number(text: &str, key: &str) -> Option<i64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

pub(super) fn read(dir: &OwnedFd, name: &str) -> io::Result<String> {
    let mut text = String::new();
    let file = openat(dir, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    File::from(file).read_to_string(&mut text)?;
    Ok(text)
}

pub(super) fn write(dir: &OwnedFd, name: &str, text: &str) -> io::Result<()> {
    let file = openat(dir, name, OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    File::from(file).write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_by_its_whole_key() {
        let events = "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 1\n";
        assert_eq!((number(events, "oom"), number(events, "oom_kill")), (Some(3), Some(2)));
        assert_eq!(number(events, "oom_k"), None);
    }
}
