//! Ways through a directory that others write: what is in it, one step at a time, each relative to the descriptor of the one
//! before.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{Dir, FileType, Mode, OFlags, Stat, fstat, openat};
use rustix::io::Errno;

use crate::dir::chmod_by;
use crate::run::ARTIFACT_NAME_BYTES_MAX;

/// Directories that an artifact may be in, one in the other.
pub(super) const DEPTH_MAX: usize = 16;
/// Bytes of one part of a name, by most file systems.
const PART_BYTES_MAX: usize = 255;

/// Whether an artifact may have this name: relative, in UTF-8, without what a path of HTTP or a terminal cannot show as it is.
pub fn is_name(name: &str) -> bool {
    let parts = name.split('/').count();
    name.len() <= ARTIFACT_NAME_BYTES_MAX && parts <= DEPTH_MAX + 1 && name.split('/').all(is_part)
}

fn is_part(part: &str) -> bool {
    let is_plain = |c: char| !c.is_control() && c != '\\' && !matches!(c, '\u{2028}' | '\u{2029}');
    !matches!(part, "" | "." | "..") && part.len() <= PART_BYTES_MAX && part.chars().all(is_plain)
}

/// The names in a directory but `.` and `..`, up to so many.
pub(super) fn names(dir: BorrowedFd<'_>, max: usize) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            if names.len() >= max {
                break;
            }
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    Ok(names)
}

/// Whether nothing is in a directory.
pub(super) fn is_empty(dir: BorrowedFd<'_>) -> bool {
    names(dir, 1).is_ok_and(|names| names.is_empty())
}

/// Opens a directory that is no link. One that its owner closed to himself is opened again.
pub(super) fn enter(at: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    match open_at(at, name, OFlags::DIRECTORY) {
        Err(Errno::ACCESS) => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            chmod_by(openat(at, name, flags, Mode::empty())?, 0o700)?;
            Ok(open_at(at, name, OFlags::DIRECTORY)?)
        }
        opened => Ok(opened?),
    }
}

/// What keeps a file from being an artifact, for people.
pub(super) fn refusal(stat: &Stat, owner: Option<u32>) -> Option<&'static str> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile if stat.st_nlink != 1 => Some("it has several names (hard links)"),
        FileType::RegularFile if owner.is_some_and(|owner| owner != stat.st_uid) => Some("it belongs to another user"),
        FileType::RegularFile => None,
        FileType::Symlink => Some("it is a symbolic link"),
        FileType::Fifo => Some("it is a pipe"),
        FileType::Socket => Some("it is a socket"),
        FileType::Directory => Some("it is a directory"),
        _ => Some("it is a device"),
    }
}

/// Opens a regular file with one name, of this owner, and nothing else.
pub(super) fn open_regular(at: BorrowedFd<'_>, name: &OsStr, owner: Option<u32>) -> io::Result<(File, Stat)> {
    let opened = match open_at(at, name, OFlags::empty()) {
        Err(Errno::ACCESS) => {
            let held = openat(at, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
            if refusal(&fstat(&held)?, owner).is_none() {
                chmod_by(&held, 0o600)?;
            }
            open_at(at, name, OFlags::empty())?
        }
        opened => opened?,
    };
    let stat = fstat(&opened)?;
    match refusal(&stat, owner) {
        Some(why) => Err(io::Error::other(why)),
        None => Ok((opened.into(), stat)),
    }
}

/// Opens an artifact below a directory by its name.
pub(super) fn open_file(dir: BorrowedFd<'_>, name: &str, owner: Option<u32>) -> io::Result<File> {
    if !is_name(name) {
        return Err(ErrorKind::NotFound.into());
    }
    let (way, last) = name.rsplit_once('/').map_or((None, name), |(way, last)| (Some(way), last));
    let mut at: Option<OwnedFd> = None;
    for part in way.into_iter().flat_map(|way| way.split('/')) {
        let from = at.as_ref().map_or(dir, OwnedFd::as_fd);
        at = Some(open_at(from, part.as_ref(), OFlags::DIRECTORY)?);
    }
    open_regular(at.as_ref().map_or(dir, OwnedFd::as_fd), last.as_ref(), owner).map(|(file, _)| file)
}

/// How a directory or file below is opened: no link, no wait for a pipe's other end, nothing inherited.
const SAFELY: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC).union(OFlags::NOCTTY);

/// Opens a name to read it, without following it.
pub(super) fn open_at(dir: BorrowedFd<'_>, name: &OsStr, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    openat(dir, name, OFlags::RDONLY | SAFELY | flags, Mode::empty())
}
