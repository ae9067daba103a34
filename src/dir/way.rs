//! Resolves a path one component at a time, each relative to the descriptor of the one before, so that nothing can be swapped
//! between the check of a component and its use.
//!
//! It reports the links it followed and their owners; the caller decides whether to trust them.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, chmod, fstat, mkdirat, openat, readlinkat};
use rustix::io::Errno;

/// The mode of new directories.
pub(super) const DIR_MODE: u32 = 0o700;
/// The most links that are followed, as many as the kernel follows (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// The result of [`walk`].
pub(super) struct Walked {
    /// The directory, opened with `O_PATH`.
    pub fd: OwnedFd,
    /// Its path without links.
    pub real: PathBuf,
    /// The links that were followed, each with the user id of its owner.
    pub links: Vec<(PathBuf, u32)>,
}

/// Resolves a path. With `make`, missing directories are made, except behind a link.
pub(super) fn walk(path: &Path, make: bool) -> io::Result<Walked> {
    let enter = |at: BorrowedFd<'_>, step: &OsStr| {
        openat(at, step, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
    };
    let mut walked = Walked { fd: enter(CWD, OsStr::new("/"))?, real: "/".into(), links: Vec::new() };
    // The next component is last; those that came out of a link are marked.
    let mut todo: Vec<(OsString, bool)> = steps(path, false);
    while let Some((step, of_link)) = todo.pop() {
        if step == ".." {
            walked.fd = enter(walked.fd.as_fd(), &step)?;
            walked.real.pop();
            continue;
        }
        let next = match enter(walked.fd.as_fd(), &step) {
            Err(Errno::NOENT) if make && !of_link => make_dir(walked.fd.as_fd(), &step)?,
            entered => entered?,
        };
        let stat = fstat(&next)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                walked.fd = next;
                walked.real.push(step);
            }
            FileType::Symlink if walked.links.len() < LINKS_MAX => {
                let target = PathBuf::from(OsString::from_vec(readlinkat(&next, "", Vec::new())?.into_bytes()));
                walked.links.push((walked.real.join(step), stat.st_uid));
                if target.is_absolute() {
                    walked.fd = enter(CWD, OsStr::new("/"))?;
                    walked.real = "/".into();
                }
                todo.extend(steps(&target, true));
            }
            FileType::Symlink => return Err(Errno::LOOP.into()),
            _ => return Err(Errno::NOTDIR.into()),
        }
    }
    Ok(walked)
}

/// The components of a path, the last one first.
fn steps(path: &Path, of_link: bool) -> Vec<(OsString, bool)> {
    let steps = path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    steps.map(|step| (step, of_link)).collect()
}

fn make_dir(at: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    let made = mkdirat(at, name, Mode::from_raw_mode(DIR_MODE));
    let fd = openat(at, name, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| made.err().unwrap_or(error))?;
    // The umask may leave less than the owner needs.
    if made.is_ok() && fstat(&fd)?.st_mode & 0o7777 != DIR_MODE {
        chmod_by(&fd, DIR_MODE)?;
    }
    Ok(fd)
}

/// Changes the mode of a file that was opened by [`Dir::hold`](super::Dir::hold).
///
/// # Errors
/// When the file system refuses.
pub fn chmod_by(fd: impl AsFd, mode: u32) -> io::Result<()> {
    // fchmod refuses such a descriptor, and fchmodat2 came with Linux 6.6.
    Ok(chmod(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()), Mode::from_raw_mode(mode))?)
}
