//! What `login` saved: one daemon's URL, the session token for it, and by which authority it is known.
//!
//! The file is a secret: on Unix it is created with mode 0600, and one that others can read is never used; elsewhere it
//! lies in the user's own profile.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
#[cfg(unix)]
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::client::failure::Failure;
use crate::text::json_string;

/// A saved session.
#[derive(Clone, Debug, Deserialize)]
pub struct Login {
    /// The daemon's URL, as it was given.
    pub url: String,
    /// The session's token.
    pub token: String,
    /// The certificates of the authority that was named, as an absolute path.
    pub ca: Option<PathBuf>,
}

/// Reads what was saved, if anything was.
///
/// # Errors
/// [`Failure::Usage`] when the file cannot be read or understood, or others can read it.
pub fn read() -> Result<Option<Login>, Failure> {
    match path() {
        Some(path) => read_from(&path),
        None => Ok(None),
    }
}

/// Saves it in place of what was saved before, and says where.
///
/// # Errors
/// [`Failure::Own`] when there is no home or the file cannot be written.
pub fn save(login: &Login) -> Result<PathBuf, Failure> {
    let path =
        path().ok_or_else(|| Failure::Own("HOME is not set: there is no place to save a login in".to_owned()))?;
    save_to(&path, login).map_err(|error| Failure::Own(format!("cannot write {}: {error}", path.display())))?;
    Ok(path)
}

/// Forgets it, if anything was saved.
///
/// # Errors
/// [`Failure::Own`] when the file cannot be removed.
pub fn forget() -> Result<(), Failure> {
    let Some(path) = path() else { return Ok(()) };
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::Own(format!("cannot remove {}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

fn path() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    #[cfg(windows)]
    let config = absolute("APPDATA")?;
    #[cfg(not(windows))]
    let config = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
    Some(config.join("runabout/login.toml"))
}

fn read_from(path: &Path) -> Result<Option<Login>, Failure> {
    let wrong = |why: String| Failure::Usage(format!("{}: {why}", path.display()));
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(wrong(error.to_string())),
    };
    if is_open_to_others(&file).map_err(|error| wrong(error.to_string()))? {
        return Err(wrong(format!("others can read this secret: chmod 600 {}", path.display())));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|error| wrong(error.to_string()))?;
    toml::from_str(&text).map(Some).map_err(|error| wrong(error.message().to_owned()))
}

#[cfg(unix)]
fn is_open_to_others(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_: &File) -> io::Result<bool> {
    Ok(false)
}

/// Written beside it and renamed, so that a token is never half there and never in a file with another mode.
fn save_to(path: &Path, login: &Login) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        builder.mode(0o700);
        builder.recursive(true).create(dir)?;
    }
    let new = path.with_extension(format!("new-{}", std::process::id()));
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    options.mode(0o600);
    let written = options.write(true).create_new(true).open(&new).and_then(|mut file| {
        writeln!(file, "url = {}\ntoken = {}", quoted(&login.url), quoted(&login.token))?;
        if let Some(ca) = &login.ca {
            writeln!(file, "ca = {}", quoted(ca.to_str().ok_or(io::ErrorKind::InvalidInput)?))?;
        }
        file.sync_all()
    });
    match written.and_then(|()| fs::rename(&new, path)) {
        Ok(()) => Ok(()),
        Err(error) => {
            let _ = fs::remove_file(&new);
            Err(error)
        }
    }
}

/// A TOML string: what a JSON string escapes, a basic string of TOML reads alike.
fn quoted(text: &str) -> String {
    json_string(text)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_saved_is_read_and_only_by_its_owner() {
        let dir = std::env::temp_dir().join(format!("runabout-login-{}", std::process::id()));
        let path = dir.join("runabout/login.toml");
        assert!(read_from(&path).expect("nothing yet").is_none());
        for (token, ca) in [("rbs_old", Some("/ca \"1\".pem")), ("rbs_\"new\"", None)] {
            let login = Login { url: "http://pi:7867".to_owned(), token: token.to_owned(), ca: ca.map(PathBuf::from) };
            save_to(&path, &login).expect("saved");
            let back = read_from(&path).expect("readable").expect("there");
            assert_eq!((back.url, back.token, back.ca), (login.url, login.token, login.ca));
        }
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
        assert!(read_from(&path).is_err());
        fs::remove_dir_all(&dir).expect("removed");
    }
}
