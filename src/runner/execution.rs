//! The seam between an attempt and what it is made of: pieces of output, each with its offset, then one exit.
//!
//! Above it stand asks, time limit, grace and settling (`attempt`); below it how a command is reached. A child with pipes is
//! the one way today. What outlives the daemon and is found again, or has a terminal, is another: it may send again what it
//! sent before, and its exit may have come while nobody looked.

use std::time::Instant;

use rustix::process::Pid;

use crate::event::Stream;
use crate::process::Identity;
use crate::run::{Ask, Biggest, Exit, Usage};
use crate::store::{Intake, ProcessMark};

/// A command under way: what can be asked of it.
pub(super) trait Execution: Send + Sync {
    /// What tells it from every other process, to be written down.
    fn mark(&self) -> ProcessMark;

    /// Its session, where that is this daemon's to signal and to end with it.
    fn session(&self) -> Option<Pid>;

    /// Waits until its leader is dead.
    fn exited(&self) -> impl Future<Output = ()> + Send;

    /// Asks all of it to end; without somebody who asked for that: what its leader has left.
    fn terminate(&self, asked: Option<Ask>);

    /// Ends all of it.
    fn kill(&self);

    /// After its leader's end: waits until nothing of it is left, and ends what is left at this time.
    fn sweep(&self, kill_at: Instant) -> impl Future<Output = ()> + Send;

    /// After its leader's end: its processes that are left, where it knows them all without a search; else `None`.
    fn left(&self) -> Option<Vec<Identity>>;

    /// How it ended. Nothing of it can be asked afterwards.
    fn exit(self) -> Ended;
}

/// How a command ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub exit: Exit,
    /// What it used, where that was seen.
    pub usage: Option<Usage>,
    /// Its largest process, as far as that is known.
    pub biggest: Option<Biggest>,
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
    /// Bytes of the attempt that were stored before the intake was opened.
    before: u64,
    /// Bytes that came, of all streams.
    received: u64,
}

impl Outlet {
    /// For an attempt of which nothing has come yet.
    pub(super) fn new(intake: Intake) -> Outlet {
        Outlet::from(intake, 0)
    }

    /// For an attempt of which so many bytes are stored.
    pub(super) fn from(intake: Intake, before: u64) -> Outlet {
        Outlet { intake, before, received: before }
    }

    /// Offset of the next byte that is wanted.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Everything before this offset is on the medium.
    pub(super) fn stored(&self) -> u64 {
        self.before + self.intake.settled_bytes()
    }

    /// Waits until more than that is stored.
    pub(super) async fn stored_beyond(&self, offset: u64) {
        self.wait(|| self.stored() > offset).await;
    }

    /// Waits until so many bytes may be taken.
    pub(super) async fn room_for(&self, bytes: usize) {
        self.wait(|| self.room_now() >= bytes).await;
    }

    async fn wait(&self, is_so: impl Fn() -> bool) {
        loop {
            let listener = self.intake.listen();
            if is_so() {
                return;
            }
            listener.await;
        }
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
