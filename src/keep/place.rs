//! Where keepers are found: a private directory with a socket for each, and with what those left that ended while nobody was
//! there.
//!
//! Nothing in it is reached by its path: the directory is held open, and names are looked up in it.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::path::PathBuf;

use crate::run::RunId;

/// The directory's name, in the runtime directory or the state directory.
pub const DIRECTORY: &str = "keep";
/// What follows a keeper's name where its command has ended: the rest of its output, and how it ended.
pub const END: &str = ".end";
/// What follows that while it is being written.
pub const UNFINISHED: &str = ".new";

/// The name of an attempt's keeper. It has the database's name in it, so that two of them never meet.
pub fn name_of(instance: &str, run: RunId, attempt: i64) -> String {
    format!("{instance}.{run}.{attempt}")
}

/// The attempt that a name in the directory belongs to, if it is one of this database's.
pub fn attempt_of(name: &str, instance: &str) -> Option<(RunId, i64)> {
    let name = name.strip_suffix(UNFINISHED).unwrap_or(name);
    let name = name.strip_suffix(END).unwrap_or(name);
    let (run, attempt) = name.strip_prefix(instance)?.strip_prefix('.')?.split_once('.')?;
    Some((RunId(run.parse().ok()?), attempt.parse().ok()?))
}

/// A path to a name in an open directory, for system calls that take no directory, as those of sockets: the way to the
/// directory may be longer than the 107 bytes of a socket's address.
///
/// # Errors
/// Where there is no /proc.
pub fn path_in(directory: BorrowedFd<'_>, name: &str) -> io::Result<PathBuf> {
    let path = PathBuf::from(format!("/proc/self/fd/{}", directory.as_fd().as_raw_fd()));
    // Without it the name would be a file's in some other place.
    std::fs::metadata(&path)?;
    Ok(path.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_whose_it_is() {
        let name = name_of("k3v9", RunId(12), 3);
        for name in [name.clone(), format!("{name}{END}"), format!("{name}{END}{UNFINISHED}")] {
            assert_eq!(attempt_of(&name, "k3v9"), Some((RunId(12), 3)), "{name}");
            assert_eq!(attempt_of(&name, "k3v"), None);
        }
        assert_eq!(attempt_of("k3v9.x.1", "k3v9"), None);
    }
}
