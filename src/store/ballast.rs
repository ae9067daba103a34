//! The ballast: a file that takes up space, to be given back on a full disk, where not even a delete can be written.
//!
//! It holds nothing. It is only ever removed, and only by the daemon that has the directory's lock.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// What it takes up: a write-ahead log that is due for its checkpoint, all of which may be new to the database's file,
/// and half as much again for what is written meanwhile.
pub(super) const BALLAST_BYTES: u64 = 6 * 1_024 * 1_024;

/// Whether it is there.
#[derive(Debug, PartialEq, Eq)]
enum Is {
    /// It can be given back.
    Kept,
    /// It was given back.
    Given,
    /// There never was room for it.
    Missing,
}

/// The ballast of a state directory.
#[derive(Debug)]
pub(super) struct Ballast {
    path: PathBuf,
    is: Is,
}

impl Ballast {
    /// Takes over what an earlier daemon left; a half of one goes.
    pub fn find(dir: &Path) -> Ballast {
        let path = dir.join("runabout.ballast");
        let is = match std::fs::metadata(&path) {
            Ok(file) if file.len() == BALLAST_BYTES => Is::Kept,
            Ok(_) => {
                remove(&path);
                Is::Missing
            }
            Err(_) => Is::Missing,
        };
        Ballast { path, is }
    }

    /// Whether it is there.
    pub fn is_kept(&self) -> bool {
        self.is == Is::Kept
    }

    /// Whether it was given back and is to be made again before anything else takes the space.
    pub fn is_given(&self) -> bool {
        self.is == Is::Given
    }

    /// Makes it unless it is there; whether it is there then.
    pub fn make(&mut self) -> bool {
        if self.is == Is::Kept {
            return true;
        }
        match take_up(&self.path) {
            Ok(()) => self.is = Is::Kept,
            Err(error) => {
                log::debug!("no ballast: {error}");
                remove(&self.path);
            }
        }
        self.is == Is::Kept
    }

    /// Gives the space back; whether there was any.
    pub fn give_back(&mut self) -> bool {
        let was_kept = self.is == Is::Kept;
        if was_kept {
            remove(&self.path);
            self.is = Is::Given;
        }
        was_kept
    }
}

fn take_up(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    // The umask may have taken more off the mode than others' share.
    file.set_permissions(Permissions::from_mode(0o600))?;
    match fallocate(&file, FallocateFlags::empty(), 0, BALLAST_BYTES) {
        Ok(()) => Ok(()),
        // A file system that cannot promise space is made to hold it.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => fill(&mut file),
        Err(error) => Err(error.into()),
    }
}

fn fill(file: &mut File) -> io::Result<()> {
    let piece = [0_u8; 64 * 1_024];
    for _ in 0..BALLAST_BYTES / piece.len() as u64 {
        file.write_all(&piece)?;
    }
    Ok(())
}

fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => log::warn!("{}: {error}", path.display()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_up_what_it_gives_back() {
        let dir = std::env::temp_dir().join(format!("runabout-ballast-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("made");
        let blocks = || {
            use std::os::unix::fs::MetadataExt as _;
            std::fs::metadata(dir.join("runabout.ballast")).map_or(0, |file| file.blocks() * 512)
        };
        let mut ballast = Ballast::find(&dir);
        assert!(!ballast.give_back() && !ballast.is_given(), "there is none yet");
        assert!(ballast.make() && ballast.make());
        assert!(blocks() >= BALLAST_BYTES);
        let mut found = Ballast::find(&dir);
        assert!(found.give_back() && found.is_given());
        assert_eq!(blocks(), 0);
        std::fs::write(dir.join("runabout.ballast"), "half of one").expect("written");
        assert!(!Ballast::find(&dir).give_back());
        assert_eq!(blocks(), 0, "it goes");
        std::fs::remove_dir_all(dir).expect("removed");
    }
}
