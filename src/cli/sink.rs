//! A command's own bytes, on their way to our standard output and error.
//!
//! A reader that is slow or stopped must not hold up Ctrl-C, so nothing is written before the descriptor takes it; and
//! the descriptors, which we share with the shell, must never be made non-blocking.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use async_io::Async;
use futures_lite::future;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, OFlags, Timespec, fcntl_getfl, fstat};

use crate::client::failure::Failure;
use crate::event::Stream;

/// A pipe that says it is writable takes this much without blocking (POSIX: `PIPE_BUF`).
const PIECE_BYTES: usize = 4096;

/// Our two outputs, for the bytes of a command's two.
pub struct Outputs {
    out: Sink,
    /// Closed, it is nobody's problem.
    err: Option<Sink>,
}

impl Outputs {
    /// Our own standard output and error.
    ///
    /// # Errors
    /// [`Failure::OutputClosed`] when standard output was closed before we began.
    pub fn open() -> Result<Outputs, Failure> {
        Ok(Outputs { out: Sink::new(io::stdout())?, err: Sink::new(io::stderr()).ok() })
    }

    /// Writes a piece of the command's output to the same output of ours.
    ///
    /// # Errors
    /// As [`Sink::write`]; a closed standard error is none.
    pub async fn piece(&self, stream: Stream, bytes: &[u8]) -> Result<(), Failure> {
        match (stream, &self.err) {
            (Stream::Stdout | Stream::Pty, _) => self.out.write(bytes).await,
            (Stream::Stderr, None) => Ok(()),
            (Stream::Stderr, Some(err)) => match err.write(bytes).await {
                Err(Failure::OutputClosed) => Ok(()),
                other => other,
            },
        }
    }

    /// Waits until nobody can read our standard output any more. A command that says nothing for long would not make us
    /// find out by a write.
    pub async fn closed(&self) -> Failure {
        self.out.closed().await
    }

    /// Writes one line to standard output.
    ///
    /// # Errors
    /// As [`Sink::write`].
    pub async fn line(&self, text: &str) -> Result<(), Failure> {
        self.out.write(format!("{text}\n").as_bytes()).await
    }
}

/// One of our outputs.
pub struct Sink {
    /// A copy of the descriptor, so that the reactor has one of its own.
    fd: OwnedFd,
    /// To wait with; `None` where there is nothing to wait for, as with a file.
    ready: Option<Async<OwnedFd>>,
}

impl Sink {
    /// An output of ours.
    ///
    /// # Errors
    /// [`Failure::OutputClosed`] when it was closed before we began.
    pub fn new(output: impl AsFd) -> Result<Sink, Failure> {
        let copy = || output.as_fd().try_clone_to_owned().map_err(|_| Failure::OutputClosed);
        let (fd, watched) = (copy()?, copy()?);
        Ok(Sink { fd, ready: Async::new_nonblocking(watched).ok() })
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// [`Failure::OutputClosed`] when nobody reads it any more; [`Failure::Own`] when it cannot be written.
    pub async fn write(&self, mut bytes: &[u8]) -> Result<(), Failure> {
        while !bytes.is_empty() {
            let piece = match &self.ready {
                Some(ready) => {
                    self.wait(ready).await?;
                    &bytes[..bytes.len().min(PIECE_BYTES)]
                }
                None => bytes,
            };
            match rustix::io::write(&self.fd, piece) {
                Ok(written) => bytes = &bytes[written..],
                // Somebody else made it non-blocking, or was quicker.
                Err(rustix::io::Errno::AGAIN) => self.rest().await,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
        Ok(())
    }

    /// Waits until the last reader of a pipe has gone; for ever where this is none.
    pub async fn closed(&self) -> Failure {
        if let Some(ready) = self.ready.as_ref().filter(|_| self.is_end_of_a_pipe()) {
            // Of the end that is written to, the system tells as readable that nobody reads the other.
            while ready.readable().await.is_ok() {
                if self.has_no_reader() {
                    return Failure::OutputClosed;
                }
                self.rest().await;
            }
        }
        future::pending().await
    }

    /// Whether only what is written goes by it. What can be read from, as a terminal, is readable for other reasons.
    fn is_end_of_a_pipe(&self) -> bool {
        let is_pipe = fstat(&self.fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
        is_pipe && fcntl_getfl(&self.fd).is_ok_and(|flags| flags & OFlags::ACCMODE == OFlags::WRONLY)
    }

    fn has_no_reader(&self) -> bool {
        let mut fds = [PollFd::new(&self.fd, PollFlags::empty())];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut fds, Some(&at_once)).is_ok() && fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
    }

    async fn wait(&self, ready: &Async<OwnedFd>) -> Result<(), Failure> {
        while !self.is_writable().map_err(failed)? {
            ready.writable().await.map_err(failed)?;
        }
        Ok(())
    }

    fn is_writable(&self) -> io::Result<bool> {
        let mut fds = [PollFd::new(&self.fd, PollFlags::OUT)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        Ok(poll(&mut fds, Some(&at_once))? > 0)
    }

    async fn rest(&self) {
        async_io::Timer::after(std::time::Duration::from_millis(10)).await;
    }
}

fn failed(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::OutputClosed,
        _ => Failure::Own(format!("cannot write the command's output: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read;
    use std::time::Duration;

    fn pipe() -> (File, File) {
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        (File::from(reader), File::from(writer))
    }

    #[test]
    fn a_full_pipe_holds_up_nobody_else() {
        let (mut reader, writer) = pipe();
        let sink = Sink::new(&writer).expect("open");
        drop(writer);
        let bytes = vec![b'x'; 1 << 20];
        smol::block_on(async {
            let late = async {
                async_io::Timer::after(Duration::from_millis(50)).await;
                true
            };
            let wrote = async {
                sink.write(&bytes).await.expect("written");
                false
            };
            assert!(future::or(late, wrote).await, "a pipe took a MiB that nobody read");
        });
        drop(sink);
        let mut got = Vec::new();
        reader.read_to_end(&mut got).expect("read");
        assert!(got.len() >= 4096 && got.iter().all(|byte| *byte == b'x'));
    }

    #[test]
    fn a_gone_reader_is_told() {
        let (reader, writer) = pipe();
        let sink = Sink::new(&writer).expect("open");
        drop(reader);
        assert!(matches!(smol::block_on(sink.write(b"x")), Err(Failure::OutputClosed)));
    }

    #[test]
    fn a_gone_reader_is_noticed_without_a_write() {
        let (reader, writer) = pipe();
        let sink = Sink::new(&writer).expect("open");
        let closed = Box::pin(sink.closed());
        smol::block_on(async {
            let late = async {
                async_io::Timer::after(Duration::from_millis(50)).await;
                None
            };
            let closed = future::or(late, async { Some(closed.await) });
            assert!(closed.await.is_none(), "somebody may read it still");
            drop(reader);
            assert!(matches!(sink.closed().await, Failure::OutputClosed));
        });
    }
}
