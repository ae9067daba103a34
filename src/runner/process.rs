//! One process of ours, its session and its pipes.
//!
//! It is reaped only when its attempt is settled, so that its pid still names its session whenever that is signalled.
//! Nothing here may wait for it in the thread.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use async_io::Async;
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpid};

use super::member::{self, Identity, has_exited};
use super::spawn::{Start, Started};
use super::world::World;
use super::{children, procfs, session};
use crate::descriptors::{self, For};
use crate::run::Exit;
use crate::run_tokens::RunToken;
use crate::store::{Claimed, ProcessMark};

/// Our end of a child's pipe; the child's own stays blocking.
pub type Pipe = Async<OwnedFd>;

/// A process that we started, until it is reaped.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    /// `None` where the system has none: then SIGCHLD tells.
    pidfd: Option<Async<OwnedFd>>,
}

/// Why a command was not started.
#[derive(Clone, Debug)]
pub struct Unstarted {
    /// For people.
    pub why: String,
    /// Whether descriptors, processes or memory are wanting, which come back; it can be tried again.
    pub is_shortage: bool,
}

impl From<String> for Unstarted {
    fn from(why: String) -> Unstarted {
        Unstarted { why, is_shortage: false }
    }
}

fn is_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::EAGAIN | libc::ENOMEM))
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
    /// Starts the command as the leader of a session of its own, without a terminal.
    ///
    /// # Errors
    /// Why it was not started.
    pub fn spawn(world: &World, claimed: &Claimed, token: &RunToken) -> Result<(Process, Pipes), Unstarted> {
        let mut start = Start::new(world, claimed, token)?;
        // Held until the child is there: what is needed to see its end must not be wanting when it has begun.
        let spare = File::open("/dev/null").and_then(|spare| {
            let is_left = descriptors::may_use(&spare, For::Command);
            if is_left { Ok(spare) } else { Err(io::Error::from_raw_os_error(libc::EMFILE)) }
        });
        let started = spare.and_then(|spare| Ok((world.with_raised_score(|| start.spawn())?, spare)));
        let unstarted = |error: io::Error| Unstarted { is_shortage: is_shortage(&error), why: start.error(&error) };
        let (started, spare) = started.map_err(unstarted)?;
        world.give_score(started.pid.as_raw_nonzero().get());
        drop(spare);
        // It has begun: whatever goes wrong now, it is not started again.
        Ok(Process::watch(started).map_err(|error| start.unwatched(&error))?)
    }

    /// Its number, which is its session's and its group's too.
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
        match &self.pidfd {
            Some(pidfd) => has_exited(pidfd).await,
            None => children::ended(self.pid).await,
        }
    }

    /// The live processes of its session.
    pub(super) fn members(&self) -> Vec<Identity> {
        session::members(self.pid)
    }

    /// SIGTERM and SIGCONT to all of its session: to its own group in one call that no fork escapes, to other groups
    /// one by one. Looked up before anybody is told, so that what a handler starts to clean up is not told itself.
    ///
    /// The leader comes before those it may wait for, or it would go on to its next command; but after those that are
    /// stopped: the kernel sends them SIGHUP when their leader ends, and they would die of that unheard.
    pub fn tell(&self) {
        let group = self.pid.as_raw_nonzero().get();
        let (mut stopped, mut others) = (Vec::new(), Vec::new());
        for (_, identity, stat) in session::members_of(&[self.pid]).filter(|(_, _, stat)| stat.group != group) {
            if stat.is_stopped { &mut stopped } else { &mut others }.push(identity);
        }
        session::tell(&stopped);
        self.signal_group(Signal::TERM);
        self.signal_group(Signal::CONT);
        session::tell(&others);
    }

    /// SIGKILL to its own group, in one call.
    pub fn kill_group(&self) {
        self.signal_group(Signal::KILL);
    }

    /// Says how it ended, and frees its pid.
    ///
    /// # Errors
    /// Its pid, when it is not dead.
    pub fn reap(self) -> Result<Exit, Pid> {
        children::reap(self.pid).ok_or(self.pid)
    }

    fn signal_group(&self, signal: Signal) {
        // Nobody left, or not allowed (a setuid program): there is no more to be done about either.
        let _ = kill_process_group(self.pid, signal);
    }

    /// Takes charge of a child, or ends it where that fails: nobody would see it exit.
    fn watch(started: Started) -> io::Result<(Process, Pipes)> {
        let Started { pid, stdin, stdout, stderr } = started;
        let taken = || -> io::Result<(Process, Pipes)> {
            let stdin = stdin.map(Async::new).transpose()?;
            let pipes = Pipes { stdin, stdout: Async::new(stdout)?, stderr: Async::new(stderr)? };
            Ok((Process { pid, pidfd: member::open(pid)? }, pipes))
        };
        taken().inspect_err(|_| {
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = waitpid(Some(pid), WaitOptions::empty());
        })
    }
}
