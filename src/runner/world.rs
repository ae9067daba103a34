//! The child's world: environment, directory, program and standing with the out-of-memory killer.
//!
//! It never changes the daemon's own, but for the moment of a spawn, and names no secret in an error.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{Access, access};

use super::procfs;
use crate::accounts::{Account, user_name};
use crate::run_tokens::RunToken;
use crate::store::Claimed;

/// How much likelier than the daemon a command is to be killed for memory …
const OOM_SCORE_ABOVE: i32 = 500;
/// … and the most that the kernel takes.
const OOM_SCORE_MAX: i32 = 1000;
/// Where commands are looked for when no environment says so; as execvp(3).
const PATH_DEFAULT: &str = "/bin:/usr/bin";
/// What systemd tells the daemon and means for nobody else; and every `RUNABOUT_…`.
const PRIVATE: &[&str] = &["NOTIFY_SOCKET", "INVOCATION_ID", "JOURNAL_STREAM", "STATE_DIRECTORY", "RUNTIME_DIRECTORY"];
const PRIVATE_PREFIXES: &[&str] = &["RUNABOUT_", "LISTEN_", "WATCHDOG_"];

/// The score belongs to the process, so there is one lock for it, whoever spawns.
static OOM_SCORE: Mutex<()> = Mutex::new(());

/// What all commands of this daemon have in common; made once, at the start.
#[derive(Debug)]
pub struct World {
    environment: Vec<(OsString, OsString)>,
    home: Option<PathBuf>,
    instance: String,
    boot_id: String,
    oom: Oom,
    /// Where a command reaches the daemon.
    url: Option<String>,
    /// The daemon's Unix socket.
    socket: Option<PathBuf>,
    /// Whom commands run as, where that was said.
    account: Option<Account>,
}

/// How a child comes to its higher score.
#[derive(Debug)]
enum Oom {
    /// It inherits it: the daemon's own is raised around the spawn. No moment is left in which the
    /// child has the daemon's.
    Inherit { score: File, own: i32, raised: i32 },
    /// It is given it after the spawn, because the daemon may not lower its own again.
    Give(i32),
    /// There is none to be given.
    Same,
}

impl World {
    /// Looks at the daemon's own world; `instance` is the database's.
    pub fn new(instance: &str) -> World {
        let environment = std::env::vars_os().filter(|(key, _)| !is_private(key)).collect();
        let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        let own = || Account::find(&rustix::process::getuid().as_raw().to_string());
        let home = home.or_else(|| own()?.home);
        let (instance, boot_id, oom) = (instance.to_owned(), procfs::boot_id(), Oom::by_trial());
        World { environment, home, instance, boot_id, oom, url: None, socket: None, account: None }
    }

    /// The same, with commands told that they reach the daemon there.
    pub fn reached_at(self, url: String, socket: PathBuf) -> World {
        World { url: Some(url), socket: Some(socket), ..self }
    }

    /// The same, with commands running as this user, in its home and by its names.
    pub fn of_user(mut self, account: Account) -> World {
        let home = account.home.clone().unwrap_or_else(|| PathBuf::from("/"));
        let (name, shell) = (OsString::from(&account.name), OsString::from(&account.shell));
        for (key, value) in [("HOME", home.clone().into()), ("USER", name.clone()), ("LOGNAME", name), ("SHELL", shell)]
        {
            self.environment.push((key.into(), value));
        }
        World { home: Some(home), account: Some(account), ..self }
    }

    /// Whom a command must become, where that is not who the daemon is.
    pub fn becomes(&self) -> Option<&Account> {
        let own = rustix::process::geteuid().as_raw();
        self.account.as_ref().filter(|account| account.uid != own)
    }

    /// Whom commands run as: a name, or a number that has none.
    pub fn user(&self) -> String {
        let own = || rustix::process::geteuid().as_raw();
        let named = self.account.as_ref().map(|account| account.name.clone());
        named.or_else(|| user_name(own())).unwrap_or_else(|| own().to_string())
    }

    /// The name of the database whose runs these are.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The name of this boot.
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// All that the command finds in its environment; of two of the same name the last holds.
    pub fn environment(&self, claimed: &Claimed, token: &RunToken) -> Vec<(OsString, OsString)> {
        let own = |(key, value): (&str, String)| (OsString::from(key), OsString::from(value));
        let mut all = self.environment.clone();
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

    /// The directories that the command may start in, the first that can be entered: for a child that looks for itself.
    pub fn directories(&self, claimed: &Claimed) -> Vec<PathBuf> {
        match &claimed.cwd {
            Some(asked) => vec![PathBuf::from(asked)],
            None => self.home.iter().cloned().chain([PathBuf::from("/")]).collect(),
        }
    }

    /// The directory that the command starts in.
    ///
    /// # Errors
    /// Why the one that was asked for cannot be entered: after a failed spawn nobody could tell
    /// that from a missing program.
    pub fn directory(&self, claimed: &Claimed) -> Result<PathBuf, String> {
        let Some(asked) = &claimed.cwd else {
            let home = self.home.clone().filter(|home| may_enter(home).is_ok());
            return Ok(home.unwrap_or_else(|| PathBuf::from("/")));
        };
        may_enter(Path::new(asked)).map_err(|error| format!("working directory {asked}: {}", reason(&error)))?;
        Ok(PathBuf::from(asked))
    }

    /// Calls `spawn` so that its child has the higher score.
    pub fn with_raised_score<T>(&self, spawn: impl FnOnce() -> T) -> T {
        let Oom::Inherit { score, own, raised } = &self.oom else { return spawn() };
        let _one_at_a_time = OOM_SCORE.lock().unwrap_or_else(PoisonError::into_inner);
        let wrote = write_score(score, *raised);
        let answer = spawn();
        if let Err(error) = wrote.and_then(|()| write_score(score, *own)) {
            log::warn!("cannot set the oom_score_adj: {error}");
        }
        answer
    }

    /// Gives a child the score that it did not inherit.
    pub fn give_score(&self, pid: i32) {
        let Oom::Give(score) = self.oom else { return };
        if let Err(error) = fs::write(format!("/proc/{pid}/oom_score_adj"), score.to_string()) {
            log::debug!("cannot set the oom_score_adj of process {pid}: {error}");
        }
    }
}

impl Oom {
    /// Finds out by a small step up and down again what the kernel allows here.
    fn by_trial() -> Oom {
        let _one_at_a_time = OOM_SCORE.lock().unwrap_or_else(PoisonError::into_inner);
        let path = "/proc/self/oom_score_adj";
        let read = || fs::read_to_string(path).ok()?.trim().parse::<i32>().ok();
        let Some(own) = read() else { return Oom::Same };
        let raised = (own + OOM_SCORE_ABOVE).min(OOM_SCORE_MAX);
        if raised == own {
            return Oom::Same;
        }
        let trial = || -> io::Result<File> {
            let score = OpenOptions::new().write(true).open(path)?;
            write_score(&score, own + 1)?;
            write_score(&score, own)?;
            Ok(score)
        };
        match trial() {
            Ok(score) => Oom::Inherit { score, own, raised },
            Err(_) => Oom::Give(raised),
        }
    }
}

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
    let path = environment.iter().rev().find(|(key, _)| key == "PATH").map(|(_, value)| value.as_os_str());
    let mut refused = None;
    for entry in path.unwrap_or(OsStr::new(PATH_DEFAULT)).as_bytes().split(|&byte| byte == b':') {
        let found = directory.join(OsStr::from_bytes(entry)).join(name);
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

/// What a failed spawn of `program` from `directory` was, for people.
pub fn spawn_error(name: &str, program: &Path, directory: &Path, error: &io::Error) -> String {
    let file = directory.join(program);
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => "no file descriptors left for another command".to_owned(),
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

fn may_enter(directory: &Path) -> io::Result<()> {
    if !fs::metadata(directory)?.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
    }
    Ok(access(directory, Access::EXEC_OK)?)
}

fn is_program(path: &Path) -> io::Result<()> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::from_raw_os_error(libc::EACCES));
    }
    Ok(access(path, Access::EXEC_OK)?)
}

fn is_private(key: &OsStr) -> bool {
    let key = key.as_bytes();
    PRIVATE.iter().any(|name| name.as_bytes() == key)
        || PRIVATE_PREFIXES.iter().any(|prefix| key.starts_with(prefix.as_bytes()))
}

fn write_score(score: &File, value: i32) -> io::Result<()> {
    score.write_all_at(value.to_string().as_bytes(), 0)
}

#[cfg(test)]
#[path = "world_tests.rs"]
mod tests;
