//! A child's pipes: what it prints on its way out, its standard input on its way in.
//!
//! No more is read than the run's window has room for, so that a slow medium slows the child and never fills the memory.
//! What is read is passed on before anything is awaited: dropping any future here loses nothing of it.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::task::Poll;
use std::time::Instant;

use async_io::Async;
use futures_lite::future;
use rustix::io::{Errno, ioctl_fionread, read, write};

use super::execution::{Outlet, Pieces};
use crate::event::Stream;
use crate::timer::until;

/// The most that one read takes: what a pipe holds unless told otherwise (pipe(7)).
const READ_BYTES_MAX: usize = 64 * 1024;

/// Our ends of a child's pipes; the child's own stay blocking.
#[derive(Debug)]
pub(super) struct Pipes<'a> {
    /// What the child is given to read, where it has a standard input of its own.
    stdin: Option<(Async<OwnedFd>, &'a [u8])>,
    outputs: Vec<Output>,
    /// Bytes that were read, of all streams: the offset of what comes next.
    read: u64,
}

/// The reading end of one stream.
#[derive(Debug)]
struct Output {
    stream: Stream,
    /// `None` once it is closed.
    pipe: Option<Async<OwnedFd>>,
    /// What it still held of its leader when that had ended.
    held: usize,
    last: Read,
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
    pub(super) fn new(
        stdin: Option<OwnedFd>,
        stdin_text: &'a str,
        outputs: Vec<(Stream, OwnedFd)>,
    ) -> io::Result<Pipes<'a>> {
        let stdin = stdin.map(|pipe| Ok::<_, io::Error>((Async::new(pipe)?, stdin_text.as_bytes()))).transpose()?;
        let output = |(stream, pipe)| {
            Ok::<_, io::Error>(Output { stream, pipe: Some(Async::new(pipe)?), held: 0, last: Read::Nothing })
        };
        Ok(Pipes { stdin, outputs: outputs.into_iter().map(output).collect::<Result<_, _>>()?, read: 0 })
    }
}

impl Pieces for Pipes<'_> {
    async fn pump(&mut self, to: &mut Outlet) {
        let Pipes { stdin, outputs, read } = self;
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
        future::zip(pumped, feed(stdin)).await;
    }

    async fn drain(&mut self, to: &mut Outlet, deadline: Instant) {
        let Pipes { outputs, read, .. } = self;
        for output in outputs.iter_mut() {
            let held = output.pipe.as_ref().and_then(|pipe| ioctl_fionread(pipe.get_ref()).ok());
            output.held = usize::try_from(held.unwrap_or(0)).unwrap_or(usize::MAX);
        }
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

impl Output {
    /// Reads once, at most `limit` and what there is room for.
    fn read(&mut self, to: &mut Outlet, offset: &mut u64, limit: usize) -> Read {
        let Some(pipe) = self.pipe.as_ref().filter(|_| limit > 0) else { return Read::Nothing };
        let size = READ_BYTES_MAX.min(limit).min(to.room_now());
        if size == 0 {
            return Read::NoRoom;
        }
        let mut buffer = [MaybeUninit::<u8>::uninit(); READ_BYTES_MAX];
        match read(pipe.get_ref(), &mut buffer[..size]) {
            Ok((bytes, _)) if !bytes.is_empty() => {
                to.take(*offset, self.stream, bytes);
                *offset += bytes.len() as u64;
                return Read::Some(bytes.len());
            }
            Err(Errno::AGAIN | Errno::INTR) => return Read::Nothing,
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
async fn readable(outputs: &[Output]) {
    future::poll_fn(|cx| {
        // An error shows at the next read.
        let is_ready = |output: &Output| output.pipe.as_ref().is_some_and(|pipe| pipe.poll_readable(cx).is_ready());
        // All are asked, so that each can wake us.
        let ready = outputs.iter().map(is_ready).fold(false, |any, one| any | one);
        if ready { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Gives a child its standard input, as fast as it reads it, and closes it; one that does not read it is no error.
async fn feed(stdin: &mut Option<(Async<OwnedFd>, &[u8])>) {
    while let Some((pipe, rest)) = stdin.as_mut().filter(|(_, rest)| !rest.is_empty()) {
        match write(pipe.get_ref(), rest) {
            Ok(count) => *rest = &rest[count..],
            Err(Errno::AGAIN) => _ = pipe.writable().await,
            Err(Errno::INTR) => {}
            Err(_) => break,
        }
    }
    *stdin = None;
}
