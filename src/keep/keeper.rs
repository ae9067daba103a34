//! A keeper's loop: waits for its command, for daemons and for the time, and does what each has for it.
//!
//! Of several daemons the newest is heard, so that one that hangs cannot hold the command.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, Mode, chmodat, unlinkat};
use rustix::process::getpid;

use super::command::Command;
use super::frame::{Frame, Malformed};
use super::held::{Held, Sent};
use super::peer::Peer;
use super::place::path_in;
use super::protocol::{Ended, Hello, VERSION, Welcome};
use super::rest;
use crate::process::procfs;
use crate::run::Ask;
use crate::system;

/// How long a first connection may take to say whom it is for.
const HELLO: Duration = Duration::from_secs(30);
/// How long any other may take.
const NEWCOMER: Duration = Duration::from_secs(5);
/// Held memory from which what was freed is given back.
const BURST_BYTES: usize = 64 * 1024;
/// How long after a burst the program's own pages are given back, too: those that are used again are mapped again.
const UNMAP_AFTER: Duration = Duration::from_secs(5);

/// A keeper that can be found.
pub(super) struct Keeper {
    signals: OwnedFd,
    directory: OwnedFd,
    listener: UnixListener,
    /// For whom it is; its `name` is the socket's.
    own: Hello,
    start_ticks: i64,
    token: Option<String>,
    state: State,
    held: Held,
    peer: Option<Peer>,
    /// Connected at this time, and has not said for whom.
    newcomer: Option<(Peer, Instant)>,
    was_burst: bool,
    unmap_at: Option<Instant>,
    is_released: bool,
}

enum State {
    /// Nobody has said yet what to start.
    Waiting,
    Running(Box<Command>),
    Ended(Box<Ended>),
}

impl Keeper {
    /// Hears whom it is for, and takes its place; `None` where the daemon has gone before that.
    pub(super) fn start(daemon: UnixStream, signals: OwnedFd) -> io::Result<Option<Keeper>> {
        let mut peer = Peer::new(daemon)?;
        let (mut directory, until) = (None, Instant::now() + HELLO);
        let hello = loop {
            match peer.incoming.peek() {
                Ok(Some((bytes, Frame::Hello(hello)))) => {
                    peer.incoming.take(bytes);
                    break hello;
                }
                Ok(None) => {}
                Ok(Some(_)) => return Err(io::Error::other("the first frame is none of a daemon's")),
                Err(malformed) => return Err(malformed.into()),
            }
            let left = until.saturating_duration_since(Instant::now());
            if wait(&mut [PollFd::new(&peer, PollFlags::IN)], Some(left))? == 0 {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if !peer.read_with_descriptor(&mut directory) {
                return Ok(None);
            }
        };
        let directory = directory.ok_or_else(|| io::Error::other("the daemon gave no directory"))?;
        let is_name = !hello.name.is_empty() && !hello.name.contains('/') && !hello.name.starts_with('.');
        if !is_name || hello.version == 0 {
            return Err(io::Error::other("the daemon gave no name"));
        }
        let listener = UnixListener::bind(path_in(directory.as_fd(), &hello.name)?)?;
        chmodat(&directory, &*hello.name, Mode::from_raw_mode(0o600), AtFlags::empty())?;
        listener.set_nonblocking(true)?;
        let pid = getpid().as_raw_nonzero().get();
        let mut keeper = Keeper {
            signals,
            directory,
            listener,
            own: hello.clone(),
            start_ticks: procfs::stat(pid).map_or(0, |stat| stat.start_ticks),
            token: None,
            state: State::Waiting,
            held: Held::default(),
            peer: None,
            newcomer: None,
            was_burst: false,
            unmap_at: None,
            is_released: false,
        };
        keeper.welcome(peer, &hello);
        Ok(Some(keeper))
    }

    /// Until nothing is left to be kept.
    pub(super) fn run(mut self) -> io::Result<()> {
        loop {
            self.take_signals();
            self.hear_newcomer();
            self.hear_peer();
            self.tend();
            self.tell_peer();
            self.rest();
            if self.is_done() {
                let _ = unlinkat(&self.directory, &*self.own.name, AtFlags::empty());
                return Ok(());
            }
            self.wait()?;
        }
    }

    fn wait(&self) -> io::Result<()> {
        let mut descriptors =
            vec![PollFd::new(&self.signals, PollFlags::IN), PollFd::new(&self.listener, PollFlags::IN)];
        descriptors.extend(self.newcomer.as_ref().map(|(newcomer, _)| PollFd::new(newcomer, PollFlags::IN)));
        let writing = |peer: &Peer| if peer.is_writing() { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        descriptors.extend(self.peer.as_ref().map(|peer| PollFd::new(peer, writing(peer))));
        let newcomer_due = self.newcomer.as_ref().map(|(_, since)| *since + NEWCOMER);
        let mut due = newcomer_due.into_iter().chain(self.unmap_at).min();
        if let State::Running(command) = &self.state {
            let (outputs, stdin) = command.descriptors(self.held.room() > 0);
            descriptors.extend(outputs.map(|pipe| PollFd::from_borrowed_fd(pipe, PollFlags::IN)));
            descriptors.extend(stdin.map(|pipe| PollFd::from_borrowed_fd(pipe, PollFlags::OUT)));
            due = due.into_iter().chain(command.due()).min();
        }
        wait(&mut descriptors, due.map(|due| due.saturating_duration_since(Instant::now())))?;
        Ok(())
    }

    fn take_signals(&mut self) {
        let mut is_told = false;
        while let Some(signal) = system::next_signal(&self.signals) {
            is_told |= signal == libc::SIGTERM || signal == libc::SIGINT;
        }
        match &mut self.state {
            State::Running(command) => {
                if is_told {
                    command.stop(Ask::Shutdown, None);
                }
                command.look_at_children();
            }
            State::Waiting => self.is_released |= is_told,
            State::Ended(_) => {}
        }
    }

    /// Takes who has connected last, and hears for whom he is.
    fn hear_newcomer(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            // Whoever may not is not answered.
            let newcomer = Peer::new(stream).ok().map(|peer| (peer, Instant::now()));
            self.newcomer = newcomer.or(self.newcomer.take());
        }
        let Some((mut newcomer, since)) = self.newcomer.take() else { return };
        let is_there = newcomer.read();
        match newcomer.incoming.peek() {
            Ok(Some((bytes, Frame::Hello(hello)))) => {
                newcomer.incoming.take(bytes);
                let is_ours =
                    (&hello.instance, hello.run, hello.attempt) == (&self.own.instance, self.own.run, self.own.attempt);
                if is_ours && hello.version > 0 {
                    self.welcome(newcomer, &hello);
                }
            }
            Ok(None) if is_there && since.elapsed() < NEWCOMER => self.newcomer = Some((newcomer, since)),
            _ => {}
        }
    }

    fn welcome(&mut self, mut peer: Peer, hello: &Hello) {
        let welcome = Welcome { version: hello.version.min(VERSION), ..self.describe() };
        peer.knows.asked = welcome.asked.is_some();
        peer.knows.started = welcome.leader.is_some();
        peer.send(&Frame::Welcome(welcome));
        self.peer = Some(peer);
    }

    fn describe(&self) -> Welcome {
        let command = if let State::Running(command) = &self.state { Some(command) } else { None };
        Welcome {
            version: VERSION,
            pid: getpid().as_raw_nonzero().get(),
            start_ticks: self.start_ticks,
            instance: self.own.instance.clone(),
            run: self.own.run,
            attempt: self.own.attempt,
            token: self.token.clone(),
            is_waiting: matches!(self.state, State::Waiting),
            leader: command.map(|command| command.started),
            held_from: self.held.from(),
            input_given: command.map_or(0, |command| command.input.given),
            asked: match &self.state {
                State::Ended(ended) => ended.asked.clone(),
                _ => command.and_then(|command| command.asked()).map(|asked| asked.as_str().to_owned()),
            },
        }
    }

    /// Does what the daemon says.
    fn hear_peer(&mut self) {
        let Some(mut peer) = self.peer.take() else { return };
        let mut is_there = peer.read();
        loop {
            // Taken out, because what it says is done to all of this.
            match peer.incoming.peek() {
                Ok(Some((bytes, frame))) => {
                    self.obey(&frame, &mut peer.sent);
                    peer.incoming.take(bytes);
                }
                Ok(None) => break,
                Err(Malformed(why)) => {
                    eprintln!("runabout keep: {why}");
                    is_there = false;
                    break;
                }
            }
        }
        if is_there {
            self.peer = Some(peer);
        }
    }

    fn obey(&mut self, frame: &Frame<'_>, sent: &mut Option<Sent>) {
        match (frame, &mut self.state) {
            (Frame::Exec(exec), State::Waiting) => {
                self.token.clone_from(&exec.token);
                self.state = match Command::start(exec, &self.own) {
                    Ok(command) => State::Running(Box::new(command)),
                    Err(unstarted) => State::Ended(Box::new(Ended { unstarted: Some(unstarted), ..Ended::default() })),
                };
                // What its description took.
                self.was_burst = true;
            }
            (Frame::Resume(offset), _) => *sent = Some(Sent { offset: *offset, ..Sent::default() }),
            (Frame::Ack(offset), _) => {
                self.held.ack(*offset);
                self.was_burst |= *offset > 0;
            }
            (Frame::Release, _) => self.is_released = true,
            (Frame::Input(offset, bytes), State::Running(command)) => command.give(*offset, bytes),
            (Frame::InputEnd(offset), State::Running(command)) => command.end_input(*offset),
            (Frame::Stop(stop), State::Running(command)) => {
                let asked = Ask::parse(&stop.asked).unwrap_or(Ask::Cancel);
                command.stop(asked, Some(Duration::from_millis(stop.grace_ms)));
            }
            (Frame::Kill, State::Running(command)) => command.kill(),
            (Frame::Signal(signal), State::Running(command)) => command.signal(*signal),
            (Frame::Resize(columns, rows), State::Running(command)) => command.resize(*columns, *rows),
            // Of a later version, or too late.
            _ => {}
        }
    }

    /// Reads what the command prints, gives it what it is to read, and notices its end.
    fn tend(&mut self) {
        let State::Running(command) = &mut self.state else { return };
        command.look_at_the_time();
        command.write();
        command.read(&mut self.held, self.peer.is_none());
        if command.is_over() {
            let ended = State::Ended(Box::default());
            if let State::Running(command) = std::mem::replace(&mut self.state, ended) {
                self.state = State::Ended(Box::new(command.reap(&mut self.held)));
            }
        }
    }

    /// Tells the daemon what it does not know yet, as far as the socket takes it.
    fn tell_peer(&mut self) {
        let Some(mut peer) = self.peer.take() else { return };
        let mut is_there = true;
        while is_there {
            while peer.has_room() && self.tell(&mut peer) {}
            if !peer.is_writing() {
                break;
            }
            is_there = peer.write();
            if peer.is_writing() {
                break;
            }
        }
        if is_there {
            self.peer = Some(peer);
        }
    }

    /// Gives back what a burst took.
    fn rest(&mut self) {
        if self.was_burst && self.held.is_settled() {
            self.was_burst = false;
            system::give_free_memory_back(BURST_BYTES);
            self.unmap_at.get_or_insert_with(|| Instant::now() + UNMAP_AFTER);
        }
        if self.unmap_at.is_some_and(|at| at <= Instant::now()) {
            self.unmap_at = None;
            system::give_memory_back();
        }
    }

    /// Puts one thing on its way; false where there is none.
    fn tell(&self, peer: &mut Peer) -> bool {
        if let State::Running(command) = &self.state {
            if !peer.knows.started {
                peer.knows.started = true;
                peer.send(&Frame::Started(command.started));
                return true;
            }
            if let Some(asked) = command.asked().filter(|_| !peer.knows.asked) {
                peer.knows.asked = true;
                peer.send(&Frame::Asked(asked.as_str().to_owned()));
                return true;
            }
            if command.input.written > peer.input_told {
                peer.input_told = command.input.written;
                peer.send(&Frame::InputTaken(peer.input_told));
                return true;
            }
        }
        let Some(sent) = peer.sent else { return false };
        if let Some((next, frame)) = self.held.next_frame(sent) {
            peer.send(&frame);
            peer.sent = Some(next);
            return true;
        }
        if let State::Ended(ended) = &self.state {
            if !peer.knows.ended {
                peer.knows.ended = true;
                peer.send(&Frame::Ended((**ended).clone()));
                return true;
            }
        }
        false
    }

    /// Whether nothing is left to be kept. What nobody has come for is left in the directory.
    fn is_done(&mut self) -> bool {
        if self.is_released {
            return !matches!(self.state, State::Running(_));
        }
        if self.peer.is_some() || self.newcomer.is_some() {
            return false;
        }
        // Whoever connects in this moment is heard.
        match &self.state {
            State::Waiting => true,
            State::Running(_) => false,
            State::Ended(ended) => {
                let left = rest::leave(&self.directory, &self.own.name, self.describe(), &self.held, (**ended).clone());
                if let Err(error) = left {
                    eprintln!("runabout keep: how the command ended cannot be left behind: {error}");
                }
                true
            }
        }
    }
}

/// Waits until one of them is ready, or so long.
fn wait(descriptors: &mut [PollFd<'_>], at_most: Option<Duration>) -> io::Result<usize> {
    let timeout = at_most.and_then(|time| Timespec::try_from(time).ok());
    match poll(descriptors, timeout.as_ref()) {
        Err(rustix::io::Errno::INTR) => Ok(1),
        other => Ok(other?),
    }
}
