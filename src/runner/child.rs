//! A command that is a child of the daemon, with its session: today the only way in which an attempt is executed.
//!
//! It is reaped last, so that its pid still names its session whenever that is signalled. Nothing here may block the thread.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use async_io::Async;
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpid};

use super::environment::Environment;
use super::execution::{Ended, Execution};
use super::feed::Feed;
use super::groups::{Groups, Held};
use super::member::{self, has_exited};
use super::pipes::Pipes;
use super::unstarted::Unstarted;
use super::{children, session};
use crate::descriptors::{self, For};
use crate::inputs::Input;
use crate::process::cgroup::Group;
use crate::process::{Identity, Start, Started, biggest, is_shortage, procfs};
use crate::run::{Ask, Biggest, Exit, RunId, Usage};
use crate::run_tokens::RunToken;
use crate::store::{Claimed, ProcessMark};
use crate::timer::until;

/// A process that we started, until it is reaped.
pub(super) struct Child {
    run: RunId,
    pid: Pid,
    /// What asks it to end.
    stop: Signal,
    has_terminal: bool,
    /// `None` where the system has none: then SIGCHLD tells.
    pidfd: Option<Async<OwnedFd>>,
    /// Its end was seen: whoever waits for it again need not ask the kernel once more.
    is_dead: AtomicBool,
    boot_id: String,
    /// Its own, where one was delegated.
    group: Option<Held>,
}

impl Child {
    /// Starts the command as the leader of a session of its own, on its own terminal or none. It reads what comes by `input`.
    ///
    /// # Errors
    /// Why it was not started.
    pub(super) fn spawn<'a>(
        environment: &Environment,
        groups: &Groups,
        claimed: &'a Claimed,
        token: &RunToken,
        input: Input,
    ) -> Result<(Child, Pipes<'a>), Unstarted> {
        let description = environment.describe(claimed, token);
        let mut start = Start::new(&description)?;
        // Held until the child is there: what is needed to see its end must not be wanting when it has begun.
        let spare = environment.spare().and_then(|spare| {
            let is_left = descriptors::may_use(&spare, For::Command);
            if is_left { Ok(spare) } else { Err(io::Error::from_raw_os_error(libc::EMFILE)) }
        });
        let group = groups.make(claimed.run, claimed.attempt, &claimed.options.limits)?;
        let cgroup = group.as_deref().map(AsFd::as_fd);
        let score = environment.oom_score();
        let started = spare.and_then(|spare| Ok((score.with_raised_score(|| start.spawn(cgroup))?, spare)));
        let unstarted = |error: io::Error| Unstarted { is_shortage: is_shortage(&error), why: start.error(&error) };
        let (started, spare) = started.map_err(unstarted)?;
        score.give_score(started.pid.as_raw_nonzero().get());
        drop(spare);
        // It has begun: whatever goes wrong now, it is not started again.
        let has_terminal = claimed.options.pty.is_some();
        let watched =
            watch(started, |stdin| Feed::new(stdin, has_terminal, claimed.stdin.as_deref().unwrap_or_default(), input));
        let (pid, pidfd, pipes) = watched.map_err(|error| start.unwatched(&error))?;
        let (run, stop) = (claimed.run, session::signal_of(claimed.options.stop_signal));
        let (is_dead, boot_id) = (AtomicBool::new(false), environment.boot_id().to_owned());
        Ok((Child { run, pid, stop, has_terminal, pidfd, is_dead, boot_id, group }, pipes))
    }

    /// The live processes of its session, and of its cgroup.
    fn members(&self) -> Vec<Identity> {
        let mut all = session::members(self.pid);
        let strangers = self.of_group().filter(|(_, stat)| stat.session != self.pid.as_raw_nonzero().get());
        all.extend(strangers.map(|(identity, _)| identity));
        all
    }

    fn of_group(&self) -> impl Iterator<Item = (Identity, procfs::Stat)> {
        session::alive(self.group.as_deref().map(Group::pids).unwrap_or_default())
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
        if self.is_dead.load(Ordering::Relaxed) {
            return;
        }
        match &self.pidfd {
            Some(pidfd) => has_exited(pidfd).await,
            None => children::ended(self.pid).await,
        }
        self.is_dead.store(true, Ordering::Relaxed);
    }

    fn terminate(&self, _asked: Option<Ask>) {
        let session = self.pid.as_raw_nonzero().get();
        // Looked up first, too.
        let others: Vec<Identity> =
            self.of_group().filter(|(_, stat)| stat.session != session).map(|(identity, _)| identity).collect();
        session::terminate_all(self.pid, self.stop);
        session::terminate(&others, self.stop);
        if self.has_terminal {
            session::hang_up(self.pid, self.stop);
        }
    }

    fn kill(&self) {
        session::kill_all(self.pid);
        if let Some(group) = &self.group {
            group.kill();
        }
    }

    async fn sweep(&self, kill_at: Instant) {
        let _ = until(kill_at, session::gone(&self.members())).await;
        session::signal_group(self.pid, Signal::KILL);
        if let Some(group) = &self.group {
            group.kill();
        }
        session::kill(self.run, || self.members()).await;
    }

    fn left(&self) -> Option<Vec<Identity>> {
        let group = self.group.as_deref()?;
        // One look at a file for most, which leave nothing.
        let pids = if group.is_populated() { group.pids() } else { Vec::new() };
        Some(session::alive(pids).map(|(identity, _)| identity).collect())
    }

    /// Frees its pid, after which its session is signalled no more.
    fn exit(self) -> Ended {
        let pid = self.pid.as_raw_nonzero().get();
        // As long as it is not reaped it has a name, which is told of what was killed for memory alone.
        let name = if children::was_killed(self.pid) { procfs::name(pid) } else { String::new() };
        let (exit, by_wait) = children::reap(self.pid).unwrap_or_else(|| {
            children::leave_unreaped(self.pid);
            (Exit::Unknown, None)
        });
        let largest = by_wait.as_ref().and_then(|usage| usage.memory_peak_bytes);
        let leader = largest.map(|rss_bytes| Biggest { pid: pid.into(), name, rss_bytes });
        let Some(group) = self.group else { return Ended { exit, usage: by_wait, biggest: leader } };
        let is_oom = exit == Exit::Signal(Signal::KILL.as_raw()) && group.was_out_of_memory();
        let by_group = group.usage().map(|usage| {
            // Where the memory is not counted here, what the kernel says of the largest process is left.
            Usage { memory_peak_bytes: usage.memory_peak_bytes.or(largest), ..usage }
        });
        let killed = is_oom.then(|| biggest::killed_in(&group.name())).flatten();
        Ended { exit: if is_oom { Exit::Oom } else { exit }, usage: by_group.or(by_wait), biggest: killed.or(leader) }
    }
}

/// Takes charge of a child, or ends it where that fails: nobody would see it exit.
fn watch<'a>(
    started: Started,
    feed: impl FnOnce(Option<OwnedFd>) -> io::Result<Feed<'a>>,
) -> io::Result<(Pid, Option<Async<OwnedFd>>, Pipes<'a>)> {
    let Started { pid, stdin, outputs } = started;
    let taken = || -> io::Result<_> {
        let pipes = Pipes::new(feed(stdin)?, outputs)?;
        Ok((pid, member::open(pid)?, pipes))
    };
    taken().inspect_err(|_| {
        let _ = kill_process_group(pid, Signal::KILL);
        let _ = waitpid(Some(pid), WaitOptions::empty());
    })
}
