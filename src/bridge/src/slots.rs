//! How many runs the box could start now: no more work is taken than that, because other boxes may be free.

use std::cell::Cell;
use std::time::Duration;

use runabout::client::Failure;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::daemon::Daemon;
use crate::publish::Doubt;

/// Between two looks, where much happens.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Where nothing happens and all is taken: slots may have been changed by hand, which is no event.
const LOOK_FULL: Duration = Duration::from_secs(30);
/// Where nothing happens and some are free. Before work is taken it is looked at again.
const LOOK_FREE: Duration = Duration::from_secs(600);

/// The free slots of the queue that work goes to.
pub struct Slots<'a> {
    daemon: &'a Daemon,
    queue: &'a str,
    free: Cell<usize>,
    looked: Cell<Option<Instant>>,
    changed: Notify,
}

impl Slots<'_> {
    /// Of this queue; none, until it was looked at.
    pub fn of<'a>(daemon: &'a Daemon, queue: &'a str) -> Slots<'a> {
        Slots { daemon, queue, free: Cell::new(0), looked: Cell::new(None), changed: Notify::new() }
    }

    /// How many are free.
    pub fn free(&self) -> usize {
        self.free.get()
    }

    /// Takes one, where one is free.
    ///
    /// # Errors
    /// The daemon does not answer.
    pub async fn take(&self) -> Result<bool, Failure> {
        if self.looked.get().is_none_or(|looked| looked.elapsed() > LOOK_EVERY) {
            self.look().await?;
        }
        let free = self.free.get();
        self.set(free.saturating_sub(1));
        Ok(free > 0)
    }

    /// Waits until some are free, or none.
    pub async fn are(&self, free: bool) {
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if (self.free() > 0) == free {
                return;
            }
            changed.await;
        }
    }

    /// Looks again whenever something happened; gives the doubt that ended it.
    pub async fn watch(&self, happened: &Notify) -> Doubt {
        loop {
            if let Err(failure) = self.look().await {
                return Doubt(failure.to_string());
            }
            tokio::time::sleep(LOOK_EVERY).await;
            let at_least = if self.free() > 0 { LOOK_FREE } else { LOOK_FULL };
            let _ = tokio::time::timeout(at_least, happened.notified()).await;
        }
    }

    async fn look(&self) -> Result<(), Failure> {
        let free = self.daemon.free_slots(self.queue).await?;
        self.looked.set(Some(Instant::now()));
        self.set(free);
        Ok(())
    }

    fn set(&self, free: usize) {
        if self.free.replace(free) != free {
            self.changed.notify_waiters();
        }
    }
}
