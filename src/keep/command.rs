//! The command of a keeper: started, given its input, read, asked to end, killed, reaped. Nothing here waits.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, ioctl_fionread, read, write};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};

use super::frame::PIECE_BYTES_MAX;
use super::group::{self, strangers};
use super::held::Held;
use super::protocol::{Ended, Exec, Hello, Started, Unstarted};
use crate::event::Stream;
use crate::process::cgroup::Group;
use crate::process::{OomScore, OomWatch, Start, is_shortage, procfs, pty, session};
use crate::run::{Ask, Biggest, TerminalSize};
use crate::system;

/// What only a background child adds after its leader's end is read for this long, and what is left of a session that was asked
/// to end lives for this long.
const AFTERMATH: Duration = Duration::from_millis(250);
/// A process that SIGKILL has not ended by now is stuck in the kernel; the command is taken for ended without it.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// Pause between two looks for processes of a session that is being ended.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A command that was started and is not reaped.
pub(super) struct Command {
    leader: Pid,
    pub(super) started: Started,
    outputs: Vec<Output>,
    /// Of a terminal its other end.
    stdin: Option<OwnedFd>,
    has_terminal: bool,
    pub(super) input: Input,
    deadline: Option<Instant>,
    grace: Duration,
    stop_signal: Signal,
    ends_left: bool,
    stopping: Option<Stopping>,
    /// Since its leader's end.
    gone: Option<Gone>,
    /// Its end was asked for by the service manager when its leader was seen to be gone.
    was_told_late: bool,
    oom: OomWatch,
    /// Its own, where there is one.
    group: Option<Group>,
}

struct Output {
    stream: Stream,
    /// `None` once it is closed.
    pipe: Option<OwnedFd>,
    /// What it still held of its leader when that had ended.
    left: usize,
}

/// What it is given to read.
#[derive(Default)]
pub(super) struct Input {
    waiting: VecDeque<u8>,
    /// Bytes that daemons have given.
    pub(super) given: u64,
    /// Of those, how many are in the pipe or beyond.
    pub(super) written: u64,
    is_ended: bool,
    /// The byte that came last.
    last: Option<u8>,
}

struct Stopping {
    asked: Ask,
    kill_at: Option<Instant>,
    was_killed: bool,
}

#[derive(Clone, Copy)]
struct Gone {
    /// Until then others may still add to its output.
    drain_until: Instant,
    /// Where it was asked to end: when those that are left of it are killed.
    sweep_at: Option<Instant>,
    swept: bool,
}

impl Command {
    /// Starts it, in its own cgroup where it is to have one. `own` is for whom its keeper is.
    pub(super) fn start(exec: &Exec, own: &Hello) -> Result<Command, Unstarted> {
        let described = Start::new(&exec.command);
        let mut start = described.map_err(|why| Unstarted { why, is_shortage: false })?;
        let group = exec.cgroup.as_ref().map_or(Ok(None), |asked| group::make(asked, own))?;
        let (score, oom) = (OomScore::by_trial(), OomWatch::from_now_on());
        let started = score.with_raised_score(|| start.spawn(group.as_ref().map(AsFd::as_fd)));
        let started = started.map_err(|error| {
            let _ = group.as_ref().map(Group::remove);
            Unstarted { is_shortage: is_shortage(&error), why: start.error(&error) }
        })?;
        let pid = started.pid.as_raw_nonzero().get();
        score.give_score(pid);
        let outputs = started.outputs.into_iter().map(|(stream, pipe)| {
            unblock(&pipe);
            Output { stream, pipe: Some(pipe), left: 0 }
        });
        let outputs = outputs.collect();
        if let Some(stdin) = &started.stdin {
            unblock(stdin);
        }
        let timeout = exec.timeout_ms.map(Duration::from_millis);
        Ok(Command {
            leader: started.pid,
            started: Started { pid, start_ticks: procfs::stat(pid).map_or(0, |stat| stat.start_ticks) },
            outputs,
            stdin: started.stdin,
            has_terminal: exec.command.terminal.is_some(),
            input: Input::default(),
            deadline: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
            grace: Duration::from_millis(exec.grace_ms),
            stop_signal: Signal::from_named_raw(exec.stop_signal).unwrap_or(Signal::TERM),
            ends_left: exec.ends_left,
            stopping: None,
            gone: None,
            was_told_late: false,
            oom,
            group,
        })
    }

    /// Who asked for its end first, if anybody.
    pub(super) fn asked(&self) -> Option<Ask> {
        self.stopping.as_ref().map(|stopping| stopping.asked)
    }

    /// Asks it to end, and kills it when the grace is up. The first to ask is remembered; a later one can only shorten the
    /// grace.
    pub(super) fn stop(&mut self, asked: Ask, grace: Option<Duration>) {
        if self.gone.is_some() {
            // The service manager tells all of a unit at once, and the command may be the quicker one.
            self.was_told_late |= asked == Ask::Shutdown;
            return;
        }
        let kill_at = Instant::now().checked_add(grace.unwrap_or(self.grace));
        match &mut self.stopping {
            Some(stopping) => stopping.kill_at = stopping.kill_at.into_iter().chain(kill_at).min(),
            None => {
                self.stopping = Some(Stopping { asked, kill_at, was_killed: false });
                self.terminate();
            }
        }
    }

    fn terminate(&self) {
        // Looked up first, too.
        let others = strangers(self.group.as_ref(), self.leader);
        session::terminate_all(self.leader, self.stop_signal);
        session::terminate(&others, self.stop_signal);
        if self.has_terminal {
            session::hang_up(self.leader, self.stop_signal);
        }
    }

    /// Kills all of it now, if it was asked to end.
    pub(super) fn kill(&mut self) {
        if let Some(stopping) = &mut self.stopping {
            stopping.was_killed = true;
            kill_all(self.leader, self.group.as_ref());
        }
    }

    /// Sends its own group a signal.
    pub(super) fn signal(&self, signal: i32) {
        // A number that is no signal is nothing that could be sent.
        if let Some(signal) = Signal::from_named_raw(signal).filter(|_| self.gone.is_none()) {
            session::signal_group(self.leader, signal);
        }
    }

    /// What of it is waited for, beside the time: pipes that may be read, a pipe that may be written.
    pub(super) fn descriptors(&self, may_read: bool) -> (impl Iterator<Item = BorrowedFd<'_>>, Option<BorrowedFd<'_>>) {
        let outputs = self.outputs.iter().filter_map(move |output| output.pipe.as_ref().filter(|_| may_read));
        let stdin = self.stdin.as_ref().filter(|_| !self.input.waiting.is_empty());
        (outputs.map(AsFd::as_fd), stdin.map(AsFd::as_fd))
    }

    /// When something is due.
    pub(super) fn due(&self) -> Option<Instant> {
        if let Some(gone) = self.gone {
            let sweep = gone.sweep_at.filter(|_| !gone.swept).map(|_| Instant::now() + LOOK_AGAIN);
            let drain = Some(gone.drain_until).filter(|&until| until > Instant::now());
            return sweep.into_iter().chain(drain).min();
        }
        let kill = self.stopping.as_ref().filter(|stopping| !stopping.was_killed).and_then(|stopping| stopping.kill_at);
        kill.or_else(|| self.deadline.filter(|_| self.stopping.is_none()))
    }

    /// Does what is due.
    pub(super) fn look_at_the_time(&mut self) {
        let now = Instant::now();
        if self.gone.is_some() {
            return self.sweep(now);
        }
        match &self.stopping {
            None if self.deadline.is_some_and(|deadline| deadline <= now) => self.stop(Ask::Timeout, None),
            Some(Stopping { kill_at: Some(at), was_killed: false, .. }) if *at <= now => self.kill(),
            _ => {}
        }
    }

    /// Reaps what the command has left behind and came to the keeper; notices the end of its leader, which stays unreaped, so
    /// that its pid still names its session.
    pub(super) fn look_at_children(&mut self) {
        let peek = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        while self.gone.is_none() {
            let Ok(Some(_)) = waitid(WaitId::All, peek) else { return };
            if !matches!(waitid(WaitId::Pid(self.leader), peek), Ok(None)) {
                return self.leader_is_gone();
            }
            // Not the leader: whoever it is, nobody asks how it ended. One that is not shown by its pid waits for the next.
            let strangers = procfs::pids().filter_map(Pid::from_raw).filter(|&pid| pid != self.leader);
            for pid in strangers {
                let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
            }
            if !procfs::is_there() {
                return;
            }
        }
    }

    fn leader_is_gone(&mut self) {
        let aftermath = Instant::now() + AFTERMATH;
        let sweep_at = self.stopping.as_ref().map(|stopping| {
            let up = stopping.kill_at.unwrap_or(aftermath);
            if stopping.was_killed { Instant::now() } else { up.min(aftermath) }
        });
        let ends_left = self.ends_left && sweep_at.is_none();
        if ends_left {
            self.terminate();
        }
        let sweep_at = sweep_at.or(ends_left.then_some(aftermath));
        for output in &mut self.outputs {
            let left = output.pipe.as_ref().and_then(|pipe| ioctl_fionread(pipe).ok());
            let left = usize::try_from(left.unwrap_or(0)).unwrap_or(usize::MAX);
            // A terminal does not tell: there it is what it can hold, or until it is empty.
            output.left = if output.stream == Stream::Pty { pty::HELD_BYTES_MAX } else { left };
        }
        self.gone = Some(Gone { drain_until: aftermath, sweep_at, swept: false });
    }

    /// Waits for those that are left of a session that was asked to end, then kills them.
    fn sweep(&mut self, now: Instant) {
        let Some(gone) = &mut self.gone else { return };
        let Some(sweep_at) = gone.sweep_at.filter(|_| !gone.swept) else { return };
        let is_nobody =
            session::members(self.leader).is_empty() && strangers(self.group.as_ref(), self.leader).is_empty();
        // Nobody is seen either where nobody can look.
        if (is_nobody && procfs::can_be_read()) || now >= sweep_at + KILL_PATIENCE {
            gone.swept = true;
        } else if now >= sweep_at {
            kill_all(self.leader, self.group.as_ref());
        }
    }

    /// Reads what has come, as far as there is room; without a limit where nothing waits for it.
    pub(super) fn read(&mut self, held: &mut Held, may_overfill: bool) {
        let is_late = self.gone.is_some_and(|gone| gone.drain_until <= Instant::now());
        for output in &mut self.outputs {
            output.read(held, may_overfill, self.gone.is_some(), is_late);
        }
    }

    /// Whether its leader is gone, nothing of its output is missing, and nobody is waited for.
    pub(super) fn is_over(&self) -> bool {
        let Some(gone) = self.gone else { return false };
        let is_late = gone.drain_until <= Instant::now();
        let is_drained = |output: &Output| output.pipe.is_none() || (is_late && output.left == 0);
        (gone.sweep_at.is_none() || gone.swept) && self.outputs.iter().all(is_drained)
    }

    /// Reaps it. Its pid is free from then on.
    pub(super) fn reap(mut self, held: &mut Held) -> Ended {
        for output in &mut self.outputs {
            if output.pipe.take().is_some() {
                held.end_of_stream(output.stream);
            }
        }
        // As long as it is not reaped it has a name.
        let name = procfs::name(self.started.pid);
        let end = system::reap_with_usage(self.started.pid).unwrap_or_default();
        let late = (self.was_told_late && end.signal.is_some()).then_some(Ask::Shutdown);
        let killed = self.stopping.is_none() && end.signal == Some(libc::SIGKILL);
        let mut ended = Ended {
            code: end.code,
            signal: end.signal,
            core: end.core,
            oom: false,
            unstarted: None,
            asked: self.asked().or(late).map(|asked| asked.as_str().to_owned()),
            user_ms: end.user_ms,
            system_ms: end.system_ms,
            memory_peak_bytes: end.memory_peak_bytes,
            biggest: None,
        };
        let by_group = self.group.as_ref().and_then(Group::usage);
        if let Some(used) = by_group {
            (ended.user_ms, ended.system_ms) = (used.user_ms, used.system_ms);
            // Where the memory is not counted here, what the kernel says of the largest process is left.
            ended.memory_peak_bytes = used.memory_peak_bytes.unwrap_or(end.memory_peak_bytes);
        }
        // Its own cgroup's word, or that of all that it and its keeper are in.
        ended.oom = killed && (self.group.as_ref().is_some_and(Group::was_out_of_memory) || self.oom.take());
        let leader = Biggest { pid: self.started.pid.into(), name, rss_bytes: end.memory_peak_bytes };
        ended.biggest = ended.oom.then_some(leader);
        // What it left alone stays in there.
        let _ = self.group.as_ref().map(Group::remove);
        ended
    }

    /// Takes input that begins at this offset; what of it was given before is left out.
    pub(super) fn give(&mut self, offset: u64, bytes: &[u8]) {
        let known = usize::try_from(self.input.given.saturating_sub(offset)).unwrap_or(usize::MAX);
        let new = bytes.get(known..).unwrap_or_default();
        // A hole is nobody's input.
        if offset > self.input.given || new.is_empty() || self.input.is_ended {
            return;
        }
        self.input.given += new.len() as u64;
        self.input.last = new.last().copied();
        if self.stdin.is_some() {
            self.input.waiting.extend(new);
        } else {
            self.input.written = self.input.given;
        }
        self.write();
    }

    /// No input follows what was given.
    pub(super) fn end_input(&mut self, offset: u64) {
        if offset > self.input.given || self.input.is_ended {
            return;
        }
        self.input.is_ended = true;
        if let Some(terminal) = self.stdin.as_ref().filter(|_| self.has_terminal) {
            let end = pty::end_of_input(terminal, self.input.last);
            self.input.waiting.extend(end);
        }
        self.write();
    }

    /// Its terminal becomes this large.
    pub(super) fn resize(&self, columns: u16, rows: u16) {
        if let Some(terminal) = self.stdin.as_ref().filter(|_| self.has_terminal) {
            pty::resize(terminal, TerminalSize { columns, rows });
        }
    }

    /// Writes what its pipe takes, and closes that at the end; a command that does not read is no error.
    pub(super) fn write(&mut self) {
        let Some(stdin) = &self.stdin else { return };
        let input = &mut self.input;
        while !input.waiting.is_empty() {
            match write(stdin, input.waiting.as_slices().0) {
                Ok(count) => {
                    input.waiting.drain(..count);
                    // What ends a terminal's input nobody has given.
                    input.written = (input.written + count as u64).min(input.given);
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(_) => {
                    input.waiting = VecDeque::new();
                    input.written = input.given;
                    if !self.has_terminal {
                        self.stdin = None;
                    }
                    return;
                }
            }
        }
        if input.is_ended && !self.has_terminal {
            self.stdin = None;
        }
    }
}

impl Output {
    fn read(&mut self, held: &mut Held, may_overfill: bool, is_gone: bool, is_late: bool) {
        let mut buffer = [0; PIECE_BYTES_MAX];
        while let Some(pipe) = &self.pipe {
            let limit = if is_late { self.left } else { usize::MAX };
            let room = if may_overfill && is_gone { usize::MAX } else { held.room() };
            let size = buffer.len().min(limit).min(room);
            if size == 0 {
                return;
            }
            match read(pipe, &mut buffer[..size]) {
                Ok(0) => break,
                Ok(count) => {
                    held.push(self.stream, &buffer[..count]);
                    self.left = self.left.saturating_sub(count);
                    if !is_gone {
                        // The others have their turn.
                        return;
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.left = 0;
                    return;
                }
                Err(_) => break,
            }
        }
        if self.pipe.take().is_some() {
            held.end_of_stream(self.stream);
        }
    }
}

fn kill_all(leader: Pid, group: Option<&Group>) {
    session::kill_all(leader);
    if let Some(group) = group {
        group.kill();
    }
}

/// Its other end stays as the command has it: both are files of their own.
fn unblock(pipe: &OwnedFd) {
    let flags: io::Result<OFlags> = fcntl_getfl(pipe).map_err(io::Error::from);
    // Where it fails, a read after `poll` does not block either.
    let _ = flags.map(|flags| fcntl_setfl(pipe, flags | OFlags::NONBLOCK));
}
