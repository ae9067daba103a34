//! A directory of a test's own, gone with it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Longer than this and a socket in it would not fit in 107 bytes.
const BYTES_MAX: usize = 60;

/// Whether what a failure leaves is kept, for whoever looks for its cause.
static KEPT: AtomicBool = AtomicBool::new(false);

/// A fresh directory with a short path; dropped, it is removed.
pub struct TempDir(PathBuf);

impl TempDir {
    /// Makes it.
    pub fn new() -> TempDir {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("rb{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let usual = std::env::temp_dir().join(&name);
        let path = if usual.as_os_str().len() > BYTES_MAX { Path::new("/tmp").join(&name) } else { usual };
        std::fs::create_dir(&path).unwrap();
        TempDir(path)
    }

    /// Makes this one.
    pub fn at(path: PathBuf) -> TempDir {
        std::fs::create_dir(&path).unwrap();
        TempDir(path)
    }

    /// From now on a directory stays, and is named, where a failure drops it.
    pub fn keep_those_of_failures() {
        KEPT.store(true, Ordering::Relaxed);
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if KEPT.load(Ordering::Relaxed) && std::thread::panicking() {
            return eprintln!("--- kept: {}", self.0.display());
        }
        // A command that just died may still be writing in it.
        for _ in 0..3 {
            if std::fs::remove_dir_all(&self.0).is_ok() {
                return;
            }
        }
    }
}
