//! The file of the configuration, read once: the one that somebody named, or the one in the state directory.
//!
//! Who names a file says what is in it. What lies in the state directory counts only where the directory is the daemon's
//! own, and the file is no link, the directory's owner's or root's (see [`crate::dir`]).

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::dir::{Dir, FileAt};
use crate::state_dir::CONFIG;

/// No configuration is this long; guards against a `--config /dev/zero`.
const BYTES_MAX: u64 = 1_048_576;

/// A file, and what is in it or why that cannot be read.
#[derive(Debug)]
pub struct ConfigFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its text.
    pub text: io::Result<String>,
}

impl ConfigFile {
    /// The file of `--config`, whatever it is: also a pipe, for whose writer it waits.
    pub fn named(path: &Path) -> ConfigFile {
        ConfigFile { path: path.to_path_buf(), text: File::open(path).and_then(read) }
    }

    /// A file that somebody else may have named: only one that nobody is kept waiting by.
    pub fn found(path: &Path) -> ConfigFile {
        // Its name may be a link, as in /etc; what it leads to is looked at.
        let file = path.canonicalize().and_then(|real| FileAt::named(&real)).and_then(|at| at.dir.read(&at.name));
        ConfigFile { path: path.to_path_buf(), text: file.and_then(read) }
    }

    /// `config.toml` in the state directory, if there is anything of that name.
    pub fn in_dir(dir: &Dir) -> Option<ConfigFile> {
        let path = dir.path().join(CONFIG);
        let text = match dir.read(CONFIG) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            file => file.and_then(read),
        };
        let text = text.map_err(|error| match error.kind() {
            io::ErrorKind::Other => io::Error::other(format!("{error}; --config FILE names any other")),
            _ => error,
        });
        Some(ConfigFile { path, text })
    }
}

fn read(file: File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(io::Error::other(format!("longer than {BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("not UTF-8"))
}
