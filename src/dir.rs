//! Safe access to files in a directory that another user may write.
//!
//! Whoever may write a directory can put a link, a pipe or another user's file at any name in it, at any moment. So the
//! directory is opened once, and names in it are opened, made, renamed and removed relative to its descriptor. No link is
//! followed, and an opened file is checked before it is used: it must be a regular file with one name that belongs to the
//! directory's owner, to root or to the caller. Owner and mode are changed by the file's descriptor. Nothing here blocks on a
//! pipe.
//!
//! The directories above it need not be trusted; only the owner of the directory itself matters. A symbolic link on the way
//! is followed if it belongs to root, to the caller, or to that owner.

mod way;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, Stat, fchmod, fchown, fgetxattr, fstat, fsync, mkdirat, openat,
    renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, geteuid};

pub use self::way::chmod_by;
use self::way::{DIR_MODE, Walked, walk};
use crate::free_space::FreeSpace;

/// The mode of new files.
const FILE_MODE: u32 = 0o600;

/// An open directory.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    path: PathBuf,
    real: PathBuf,
    uid: u32,
    gid: u32,
}

/// A name in such a directory.
#[derive(Clone, Debug)]
pub struct FileAt {
    /// The directory.
    pub dir: Arc<Dir>,
    /// The name in it.
    pub name: String,
}

/// What happens to a file that has the name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameTaken {
    /// It is replaced.
    Replace,
    /// It keeps its name, and the rename fails.
    Keep,
    /// Both swap their names atomically.
    Exchange,
}

impl Dir {
    /// Opens a directory.
    ///
    /// # Errors
    /// When it is missing or may not be entered, or the path leads through another user's link.
    pub fn open(path: &Path) -> io::Result<Dir> {
        Dir::find(path, false)
    }

    /// Opens a directory. It and its parents are made where they are missing, with mode 0700, except behind a link.
    ///
    /// # Errors
    /// As [`Dir::open`], and when it cannot be made.
    pub fn open_or_make(path: &Path) -> io::Result<Dir> {
        Dir::find(path, true)
    }

    fn find(path: &Path, make: bool) -> io::Result<Dir> {
        let path = std::path::absolute(path)?;
        let Walked { fd, real, links } = walk(&path, make)?;
        let stat = fstat(&fd)?;
        let trusted = [0, geteuid().as_raw(), stat.st_uid];
        if let Some((link, uid)) = links.iter().find(|(_, uid)| !trusted.contains(uid)) {
            return Err(io::Error::other(format!(
                "the symbolic link {} on the way belongs to uid {uid}, the directory at its end to uid {}: name the \
                 directory itself",
                link.display(),
                stat.st_uid
            )));
        }
        // A caller who may enter but not read it can do everything but lock it.
        let fd = openat(&fd, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap_or(fd);
        Ok(Dir { fd, path, real, uid: stat.st_uid, gid: stat.st_gid })
    }

    /// Its absolute path, as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its path without links, as of when it was opened.
    pub fn real_path(&self) -> &Path {
        &self.real
    }

    /// The user id of its owner.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Its current permission bits.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn mode(&self) -> io::Result<u32> {
        Ok(fstat(&self.fd)?.st_mode & 0o7777)
    }

    /// Whether it has a POSIX access list: then the bits of its group say what anybody on the list may at most.
    pub fn has_access_list(&self) -> bool {
        fgetxattr(&self.fd, "system.posix_acl_access", &mut [0_u8; 0]).is_ok()
    }

    /// Whether both are the same directory.
    pub fn is_same(&self, other: &Dir) -> bool {
        let id = |dir: &Dir| fstat(&dir.fd).map(|stat| (stat.st_dev, stat.st_ino)).ok();
        id(self).is_some() && id(self) == id(other)
    }

    /// Checks that the directory belongs to the caller or to root, so that its content can be trusted.
    ///
    /// # Errors
    /// When it belongs to another user. The text is for people and says what to do.
    pub fn must_be_ours(&self) -> io::Result<()> {
        let own = geteuid().as_raw();
        if [0, own].contains(&self.uid) {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "it belongs to uid {}, and the daemon is uid {own}: run it as that user, give the directory to uid {own} \
             (chown -R), or choose another --state-dir",
            self.uid
        )))
    }

    /// The room on its file system.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn free_space(&self) -> io::Result<FreeSpace> {
        FreeSpace::around(&self.fd)
    }

    /// Names a file in it, which need not exist.
    pub fn file(self: &Arc<Dir>, name: &str) -> FileAt {
        FileAt { dir: self.clone(), name: name.to_owned() }
    }

    /// The status of whatever has this name, be it a link or not a file; `None` when nothing has.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn look(&self, name: impl AsRef<OsStr>) -> io::Result<Option<Stat>> {
        match statat(&self.fd, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// When it is missing, does not pass the checks, or cannot be opened.
    pub fn read(&self, name: &str) -> io::Result<File> {
        self.open_as(name, OFlags::RDONLY, 0).map(File::from)
    }

    /// Reads a file, at most `bytes_max` bytes.
    ///
    /// # Errors
    /// As [`Dir::read`].
    pub fn bytes(&self, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read(name)?.take(bytes_max).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Opens a file for reading and writing, and makes it when it is missing.
    ///
    /// # Errors
    /// As [`Dir::read`], and when it cannot be made.
    pub fn write(&self, name: &str) -> io::Result<File> {
        match self.open_as(name, OFlags::RDWR, 0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => match self.create(name) {
                // Another process made it in the meantime.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    self.open_as(name, OFlags::RDWR, 0).map(File::from)
                }
                made => made,
            },
            opened => opened.map(File::from),
        }
    }

    /// Makes a file with mode 0600. If root makes it, it is given to the directory's owner.
    ///
    /// # Errors
    /// When the name is taken, or it cannot be made.
    pub fn create(&self, name: &str) -> io::Result<File> {
        let file = File::from(self.open_as(name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, FILE_MODE)?);
        self.give(&file)?;
        // The umask may have removed the owner's own bits.
        fchmod(&file, Mode::from_raw_mode(FILE_MODE))?;
        Ok(file)
    }

    /// Opens a file with the flags of the caller, such as SQLite, but never a link, and without blocking on a pipe.
    ///
    /// # Errors
    /// As [`Dir::read`].
    pub fn open_as(&self, name: &str, flags: OFlags, mode: u32) -> io::Result<OwnedFd> {
        if !flags.contains(OFlags::EXCL) {
            // So that a device is not even opened, unless it was put there at this moment.
            self.check(name)?;
        }
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let fd = openat(&self.fd, name, flags, Mode::from_raw_mode(mode))?;
        self.may_use(&fstat(&fd)?)?;
        Ok(fd)
    }

    /// Opens whatever has this name (a link itself, not its target) only to read and change its owner and mode (`O_PATH`).
    ///
    /// # Errors
    /// When nothing has the name.
    pub fn hold(&self, name: &str) -> io::Result<OwnedFd> {
        Ok(openat(&self.fd, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Checks that whatever has this name may be used here; a free name passes.
    ///
    /// # Errors
    /// When it may not be used, and why.
    pub fn check(&self, name: &str) -> io::Result<()> {
        self.look(name)?.map_or(Ok(()), |stat| self.may_use(&stat))
    }

    fn may_use(&self, stat: &Stat) -> io::Result<()> {
        let refused = |why: String| Err(io::Error::other(why));
        let what = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => "",
            FileType::Symlink => "a symbolic link",
            FileType::Fifo => "a pipe",
            FileType::Directory => "a directory",
            FileType::Socket => "a socket",
            _ => "a device",
        };
        if !what.is_empty() {
            return refused(format!("it is {what}: here only a file itself is used; move it away"));
        }
        let own = geteuid().as_raw();
        if ![self.uid, own, 0].contains(&stat.st_uid) {
            return refused(format!(
                "it belongs to uid {}, and neither to uid {}, whose directory it is in, nor to root: chown it, or move \
                 it away",
                stat.st_uid, self.uid
            ));
        }
        match stat.st_nlink {
            1 => Ok(()),
            0 => refused("it was removed in this moment".to_owned()),
            names => refused(format!(
                "it has {names} names (hard links), so that others may change it: put a copy in its place"
            )),
        }
    }

    /// Gives a file that root has made to the directory's owner.
    ///
    /// # Errors
    /// When the owner cannot be changed.
    pub fn give(&self, file: impl AsFd) -> io::Result<()> {
        let stat = fstat(&file)?;
        if geteuid().is_root() && (stat.st_uid, stat.st_gid) != (self.uid, self.gid) {
            fchown(file, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))?;
        }
        Ok(())
    }

    /// Renames a file, within this directory or into another.
    ///
    /// # Errors
    /// When the file system refuses, or the name is taken and `taken` keeps it.
    pub fn rename(&self, name: &str, to: &Dir, new: impl AsRef<OsStr>, taken: NameTaken) -> io::Result<()> {
        let new = new.as_ref();
        match taken {
            NameTaken::Replace => Ok(renameat(&self.fd, name, &to.fd, new)?),
            NameTaken::Exchange => Ok(renameat_with(&self.fd, name, &to.fd, new, RenameFlags::EXCHANGE)?),
            NameTaken::Keep => match renameat_with(&self.fd, name, &to.fd, new, RenameFlags::NOREPLACE) {
                // Not every file system can check and rename in one step.
                Err(Errno::INVAL | Errno::NOSYS) if to.look(new)?.is_none() => {
                    Ok(renameat(&self.fd, name, &to.fd, new)?)
                }
                other => Ok(other?),
            },
        }
    }

    /// Removes whatever has this name and is no directory. A name that is free is no error.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Makes a subdirectory with mode 0700 that belongs to the caller.
    ///
    /// # Errors
    /// When the name is taken, or it cannot be made.
    pub fn make_private(&self, name: &str) -> io::Result<Dir> {
        mkdirat(&self.fd, name, Mode::from_raw_mode(DIR_MODE))?;
        self.open_private(name)
    }

    /// The same, where it may be there already.
    ///
    /// # Errors
    /// When it cannot be made, or what is there is not the caller's alone.
    pub fn private(&self, name: &str) -> io::Result<Dir> {
        match mkdirat(&self.fd, name, Mode::from_raw_mode(DIR_MODE)) {
            Ok(()) | Err(Errno::EXIST) => self.open_private(name),
            Err(error) => Err(error.into()),
        }
    }

    /// The names in it, but for its own and its parent's.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd)? {
            // What is no text was made by nobody here.
            names.extend(entry?.file_name().to_str().ok().map(str::to_owned));
        }
        names.retain(|name| name != "." && name != "..");
        Ok(names)
    }

    fn open_private(&self, name: &str) -> io::Result<Dir> {
        let (path, real) = (self.path.join(name), self.real.join(name));
        let fd = openat(
            &self.fd,
            name,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let stat = fstat(&fd)?;
        if stat.st_uid != geteuid().as_raw() || stat.st_mode & 0o077 != 0 {
            return Err(io::Error::other(format!("{}: it is not this user's alone: move it away", path.display())));
        }
        fchmod(&fd, Mode::from_raw_mode(DIR_MODE))?;
        Ok(Dir { fd, path, real, uid: stat.st_uid, gid: stat.st_gid })
    }

    /// Opens a subdirectory that is no link.
    ///
    /// # Errors
    /// When it is missing, or something else.
    pub fn enter(&self, name: &str) -> io::Result<Dir> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(&self.fd, name, flags, Mode::empty())?;
        let stat = fstat(&fd)?;
        Ok(Dir { fd, path: self.path.join(name), real: self.real.join(name), uid: stat.st_uid, gid: stat.st_gid })
    }

    /// Removes an empty subdirectory.
    ///
    /// # Errors
    /// When it is not empty, or the file system refuses.
    pub fn remove_dir(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name, AtFlags::REMOVEDIR)?)
    }

    /// Flushes its entries to the medium.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn sync(&self) -> io::Result<()> {
        match fsync(&self.fd) {
            // Some network file systems do not support it.
            Err(Errno::INVAL) => Ok(()),
            other => Ok(other?),
        }
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl FileAt {
    /// The file at a path: its parent directory is opened, and the last component is the name in it.
    ///
    /// # Errors
    /// As [`Dir::open`], and when the path does not end in a name.
    pub fn named(path: &Path) -> io::Result<FileAt> {
        let path = std::path::absolute(path)?;
        let (Some(dir), Some(name)) = (path.parent(), path.file_name().and_then(OsStr::to_str)) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it has no name in UTF-8"));
        };
        Ok(Arc::new(Dir::open(dir)?).file(name))
    }

    /// Its path, for people.
    pub fn path(&self) -> PathBuf {
        self.dir.path.join(&self.name)
    }

    /// Its path without links.
    pub fn real_path(&self) -> PathBuf {
        self.dir.real.join(&self.name)
    }

    /// The name with a suffix, such as `-wal`, in the same directory.
    pub fn with_suffix(&self, suffix: &str) -> FileAt {
        FileAt { dir: self.dir.clone(), name: format!("{}{suffix}", self.name) }
    }

    /// Its length in bytes; `None` when it is missing or not a regular file.
    pub fn bytes(&self) -> Option<u64> {
        let stat = self.dir.look(&self.name).ok().flatten()?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        is_file.then_some(u64::try_from(stat.st_size).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests;
