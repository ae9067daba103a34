//! Which file a command's name means, and why it could not be started, in words.
//!
//! It only looks; an error names no secret.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// Where commands are looked for when no environment says so; as execvp(3).
const PATH_DEFAULT: &str = "/bin:/usr/bin";

/// Finds the program that `name` means, by the `PATH` and from the directory that the child will have.
///
/// By our own search, because the standard library's would leave its posix_spawn for fork.
///
/// # Errors
/// Why there is none, for people.
pub fn find_program(name: &str, environment: &[(OsString, OsString)], directory: &Path) -> Result<PathBuf, String> {
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    if name.is_empty() {
        return Err("not found: the empty name".to_owned());
    }
    let mut refused = None;
    for candidate in candidates(name, environment) {
        let found = directory.join(candidate);
        match is_program(&found) {
            Ok(()) => return Ok(found),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => refused = Some(error),
            _ => {}
        }
    }
    Err(match refused {
        Some(error) => format!("not executable: {name} ({})", reason(&error)),
        None => format!("not found: {name}"),
    })
}

/// The files that `name` may mean, by the `PATH`, in this order.
pub fn candidates(name: &str, environment: &[(OsString, OsString)]) -> Vec<PathBuf> {
    if name.contains('/') {
        return vec![PathBuf::from(name)];
    }
    let path = environment.iter().rev().find(|(key, _)| key == "PATH").map(|(_, value)| value.as_os_str());
    let entries = path.unwrap_or(OsStr::new(PATH_DEFAULT)).as_bytes().split(|&byte| byte == b':');
    entries.map(|entry| Path::new(OsStr::from_bytes(entry)).join(name)).collect()
}

/// What a failed spawn of `program` from `directory` was, for people.
pub fn spawn_error(name: &str, program: &Path, directory: &Path, error: &io::Error) -> String {
    let file = directory.join(program);
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => "no file descriptors left for another command".to_owned(),
        Some(libc::ENOENT) if !Path::new("/dev/null").exists() => format!("cannot start {name} without /dev/null"),
        // A name without a directory was looked for in others than this.
        Some(libc::ENOENT) if program.as_os_str().as_bytes().contains(&b'/') && file.exists() => {
            format!("not executable: {name} (its interpreter is missing)")
        }
        Some(libc::ENOENT | libc::ENOTDIR) => format!("not found: {name}"),
        Some(libc::EACCES | libc::EPERM | libc::ENOEXEC | libc::ELIBBAD | libc::ETXTBSY | libc::EISDIR) => {
            format!("not executable: {name} ({})", reason(error))
        }
        Some(libc::E2BIG) => format!("arguments and environment are too long for {name}"),
        Some(libc::EAGAIN | libc::ENOMEM) => format!("no process left for {name} ({})", reason(error)),
        _ => format!("could not start {name} ({})", reason(error)),
    }
}

/// An error's words without its number.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

fn is_program(path: &Path) -> io::Result<()> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::from_raw_os_error(libc::EACCES));
    }
    Ok(access(path, Access::EXEC_OK)?)
}
