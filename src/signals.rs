//! Signals made into the cooperative stop flag: the first asks for the end, the second is told apart from it. A hangup
//! asks for what can be read again.
//!
//! The handlers only write a byte to a socket; everything else happens on the executor.

use std::io;
use std::os::unix::net::UnixStream;

use futures_lite::{AsyncReadExt as _, FutureExt as _};
use smol::Async;

/// The signals that the daemon acts on, each with the socket that its handler writes to.
pub struct Signals {
    hangup: Hangup,
    terminate: Async<UnixStream>,
    interrupt: Async<UnixStream>,
}

impl Signals {
    /// Takes SIGTERM, SIGINT and SIGHUP over.
    ///
    /// # Errors
    /// When the system has no sockets to give.
    pub fn take_over() -> io::Result<Signals> {
        let hangup = Hangup(take_over(libc::SIGHUP)?);
        Ok(Signals { hangup, terminate: take_over(libc::SIGTERM)?, interrupt: take_over(libc::SIGINT)? })
    }

    /// Tells those that end the daemon from the one that does not.
    pub fn split(self) -> (Ends, Hangup) {
        (Ends { terminate: self.terminate, interrupt: self.interrupt }, self.hangup)
    }
}

/// SIGHUP.
pub struct Hangup(Async<UnixStream>);

impl Hangup {
    /// Waits for the next one; several that came meanwhile are one.
    pub async fn next(&mut self) {
        let mut bytes = [0_u8; 64];
        let _ = self.0.read(&mut bytes).await;
    }
}

/// The signals that end the daemon.
pub struct Ends {
    terminate: Async<UnixStream>,
    interrupt: Async<UnixStream>,
}

impl Ends {
    /// Waits for the next one and answers its number.
    pub async fn next(&mut self) -> i32 {
        let mut byte = [0_u8];
        let mut other = [0_u8];
        let terminate = async {
            let _ = self.terminate.read_exact(&mut byte).await;
            libc::SIGTERM
        };
        let interrupt = async {
            let _ = self.interrupt.read_exact(&mut other).await;
            libc::SIGINT
        };
        terminate.or(interrupt).await
    }
}

fn take_over(signal: i32) -> io::Result<Async<UnixStream>> {
    let (told, teller) = UnixStream::pair()?;
    signal_hook::low_level::pipe::register(signal, teller)?;
    Async::new(told)
}
