//! Times that a reactor waits for, and limits on waits.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use super::thread::Reactor;
use crate::timer::first;

/// A wait for a time, by the monotonic clock. It is over once.
pub struct Timer {
    at: Option<Instant>,
    entry: Option<Entry>,
}

/// Its place among the reactor's times, while it is polled.
struct Entry {
    reactor: Arc<Reactor>,
    key: (Instant, u64),
    waker: Waker,
}

impl Timer {
    /// Over after so long.
    pub fn after(time: Duration) -> Timer {
        Instant::now().checked_add(time).map_or_else(Timer::never, Timer::at)
    }

    /// Over at this moment.
    pub fn at(at: Instant) -> Timer {
        Timer { at: Some(at), entry: None }
    }

    /// Never over.
    pub fn never() -> Timer {
        Timer { at: None, entry: None }
    }

    /// Has it be over at this moment instead. Whoever waits for it must poll it again.
    pub fn set_at(&mut self, at: Instant) {
        if self.at != Some(at) {
            self.leave();
            self.at = Some(at);
        }
    }

    fn leave(&mut self) {
        if let Some(Entry { reactor, key, .. }) = self.entry.take() {
            reactor.times.remove(key);
        }
    }
}

impl Future for Timer {
    type Output = Instant;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Instant> {
        let this = self.get_mut();
        let Some(at) = this.at else { return Poll::Pending };
        if at <= Instant::now() {
            this.leave();
            this.at = None;
            return Poll::Ready(at);
        }
        if this.entry.as_ref().is_none_or(|entry| !entry.waker.will_wake(cx.waker())) {
            this.leave();
            let reactor = Reactor::current().expect("a reactor needs two descriptors");
            let (key, waker) = ((at, reactor.next_id()), cx.waker().clone());
            reactor.times.insert(key, waker.clone());
            this.entry = Some(Entry { reactor, key, waker });
        }
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.leave();
    }
}

/// What a future answers; `None` where it takes longer than this.
pub async fn within<T>(time: Duration, work: impl Future<Output = T>) -> Option<T> {
    first(work, || Timer::after(time)).await
}

/// What a future answers; `None` where it takes until this moment. Without a deadline it may take for ever.
pub async fn until<T>(deadline: impl Into<Option<Instant>>, work: impl Future<Output = T>) -> Option<T> {
    let deadline = deadline.into();
    first(work, || deadline.map_or_else(Timer::never, Timer::at)).await
}

/// Notices that nothing happened for so long. What happens all the time puts it off without touching the timer: that is
/// looked at only when it fires.
pub struct Quiet {
    time: Duration,
    since: Instant,
    timer: Timer,
}

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
        poll_fn(|cx| {
            loop {
                ready!(Pin::new(&mut self.timer).poll(cx));
                let due = self.since + self.time;
                let now = Instant::now();
                if due <= now {
                    self.since = now;
                    self.timer = Timer::after(self.time);
                    return Poll::Ready(());
                }
                self.timer.set_at(due);
            }
        })
        .await;
    }
}
