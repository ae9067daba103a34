//! One timer for waits that nearly always end before their time: the next commit, the end of a short command, the next request.
//!
//! Each timer of its own is told to the reactor by a system call, which ends the wait that is under way there. This one is set
//! anew only for who is due before all others; what ends before its time leaves it as it is, so that it may fire for nobody.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use async_io::Timer;
use futures_lite::future;

/// What a future answers; `None` where it takes longer than this, which is seldom so.
pub async fn mostly_within<T>(time: Duration, work: impl Future<Output = T>) -> Option<T> {
    // Looked at first: what is done in time counts, however late that is seen.
    let late = async {
        Due::at(Instant::now() + time).await;
        None
    };
    future::or(async { Some(work.await) }, late).await
}

/// Waits until a moment.
#[derive(Debug)]
pub struct Due {
    at: Instant,
    /// By which it is found among those that wait, once it does.
    number: Option<u64>,
}

impl Due {
    /// Until this one.
    pub fn at(at: Instant) -> Due {
        Due { at, number: None }
    }
}

impl Future for Due {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.at {
            return Poll::Ready(());
        }
        let mut together = Together::lock();
        let number = *self.number.get_or_insert_with(|| {
            together.last += 1;
            together.last
        });
        let before = together.waiting.insert((self.at, number), cx.waker().clone());
        together.set();
        drop(together);
        // What goes with a waker may wait here, too.
        drop(before);
        Poll::Pending
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let waker = Together::lock().waiting.remove(&(self.at, number));
            drop(waker);
        }
    }
}

/// Who waits, and for when the timer is set.
struct Together {
    timer: Timer,
    /// `None` where it is not.
    fires_at: Option<Instant>,
    waiting: BTreeMap<(Instant, u64), Waker>,
    /// The last number that was given out.
    last: u64,
}

impl Together {
    fn lock() -> MutexGuard<'static, Together> {
        static TOGETHER: LazyLock<Mutex<Together>> = LazyLock::new(|| {
            Mutex::new(Together { timer: Timer::never(), fires_at: None, waiting: BTreeMap::new(), last: 0 })
        });
        TOGETHER.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that the timer fires for the first of those that wait, or before.
    fn set(&mut self) {
        static WAKES_THE_DUE: LazyLock<Waker> = LazyLock::new(|| Waker::from(Arc::new(WakesTheDue)));
        let Some(&(first, _)) = self.waiting.keys().next() else { return };
        if self.fires_at.is_some_and(|at| at <= first) {
            return;
        }
        self.fires_at = Some(first);
        self.timer.set_at(first);
        if Pin::new(&mut self.timer).poll(&mut Context::from_waker(&WAKES_THE_DUE)).is_ready() {
            // It was over meanwhile. A moment later it is not.
            self.timer.set_after(Duration::from_millis(1));
            let _ = Pin::new(&mut self.timer).poll(&mut Context::from_waker(&WAKES_THE_DUE));
        }
    }

    /// Takes those whose time is over, or the first where nobody's is, and sets the timer for the others. Where it woke nobody,
    /// the thread that waits for the reactor would leave that to another, which then stands between it and every event.
    fn due(&mut self) -> Vec<Waker> {
        let later = self.waiting.split_off(&(Instant::now(), u64::MAX));
        self.fires_at = None;
        let mut due: Vec<Waker> = std::mem::replace(&mut self.waiting, later).into_values().collect();
        if due.is_empty() {
            due.extend(self.waiting.pop_first().map(|(_, waker)| waker));
        }
        self.set();
        due
    }
}

/// What the timer wakes.
struct WakesTheDue;

impl Wake for WakesTheDue {
    fn wake(self: Arc<Self>) {
        let due = Together::lock().due();
        due.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, pending, poll_once, ready, zip};

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    struct Tells(std::sync::mpsc::Sender<()>);

    impl Wake for Tells {
        fn wake(self: Arc<Self>) {
            let _ = self.0.send(());
        }
    }

    async fn late(begun: Instant, time: Duration) -> Duration {
        let done = mostly_within(time, pending::<()>()).await;
        assert!(done.is_none() && begun.elapsed() >= time, "{time:?}: {:?}", begun.elapsed());
        begun.elapsed()
    }

    #[test]
    fn each_is_late_at_its_own_time_whoever_was_there_before() {
        let begun = Instant::now();
        let (long, middle, short) = (late(begun, ms(60)), late(begun, ms(40)), late(begun, ms(20)));
        let (long, (middle, short)) = block_on(zip(long, zip(middle, short)));
        assert!(short <= middle && middle <= long, "{short:?}, {middle:?}, {long:?}");
    }

    #[test]
    fn what_is_done_in_time_or_given_up_leaves_the_others_their_time() {
        let done = block_on(async {
            let given_up = poll_once(late(Instant::now(), ms(5))).await;
            let in_time = mostly_within(ms(3_600_000), ready(1)).await;
            late(Instant::now(), ms(30)).await;
            (given_up, in_time, mostly_within(Duration::ZERO, ready(2)).await)
        });
        assert_eq!(done, (None, Some(1), Some(2)));
    }

    #[test]
    fn who_is_polled_by_another_wakes_that_one() {
        let mut due = Box::pin(Due::at(Instant::now() + ms(30)));
        assert!(due.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let (sender, woken) = std::sync::mpsc::channel();
        let waker = Waker::from(Arc::new(Tells(sender)));
        assert!(due.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        woken.recv_timeout(ms(30_000)).expect("it is told when the time is over");
        block_on(due);
    }
}
