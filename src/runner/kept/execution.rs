//! What can be asked of a command that a keeper has: wishes are written down here, and told to the keeper by whoever reads from
//! it, again and again until it has them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use event_listener::{Event, EventListener};
use futures_lite::future;
use rustix::process::Pid;

use crate::keep::protocol::{Ended, Started, Stop};
use crate::process::Identity;
use crate::run::{Ask, Exit, Usage};
use crate::runner::execution::{self, Execution};
use crate::runner::graces::Graces;
use crate::runner::member::Member;
use crate::store::ProcessMark;

/// What both sides of a kept command know.
#[derive(Default)]
pub(super) struct Shared {
    known: Mutex<Known>,
    changed: Event,
}

#[derive(Default)]
pub(super) struct Known {
    /// The command's process, once it is there.
    pub(super) leader: Option<Started>,
    /// What it is to be told.
    pub(super) stop: Option<Stop>,
    pub(super) kill: bool,
    /// How it has ended, …
    pub(super) ended: Option<Ended>,
    /// … or that nobody will ever say.
    pub(super) lost: bool,
    recorded: bool,
}

impl Shared {
    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.known());
        self.changed.notify(usize::MAX);
    }

    pub(super) fn listen(&self) -> EventListener {
        self.changed.listen()
    }

    async fn until<T>(&self, wanted: impl Fn(&Known) -> Option<T>) -> T {
        loop {
            let changed = self.changed.listen();
            let found = wanted(&self.known());
            match found {
                Some(found) => return found,
                None => changed.await,
            }
        }
    }
}

/// A command that a keeper has.
pub(super) struct Kept {
    shared: Arc<Shared>,
    graces: Graces,
    boot_id: String,
}

impl Kept {
    pub(super) fn new(shared: Arc<Shared>, graces: Graces, boot_id: String) -> Kept {
        Kept { shared, graces, boot_id }
    }

    /// Waits until its process is known; `None` where it never was one.
    pub(super) async fn started(&self) -> Option<ProcessMark> {
        self.shared.until(|known| (known.leader.is_some() || known.ended.is_some()).then_some(known.leader)).await?;
        Some(self.mark())
    }

    /// Waits until its keeper is gone without a word.
    pub(super) async fn lost(&self) {
        self.shared.until(|known| known.lost.then_some(())).await;
    }

    /// Its process is on the medium.
    pub(super) fn is_recorded(&self) {
        self.shared.known().recorded = true;
    }

    /// Its process, where it was one and is not on the medium.
    pub(super) fn unrecorded(&self) -> Option<ProcessMark> {
        let known = self.shared.known();
        let is_new = known.leader.is_some() && !known.recorded;
        drop(known);
        is_new.then(|| self.mark())
    }

    /// Whom the keeper heard first.
    pub(super) fn asked(&self) -> Option<Ask> {
        Ask::parse(self.shared.known().ended.as_ref()?.asked.as_deref()?)
    }

    /// Why it was not started for now, if that is how it ended.
    pub(super) fn shortage(&self) -> Option<String> {
        let known = self.shared.known();
        let unstarted = known.ended.as_ref()?.unstarted.as_ref();
        unstarted.filter(|unstarted| unstarted.is_shortage).map(|unstarted| unstarted.why.clone())
    }
}

impl Execution for Kept {
    fn mark(&self) -> ProcessMark {
        let Started { pid, start_ticks } = self.shared.known().leader.unwrap_or_default();
        ProcessMark { pid, start_ticks, boot_id: self.boot_id.clone() }
    }

    fn session(&self) -> Option<Pid> {
        Pid::from_raw(self.shared.known().leader?.pid)
    }

    /// Seen by the process itself: what the keeper says of it comes after all output.
    async fn exited(&self) {
        let told = self.shared.until(|known| known.ended.is_some().then_some(()));
        let seen = async {
            let Started { pid, start_ticks } = self.shared.until(|known| known.leader).await;
            if let Some(member) = Member::open(Identity { pid, start_ticks }) {
                member.gone().await;
            }
        };
        future::or(told, seen).await;
    }

    fn terminate(&self, asked: Option<Ask>) {
        // What the leader has left the keeper ends by itself.
        let Some(asked) = asked else { return };
        let grace = if asked == Ask::Shutdown { self.graces.shutdown } else { self.graces.kill };
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        self.shared.change(|known| known.stop = Some(Stop { asked: asked.as_str().to_owned(), grace_ms }));
    }

    fn kill(&self) {
        self.shared.change(|known| known.kill = true);
    }

    /// The keeper does it.
    async fn sweep(&self, _kill_at: Instant) {}

    fn left(&self) -> Option<Vec<Identity>> {
        None
    }

    fn exit(self) -> execution::Ended {
        let known = self.shared.known();
        let ended = known.ended.as_ref();
        // Nothing was used where nothing was started.
        let usage = ended.filter(|ended| ended.unstarted.is_none()).map(|ended| Usage {
            user_ms: ended.user_ms,
            system_ms: ended.system_ms,
            memory_peak_bytes: Some(ended.memory_peak_bytes).filter(|bytes| *bytes > 0),
        });
        let exit = ended.map_or(Exit::Unknown, Ended::exit);
        let biggest = ended.and_then(|ended| ended.biggest.clone());
        execution::Ended { exit, usage, biggest }
    }
}
