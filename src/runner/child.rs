//! A command that is a child of the daemon, with its session: today the only way in which an attempt is executed.
//!
//! It is reaped last, so that its pid still names its session whenever that is signalled. Nothing here may block the thread.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

use async_io::Async;
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpid};

use super::environment::Environment;
use super::execution::Execution;
use super::member::{self, Identity, has_exited};
use super::pipes::Pipes;
use super::spawn::{Start, Started};
use super::{children, procfs, session};
use crate::descriptors::{self, For};
use crate::run::{Exit, RunId};
use crate::run_tokens::RunToken;
use crate::store::{Claimed, ProcessMark};
use crate::timer::until;

/// A process that we started, until it is reaped.
#[derive(Debug)]
pub(super) struct Child {
    run: RunId,
    pid: Pid,
    /// `None` where the system has none: then SIGCHLD tells.
    pidfd: Option<Async<OwnedFd>>,
    boot_id: String,
}

/// Why a command was not started.
#[derive(Clone, Debug)]
pub(super) struct Unstarted {
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

impl Child {
    /// Starts the command as the leader of a session of its own, without a terminal.
    ///
    /// # Errors
    /// Why it was not started.
    pub(super) fn spawn<'a>(
        environment: &Environment,
        claimed: &'a Claimed,
        token: &RunToken,
    ) -> Result<(Child, Pipes<'a>), Unstarted> {
        let mut start = Start::new(environment, claimed, token)?;
        // Held until the child is there: what is needed to see its end must not be wanting when it has begun.
        let spare = File::open("/dev/null").and_then(|spare| {
            let is_left = descriptors::may_use(&spare, For::Command);
            if is_left { Ok(spare) } else { Err(io::Error::from_raw_os_error(libc::EMFILE)) }
        });
        let score = environment.oom_score();
        let started = spare.and_then(|spare| Ok((score.with_raised_score(|| start.spawn())?, spare)));
        let unstarted = |error: io::Error| Unstarted { is_shortage: is_shortage(&error), why: start.error(&error) };
        let (started, spare) = started.map_err(unstarted)?;
        score.give_score(started.pid.as_raw_nonzero().get());
        drop(spare);
        // It has begun: whatever goes wrong now, it is not started again.
        let watched = watch(started, claimed.stdin.as_deref().unwrap_or_default());
        let (pid, pidfd, pipes) = watched.map_err(|error| start.unwatched(&error))?;
        Ok((Child { run: claimed.run, pid, pidfd, boot_id: environment.boot_id().to_owned() }, pipes))
    }

    /// The live processes of its session.
    fn members(&self) -> Vec<Identity> {
        session::members(self.pid)
    }

    fn signal_group(&self, signal: Signal) {
        // Nobody left, or not allowed (a setuid program): there is no more to be done about either.
        let _ = kill_process_group(self.pid, signal);
    }
}

impl Execution for Child {
    fn mark(&self) -> ProcessMark {
        let pid = self.pid.as_raw_nonzero().get();
        let start_ticks = procfs::stat(pid).map_or(0, |stat| stat.start_ticks);
        ProcessMark { pid, start_ticks, boot_id: self.boot_id.clone() }
    }

    fn session(&self) -> Option<Pid> {
        Some(self.pid)
    }

    async fn exited(&self) {
        match &self.pidfd {
            Some(pidfd) => has_exited(pidfd).await,
            None => children::ended(self.pid).await,
        }
    }

    /// SIGTERM and SIGCONT to all of its session: to its own group in one call that no fork escapes, to other groups
    /// one by one. Looked up before any signal is sent, so that what a handler starts to clean up gets none itself.
    ///
    /// The leader comes before those it may wait for, or it would go on to its next command; but after those that are
    /// stopped: the kernel sends them SIGHUP when their leader ends, and they would die of that unheard.
    fn terminate(&self) {
        let group = self.pid.as_raw_nonzero().get();
        let (mut stopped, mut others) = (Vec::new(), Vec::new());
        for (_, identity, stat) in session::members_of(&[self.pid]).filter(|(_, _, stat)| stat.group != group) {
            if stat.is_stopped { &mut stopped } else { &mut others }.push(identity);
        }
        session::terminate(&stopped);
        self.signal_group(Signal::TERM);
        self.signal_group(Signal::CONT);
        session::terminate(&others);
    }

    /// SIGKILL to its own group in one call, and to who else is in its session.
    fn kill(&self) {
        self.signal_group(Signal::KILL);
        self.members().iter().for_each(|member| member.signal(&[Signal::KILL]));
    }

    async fn sweep(&self, kill_at: Instant) {
        let _ = until(kill_at, session::gone(&self.members())).await;
        self.signal_group(Signal::KILL);
        session::kill(self.run, || self.members()).await;
    }

    /// Frees its pid, after which its session is signalled no more.
    fn exit(self) -> Exit {
        children::reap(self.pid).unwrap_or_else(|| {
            children::leave_unreaped(self.pid);
            Exit::Unknown
        })
    }
}

/// Takes charge of a child, or ends it where that fails: nobody would see it exit.
fn watch(started: Started, stdin_text: &str) -> io::Result<(Pid, Option<Async<OwnedFd>>, Pipes<'_>)> {
    let Started { pid, stdin, outputs } = started;
    let taken = || -> io::Result<_> {
        let pipes = Pipes::new(stdin, stdin_text, outputs)?;
        Ok((pid, member::open(pid)?, pipes))
    };
    taken().inspect_err(|_| {
        let _ = kill_process_group(pid, Signal::KILL);
        let _ = waitpid(Some(pid), WaitOptions::empty());
    })
}
