//! Commands that wait for the test: no script sleeps to be found at the right moment.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
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

/// A named pipe through which the test talks to a script (`while read -r line; do …; done < FEED`).
pub struct Feed {
    path: PathBuf,
    pipe: Option<File>,
}

impl Feed {
    /// Makes it.
    pub fn new(path: PathBuf) -> Feed {
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        Feed { path, pipe: None }
    }

    /// The pipe's path, for the script.
    pub fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// Writes to the script, waiting until it has opened its end. Dropping the feed ends the script's input.
    #[track_caller]
    pub fn say(&mut self, text: &str) {
        let nonblocking = OFlags::NONBLOCK.bits() as i32;
        if self.pipe.is_none() {
            eventually(DEADLINE, "a script listens", || {
                self.pipe = OpenOptions::new().write(true).custom_flags(nonblocking).open(&self.path).ok();
                self.pipe.is_some()
            });
        }
        self.pipe.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }
}

/// Writes an executable script.
pub(super) fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}
