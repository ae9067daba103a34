//! One process of ours, its group and its pipes.
//!
//! Its end is seen by its pidfd and it is reaped only when its attempt is settled, so that its pid
//! still names its group whenever that is signalled. Nothing here may wait for it in the thread.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_io::{Async, Timer};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};

use super::procfs;
use super::world::{World, find_program, spawn_error};
use crate::run::{self, Exit};
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
    pub fn spawn(world: &World, claimed: &Claimed) -> Result<(Process, Pipes), String> {
        let (name, arguments) = match &claimed.command {
            run::Command::Script(script) => ("/bin/sh", vec!["-c", script.as_str()]),
            run::Command::Argv(argv) => {
                let (name, arguments) = argv.split_first().ok_or("no command")?;
                (name.as_str(), arguments.iter().map(String::as_str).collect())
            }
        };
        let directory = world.directory(claimed)?;
        let environment = world.environment(claimed);
        let program = find_program(name, &environment, &directory)?;
        let stdin = if claimed.stdin.is_some() { Stdio::piped() } else { Stdio::null() };
        let mut command = Command::new(&program);
        command.arg0(name).args(arguments).current_dir(&directory).env_clear().envs(environment);
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let child = world.with_raised_score(|| command.spawn());
        let child = child.map_err(|error| spawn_error(name, &program, &directory, &error))?;
        world.give_score(child.id() as i32);
        Process::watch(child).map_err(|error| spawn_error(name, &program, &directory, &error))
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

/// Waits until the process of a pidfd is dead, be it a child or not.
pub async fn has_exited(pidfd: &Async<OwnedFd>) {
    while let Err(error) = pidfd.readable().await {
        log::error!("cannot wait for a process: {error}");
        Timer::after(Duration::from_secs(1)).await;
    }
}
