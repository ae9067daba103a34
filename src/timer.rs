//! Gives a future so long and no longer: the one place where a time limit is put around a wait.
//!
//! What is past its time is dropped, so it has to bear that. A wait that is part of a `poll` written by hand, or one of
//! several that may come first, has a timer of its own.

#[cfg(feature = "daemon")]
mod together;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use async_io::Timer;
use futures_lite::future;

#[cfg(feature = "daemon")]
pub use self::together::{Due, mostly_within};

/// What a future answers; `None` where it takes longer than this.
pub async fn within<T>(time: Duration, work: impl Future<Output = T>) -> Option<T> {
    first(work, || Timer::after(time)).await
}

/// What a future answers; `None` where it takes until this moment. Without a deadline it may take for ever.
pub async fn until<T>(deadline: impl Into<Option<Instant>>, work: impl Future<Output = T>) -> Option<T> {
    let deadline = deadline.into();
    first(work, || deadline.map_or_else(Timer::never, Timer::at)).await
}

/// The work is looked at first: what is done in time counts, however late that is seen.
async fn first<T>(work: impl Future<Output = T>, timer: impl FnOnce() -> Timer) -> Option<T> {
    let late = async {
        timer().await;
        None
    };
    future::or(async { Some(work.await) }, late).await
}

/// The moment up to which what is due then may be put off: four a second, the same for all. A thousand readers whose
/// heartbeats and pings are due wake the daemon four times a second, and not a hundred times.
pub fn shared(due: Instant) -> Instant {
    const APART_MS: u64 = 250;
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let first = *FIRST.get_or_init(Instant::now);
    let ms = u64::try_from(due.saturating_duration_since(first).as_millis()).unwrap_or(u64::MAX - APART_MS);
    first + Duration::from_millis(ms + APART_MS - ms % APART_MS)
}

/// Notices that nothing happened for so long, or a little longer (see [`shared`]). What happens all the time puts it off
/// without touching the timer: that is looked at only when it fires.
pub struct Quiet {
    time: Duration,
    since: Instant,
    timer: Timer,
}

impl Quiet {
    /// From now on.
    pub fn new(time: Duration) -> Quiet {
        let since = Instant::now();
        Quiet { time, since, timer: Timer::at(shared(since + time)) }
    }

    /// Something happened.
    pub fn put_off(&mut self) {
        self.since = Instant::now();
    }

    /// Waits until nothing has happened for that long; the time until it has again begins there.
    pub async fn over(&mut self) {
        std::future::poll_fn(|cx| {
            loop {
                std::task::ready!(std::pin::Pin::new(&mut self.timer).poll(cx));
                let due = self.since + self.time;
                let now = Instant::now();
                if due <= now {
                    self.since = now;
                    self.timer.set_at(shared(now + self.time));
                    return std::task::Poll::Ready(());
                }
                self.timer.set_at(shared(due));
            }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, pending, ready};

    #[test]
    fn what_is_done_counts_however_late_it_is_seen() {
        assert_eq!(block_on(within(Duration::ZERO, ready(1))), Some(1));
        assert_eq!(block_on(until(Instant::now(), ready(1))), Some(1));
    }

    #[test]
    fn what_is_due_soon_after_another_is_due_with_it() {
        let now = Instant::now();
        let due = |ms| now + Duration::from_millis(ms);
        let all: std::collections::BTreeSet<_> = (0..1_000).map(|ms| shared(due(ms))).collect();
        assert!(all.len() <= 5, "{all:?}");
        assert!((0..1_000).all(|ms| (due(ms)..=due(ms + 251)).contains(&shared(due(ms)))));
    }

    #[test]
    fn what_takes_longer_is_left() {
        assert_eq!(block_on(within(Duration::from_millis(1), pending::<()>())), None);
        assert_eq!(block_on(until(Instant::now(), pending::<()>())), None);
        assert_eq!(block_on(within(Duration::from_millis(1), until(None, pending::<()>()))), None);
    }
}
