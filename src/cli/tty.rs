//! The terminal that this program was started on: how large it is, what is typed on it, and its raw mode, which never outlives
//! what has set it.
//!
//! Its descriptors are shared with the shell and never made non-blocking.

use std::io::{self, IsTerminal, Write as _};
use std::os::fd::{AsFd, OwnedFd};

use async_io::Async;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Timespec;
use rustix::io::{Errno, read};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::client::failure::Failure;
use crate::run::{CELLS_MAX, TerminalSize};

/// The most that one read takes.
const READ_BYTES_MAX: usize = 4096;

/// How large the terminal is that standard output, or else standard input, goes to.
pub fn size() -> Option<TerminalSize> {
    let size = tcgetwinsize(io::stdout()).or_else(|_| tcgetwinsize(io::stdin())).ok()?;
    let cells_max = u16::try_from(CELLS_MAX).unwrap_or(u16::MAX);
    let size = TerminalSize { columns: size.ws_col.min(cells_max), rows: size.ws_row.min(cells_max) };
    // One that nobody has told how large it is says 0.
    (size.columns > 0 && size.rows > 0).then_some(size)
}

/// Whether somebody can type here and see what comes of it.
pub fn is_there() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// The raw mode of the terminal, until this is dropped: every key goes to the command, and all it prints comes as it is.
pub struct Raw {
    before: Termios,
}

impl Raw {
    /// Sets it, where standard input is a terminal.
    ///
    /// # Errors
    /// [`Failure::Own`] where the terminal refuses.
    pub fn set() -> Result<Option<Raw>, Failure> {
        if !is_there() {
            return Ok(None);
        }
        let refused = |error: Errno| Failure::Own(format!("the terminal cannot be lent to the command: {error}"));
        let before = tcgetattr(io::stdin()).map_err(refused)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Drain, &raw).map_err(refused)?;
        Ok(Some(Raw { before }))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The terminal may be gone; then there is nothing to restore.
        let _ = io::stdout().flush();
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.before);
    }
}

/// Standard input, waited for without holding up anything else.
pub struct Input {
    fd: OwnedFd,
    /// To wait with; `None` where there is nothing to wait for, as with a file.
    ready: Option<Async<OwnedFd>>,
}

impl Input {
    /// This process's standard input.
    ///
    /// # Errors
    /// [`Failure::Own`] where it was closed before we began.
    pub fn open() -> Result<Input, Failure> {
        let copy = || io::stdin().as_fd().try_clone_to_owned();
        let failed = |error: io::Error| Failure::Own(format!("standard input cannot be read: {error}"));
        let (fd, watched) = (copy().map_err(failed)?, copy().map_err(failed)?);
        Ok(Input { fd, ready: Async::new_nonblocking(watched).ok() })
    }

    /// What comes next; empty at its end.
    ///
    /// # Errors
    /// [`Failure::Own`] where it cannot be read.
    pub async fn next(&self) -> Result<Vec<u8>, Failure> {
        let failed = |error: io::Error| Failure::Own(format!("standard input cannot be read: {error}"));
        loop {
            while !self.is_readable().map_err(failed)? {
                let Some(ready) = &self.ready else { break };
                ready.readable().await.map_err(failed)?;
            }
            let mut bytes = vec![0; READ_BYTES_MAX];
            match read(&self.fd, &mut bytes) {
                Ok(count) => {
                    bytes.truncate(count);
                    return Ok(bytes);
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                // The terminal was closed.
                Err(Errno::IO) => return Ok(Vec::new()),
                Err(error) => return Err(failed(error.into())),
            }
        }
    }

    fn is_readable(&self) -> io::Result<bool> {
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        match poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(count) => Ok(count > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
