//! The seam between an attempt and what it is made of: pieces of output, each with its offset, then one exit.
//!
//! Above it stand asks, time limit, grace and settling (`attempt`); below it how a command is reached. A child with pipes is
//! the one way today. What outlives the daemon and is found again, or has a terminal, is another: it may send again what it
//! sent before, and its exit may have come while nobody looked.

use std::time::Instant;

use rustix::process::Pid;

use crate::event::Stream;
use crate::run::Exit;
use crate::store::{Intake, ProcessMark};

/// A command under way: what can be asked of it.
pub(super) trait Execution: Send + Sync {
    /// What tells it from every other process, to be written down.
    fn mark(&self) -> ProcessMark;

    /// Its session, where that is this daemon's to signal and to end with it.
    fn session(&self) -> Option<Pid>;

    /// Waits until its leader is dead.
    fn exited(&self) -> impl Future<Output = ()> + Send;

    /// Asks all of it to end.
    fn terminate(&self);

    /// Ends all of it.
    fn kill(&self);

    /// After its leader's end: waits until nothing of it is left, and ends what is left at this time.
    fn sweep(&self, kill_at: Instant) -> impl Future<Output = ()> + Send;

    /// How it ended. Nothing of it can be asked afterwards.
    fn exit(self) -> Exit;
}

/// What comes from a command, and what it is given to read.
pub(super) trait Pieces: Send {
    /// Passes on what comes, until nothing more can come. Dropping the future loses nothing that was read.
    fn pump(&mut self, to: &mut Outlet) -> impl Future<Output = ()> + Send;

    /// After the leader's end: passes on what is there, however long the store takes, and until `deadline` what others
    /// still add.
    fn drain(&mut self, to: &mut Outlet, deadline: Instant) -> impl Future<Output = ()> + Send;
}

/// Where the pieces of one attempt go, each byte once.
pub(super) struct Outlet {
    intake: Intake,
    /// Bytes that came, of all streams.
    received: u64,
}

impl Outlet {
    /// For an attempt of which nothing has come yet.
    pub(super) fn new(intake: Intake) -> Outlet {
        Outlet { intake, received: 0 }
    }

    /// Takes a piece that begins at this offset in the attempt's output. What of it came before is left out.
    pub(super) fn take(&mut self, offset: u64, stream: Stream, bytes: &[u8]) {
        let end = offset.saturating_add(bytes.len() as u64);
        if offset > self.received {
            log::error!("{} bytes of a command's output are missing at {}", offset - self.received, self.received);
        }
        let known = usize::try_from(self.received.saturating_sub(offset)).unwrap_or(usize::MAX);
        self.intake.push(stream, bytes.get(known..).unwrap_or_default());
        self.received = self.received.max(end);
    }

    /// No more of this stream will come.
    pub(super) fn end_of_stream(&self, stream: Stream) {
        self.intake.end_of_stream(stream);
    }

    /// Waits until the window has room.
    pub(super) async fn room(&self) {
        self.intake.room().await;
    }

    /// How many bytes may be taken now; 0 while the window is full.
    pub(super) fn room_now(&self) -> usize {
        self.intake.room_now()
    }
}

#[cfg(test)]
#[path = "execution_tests.rs"]
mod tests;
