//! The environment of a command: its variables, its directory, its user.
//!
//! Never changes the daemon's own, and names no secret in an error.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::accounts::{Account, user_name};
use crate::process::{Description, Directory, OomScore, procfs};
use crate::run::Command;
use crate::run_tokens::RunToken;
use crate::store::Claimed;

/// Variables that systemd sets for the daemon alone; commands do not inherit them, nor any `RUNABOUT_…`.
const PRIVATE: &[&str] = &["NOTIFY_SOCKET", "INVOCATION_ID", "JOURNAL_STREAM", "STATE_DIRECTORY", "RUNTIME_DIRECTORY"];
const PRIVATE_PREFIXES: &[&str] = &["RUNABOUT_", "LISTEN_", "WATCHDOG_"];

/// What a terminal is like unless the submit says otherwise: what nearly all that draw one can do.
const TERM: &str = "xterm-256color";

const NULL: &str = "/dev/null";

/// What all commands of this daemon have in common; made once, at the start.
#[derive(Debug)]
pub struct Environment {
    /// What commands inherit of the daemon's own variables.
    inherited: Vec<(OsString, OsString)>,
    home: Option<PathBuf>,
    instance: String,
    boot_id: String,
    oom_score: OomScore,
    /// `/dev/null`, of which there is another descriptor sooner than it is opened.
    null: Option<File>,
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
        let null = File::open(NULL).ok();
        Environment { inherited, home, instance, boot_id, oom_score, null, url: None, socket: None, account: None }
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

    /// A descriptor that stands for nothing.
    pub(super) fn spare(&self) -> io::Result<File> {
        self.null.as_ref().map_or_else(|| File::open(NULL), File::try_clone)
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
        if claimed.options.pty.is_some() {
            // What the daemon's own terminal is like does not hold for this one.
            all.retain(|(key, _)| key != "COLUMNS" && key != "LINES");
            all.push(own(("TERM", TERM.to_owned())));
        }
        all.extend(claimed.env.iter().map(|(key, value)| (key.into(), value.into())));
        all.push(own(("RUNABOUT_RUN_ID", claimed.run.to_string())));
        all.push(own(("RUNABOUT_ATTEMPT", claimed.attempt.to_string())));
        all.push(own(("RUNABOUT_INSTANCE", self.instance.clone())));
        all.extend(claimed.artifacts_dir.iter().map(|dir| ("RUNABOUT_ARTIFACTS".into(), dir.into())));
        all.extend(self.url.iter().map(|url| own(("RUNABOUT_URL", url.clone()))));
        // Another user reaches the socket only where it was made for that; then it is the URL, too.
        let by_socket = self.becomes().is_none() || self.url.as_ref().is_some_and(|url| url.starts_with("unix:"));
        all.extend(self.socket.iter().filter(|_| by_socket).map(|path| ("RUNABOUT_SOCKET".into(), path.into())));
        all.push(own(("RUNABOUT_RUN_TOKEN", token.reveal().to_owned())));
        all
    }

    /// The command as it is to be started.
    pub fn describe(&self, claimed: &Claimed, token: &RunToken) -> Description {
        let words = match &claimed.command {
            Command::Script(script) => vec!["/bin/sh".to_owned(), "-c".to_owned(), script.clone()],
            Command::Argv(argv) => argv.clone(),
        };
        Description {
            words,
            environment: self.variables(claimed, token),
            directory: self.directory(claimed),
            account: self.becomes().cloned(),
            has_stdin: claimed.stdin.is_some() || claimed.options.stdin.is_some(),
            terminal: claimed.options.pty,
        }
    }

    fn directory(&self, claimed: &Claimed) -> Directory {
        match &claimed.cwd {
            Some(asked) => Directory::Asked(PathBuf::from(asked)),
            None => Directory::FirstOf(self.home.iter().cloned().chain([PathBuf::from("/")]).collect()),
        }
    }
}

fn is_private(key: &OsStr) -> bool {
    let key = key.as_bytes();
    PRIVATE.iter().any(|name| name.as_bytes() == key)
        || PRIVATE_PREFIXES.iter().any(|prefix| key.starts_with(prefix.as_bytes()))
}

#[cfg(test)]
#[path = "environment_tests.rs"]
mod tests;
