//! One process of ours, its group and its pipes.
//!
//! Its end is seen by its pidfd and it is reaped only when its attempt is settled, so that its pid
//! still names its group whenever that is signalled. Nothing here may wait for it in the thread.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_io::{Async, Timer};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};

use super::inherited::{Step, Steps, become_user};
use super::procfs;
use super::world::{World, find_program, reason, spawn_error};
use crate::accounts::Account;
use crate::run::{self, Exit};
use crate::run_tokens::RunToken;
use crate::store::{Claimed, ProcessMark};

/// Our end of a child's pipe; the child's own stays blocking.
pub type Pipe = Async<OwnedFd>;

/// A process that we started, until it is reaped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: Pid,
    pidfd: Async<OwnedFd>,
}

/// What a child's standard streams lead to.
#[derive(Debug)]
pub struct Pipes {
    /// Only where the run has a standard input of its own.
    pub stdin: Option<Pipe>,
    /// Its standard output.
    pub stdout: Pipe,
    /// Its standard error.
    pub stderr: Pipe,
}

impl Process {
    /// Starts the command as the leader of a group of its own.
    ///
    /// # Errors
    /// Why it was not started, for people.
    pub fn spawn(world: &World, claimed: &Claimed, token: &RunToken) -> Result<(Process, Pipes), String> {
        let (name, arguments) = match &claimed.command {
            run::Command::Script(script) => ("/bin/sh", vec!["-c", script.as_str()]),
            run::Command::Argv(argv) => {
                let (name, arguments) = argv.split_first().ok_or("no command")?;
                (name.as_str(), arguments.iter().map(String::as_str).collect())
            }
        };
        let environment = world.environment(claimed, token);
        let mut start = match world.becomes() {
            None => Start::here(world, claimed, name, &environment)?,
            Some(account) => Start::as_user(world, account, claimed, name)?,
        };
        let stdin = if claimed.stdin.is_some() { Stdio::piped() } else { Stdio::null() };
        let command = &mut start.command;
        command.args(arguments).env_clear().envs(environment).process_group(0);
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = world.with_raised_score(|| command.spawn());
        let child = child.map_err(|error| start.error(name, &error))?;
        world.give_score(child.id() as i32);
        Process::watch(child).map_err(|error| start.error(name, &error))
    }

    /// Its number, which is its group's too.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// What tells it from every other process that ever had its pid.
    pub fn mark(&self, world: &World) -> ProcessMark {
        let pid = self.pid.as_raw_nonzero().get();
        let start_ticks = procfs::stat(pid).map_or(0, |stat| stat.start_ticks);
        ProcessMark { pid, start_ticks, boot_id: world.boot_id().to_owned() }
    }

    /// Waits until it is dead; it stays unreaped.
    pub async fn exited(&self) {
        has_exited(&self.pidfd).await;
    }

    /// Signals its whole group, and itself should it have left that.
    pub fn signal_group(&self, signal: Signal) {
        // Nobody left, or not allowed (a setuid program): there is no more to be done about either.
        if kill_process_group(self.pid, signal).is_err() {
            let _ = pidfd_send_signal(self.pidfd.get_ref(), signal);
        }
    }

    /// Says how it ended, and frees its pid.
    ///
    /// # Errors
    /// The child, when it is not dead.
    pub fn reap(mut self) -> Result<Exit, Child> {
        match self.child.try_wait() {
            Ok(Some(status)) => Ok(match (status.code(), status.signal()) {
                (Some(code), _) => Exit::Code(code),
                (None, Some(signal)) => Exit::Signal(signal),
                (None, None) => Exit::Unknown,
            }),
            Ok(None) => Err(self.child),
            Err(error) => {
                log::error!("process {} was reaped by somebody else: {error}", self.child.id());
                Ok(Exit::Unknown)
            }
        }
    }

    /// Takes charge of a child, or ends it where that fails: nobody would see it exit.
    fn watch(mut child: Child) -> io::Result<(Process, Pipes)> {
        let pid = Pid::from_child(&child);
        let mut taken = || -> io::Result<(Async<OwnedFd>, Pipes)> {
            let pidfd = Async::new_nonblocking(pidfd_open(pid, PidfdFlags::empty())?)?;
            let stdin = child.stdin.take().map(|pipe| Async::new(OwnedFd::from(pipe))).transpose()?;
            let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
                return Err(io::ErrorKind::BrokenPipe.into());
            };
            let (stdout, stderr) = (Async::new(OwnedFd::from(stdout))?, Async::new(OwnedFd::from(stderr))?);
            Ok((pidfd, Pipes { stdin, stdout, stderr }))
        };
        match taken() {
            Ok((pidfd, pipes)) => Ok((Process { child, pid, pidfd }, pipes)),
            Err(error) => {
                let _ = kill_process_group(pid, Signal::KILL);
                let _ = child.wait();
                Err(error)
            }
        }
    }
}

/// A program in its directory, by somebody.
struct Start<'a> {
    command: Command,
    program: PathBuf,
    directory: PathBuf,
    /// Whom the child becomes, and how far it came with that.
    becomes: Option<(&'a Account, Steps)>,
}

impl<'a> Start<'a> {
    /// As the daemon's own user. Directory and program are found before the spawn, which can then be a posix_spawn.
    fn here(
        world: &World,
        claimed: &Claimed,
        name: &str,
        environment: &[(OsString, OsString)],
    ) -> Result<Start<'a>, String> {
        let directory = world.directory(claimed)?;
        let program = find_program(name, environment, &directory)?;
        let mut command = Command::new(&program);
        command.arg0(name).current_dir(&directory);
        Ok(Start { command, program, directory, becomes: None })
    }

    /// As another user. The child itself enters the directory and looks for the program, because only it is asked as that user.
    fn as_user(world: &World, account: &'a Account, claimed: &Claimed, name: &str) -> Result<Start<'a>, String> {
        if name.is_empty() {
            return Err("not found: the empty name".to_owned());
        }
        let directories = world.directories(claimed);
        let as_c: Result<Vec<CString>, _> =
            directories.iter().map(|directory| CString::new(directory.as_os_str().as_bytes())).collect();
        let as_c = as_c.map_err(|_| "working directory: a zero byte in its name".to_owned())?;
        let mut command = Command::new(name);
        let steps = become_user(&mut command, account, as_c)
            .map_err(|error| spawn_error(name, Path::new(name), Path::new("/"), &error))?;
        let directory = directories.into_iter().next().unwrap_or_default();
        Ok(Start { command, program: PathBuf::from(name), directory, becomes: Some((account, steps)) })
    }

    /// Why the spawn failed, for people.
    fn error(&self, name: &str, error: &io::Error) -> String {
        let of_exec = || spawn_error(name, &self.program, &self.directory, error);
        let Some((account, steps)) = &self.becomes else { return of_exec() };
        let (user, why) = (&account.name, reason(error));
        match steps.failed() {
            Step::Account => format!("cannot become user {user} ({why})"),
            Step::Directory => format!("working directory {}: {why} for user {user}", self.directory.display()),
            // A directory of its PATH that this user may not search counts as a refusal to the kernel, not as "not there".
            Step::Other if error.kind() == io::ErrorKind::PermissionDenied => {
                let set = self.command.get_envs().filter_map(|(key, value)| Some((key.into(), value?.into())));
                let environment: Vec<(OsString, OsString)> = set.collect();
                find_program(name, &environment, &self.directory).map_or_else(|why| why, |_| of_exec())
            }
            Step::Other => of_exec(),
        }
    }
}

/// Waits until the process of a pidfd is dead, be it a child or not.
pub async fn has_exited(pidfd: &Async<OwnedFd>) {
    while let Err(error) = pidfd.readable().await {
        log::error!("cannot wait for a process: {error}");
        Timer::after(Duration::from_secs(1)).await;
    }
}
