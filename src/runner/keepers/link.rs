//! One connection to a keeper, or the file that one left: frames in and, to a connection, frames out.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::task::Poll;

use async_io::Async;
use futures_lite::future;
use rustix::io::{Errno, read, write};

use crate::keep::frame::{Frame, Incoming};
use crate::keep::protocol::{Hello, Welcome};

/// Bytes of one read.
const READ_BYTES: usize = 64 * 1024;

/// Where frames of a keeper come from.
#[derive(Debug)]
pub struct Link {
    from: From,
    pub incoming: Incoming,
    outgoing: Vec<u8>,
    /// What the keeper said of itself.
    pub welcome: Welcome,
}

#[derive(Debug)]
enum From {
    Keeper(Async<UnixStream>),
    Rest(File),
}

impl Link {
    /// Waits for the keeper's first frame.
    ///
    /// # Errors
    /// Where it goes, or is another's.
    pub async fn welcomed(stream: Async<UnixStream>, hello: &Hello) -> io::Result<Link> {
        Link::opened(From::Keeper(stream), hello).await
    }

    /// Reads what a keeper left.
    ///
    /// # Errors
    /// Where it is not whole, or another's.
    pub async fn of_rest(file: File, hello: &Hello) -> io::Result<Link> {
        Link::opened(From::Rest(file), hello).await
    }

    async fn opened(from: From, hello: &Hello) -> io::Result<Link> {
        let (incoming, outgoing) = (Incoming::default(), Vec::new());
        let mut link = Link { from, incoming, outgoing, welcome: Welcome::default() };
        loop {
            match link.incoming.peek()? {
                Some((bytes, Frame::Welcome(welcome))) => {
                    link.incoming.take(bytes);
                    link.welcome = welcome;
                    break;
                }
                Some(_) => return Err(io::Error::other("its first frame is none of a keeper's")),
                None => link.more().await?,
            }
        }
        let Welcome { instance, run, attempt, version, .. } = &link.welcome;
        let is_ours = (instance, *run, *attempt) == (&hello.instance, hello.run, hello.attempt);
        if !is_ours || *version == 0 {
            return Err(io::Error::other(format!("it keeps attempt {attempt} of run {run} of {instance}")));
        }
        Ok(link)
    }

    /// Whether it is a keeper that lives.
    pub fn is_live(&self) -> bool {
        matches!(self.from, From::Keeper(_))
    }

    /// Puts a frame on its way. What was left by a keeper hears nothing.
    pub fn send(&mut self, frame: &Frame<'_>) {
        if self.is_live() {
            frame.encode(&mut self.outgoing);
        }
    }

    /// Whether something is on its way.
    pub fn is_writing(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Writes what the socket takes.
    ///
    /// # Errors
    /// Where the keeper is gone.
    pub fn write(&mut self) -> io::Result<()> {
        let From::Keeper(stream) = &self.from else { return Ok(()) };
        while !self.outgoing.is_empty() {
            match write(stream, &self.outgoing) {
                Ok(count) => _ = self.outgoing.drain(..count),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Waits until the keeper's socket has all that is on its way.
    ///
    /// # Errors
    /// Where the keeper is gone.
    pub async fn written(&mut self) -> io::Result<()> {
        loop {
            self.write()?;
            if !self.is_writing() {
                return Ok(());
            }
            self.writable().await?;
        }
    }

    /// Waits for more frames, and meanwhile for the socket to take what is on its way. Dropping it loses nothing.
    ///
    /// # Errors
    /// Where nothing more can come.
    pub async fn more(&mut self) -> io::Result<()> {
        let Link { from, incoming, outgoing, .. } = self;
        let mut buffer = vec![0; READ_BYTES];
        let count = match from {
            From::Rest(file) => file.read(&mut buffer)?,
            From::Keeper(stream) => loop {
                match read(&*stream, &mut buffer) {
                    Ok(count) => break count,
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => {
                        ready(stream, true, !outgoing.is_empty()).await?;
                        if !outgoing.is_empty() {
                            if let Ok(count) = write(&*stream, outgoing) {
                                outgoing.drain(..count);
                            }
                        }
                    }
                    Err(error) => return Err(error.into()),
                }
            },
        };
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        incoming.add(&buffer[..count]);
        Ok(())
    }

    /// Waits until the socket takes more of what is on its way; for ever where nothing is.
    pub async fn writable(&self) -> io::Result<()> {
        match &self.from {
            From::Keeper(stream) if self.is_writing() => ready(stream, false, true).await,
            _ => future::pending().await,
        }
    }
}

/// Waits until it may be read, or written.
async fn ready(stream: &Async<UnixStream>, to_read: bool, to_write: bool) -> io::Result<()> {
    future::poll_fn(|cx| {
        let mut any = Poll::Pending;
        // Both are asked, so that each can wake us.
        if to_read {
            if let Poll::Ready(ready) = stream.poll_readable(cx) {
                any = Poll::Ready(ready);
            }
        }
        if to_write {
            if let Poll::Ready(ready) = stream.poll_writable(cx) {
                any = Poll::Ready(ready);
            }
        }
        any
    })
    .await
}
