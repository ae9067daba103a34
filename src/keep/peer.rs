//! One connection of a daemon, at the keeper's end: frames in, frames out, never waited for.

use std::io::{self, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::io::{Errno, IoSliceMut};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::geteuid;

use super::frame::{Frame, Incoming, PIECE_BYTES_MAX};
use super::held::Sent;
use crate::credentials::Credentials;

/// Bytes on their way out from which no more are made.
const OUTGOING_BYTES_MAX: usize = 64 * 1024;

/// A daemon, as far as its credentials are those of one.
#[derive(Debug)]
pub(super) struct Peer {
    stream: UnixStream,
    pub(super) incoming: Incoming,
    outgoing: Vec<u8>,
    /// What it was sent of the output; `None` until it has said where to begin.
    pub(super) sent: Option<Sent>,
    /// How much input it was told to be in the pipe.
    pub(super) input_told: u64,
    /// Whether it knows that the command was asked to end, and how it has ended.
    pub(super) knows: Knows,
}

/// What a daemon was told once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Knows {
    pub(super) started: bool,
    pub(super) asked: bool,
    pub(super) ended: bool,
}

impl Peer {
    /// # Errors
    /// When it is neither root nor this process's own user.
    pub(super) fn new(stream: UnixStream) -> io::Result<Peer> {
        let uid = Credentials::of_peer(&stream)?.uid;
        if ![0, geteuid().as_raw()].contains(&uid) {
            return Err(io::Error::other(format!("uid {uid} has no business here")));
        }
        stream.set_nonblocking(true)?;
        Ok(Peer {
            stream,
            incoming: Incoming::default(),
            outgoing: Vec::new(),
            sent: None,
            input_told: 0,
            knows: Knows::default(),
        })
    }

    /// Reads what is there; false when the other end is gone.
    pub(super) fn read(&mut self) -> bool {
        let mut buffer = [0; PIECE_BYTES_MAX];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.incoming.add(&buffer[..count]);
                true
            }
            Err(error) => is_for_now(&error),
        }
    }

    /// The same, where a descriptor may come along.
    pub(super) fn read_with_descriptor(&mut self, descriptor: &mut Option<OwnedFd>) -> bool {
        let mut buffer = [0; PIECE_BYTES_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let read = recvmsg(&self.stream, &mut [IoSliceMut::new(&mut buffer)], &mut control, RecvFlags::CMSG_CLOEXEC);
        match read {
            Ok(message) if message.bytes > 0 => {
                for message in control.drain() {
                    if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                        *descriptor = descriptors.last().or(descriptor.take());
                    }
                }
                self.incoming.add(&buffer[..message.bytes]);
                true
            }
            Ok(_) => false,
            Err(error) => matches!(error, Errno::AGAIN | Errno::INTR),
        }
    }

    /// Puts a frame on its way.
    pub(super) fn send(&mut self, frame: &Frame<'_>) {
        frame.encode(&mut self.outgoing);
    }

    /// Whether more can be put on its way.
    pub(super) fn has_room(&self) -> bool {
        self.outgoing.len() < OUTGOING_BYTES_MAX
    }

    /// Whether something is on its way.
    pub(super) fn is_writing(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Writes what the socket takes; false when the other end is gone.
    pub(super) fn write(&mut self) -> bool {
        while !self.outgoing.is_empty() {
            match self.stream.write(&self.outgoing) {
                Ok(count) => _ = self.outgoing.drain(..count),
                Err(error) => return is_for_now(&error),
            }
        }
        true
    }
}

impl AsFd for Peer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn is_for_now(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
