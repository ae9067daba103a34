//! Ctrl-C, told one by one, and other signals where they are asked for.
//!
//! Otherwise only SIGINT is taken. SIGHUP and SIGTERM keep their meaning: they end this process and leave the run alone.

use std::os::unix::net::UnixStream;

use async_io::Async;
use futures_lite::{AsyncReadExt, future};
use signal_hook::SigId;
use signal_hook::consts::SIGINT;
use signal_hook::low_level::{pipe, unregister};

use crate::client::failure::Failure;

/// Where this process's interrupts arrive, from now until it is dropped.
pub struct Interrupts {
    arrivals: Async<UnixStream>,
    signal: SigId,
}

impl Interrupts {
    /// From here on, Ctrl-C ends nothing by itself.
    ///
    /// # Errors
    /// [`Failure::Own`] when the system has no descriptors left.
    pub fn listen() -> Result<Interrupts, Failure> {
        Interrupts::of(SIGINT)
    }

    /// The same for another signal.
    ///
    /// # Errors
    /// As [`Interrupts::listen`].
    pub fn of(signal: i32) -> Result<Interrupts, Failure> {
        let failed = |error: std::io::Error| Failure::Own(format!("cannot listen for signals: {error}"));
        let (ours, handlers) = UnixStream::pair().map_err(failed)?;
        let arrivals = Async::new(ours).map_err(failed)?;
        let signal = pipe::register(signal, handlers).map_err(failed)?;
        Ok(Interrupts { arrivals, signal })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        let mut one = [0];
        match self.arrivals.read(&mut one).await {
            Ok(1) => {}
            // The handler holds the other end for as long as we are here.
            _ => future::pending().await,
        }
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        unregister(self.signal);
    }
}
