//! Starts a command as a process: its user, its directory, its streams; and explains why that failed.

use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;

use super::environment::Environment;
use super::exec::{Image, Step, Steps, become_user};
use super::program::{find_program, reason, spawn_error};
use crate::accounts::Account;
use crate::event::Stream;
use crate::run;
use crate::run_tokens::RunToken;
use crate::store::Claimed;

/// A process that leads a session of its own, and our ends of its pipes.
pub(super) struct Started {
    pub pid: Pid,
    /// Only where the run has a standard input of its own.
    pub stdin: Option<OwnedFd>,
    /// Where each of its streams of output is read.
    pub outputs: Vec<(Stream, OwnedFd)>,
}

/// A program that is to be started, with its directory and its user.
pub(super) struct Start<'a> {
    name: &'a str,
    program: PathBuf,
    directory: PathBuf,
    has_stdin: bool,
    way: Way<'a>,
}

enum Way<'a> {
    /// As the daemon's own user. Directory and program are found before the spawn.
    Here { arguments: Vec<CString>, environment: Vec<CString> },
    /// As another user. The child itself enters the directory and searches for the program, with that user's rights; `steps`
    /// says how far it came.
    As { account: &'a Account, command: Box<Command>, steps: Steps },
}

impl<'a> Start<'a> {
    /// # Errors
    /// Why it cannot be started, for people.
    pub(super) fn new(
        environment: &'a Environment,
        claimed: &'a Claimed,
        token: &RunToken,
    ) -> Result<Start<'a>, String> {
        let (name, arguments) = match &claimed.command {
            run::Command::Script(script) => ("/bin/sh", vec!["-c", script.as_str()]),
            run::Command::Argv(argv) => {
                let (name, arguments) = argv.split_first().ok_or("no command")?;
                (name.as_str(), arguments.iter().map(String::as_str).collect())
            }
        };
        let variables = environment.variables(claimed, token);
        let has_stdin = claimed.stdin.is_some();
        let (program, directory, way) = match environment.becomes() {
            None => {
                let directory = environment.directory(claimed)?;
                let program = find_program(name, &variables, &directory)?;
                (program, directory, here(name, &arguments, variables)?)
            }
            Some(account) => {
                let (directory, mut way) = as_user(environment, account, claimed, name)?;
                if let Way::As { command, .. } = &mut way {
                    command.args(arguments).env_clear().envs(variables);
                }
                (PathBuf::from(name), directory, way)
            }
        };
        Ok(Start { name, program, directory, has_stdin, way })
    }

    /// # Errors
    /// Why the system refused; [`Start::error`] says it for people.
    pub(super) fn spawn(&mut self) -> io::Result<Started> {
        let (program, directory) = (c_string(&self.program)?, c_string(&self.directory)?);
        let pipe = || pipe_with(PipeFlags::CLOEXEC);
        let (theirs_in, stdin) = if self.has_stdin { Some(pipe()?) } else { None }.unzip();
        let ((stdout, theirs_out), (stderr, theirs_err)) = (pipe()?, pipe()?);
        let pid = match &mut self.way {
            Way::Here { arguments, environment } => Image {
                program: &program,
                arguments,
                environment,
                directory: &directory,
                stdin: theirs_in.as_ref().map(AsFd::as_fd),
                stdout: theirs_out.as_fd(),
                stderr: theirs_err.as_fd(),
            }
            .spawn()?,
            Way::As { command, .. } => {
                command.stdin(theirs_in.map_or_else(Stdio::null, Stdio::from)).stdout(theirs_out).stderr(theirs_err);
                let child = command.spawn();
                // Its copies of the pipes' other ends would keep them from ever ending.
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                Pid::from_child(&child?)
            }
        };
        Ok(Started { pid, stdin, outputs: vec![(Stream::Stdout, stdout), (Stream::Stderr, stderr)] })
    }

    /// Why the spawn failed, for people.
    pub(super) fn error(&self, error: &io::Error) -> String {
        let of_exec = || spawn_error(self.name, &self.program, &self.directory, error);
        let Way::As { account, command, steps } = &self.way else { return of_exec() };
        let (user, why) = (&account.name, reason(error));
        match steps.failed() {
            Step::Account => format!("cannot become user {user} ({why})"),
            Step::Directory => format!("working directory {}: {why} for user {user}", self.directory.display()),
            // A directory of its PATH that this user may not search counts as a refusal to the kernel, not as "not there".
            Step::Other if error.kind() == io::ErrorKind::PermissionDenied => {
                let set = command.get_envs().filter_map(|(key, value)| Some((key.into(), value?.into())));
                let environment: Vec<(OsString, OsString)> = set.collect();
                find_program(self.name, &environment, &self.directory).map_or_else(|why| why, |_| of_exec())
            }
            Step::Other => of_exec(),
        }
    }

    /// Why a started process had to be ended again, for people; its program is not to blame.
    pub(super) fn unwatched(&self, error: &io::Error) -> String {
        match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE) => self.error(error),
            _ => format!("the process of {} cannot be watched ({})", self.name, reason(error)),
        }
    }
}

fn here<'a>(name: &str, arguments: &[&str], environment: Vec<(OsString, OsString)>) -> Result<Way<'a>, String> {
    let of_zero = |_| format!("a zero byte in the arguments or the environment of {name}");
    let words = [name].into_iter().chain(arguments.iter().copied());
    let arguments: Result<Vec<CString>, _> = words.map(CString::new).collect();
    // Of two of the same name the last holds.
    let environment: BTreeMap<OsString, OsString> = environment.into_iter().collect();
    let entry = |(mut key, value): (OsString, OsString)| {
        key.push("=");
        key.push(value);
        CString::new(key.into_vec())
    };
    let environment: Result<Vec<CString>, _> = environment.into_iter().map(entry).collect();
    Ok(Way::Here { arguments: arguments.map_err(of_zero)?, environment: environment.map_err(of_zero)? })
}

fn as_user<'a>(
    environment: &Environment,
    account: &'a Account,
    claimed: &Claimed,
    name: &str,
) -> Result<(PathBuf, Way<'a>), String> {
    if name.is_empty() {
        return Err("not found: the empty name".to_owned());
    }
    let directories = environment.directories(claimed);
    let as_c: Result<Vec<CString>, _> = directories.iter().map(|directory| c_string(directory)).collect();
    let as_c = as_c.map_err(|_| "working directory: a zero byte in its name".to_owned())?;
    let mut command = Box::new(Command::new(name));
    let steps = become_user(&mut command, account, as_c)
        .map_err(|error| spawn_error(name, Path::new(name), Path::new("/"), &error))?;
    let directory = directories.into_iter().next().unwrap_or_default();
    Ok((directory, Way::As { account, command, steps }))
}

fn c_string(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}
