//! The ballast: a file that reserves disk space. It is deleted on a full disk, where otherwise not even a DELETE could
//! be written.
//!
//! It holds no data. Only the daemon that holds the directory's lock removes it. Where there is no room for the whole
//! file, a part is kept: opening the database needs some pages, and so does each end of a run.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::dir::{Dir, FileAt};

/// Name of the file in the state directory.
const NAME: &str = "runabout.ballast";
/// Size of the file: a write-ahead log that is due for its checkpoint, all of which may be new to the database, and
/// half as much again for what is written meanwhile.
pub const BALLAST_BYTES: u64 = 6 * 1_024 * 1_024;

/// Divisors of the size that are tried where there is no room for the whole. The smallest part is more than a start of
/// the daemon needs.
const PARTS: [u64; 4] = [2, 4, 8, 16];

/// Files that a start creates: the log, its index, the socket.
pub const START_FILES: u64 = 3;

/// How much of the ballast exists.
#[derive(Debug, PartialEq, Eq)]
enum BallastState {
    /// The whole file exists.
    Kept,
    /// A part exists.
    Part,
    /// It was given back and is to be created again.
    Given,
    /// It does not exist.
    Missing,
}

/// The ballast of a state directory.
#[derive(Debug)]
pub struct Ballast {
    file: FileAt,
    state: BallastState,
}

impl Ballast {
    /// Finds the file that an earlier daemon left.
    pub fn find(dir: &Arc<Dir>) -> Ballast {
        let file = dir.file(NAME);
        let state = match dir.look(NAME) {
            Ok(Some(_)) if file.bytes() == Some(BALLAST_BYTES) => BallastState::Kept,
            // Or a link, or whatever else somebody has put there: it goes with the rest.
            Ok(Some(_)) => BallastState::Part,
            Ok(None) | Err(_) => BallastState::Missing,
        };
        Ballast { file, state }
    }

    /// Whether the whole file exists.
    pub fn is_kept(&self) -> bool {
        self.state == BallastState::Kept
    }

    /// Whether it was given back and is to be created before anything else takes the space.
    pub fn is_given(&self) -> bool {
        self.state == BallastState::Given
    }

    /// Creates the file unless it exists; returns whether the whole of it does then.
    pub fn make(&mut self) -> bool {
        if self.state == BallastState::Kept {
            return true;
        }
        if self.state == BallastState::Part {
            // The caller has seen room for the whole beside it.
            remove(&self.file);
            self.state = BallastState::Missing;
        }
        if self.take_up(BALLAST_BYTES) {
            self.state = BallastState::Kept;
        }
        self.state == BallastState::Kept
    }

    /// Creates as much of the file as there is room for, where none exists.
    pub fn make_part(&mut self) {
        if matches!(self.state, BallastState::Kept | BallastState::Part) || self.make() {
            return;
        }
        if PARTS.iter().any(|part| self.take_up(BALLAST_BYTES / part)) {
            self.state = BallastState::Part;
        }
    }

    /// Deletes the file; returns whether there was one.
    pub fn give_back(&mut self) -> bool {
        let was_there = matches!(self.state, BallastState::Kept | BallastState::Part);
        if was_there {
            remove(&self.file);
            self.state = BallastState::Given;
        }
        was_there
    }

    fn take_up(&self, bytes: u64) -> bool {
        if is_short_of_files(&self.file.dir) {
            return false;
        }
        let taken = take_up(&self.file, bytes);
        if let Err(error) = &taken {
            log::debug!("no ballast of {bytes} bytes: {error}");
            remove(&self.file);
        }
        taken.is_ok()
    }
}

/// Whether the file system has so few files left that the ballast must not take one.
fn is_short_of_files(dir: &Dir) -> bool {
    dir.free_space().is_ok_and(|space| space.free_files.is_some_and(|files| files <= START_FILES))
}

fn take_up(file: &FileAt, bytes: u64) -> io::Result<()> {
    let mut file = file.dir.create(&file.name)?;
    match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(()),
        // A file system that cannot promise space is made to hold it.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => fill(&mut file, bytes),
        Err(error) => Err(error.into()),
    }
}

fn fill(file: &mut File, bytes: u64) -> io::Result<()> {
    let piece = [0_u8; 64 * 1_024];
    for _ in 0..bytes / piece.len() as u64 {
        file.write_all(&piece)?;
    }
    Ok(())
}

fn remove(file: &FileAt) {
    if let Err(error) = file.dir.remove(&file.name) {
        log::warn!("{}: {error}", file.path().display());
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
        let held = Arc::new(Dir::open(&dir).expect("opened"));
        let mut ballast = Ballast::find(&held);
        assert!(!ballast.give_back() && !ballast.is_given(), "there is none yet");
        assert!(ballast.make() && ballast.make());
        assert!(blocks() >= BALLAST_BYTES);
        let mut found = Ballast::find(&held);
        assert!(found.give_back() && found.is_given());
        assert_eq!(blocks(), 0);
        std::fs::write(dir.join("runabout.ballast"), "half of one").expect("written");
        let mut half = Ballast::find(&held);
        assert!(!half.is_kept() && half.make() && half.is_kept(), "it is made whole");
        std::fs::write(dir.join("runabout.ballast"), "half of one").expect("written");
        assert!(Ballast::find(&held).give_back());
        assert_eq!(blocks(), 0, "it goes");
        std::fs::write(dir.join("other"), "text").expect("written");
        std::os::unix::fs::symlink(dir.join("other"), dir.join("runabout.ballast")).expect("linked");
        assert!(Ballast::find(&held).make());
        assert_eq!(std::fs::read(dir.join("other")).expect("read"), b"text", "what a link leads to stays");
        std::fs::remove_dir_all(dir).expect("removed");
    }
}
