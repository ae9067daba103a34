//! Files as they are made here: nobody else's to read, whole before they have their name, on the medium before that is said.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Names that are tried for a file that must not be there yet.
const NAMES_TRIED: u32 = 100;

/// A file under a name of its own, with mode 0600; dropped without another name, it goes.
pub struct Fresh(PathBuf);

impl Fresh {
    /// Makes it in `dir`; its name begins with `name`.
    ///
    /// # Errors
    /// Where none can be made there.
    pub fn make(dir: &Path, name: &str) -> io::Result<Fresh> {
        for nth in 0..NAMES_TRIED {
            let path = dir.join(format!("{name}.{}-{nth}.part", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(_) => return Ok(Fresh(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Puts it on the medium, then gives it its name there, too; `replace` says what becomes of one that has it.
    ///
    /// # Errors
    /// Where that cannot be done; somebody has the name and it is not to be replaced.
    pub fn name(self, name: &Path, replace: bool) -> io::Result<()> {
        File::open(&self.0)?.sync_all()?;
        if replace {
            fs::rename(&self.0, name)?;
        } else {
            match renameat_with(CWD, &self.0, CWD, name, RenameFlags::NOREPLACE) {
                // Not every file system can look and rename at once.
                Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if !name.exists() => {
                    fs::rename(&self.0, name)?
                }
                other => other?,
            }
        }
        sync_dir(name.parent().unwrap_or(Path::new("/")))
    }

    /// Opens it for what is left to do with it; its name goes at once.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub fn anonymous(self) -> io::Result<File> {
        File::open(&self.0)
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // Once it has its name this finds nothing.
        let _ = fs::remove_file(&self.0);
    }
}

/// Puts a directory's names on the medium.
///
/// # Errors
/// Where that cannot be done.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    match File::open(dir)?.sync_all() {
        // Some file systems of networks know no such thing.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        other => other,
    }
}

/// Gives a file that root made to whom the directory belongs.
///
/// # Errors
/// Where that cannot be done.
pub fn give_like(dir: &Path, file: &Path) -> io::Result<()> {
    let (whose, is) = (fs::metadata(dir)?, fs::metadata(file)?);
    let differs = (whose.uid(), whose.gid()) != (is.uid(), is.gid());
    if differs && rustix::process::geteuid().is_root() {
        chown(file, Some(whose.uid()), Some(whose.gid()))?;
    }
    Ok(())
}

/// `path` with something behind it, such as `-wal`.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut longer = path.as_os_str().to_owned();
    longer.push(suffix);
    longer.into()
}

/// Whether both are the same file, by whatever way they are named.
pub fn is_same(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
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
        let dir = std::env::temp_dir();
        let (name, taken) = (dir.join(format!("fresh-{}", std::process::id())), dir.join("."));
        let fresh = Fresh::make(&dir, "fresh").expect("made");
        let path = fresh.path().to_owned();
        assert_eq!(fs::metadata(&path).map(|file| file.mode() & 0o777).ok(), Some(0o600));
        fresh.name(&name, false).expect("named");
        assert!(name.exists() && !path.exists());
        assert!(Fresh::make(&dir, "fresh").expect("made").name(&name, false).is_err(), "somebody has the name");
        Fresh::make(&dir, "fresh").expect("made").name(&name, true).expect("replaced");
        assert!(is_same(&dir, &taken) && !is_same(&dir, &name));
        fs::remove_file(name).expect("removed");
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!([size(7), size(2_048), size(5 << 20), size(3 << 40)], ["7 bytes", "2.0 KiB", "5.0 MiB", "3.0 TiB"]);
    }
}
