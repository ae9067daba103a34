//! A directory that somebody else may write, held by its descriptor.
//!
//! Whoever may write a directory may put a link, a pipe or a file of somebody else's at any name in it, at any moment. So
//! the directory is found once; from then on names in it are opened, made, renamed and removed by its descriptor, no link is
//! followed, and what was opened is looked at before it is used: a file with one name, of the directory's owner, of root or
//! of the caller. Owner and mode are changed by the file's descriptor. Nothing here waits for the other end of a pipe.
//!
//! On the way to it no directory need be trusted: it counts whose the directory at the end is. A symbolic link on the way
//! is followed where it belongs to root, to the caller, or to the owner of that directory, who leads to nothing but their own.

mod way;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, Stat, StatVfs, chmod, fchmod, fchown, fstat, fstatvfs, fsync,
    mkdirat, openat, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, geteuid};

use self::way::{Walked, walk};

/// Files that are made here are for their owner alone.
const FILE_MODE: u32 = 0o600;
/// So are directories.
const DIR_MODE: u32 = 0o700;

/// A directory, found once.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    path: PathBuf,
    real: PathBuf,
    uid: u32,
    gid: u32,
}

/// A file in such a directory, by its name there.
#[derive(Clone, Debug)]
pub struct FileAt {
    /// The directory.
    pub dir: Arc<Dir>,
    /// The name in it.
    pub name: String,
}

/// What becomes of a file that has the name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameTaken {
    /// It is replaced.
    Replace,
    /// It keeps its name, and the other gets an error.
    Keep,
    /// Both change their names at once.
    Exchange,
}

impl Dir {
    /// Finds a directory.
    ///
    /// # Errors
    /// It is not there or may not be entered, or a link of somebody else's leads there.
    pub fn open(path: &Path) -> io::Result<Dir> {
        Dir::find(path, false)
    }

    /// Finds a directory; it and those above it are made where they are missing, with mode 0700.
    ///
    /// # Errors
    /// As [`Dir::open`], or it cannot be made. What is missing behind a link is not made.
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
        // Who may enter and not read it has no locks on it, and all else.
        let fd = openat(&fd, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap_or(fd);
        Ok(Dir { fd, path, real, uid: stat.st_uid, gid: stat.st_gid })
    }

    /// Its absolute path, as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its path without links, as it was when it was found.
    pub fn real_path(&self) -> &Path {
        &self.real
    }

    /// Whose it is.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Its permissions, as they are now.
    ///
    /// # Errors
    /// Where the file system does not answer.
    pub fn mode(&self) -> io::Result<u32> {
        Ok(fstat(&self.fd)?.st_mode & 0o7777)
    }

    /// Whether both are the same directory.
    pub fn is_same(&self, other: &Dir) -> bool {
        let id = |dir: &Dir| fstat(&dir.fd).map(|stat| (stat.st_dev, stat.st_ino)).ok();
        id(self).is_some() && id(self) == id(other)
    }

    /// That it belongs to the caller or to root, so that what stands in it is not somebody else's word.
    ///
    /// # Errors
    /// It is somebody else's: for people, with what to do.
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

    /// What its file system is like.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn file_system(&self) -> io::Result<StatVfs> {
        Ok(fstatvfs(&self.fd)?)
    }

    /// A file in it.
    pub fn file(self: &Arc<Dir>, name: &str) -> FileAt {
        FileAt { dir: self.clone(), name: name.to_owned() }
    }

    /// What has this name, be it a link or whatever; `None` where nothing has.
    ///
    /// # Errors
    /// Where that cannot be seen.
    pub fn look(&self, name: impl AsRef<OsStr>) -> io::Result<Option<Stat>> {
        match statat(&self.fd, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a file to be read.
    ///
    /// # Errors
    /// There is none; what has the name is not to be used, and why; or it cannot be opened.
    pub fn read(&self, name: &str) -> io::Result<File> {
        self.open_as(name, OFlags::RDONLY, 0).map(File::from)
    }

    /// The bytes of a file, up to so many.
    ///
    /// # Errors
    /// As [`Dir::read`].
    pub fn bytes(&self, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read(name)?.take(bytes_max).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Opens a file to be read and written; it is made where it is missing.
    ///
    /// # Errors
    /// As [`Dir::read`], or it cannot be made.
    pub fn write(&self, name: &str) -> io::Result<File> {
        match self.open_as(name, OFlags::RDWR, 0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => match self.create(name) {
                // Somebody else was faster.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    self.open_as(name, OFlags::RDWR, 0).map(File::from)
                }
                made => made,
            },
            opened => opened.map(File::from),
        }
    }

    /// Makes a file with mode 0600; one that root makes belongs to the directory's owner.
    ///
    /// # Errors
    /// The name is taken, or it cannot be made.
    pub fn create(&self, name: &str) -> io::Result<File> {
        let file = File::from(self.open_as(name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, FILE_MODE)?);
        self.give(&file)?;
        // The umask may have taken more off the mode than others' share.
        fchmod(&file, Mode::from_raw_mode(FILE_MODE))?;
        Ok(file)
    }

    /// Opens as SQLite or anybody else asks, but no link, and nothing that would have one wait; refuses what is not to be
    /// used here.
    ///
    /// # Errors
    /// As [`Dir::read`].
    pub fn open_as(&self, name: &str, flags: OFlags, mode: u32) -> io::Result<OwnedFd> {
        if !flags.contains(OFlags::EXCL) {
            // So that a device is not even opened, unless somebody puts it there in this moment.
            self.check(name)?;
        }
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let fd = openat(&self.fd, name, flags, Mode::from_raw_mode(mode))?;
        self.may_use(&fstat(&fd)?)?;
        Ok(fd)
    }

    /// Holds what has a name, whatever it is but a link's end, for its owner and mode to be looked at and changed (`O_PATH`).
    ///
    /// # Errors
    /// Where nothing has the name.
    pub fn hold(&self, name: &str) -> io::Result<OwnedFd> {
        Ok(openat(&self.fd, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Whether what has a name is a file that is to be used; also where there is none.
    ///
    /// # Errors
    /// Why not.
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

    /// Gives a file that root made to whom the directory belongs.
    ///
    /// # Errors
    /// Where that cannot be done.
    pub fn give(&self, file: impl AsFd) -> io::Result<()> {
        let stat = fstat(&file)?;
        if geteuid().is_root() && (stat.st_uid, stat.st_gid) != (self.uid, self.gid) {
            fchown(file, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))?;
        }
        Ok(())
    }

    /// Gives a file another name, here or in another directory.
    ///
    /// # Errors
    /// Where that cannot be done, or the name is taken and is to be kept.
    pub fn rename(&self, name: &str, to: &Dir, new: impl AsRef<OsStr>, taken: NameTaken) -> io::Result<()> {
        let new = new.as_ref();
        match taken {
            NameTaken::Replace => Ok(renameat(&self.fd, name, &to.fd, new)?),
            NameTaken::Exchange => Ok(renameat_with(&self.fd, name, &to.fd, new, RenameFlags::EXCHANGE)?),
            NameTaken::Keep => match renameat_with(&self.fd, name, &to.fd, new, RenameFlags::NOREPLACE) {
                // Not every file system can look and rename at once.
                Err(Errno::INVAL | Errno::NOSYS) if to.look(new)?.is_none() => {
                    Ok(renameat(&self.fd, name, &to.fd, new)?)
                }
                other => Ok(other?),
            },
        }
    }

    /// Removes a file, a link or whatever has the name and is no directory; it is no error where nothing has.
    ///
    /// # Errors
    /// Where that cannot be done.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Makes a directory in it that is the caller's alone, where nobody else can put anything.
    ///
    /// # Errors
    /// The name is taken, or it cannot be made.
    pub fn make_private(&self, name: &str) -> io::Result<Dir> {
        mkdirat(&self.fd, name, Mode::from_raw_mode(DIR_MODE))?;
        let (path, real) = (self.path.join(name), self.real.join(name));
        let fd = openat(
            &self.fd,
            name,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let stat = fstat(&fd)?;
        if stat.st_uid != geteuid().as_raw() || stat.st_mode & 0o077 != 0 {
            return Err(io::Error::other(format!("{}: somebody else put it there in this moment", path.display())));
        }
        fchmod(&fd, Mode::from_raw_mode(DIR_MODE))?;
        Ok(Dir { fd, path, real, uid: stat.st_uid, gid: stat.st_gid })
    }

    /// Removes an empty directory in it.
    ///
    /// # Errors
    /// Where that cannot be done.
    pub fn remove_dir(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name, AtFlags::REMOVEDIR)?)
    }

    /// Puts its names on the medium.
    ///
    /// # Errors
    /// Where that cannot be done.
    pub fn sync(&self) -> io::Result<()> {
        match fsync(&self.fd) {
            // Some file systems of networks know no such thing.
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
    /// The file that a path leads to: the directory that it is in is found, and the last step is a name there.
    ///
    /// # Errors
    /// As [`Dir::open`]; or there is no last step that could be a name.
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

    /// The file beside it whose name has something more behind it, such as `-wal`.
    pub fn with_suffix(&self, suffix: &str) -> FileAt {
        FileAt { dir: self.dir.clone(), name: format!("{}{suffix}", self.name) }
    }

    /// Its length in bytes; `None` where there is none, or nothing that is a file.
    pub fn bytes(&self) -> Option<u64> {
        let stat = self.dir.look(&self.name).ok().flatten()?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        is_file.then_some(u64::try_from(stat.st_size).unwrap_or(0))
    }
}

/// Changes the mode of what a descriptor stands for that was opened for nothing but that (`O_PATH`).
///
/// # Errors
/// Where that cannot be done.
pub fn chmod_by(fd: impl AsFd, mode: u32) -> io::Result<()> {
    // fchmod refuses such a descriptor, and fchmodat2 came with Linux 6.6.
    Ok(chmod(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()), Mode::from_raw_mode(mode))?)
}

#[cfg(test)]
mod tests;
