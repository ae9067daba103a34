//! Explains a start that fails for lack of space, in one message, whichever file could not be written.
//!
//! It changes nothing but writes one temporary file without a name.

use std::fmt::Write as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, write};

use crate::free_space::FreeSpace;

/// Bytes of a first start: the new database, its log, the index of that, the lock file.
const START_BYTES: u64 = 512 * 1_024;
/// Files of a first start: those, and the socket.
const START_FILES: u64 = 5;
/// Bytes that are written as a trial, to notice a quota that the file system's figures do not show.
const TRIED_BYTES: usize = 64 * 1_024;

/// Why a file could not be written; for lack of space, what is missing and what to do.
pub(super) fn missing_or(state_dir: &Path, why: String) -> String {
    match missing(state_dir) {
        Some(missing) => format!("{missing} ({why})"),
        None => why,
    }
}

/// What space is missing, and what to do; `None` when there is enough.
fn missing(state_dir: &Path) -> Option<String> {
    // It may not be there yet: then it would be made in the nearest one that is.
    let dir = state_dir.ancestors().find(|dir| dir.is_dir())?;
    let FreeSpace { free_bytes, free_files, .. } = FreeSpace::at(dir).ok()?;
    let is_short = free_bytes < START_BYTES || free_files.is_some_and(|files| files < START_FILES);
    if !is_short && !is_refused(dir) {
        return None;
    }
    let mut text = format!(
        "{}: there is no room to start: its file system has {} KiB free and {} KiB are needed",
        state_dir.display(),
        free_bytes / 1_024,
        START_BYTES / 1_024
    );
    if let Some(files) = free_files {
        // Writing to a String cannot fail.
        let _ = write!(text, "; {files} more files can be made and {START_FILES} are needed");
    }
    if !is_short {
        text.push_str("; a quota of the user or directory refuses more");
    }
    let shown = dir.display();
    _ = write!(text, ". Remove something there (df -h {shown}; df -i {shown}), or choose another --state-dir");
    Some(text)
}

fn is_refused(dir: &Path) -> bool {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let written = open(dir, flags, Mode::RUSR | Mode::WUSR).and_then(|file| write(&file, &[0; TRIED_BYTES]));
    matches!(written, Err(Errno::NOSPC | Errno::DQUOT) | Ok(0..TRIED_BYTES))
}
