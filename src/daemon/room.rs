//! What a start lacks room for, in one message, whichever of its files it was that could not be written.
//!
//! It only looks, and writes one file that never has a name.

use std::fmt::Write as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, write};

use crate::free_space::FreeSpace;

/// What a first start takes: the database as it is made, its log, the index of that, the lock.
const START_BYTES: u64 = 512 * 1_024;
/// Files that it makes: those, and the socket.
const START_FILES: u64 = 5;
/// What is tried to be written, to find a quota that no figure of the file system shows.
const TRIED_BYTES: usize = 64 * 1_024;

/// Why something could not be written: that there is no room where the state is and what to do, where that is it.
pub(super) fn missing_or(state_dir: &Path, why: String) -> String {
    match missing(state_dir) {
        Some(missing) => format!("{missing} ({why})"),
        None => why,
    }
}

/// What is missing where the state is, and what to do; `None` where that is not it.
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
