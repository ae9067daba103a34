//! The environment of a command: its variables, its directory, its user.
//!
//! Never changes the daemon's own, and names no secret in an error.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::oom_score::OomScore;
use super::procfs;
use super::program::reason;
use crate::accounts::{Account, user_name};
use crate::run_tokens::RunToken;
use crate::store::Claimed;

/// Variables that systemd sets for the daemon alone; commands do not inherit them, nor any `RUNABOUT_…`.
const PRIVATE: &[&str] = &["NOTIFY_SOCKET", "INVOCATION_ID", "JOURNAL_STREAM", "STATE_DIRECTORY", "RUNTIME_DIRECTORY"];
const PRIVATE_PREFIXES: &[&str] = &["RUNABOUT_", "LISTEN_", "WATCHDOG_"];

/// What all commands of this daemon have in common; made once, at the start.
#[derive(Debug)]
pub struct Environment {
    /// What commands inherit of the daemon's own variables.
    inherited: Vec<(OsString, OsString)>,
    home: Option<PathBuf>,
    instance: String,
    boot_id: String,
    oom_score: OomScore,
    /// Where a command reaches the daemon.
    url: Option<String>,
    /// The daemon's Unix socket.
    socket: Option<PathBuf>,
    /// The user that commands run as, if configured.
    account: Option<Account>,
}

impl Environment {
    /// From the daemon's own environment; `instance` is the database's.
    pub fn new(instance: &str) -> Environment {
        let inherited = std::env::vars_os().filter(|(key, _)| !is_private(key)).collect();
        let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        let own = || Account::find(&rustix::process::getuid().as_raw().to_string());
        let home = home.or_else(|| own()?.home);
        let (instance, boot_id, oom_score) = (instance.to_owned(), procfs::boot_id(), OomScore::by_trial());
        Environment { inherited, home, instance, boot_id, oom_score, url: None, socket: None, account: None }
    }

    /// The same, where commands reach the daemon at this URL and socket.
    pub fn reached_at(self, url: String, socket: PathBuf) -> Environment {
        Environment { url: Some(url), socket: Some(socket), ..self }
    }

    /// The same, where commands run as this user, in its home and with its names.
    pub fn of_user(mut self, account: Account) -> Environment {
        let home = account.home.clone().unwrap_or_else(|| PathBuf::from("/"));
        let (name, shell) = (OsString::from(&account.name), OsString::from(&account.shell));
        for (key, value) in [("HOME", home.clone().into()), ("USER", name.clone()), ("LOGNAME", name), ("SHELL", shell)]
        {
            self.inherited.push((key.into(), value));
        }
        Environment { home: Some(home), account: Some(account), ..self }
    }

    /// The user that a command must become, if that is not the daemon's own.
    pub fn becomes(&self) -> Option<&Account> {
        let own = rustix::process::geteuid().as_raw();
        self.account.as_ref().filter(|account| account.uid != own)
    }

    /// The name of the user that commands run as, or its number if it has no name.
    pub fn user(&self) -> String {
        let own = || rustix::process::geteuid().as_raw();
        let named = self.account.as_ref().map(|account| account.name.clone());
        named.or_else(|| user_name(own())).unwrap_or_else(|| own().to_string())
    }

    /// The instance of the database.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// How commands get their score with the out-of-memory killer.
    pub(super) fn oom_score(&self) -> &OomScore {
        &self.oom_score
    }

    /// The id of this boot.
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// All variables of the command; of two with the same name the last one counts.
    pub fn variables(&self, claimed: &Claimed, token: &RunToken) -> Vec<(OsString, OsString)> {
        let own = |(key, value): (&str, String)| (OsString::from(key), OsString::from(value));
        let mut all = self.inherited.clone();
        all.push(own(("PYTHONUNBUFFERED", "1".to_owned())));
        all.extend(claimed.env.iter().map(|(key, value)| (key.into(), value.into())));
        all.push(own(("RUNABOUT_RUN_ID", claimed.run.to_string())));
        all.push(own(("RUNABOUT_ATTEMPT", claimed.attempt.to_string())));
        all.push(own(("RUNABOUT_INSTANCE", self.instance.clone())));
        all.extend(self.url.iter().map(|url| own(("RUNABOUT_URL", url.clone()))));
        // Another user reaches the socket only where it was made for that; then it is the URL, too.
        let by_socket = self.becomes().is_none() || self.url.as_ref().is_some_and(|url| url.starts_with("unix:"));
        all.extend(self.socket.iter().filter(|_| by_socket).map(|path| ("RUNABOUT_SOCKET".into(), path.into())));
        all.push(own(("RUNABOUT_RUN_TOKEN", token.reveal().to_owned())));
        all
    }

    /// The directories that the command may start in, of which a child takes the first that it can enter.
    pub fn directories(&self, claimed: &Claimed) -> Vec<PathBuf> {
        match &claimed.cwd {
            Some(asked) => vec![PathBuf::from(asked)],
            None => self.home.iter().cloned().chain([PathBuf::from("/")]).collect(),
        }
    }

    /// The directory that the command starts in.
    ///
    /// # Errors
    /// Why the requested one cannot be entered. A failed spawn could not tell that from a missing program.
    pub fn directory(&self, claimed: &Claimed) -> Result<PathBuf, String> {
        let Some(asked) = &claimed.cwd else {
            let home = self.home.clone().filter(|home| may_enter(home).is_ok());
            return Ok(home.unwrap_or_else(|| PathBuf::from("/")));
        };
        may_enter(Path::new(asked)).map_err(|error| format!("working directory {asked}: {}", reason(&error)))?;
        Ok(PathBuf::from(asked))
    }
}

fn may_enter(directory: &Path) -> io::Result<()> {
    if !fs::metadata(directory)?.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
    }
    Ok(access(directory, Access::EXEC_OK)?)
}

fn is_private(key: &OsStr) -> bool {
    let key = key.as_bytes();
    PRIVATE.iter().any(|name| name.as_bytes() == key)
        || PRIVATE_PREFIXES.iter().any(|prefix| key.starts_with(prefix.as_bytes()))
}

#[cfg(test)]
#[path = "environment_tests.rs"]
mod tests;
