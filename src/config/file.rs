//! Reads the configuration file: the one that `--config` names, or the one in the state directory.
//!
//! A named file is trusted. The one in the state directory must pass the checks of [`crate::dir`], in a directory that is the
//! daemon's own.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::dir::{Dir, FileAt};
use crate::state_dir::CONFIG;

/// The longest file, in bytes; guards against `--config /dev/zero`.
const BYTES_MAX: u64 = 1_048_576;

/// A configuration file and its text, or why it cannot be read.
#[derive(Debug)]
pub struct ConfigFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its text.
    pub text: io::Result<String>,
}

impl ConfigFile {
    /// Reads the file of `--config`. It may be a pipe; then this waits for its writer.
    pub fn named(path: &Path) -> ConfigFile {
        ConfigFile { path: path.to_path_buf(), text: File::open(path).and_then(read) }
    }

    /// Reads a file that another process names: only a regular file, so that this never blocks.
    pub fn found(path: &Path) -> ConfigFile {
        // Its name may be a link, as in /etc; the target is checked.
        let file = path.canonicalize().and_then(|real| FileAt::named(&real)).and_then(|at| at.dir.read(&at.name));
        ConfigFile { path: path.to_path_buf(), text: file.and_then(read) }
    }

    /// Reads `config.toml` in the state directory; `None` when there is none.
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
