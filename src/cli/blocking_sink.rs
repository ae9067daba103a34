//! In the place of `sink` where outputs cannot be waited for: a write blocks for as long as its reader is slow.

use std::io;

use futures_lite::future;

use crate::client::failure::Failure;
use crate::event::Stream;

/// Our two outputs, for the bytes of a command's two.
pub struct Outputs;

impl Outputs {
    /// Our own standard output and error.
    ///
    /// # Errors
    /// None.
    pub fn open() -> Result<Outputs, Failure> {
        Ok(Outputs)
    }

    /// Writes a piece of the command's output to the same output of ours.
    ///
    /// # Errors
    /// [`Failure::OutputClosed`] when nobody reads standard output any more; [`Failure::Own`] when it cannot be written.
    pub async fn piece(&self, stream: Stream, bytes: &[u8]) -> Result<(), Failure> {
        match stream {
            Stream::Stdout | Stream::Pty => written(io::stdout().lock(), bytes),
            Stream::Stderr => written(io::stderr().lock(), bytes).or_else(|failure| match failure {
                Failure::OutputClosed => Ok(()),
                other => Err(other),
            }),
        }
    }

    /// Waits for ever: that nobody reads any more is found out by a write alone.
    pub async fn closed(&self) -> Failure {
        future::pending().await
    }

    /// Writes one line to standard output.
    ///
    /// # Errors
    /// As [`Outputs::piece`].
    pub async fn line(&self, text: &str) -> Result<(), Failure> {
        written(io::stdout().lock(), format!("{text}\n").as_bytes())
    }
}

fn written(mut output: impl io::Write, bytes: &[u8]) -> Result<(), Failure> {
    match output.write_all(bytes).and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::OutputClosed),
        Err(error) => Err(Failure::Own(format!("cannot write the command's output: {error}"))),
        Ok(()) => Ok(()),
    }
}
