//! Makes files that only their owner can read, and that get their name once they are complete and flushed.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::dir::{Dir, FileAt, NameTaken};

/// How many temporary names are tried.
const NAMES_TRIED: u32 = 100;
/// The file's name in its temporary directory.
const NAME: &str = "file";
/// The suffixes of the file and of those that SQLite may leave beside it.
const SUFFIXES: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// A file with mode 0600 that has no final name yet; dropped before it gets one, it is removed.
///
/// Until then it is in a private subdirectory, so that another user who may write the target directory cannot replace it.
pub struct NewFile {
    around: Arc<Dir>,
    own: String,
    at: FileAt,
    file: File,
}

impl NewFile {
    /// Makes a file for `dir`; the name of its temporary directory begins with `name`.
    ///
    /// # Errors
    /// When the directory or the file cannot be made.
    pub fn make(dir: &Arc<Dir>, name: &str) -> io::Result<NewFile> {
        for nth in 0..NAMES_TRIED {
            let own = format!("{name}.{}-{nth}.part", std::process::id());
            match dir.make_private(&own) {
                Ok(private) => {
                    // Without its file the directory is of no use.
                    let file = private.create(NAME).inspect_err(|_| {
                        let _ = private.remove(NAME).and_then(|()| dir.remove_dir(&own));
                    })?;
                    return Ok(NewFile { around: dir.clone(), own, at: Arc::new(private).file(NAME), file });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Its temporary place.
    pub fn at(&self) -> &FileAt {
        &self.at
    }

    /// The file, open for reading and writing.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Flushes the file, gives it its final name, and flushes that; `taken` says what happens to a file of that name.
    ///
    /// # Errors
    /// When the file system fails, or the name is taken and `taken` keeps it.
    pub fn name(self, name: &OsStr, taken: NameTaken) -> io::Result<()> {
        self.file.sync_all()?;
        self.at.dir.rename(NAME, &self.around, name, taken)?;
        self.around.sync()
    }

    /// Flushes the file and puts it in the place of another, which is renamed to `kept`. The name exists at every moment.
    ///
    /// # Errors
    /// When the file system fails; the other file is there all the same.
    pub fn exchange(self, name: &str, kept: &str) -> io::Result<()> {
        self.file.sync_all()?;
        match self.at.dir.rename(NAME, &self.around, name, NameTaken::Exchange) {
            Ok(()) => {
                if let Err(error) = self.at.dir.rename(NAME, &self.around, kept, NameTaken::Keep) {
                    let there = self.at.path();
                    // The file that is there now must not be removed by our drop.
                    std::mem::forget(self);
                    return Err(io::Error::other(format!("what was there is {} now: {error}", there.display())));
                }
            }
            // Not every file system can swap two names.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) => {
                self.around.rename(name, &self.around, kept, NameTaken::Keep)?;
                self.at.dir.rename(NAME, &self.around, name, NameTaken::Keep)?;
            }
            Err(error) => return Err(error),
        }
        self.around.sync()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        for suffix in SUFFIXES {
            // After the rename this finds nothing.
            let _ = self.at.dir.remove(&format!("{NAME}{suffix}"));
        }
        let _ = self.around.remove_dir(&self.own);
    }
}

/// `path` with a suffix, such as `-wal`.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut longer = path.as_os_str().to_owned();
    longer.push(suffix);
    longer.into()
}

/// Whether both paths lead to the same file.
pub fn is_same(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    id(one).is_some() && id(one) == id(other)
}

/// A size for people, such as `1.5 MiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1_024 {
        return format!("{bytes} bytes");
    }
    let mut number = bytes as f64 / 1_024.0;
    let mut unit = 0;
    while number >= 1_024.0 && unit + 1 < UNITS.len() {
        number /= 1_024.0;
        unit += 1;
    }
    format!("{number:.1} {}", UNITS[unit])
}

/// `1 run`, `2 runs`.
pub fn count(count: i64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Notes SIGINT, SIGTERM and SIGHUP instead of dying by them, for as long as it lives, so that nothing is left half done.
pub struct Interrupts {
    came: Arc<AtomicBool>,
    taken: Vec<SigId>,
}

impl Interrupts {
    /// Notes signals from now on.
    pub fn note() -> Interrupts {
        let came = Arc::new(AtomicBool::new(false));
        let take = |signal| signal_hook::flag::register(signal, came.clone()).ok();
        let taken = [SIGINT, SIGTERM, SIGHUP].into_iter().filter_map(take).collect();
        Interrupts { came, taken }
    }

    /// Whether a signal came.
    pub fn came(&self) -> bool {
        self.came.load(Ordering::SeqCst)
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        for id in self.taken.drain(..) {
            signal_hook::low_level::unregister(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_no_name_before_it_is_whole() {
        let path = std::env::temp_dir().join(format!("runabout-fresh-{}", std::process::id()));
        let dir = Arc::new(Dir::open_or_make(&path).expect("made"));
        let make = || NewFile::make(&dir, "fresh").expect("made");
        let names = || {
            let mut names: Vec<_> =
                std::fs::read_dir(&path).expect("read").map(|entry| entry.expect("one").file_name()).collect();
            names.sort();
            names
        };
        let fresh = make();
        let mode = |path: &Path| std::fs::metadata(path).map(|file| file.mode() & 0o777).ok();
        let own = fresh.at().path();
        assert_eq!((mode(&own), mode(own.parent().expect("one"))), (Some(0o600), Some(0o700)));
        fresh.name(OsStr::new("a"), NameTaken::Keep).expect("named");
        assert_eq!(names(), ["a"]);
        assert!(make().name(OsStr::new("a"), NameTaken::Keep).is_err(), "somebody has the name");
        make().name(OsStr::new("a"), NameTaken::Replace).expect("replaced");
        std::fs::write(path.join("a"), "old").expect("written");
        make().exchange("a", "b").expect("exchanged");
        assert_eq!(
            (names(), std::fs::read(path.join("b")).ok()),
            (vec!["a".into(), "b".into()], Some(b"old".to_vec()))
        );
        drop(make());
        assert_eq!(names().len(), 2);
        std::fs::remove_dir_all(path).expect("removed");
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!([size(7), size(2_048), size(5 << 20), size(3 << 40)], ["7 bytes", "2.0 KiB", "5.0 MiB", "3.0 TiB"]);
    }
}
