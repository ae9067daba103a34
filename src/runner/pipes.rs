//! A child's pipes, or its terminal: what it prints on its way out, its standard input on its way in.
//!
//! No more is read than the run's window has room for, so that a slow medium slows the child and never fills the memory.
//! What is read is passed on before anything is awaited: dropping any future here loses nothing of it.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use async_io::{Async, Timer};
use futures_lite::future;
use rustix::io::{Errno, ioctl_fionbio, ioctl_fionread, read};

use super::execution::{Outlet, Pieces};
use super::feed::Feed;
use crate::event::Stream;
use crate::process::pty;
use crate::timer::until;

/// The most that one read takes: what a pipe holds unless told otherwise (pipe(7)).
const READ_BYTES_MAX: usize = 64 * 1024;
/// Pause between two looks at a pipe that cannot be watched.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Our ends of a child's pipes; the child's own stay blocking.
pub(super) struct Pipes<'a> {
    /// What the child is given to read.
    feed: Feed<'a>,
    outputs: Vec<Output>,
    /// Bytes that were read, of all streams: the offset of what comes next.
    read: u64,
}

/// The reading end of one stream.
#[derive(Debug)]
struct Output {
    stream: Stream,
    /// `None` once it is closed.
    pipe: Option<Pipe>,
    /// What it still held of its leader when that had ended.
    held: usize,
    last: Read,
}

/// A reading end that is read without blocking. The reactor learns of it when it is waited for: that of a short command is read
/// once, when the command has ended, and never waited for.
#[derive(Debug)]
struct Pipe {
    /// Before the end itself, so that it goes while that is still open.
    watched: Option<Async<Arc<OwnedFd>>>,
    end: Arc<OwnedFd>,
}

/// What one read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    /// So many bytes.
    Some(usize),
    /// The pipe is empty or closed, or nothing of it is wanted.
    Nothing,
    /// The window is full.
    NoRoom,
}

impl<'a> Pipes<'a> {
    /// Takes all ends over.
    pub(super) fn new(feed: Feed<'a>, outputs: Vec<(Stream, OwnedFd)>) -> io::Result<Pipes<'a>> {
        let output = |(stream, end)| {
            Ok::<_, io::Error>(Output { stream, pipe: Some(Pipe::new(end)?), held: 0, last: Read::Nothing })
        };
        Ok(Pipes { feed, outputs: outputs.into_iter().map(output).collect::<Result<_, _>>()?, read: 0 })
    }
}

impl Pieces for Pipes<'_> {
    async fn pump(&mut self, to: &mut Outlet) {
        let Pipes { feed, outputs, read } = self;
        let pumped = async {
            while !is_closed(outputs) {
                to.room().await;
                let mut is_quiet = true;
                for output in outputs.iter_mut() {
                    is_quiet &= output.read(to, read, usize::MAX) == Read::Nothing;
                }
                if is_quiet && !is_closed(outputs) {
                    readable(outputs).await;
                }
            }
        };
        future::zip(pumped, feed.run()).await;
    }

    async fn drain(&mut self, to: &mut Outlet, deadline: Instant) {
        let Pipes { outputs, read, feed } = self;
        feed.close();
        outputs.iter_mut().for_each(Output::count_held);
        loop {
            let is_late = Instant::now() >= deadline;
            for output in outputs.iter_mut() {
                output.read_held(to, read, is_late);
            }
            let is_all_held_read = outputs.iter().all(|output| output.held == 0);
            if is_closed(outputs) || (is_late && is_all_held_read) {
                break;
            }
            if outputs.iter().any(|output| output.last == Read::NoRoom) {
                let deadline = is_all_held_read.then_some(deadline);
                let _ = until(deadline, to.room()).await;
            } else if outputs.iter().all(|output| output.last == Read::Nothing) {
                let _ = until(deadline, readable(outputs)).await;
            }
        }
        for output in outputs {
            if output.pipe.take().is_some() {
                to.end_of_stream(output.stream);
            }
        }
    }
}

impl Pipe {
    fn new(end: OwnedFd) -> io::Result<Pipe> {
        ioctl_fionbio(&end, true)?;
        Ok(Pipe { watched: None, end: Arc::new(end) })
    }

    /// Has the reactor watch it; false where it cannot now, for lack of memory.
    fn watch(&mut self) -> bool {
        if self.watched.is_none() {
            let watched = Async::new_nonblocking(self.end.clone());
            self.watched = watched.inspect_err(|error| log::warn!("a command's pipe cannot be watched: {error}")).ok();
        }
        self.watched.is_some()
    }
}

impl Output {
    /// Counts what there is at the leader's end. A terminal does not tell: there it is what it can hold, or until it is empty.
    fn count_held(&mut self) {
        let Some(pipe) = &self.pipe else { return };
        let held = ioctl_fionread(&pipe.end).unwrap_or(0);
        let held = usize::try_from(held).unwrap_or(usize::MAX);
        self.held = if self.stream == Stream::Pty { pty::HELD_BYTES_MAX } else { held };
    }

    /// Reads once, at most `limit` and what there is room for.
    fn read(&mut self, to: &mut Outlet, offset: &mut u64, limit: usize) -> Read {
        let Some(pipe) = self.pipe.as_ref().filter(|_| limit > 0) else { return Read::Nothing };
        let size = READ_BYTES_MAX.min(limit).min(to.room_now());
        if size == 0 {
            return Read::NoRoom;
        }
        let mut buffer = [MaybeUninit::<u8>::uninit(); READ_BYTES_MAX];
        match read(&pipe.end, &mut buffer[..size]) {
            Ok((bytes, _)) if !bytes.is_empty() => {
                to.take(*offset, self.stream, bytes);
                *offset += bytes.len() as u64;
                return Read::Some(bytes.len());
            }
            Err(Errno::AGAIN | Errno::INTR) => return Read::Nothing,
            // Nobody has the other end of the terminal any more.
            Err(Errno::IO) if self.stream == Stream::Pty => {}
            Err(error) => log::warn!("cannot read a command's {}: {error}", self.stream),
            Ok(_) => {}
        }
        to.end_of_stream(self.stream);
        self.pipe = None;
        Read::Nothing
    }

    /// The same after the leader's end: whatever comes, or when it is late only what was there already.
    fn read_held(&mut self, to: &mut Outlet, offset: &mut u64, is_late: bool) {
        self.last = self.read(to, offset, if is_late { self.held } else { usize::MAX });
        match self.last {
            Read::Some(count) => self.held = self.held.saturating_sub(count),
            Read::Nothing => self.held = 0,
            Read::NoRoom => {}
        }
    }
}

fn is_closed(outputs: &[Output]) -> bool {
    outputs.iter().all(|output| output.pipe.is_none())
}

/// Waits until an open end has something, or its end, to read.
async fn readable(outputs: &mut [Output]) {
    if !outputs.iter_mut().filter_map(|output| output.pipe.as_mut()).all(Pipe::watch) {
        let _ = Timer::after(LOOK_AGAIN).await;
        return;
    }
    future::poll_fn(|cx| {
        // An error shows at the next read.
        let watched =
            |output: &Output| output.pipe.as_ref()?.watched.as_ref()?.poll_readable(cx).is_ready().then_some(());
        // All are asked, so that each can wake us.
        let ready = outputs.iter().filter_map(watched).count();
        if ready > 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
