//! Commands that wait for the test: no script sleeps to be found at the right moment.

use std::fs::OpenOptions;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

use super::{DEADLINE, eventually};

/// A named pipe at which a script waits (`cat GATE`) until the test opens it.
pub struct Gate(PathBuf);

impl Gate {
    /// Makes it.
    pub fn new(path: PathBuf) -> Gate {
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        Gate(path)
    }

    /// What a script does to wait here; prints nothing.
    pub fn wait(&self) -> String {
        format!("cat {} >/dev/null", self.0.display())
    }

    /// Waits until a script stands at it, and lets it pass.
    #[track_caller]
    pub fn open(&self) {
        let nonblocking = OFlags::NONBLOCK.bits() as i32;
        eventually(DEADLINE, "a script waits at the gate", || {
            // Fails with ENXIO while nobody reads.
            OpenOptions::new().write(true).custom_flags(nonblocking).open(&self.0).is_ok()
        });
    }
}

/// Writes an executable script.
pub(super) fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}
