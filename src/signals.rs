//! Turns signals into futures: those that shut the daemon down, the hangup that reloads files, and SIGCHLD.
//!
//! A hangup means "reload"; but to a daemon that was started from a terminal it means that the terminal is gone, and shuts
//! it down. The handlers only write a byte to a socket; everything else happens on the executor.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use async_io::{Async, Timer};
use futures_lite::{AsyncReadExt as _, FutureExt as _, future};
use rustix::fs::{Mode, OFlags, open};

/// Signals that follow the first within this time are not a second one: far longer than two system calls of one process
/// take, and shorter than a person needs.
const SAME_SIGNAL: Duration = Duration::from_millis(100);

/// The signals that the daemon acts on, each as the socket that its handler writes to.
pub struct Signals {
    hangup: RepeatedSignal,
    terminate: Async<UnixStream>,
    interrupt: Async<UnixStream>,
    /// Whether a hangup means that the terminal is gone from which the daemon was started.
    by_terminal: bool,
}

impl Signals {
    /// Installs handlers for SIGTERM, SIGINT and SIGHUP, and has SIGUSR1 and SIGUSR2 do nothing. Under `nohup` a closed
    /// terminal does not end the daemon.
    ///
    /// # Errors
    /// When the system has no sockets to give.
    pub fn take_over(is_nohup: bool) -> io::Result<Signals> {
        let hangup = RepeatedSignal::take_over(libc::SIGHUP)?;
        let (terminate, interrupt) = (take_over(libc::SIGTERM)?, take_over(libc::SIGINT)?);
        for means_nothing in [libc::SIGUSR1, libc::SIGUSR2] {
            // By a handler, which no command inherits; by itself either ends a process.
            signal_hook::flag::register(means_nothing, Arc::default())?;
        }
        Ok(Signals { hangup, terminate, interrupt, by_terminal: !is_nohup && has_terminal() })
    }

    /// Separates the signals that end the daemon from the hangup that reloads, where it means that.
    pub fn split(self) -> (EndSignals, Option<RepeatedSignal>) {
        let (on_terminal, on_reload) =
            if self.by_terminal { (Some(self.hangup), None) } else { (None, Some(self.hangup)) };
        (EndSignals { terminate: self.terminate, interrupt: self.interrupt, hangup: on_terminal }, on_reload)
    }
}

/// A signal that means the same each time.
pub struct RepeatedSignal(Async<UnixStream>);

impl RepeatedSignal {
    /// Installs a handler for SIGCHLD.
    ///
    /// # Errors
    /// When the system has no sockets to give.
    pub fn of_children() -> io::Result<RepeatedSignal> {
        RepeatedSignal::take_over(libc::SIGCHLD)
    }

    /// Waits for the signal; several since the last call count as one.
    pub async fn next(&mut self) {
        let mut bytes = [0_u8; 64];
        let _ = self.0.read(&mut bytes).await;
    }

    fn take_over(signal: i32) -> io::Result<RepeatedSignal> {
        Ok(RepeatedSignal(take_over(signal)?))
    }
}

/// The signals that end the daemon.
pub struct EndSignals {
    terminate: Async<UnixStream>,
    interrupt: Async<UnixStream>,
    hangup: Option<RepeatedSignal>,
}

impl EndSignals {
    /// Waits for the first signal and returns its number. Signals right behind it count as the same one: `timeout` of
    /// coreutils signals its child and then the child's whole group.
    pub async fn first(&mut self) -> i32 {
        let signal = self.any().await;
        Timer::after(SAME_SIGNAL).await;
        while future::poll_once(self.next()).await.is_some() {}
        signal
    }

    async fn any(&mut self) -> i32 {
        let EndSignals { terminate, interrupt, hangup } = self;
        let hung_up = async {
            match hangup {
                Some(hangup) => hangup.next().await,
                None => future::pending().await,
            }
            libc::SIGHUP
        };
        hung_up.or(either(terminate, interrupt)).await
    }

    /// Waits for the next signal and returns its number. A hangup is not one: both the shell and the kernel send it for the
    /// same closed terminal.
    pub async fn next(&mut self) -> i32 {
        either(&mut self.terminate, &mut self.interrupt).await
    }
}

async fn either(terminate: &mut Async<UnixStream>, interrupt: &mut Async<UnixStream>) -> i32 {
    let mut byte = [0_u8];
    let mut other = [0_u8];
    let terminate = async {
        let _ = terminate.read_exact(&mut byte).await;
        libc::SIGTERM
    };
    let interrupt = async {
        let _ = interrupt.read_exact(&mut other).await;
        libc::SIGINT
    };
    terminate.or(interrupt).await
}

/// Whether a terminal controls this process.
fn has_terminal() -> bool {
    open("/dev/tty", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).is_ok()
}

fn take_over(signal: i32) -> io::Result<Async<UnixStream>> {
    let (notices, notifier) = UnixStream::pair()?;
    signal_hook::low_level::pipe::register(signal, notifier)?;
    Async::new(notices)
}
