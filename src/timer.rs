//! Gives a future so long and no longer: the one place where a time limit is put around a wait.
//!
//! What is past its time is dropped, so it has to bear that. A wait that is part of a `poll` written by hand, or one of
//! several that may come first, has a timer of its own.

use std::time::{Duration, Instant};

use async_io::Timer;
use futures_lite::future;

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

/// Notices that nothing happened for so long. What happens all the time puts it off without touching the timer: that is
/// looked at only when it fires.
#[cfg(feature = "daemon")]
pub struct Quiet {
    time: Duration,
    since: Instant,
    timer: Timer,
}

#[cfg(feature = "daemon")]
impl Quiet {
    /// From now on.
    pub fn new(time: Duration) -> Quiet {
        Quiet { time, since: Instant::now(), timer: Timer::after(time) }
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
                    self.timer.set_after(self.time);
                    return std::task::Poll::Ready(());
                }
                self.timer.set_at(due);
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
    fn what_takes_longer_is_left() {
        assert_eq!(block_on(within(Duration::from_millis(1), pending::<()>())), None);
        assert_eq!(block_on(until(Instant::now(), pending::<()>())), None);
        assert_eq!(block_on(within(Duration::from_millis(1), until(None, pending::<()>()))), None);
    }
}
