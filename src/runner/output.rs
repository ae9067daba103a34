//! From a child's pipes to the backlog: reads no more than the run's window has room for, so that a
//! slow medium slows the child and never fills the memory.
//!
//! What is read is pushed before anything is awaited: dropping any future here loses nothing.

use std::mem::MaybeUninit;
use std::time::Instant;

use async_io::Timer;
use futures_lite::future;
use rustix::io::{Errno, ioctl_fionread, read, write};

use super::process::Pipe;
use crate::event::Stream;
use crate::store::backlog::Intake;

/// The most that one read takes: what a pipe holds unless told otherwise (pipe(7)).
const READ_BYTES_MAX: usize = 64 * 1024;

/// The reading ends of a child's standard output and error.
#[derive(Debug)]
pub struct Output {
    pipes: [(Stream, Option<Pipe>); 2],
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

impl Output {
    /// Takes both ends over.
    pub fn new(stdout: Pipe, stderr: Pipe) -> Output {
        Output { pipes: [(Stream::Stdout, Some(stdout)), (Stream::Stderr, Some(stderr))] }
    }

    /// Reads until both ends are closed.
    pub async fn pump(&mut self, intake: &Intake) {
        while !self.is_closed() {
            intake.room().await;
            let reads = [self.read(0, intake, usize::MAX), self.read(1, intake, usize::MAX)];
            if reads.iter().all(|read| *read == Read::Nothing) && !self.is_closed() {
                self.readable().await;
            }
        }
    }

    /// Reads on after the leader's end: what the pipes hold now, however long the store takes, and
    /// until `deadline` what others still add. Then both ends are closed.
    pub async fn drain(&mut self, intake: &Intake, deadline: Instant) {
        let mut held = self
            .pipes
            .each_ref()
            .map(|(_, pipe)| pipe.as_ref().and_then(|pipe| ioctl_fionread(pipe.get_ref()).ok()).unwrap_or(0) as usize);
        loop {
            let is_late = Instant::now() >= deadline;
            let mut reads = [Read::Nothing; 2];
            for (index, held) in held.iter_mut().enumerate() {
                reads[index] = self.read(index, intake, if is_late { *held } else { usize::MAX });
                match reads[index] {
                    Read::Some(count) => *held = held.saturating_sub(count),
                    Read::Nothing => *held = 0,
                    Read::NoRoom => {}
                }
            }
            if self.is_closed() || (is_late && held == [0, 0]) {
                break;
            }
            let late = async { _ = Timer::at(deadline).await };
            if reads.contains(&Read::NoRoom) {
                let room = async { _ = intake.room().await };
                if held == [0, 0] { future::or(room, late).await } else { room.await }
            } else if reads == [Read::Nothing; 2] {
                future::or(self.readable(), late).await;
            }
        }
        for (stream, pipe) in &mut self.pipes {
            if pipe.take().is_some() {
                intake.end_of_stream(*stream);
            }
        }
    }

    fn is_closed(&self) -> bool {
        self.pipes.iter().all(|(_, pipe)| pipe.is_none())
    }

    /// Reads once, at most `limit` and what there is room for.
    fn read(&mut self, index: usize, intake: &Intake, limit: usize) -> Read {
        let (stream, slot) = &mut self.pipes[index];
        let Some(pipe) = slot.as_ref().filter(|_| limit > 0) else { return Read::Nothing };
        let size = READ_BYTES_MAX.min(limit).min(intake.room_now());
        if size == 0 {
            return Read::NoRoom;
        }
        let mut buffer = [MaybeUninit::<u8>::uninit(); READ_BYTES_MAX];
        match read(pipe.get_ref(), &mut buffer[..size]) {
            Ok((bytes, _)) if !bytes.is_empty() => {
                intake.push(*stream, bytes);
                return Read::Some(bytes.len());
            }
            Err(Errno::AGAIN | Errno::INTR) => return Read::Nothing,
            Err(error) => log::warn!("cannot read a command's {stream}: {error}"),
            Ok(_) => {}
        }
        intake.end_of_stream(*stream);
        *slot = None;
        Read::Nothing
    }

    /// Waits until an open end has something, or its end, to read.
    async fn readable(&self) {
        let one = |index: usize| async move {
            match &self.pipes[index].1 {
                // An error shows at the next read.
                Some(pipe) => _ = pipe.readable().await,
                None => future::pending().await,
            }
        };
        future::or(one(0), one(1)).await;
    }
}

/// Gives a child its standard input, as fast as it reads it; one that does not read it is no error.
pub async fn feed(stdin: Option<Pipe>, text: &str) {
    let Some(pipe) = stdin else { return };
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match write(pipe.get_ref(), rest) {
            Ok(count) => rest = &rest[count..],
            Err(Errno::AGAIN) => _ = pipe.writable().await,
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
