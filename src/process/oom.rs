//! Reads from the cgroup of daemon and commands whether the kernel killed a command for lack of memory.
//!
//! The signal alone proves nothing: anybody may send SIGKILL.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// The cgroup's count of processes killed for lack of memory (`memory.events`, cgroup v2).
pub struct OomWatch {
    file: Option<PathBuf>,
    /// Kills that were reported already, or happened before the daemon started.
    reported: Mutex<u64>,
}

impl OomWatch {
    /// A watch that reports kills from now on; none where there is no such cgroup.
    pub fn from_now_on() -> OomWatch {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let path = own.lines().find_map(|line| line.strip_prefix("0::/"));
        let path = path.map(|path| PathBuf::from("/sys/fs/cgroup").join(path));
        // In a leaf without the controller of its own the memory is counted above.
        let above = path.as_ref().and_then(|path| path.parent()).map(PathBuf::from);
        let files = path.into_iter().chain(above).map(|path| path.join("memory.events"));
        let file = files.into_iter().find(|file| file.exists());
        let watch = OomWatch { file, reported: Mutex::new(0) };
        *watch.lock() = watch.killed();
        watch
    }

    /// Whether there is a kill that was not reported yet; reports it once.
    pub fn take(&self) -> bool {
        let mut reported = self.lock();
        let is_new = self.killed() > *reported;
        *reported += u64::from(is_new);
        is_new
    }

    fn killed(&self) -> u64 {
        let events = self.file.as_ref().and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        count(&events)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, u64> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(events: &str) -> u64 {
    events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kill_is_reported_once() {
        let file = std::env::temp_dir().join(format!("runabout-oom-{}", std::process::id()));
        fs::write(&file, "low 0\noom 3\noom_kill 1\n").expect("written");
        let watch = OomWatch { file: Some(file.clone()), reported: Mutex::new(1) };
        assert!(!watch.take());
        fs::write(&file, "low 0\noom 5\noom_kill 3\noom_group_kill 0\n").expect("written");
        assert!(watch.take() && watch.take() && !watch.take());
        fs::remove_file(file).expect("removed");
    }
}
