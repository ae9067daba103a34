//! Files as they are made here: nobody else's to read, whole before they have their name, on the medium before that is said.

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

/// Names that are tried for what must not be there yet.
const NAMES_TRIED: u32 = 100;
/// The file's name as long as it is nobody's but ours.
const NAME: &str = "file";
/// What SQLite may leave beside it.
const SUFFIXES: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// A file that has no name yet where it is to be, with mode 0600; dropped without one, it goes.
///
/// Until then it lies in a directory of its own in that place, which nobody else may enter: so whoever may write the
/// directory around it cannot put another file in its place.
pub struct Fresh {
    around: Arc<Dir>,
    own: String,
    at: FileAt,
    file: File,
}

impl Fresh {
    /// Makes it in `dir`; the name of its directory begins with `name`.
    ///
    /// # Errors
    /// Where none can be made there.
    pub fn make(dir: &Arc<Dir>, name: &str) -> io::Result<Fresh> {
        for nth in 0..NAMES_TRIED {
            let own = format!("{name}.{}-{nth}.part", std::process::id());
            match dir.make_private(&own) {
                Ok(private) => {
                    // Without its file the directory is of no use to anybody.
                    let file = private.create(NAME).inspect_err(|_| {
                        let _ = private.remove(NAME).and_then(|()| dir.remove_dir(&own));
                    })?;
                    return Ok(Fresh { around: dir.clone(), own, at: Arc::new(private).file(NAME), file });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Where it is.
    pub fn at(&self) -> &FileAt {
        &self.at
    }

    /// The file itself, open to be read and written.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Puts it on the medium, then gives it its name there, too; `taken` says what becomes of one that has it.
    ///
    /// # Errors
    /// Where that cannot be done; somebody has the name and keeps it.
    pub fn name(self, name: &OsStr, taken: NameTaken) -> io::Result<()> {
        self.file.sync_all()?;
        self.at.dir.rename(NAME, &self.around, name, taken)?;
        self.around.sync()
    }

    /// Puts it on the medium and in the place of another, which gets the name `kept`: there is one at every moment.
    ///
    /// # Errors
    /// Where that cannot be done; what had the name is there all the same.
    pub fn exchange(self, name: &str, kept: &str) -> io::Result<()> {
        self.file.sync_all()?;
        match self.at.dir.rename(NAME, &self.around, name, NameTaken::Exchange) {
            Ok(()) => {
                if let Err(error) = self.at.dir.rename(NAME, &self.around, kept, NameTaken::Keep) {
                    let there = self.at.path();
                    // What lies there now is not ours to remove.
                    std::mem::forget(self);
                    return Err(io::Error::other(format!("what was there is {} now: {error}", there.display())));
                }
            }
            // Not every file system can exchange.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) => {
                self.around.rename(name, &self.around, kept, NameTaken::Keep)?;
                self.at.dir.rename(NAME, &self.around, name, NameTaken::Keep)?;
            }
            Err(error) => return Err(error),
        }
        self.around.sync()
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        for suffix in SUFFIXES {
            // Once it has its name this finds nothing.
            let _ = self.at.dir.remove(&format!("{NAME}{suffix}"));
        }
        let _ = self.around.remove_dir(&self.own);
    }
}

/// `path` with something behind it, such as `-wal`.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut longer = path.as_os_str().to_owned();
    longer.push(suffix);
    longer.into()
}

/// Whether both are the same file, by whatever way they are named.
pub fn is_same(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    id(one).is_some() && id(one) == id(other)
}

/// Bytes as people read them.
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

/// Whether somebody wants an end to it: while this lives, signals are only noted, so that nothing half done is left.
pub struct Interrupts {
    came: Arc<AtomicBool>,
    taken: Vec<SigId>,
}

impl Interrupts {
    /// From now on.
    pub fn note() -> Interrupts {
        let came = Arc::new(AtomicBool::new(false));
        let take = |signal| signal_hook::flag::register(signal, came.clone()).ok();
        let taken = [SIGINT, SIGTERM, SIGHUP].into_iter().filter_map(take).collect();
        Interrupts { came, taken }
    }

    /// Whether one came.
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
        let make = || Fresh::make(&dir, "fresh").expect("made");
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
