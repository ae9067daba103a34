//! The paths of the daemon's files, by the same rules for the daemon and its clients.
//!
//! It reads no environment but the one it is given, and of the file system only the directory's owner.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

#[cfg(unix)]
use crate::accounts::Account;

/// The database's name in the state directory.
pub const DATABASE: &str = "runabout.db";
/// The configuration file's name in the state directory.
pub const CONFIG: &str = "config.toml";

/// The longest path of a Unix socket: `sun_path` of unix(7) has 108 bytes, one of them for the NUL.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

/// The state directory of root, and of the machine's own service.
pub const SYSTEM_STATE_DIR: &str = "/var/lib/runabout";

/// The state directory when neither a flag nor `RUNABOUT_STATE_DIR` nor systemd names one; `None` when there is no home
/// directory either.
pub fn default_state_dir(env: impl Fn(&str) -> Option<OsString>, is_root: bool) -> Option<PathBuf> {
    if is_root {
        return Some(PathBuf::from(SYSTEM_STATE_DIR));
    }
    let absolute = |name: &str| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
    // The XDG specification: a relative path is invalid and ignored.
    let states = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    Some(states?.join("runabout"))
}

/// The daemon's state directory: `--state-dir`, else `RUNABOUT_STATE_DIR`, else the first of `STATE_DIRECTORY`, else the
/// default.
pub fn state_dir(flag: Option<&Path>, env: impl Fn(&str) -> Option<OsString>, is_root: bool) -> Option<PathBuf> {
    let given = |name: &str| env(name).filter(|value| !value.is_empty());
    let first = |paths: OsString| std::env::split_paths(&paths).next();
    flag.map(Path::to_path_buf)
        .or_else(|| given("RUNABOUT_STATE_DIR").map(PathBuf::from))
        .or_else(|| given("STATE_DIRECTORY").and_then(first))
        .or_else(|| default_state_dir(&env, is_root))
}

/// The directory's owner, if that is neither root nor this process's user; `None` also when there is no directory yet.
#[cfg(unix)]
pub fn owner(state_dir: &Path) -> Option<Account> {
    use std::os::unix::fs::MetadataExt as _;

    let uid = std::fs::metadata(state_dir).ok()?.uid();
    let is_known = uid == 0 || uid == rustix::process::geteuid().as_raw();
    if is_known { None } else { Account::find_uid(uid) }
}

/// The database's file.
pub fn database_path(state_dir: &Path) -> PathBuf {
    state_dir.join(DATABASE)
}

/// The default path of the Unix socket.
pub fn socket_path(state_dir: &Path) -> PathBuf {
    state_dir.join("runabout.sock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_applies_decides() {
        let vars = |pairs: &'static [(&'static str, &'static str)]| {
            move |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        };
        let dir = |pairs, root| state_dir(None, vars(pairs), root);
        const ALL: &[(&str, &str)] =
            &[("RUNABOUT_STATE_DIR", "/r"), ("STATE_DIRECTORY", "/s:/t"), ("XDG_STATE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(state_dir(Some(Path::new("/f")), vars(ALL), true), Some("/f".into()));
        assert_eq!(dir(ALL, true), Some("/r".into()));
        assert_eq!(dir(&[("STATE_DIRECTORY", "/s:/t"), ("HOME", "/h")], true), Some("/s".into()));
        assert_eq!(dir(&[("HOME", "/h")], true), Some("/var/lib/runabout".into()));
        assert_eq!(dir(&[("XDG_STATE_HOME", "/x"), ("HOME", "/h")], false), Some("/x/runabout".into()));
        assert_eq!(dir(&[("XDG_STATE_HOME", "x"), ("HOME", "/h")], false), Some("/h/.local/state/runabout".into()));
        assert_eq!(dir(&[], false), None);
    }
}
