//! Where the daemon keeps everything, and where its clients on the same machine find its socket.
//!
//! Only names paths: it must never create, open or check anything.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where the operating system's own daemon of this name would put its socket.
pub const SYSTEM_SOCKET: &str = "/run/runabout/runabout.sock";

const ROOT_STATE_DIR: &str = "/var/lib/runabout";
const SOCKET_NAME: &str = "runabout.sock";

/// The state directory when no flag names one: `RUNABOUT_STATE_DIR`, else the first path of systemd's
/// `STATE_DIRECTORY`, else [`home_state_dir`].
///
/// # Errors
/// A sentence for people when the environment names neither a directory nor a home.
pub fn default_state_dir() -> Result<PathBuf, String> {
    state_dir_from(&variable, is_root())
}

/// The state directory of this user when nothing in the environment points at a daemon: `/var/lib/runabout` for root,
/// else `$XDG_STATE_HOME/runabout`, else `~/.local/state/runabout`.
///
/// # Errors
/// A sentence for people when there is no home.
pub fn home_state_dir() -> Result<PathBuf, String> {
    home_from(&variable, is_root())
}

/// The daemon's Unix socket in its state directory, unless its configuration says otherwise.
pub fn socket_path(state_dir: &Path) -> PathBuf {
    state_dir.join(SOCKET_NAME)
}

type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

fn state_dir_from(variable: Lookup, root: bool) -> Result<PathBuf, String> {
    if let Some(dir) = variable("RUNABOUT_STATE_DIR") {
        return Ok(PathBuf::from(dir));
    }
    // systemd separates several `StateDirectory=` by colons.
    let given = variable("STATE_DIRECTORY").and_then(|list| std::env::split_paths(&list).next());
    match given {
        Some(dir) if !dir.as_os_str().is_empty() => Ok(dir),
        _ => home_from(variable, root),
    }
}

fn home_from(variable: Lookup, root: bool) -> Result<PathBuf, String> {
    if root {
        return Ok(PathBuf::from(ROOT_STATE_DIR));
    }
    // The XDG specification has relative paths ignored.
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(state) = absolute("XDG_STATE_HOME") {
        return Ok(state.join("runabout"));
    }
    match absolute("HOME") {
        Some(home) => Ok(home.join(".local/state/runabout")),
        None => Err("HOME is not set: name the state directory with --state-dir or RUNABOUT_STATE_DIR".to_owned()),
    }
}

/// A variable that is set to nothing counts as not set.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(variables: &[(&str, &str)], root: bool) -> Result<PathBuf, String> {
        let lookup = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        state_dir_from(&lookup, root)
    }

    #[test]
    fn the_nearest_word_wins() {
        let all =
            [("RUNABOUT_STATE_DIR", "/a"), ("STATE_DIRECTORY", "/b:/c"), ("XDG_STATE_HOME", "/d"), ("HOME", "/e")];
        assert_eq!(dir(&all, true), Ok("/a".into()));
        assert_eq!(dir(&all[1..], true), Ok("/b".into()));
        assert_eq!(dir(&all[2..], true), Ok("/var/lib/runabout".into()));
        assert_eq!(dir(&all[2..], false), Ok("/d/runabout".into()));
        assert_eq!(dir(&all[3..], false), Ok("/e/.local/state/runabout".into()));
        assert!(dir(&[], false).is_err());
    }

    #[test]
    fn a_relative_xdg_path_is_ignored() {
        assert_eq!(dir(&[("XDG_STATE_HOME", "d"), ("HOME", "/e")], false), Ok("/e/.local/state/runabout".into()));
    }
}
