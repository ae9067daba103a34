//! The binary under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// The binary under test: that of this build, unless `SUITE_BINARY` names another.
pub fn binary() -> &'static str {
    static OTHER: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("SUITE_BINARY").ok());
    OTHER.as_deref().unwrap_or(env!("CARGO_BIN_EXE_runabout"))
}

/// A copy of it in a directory, for users who may not go where it was built. Another process writes it: a test that starts a
/// program at the same moment would hold on to a file that is open for writing here, and no such file can be started.
pub fn binary_in(dir: &Path) -> PathBuf {
    let copy = dir.join("runabout");
    let installed = Command::new("install").args(["-m", "755", binary()]).arg(&copy).status().unwrap();
    assert!(installed.success(), "{installed}");
    copy
}
