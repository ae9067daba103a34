//! The loop of a thread: it polls its future, and sleeps until something comes, a time is due, or another thread rings.

use std::cell::OnceCell;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};

use super::sources::{BELL, Sources};
use super::times::Times;

/// What a thread waits for.
pub(super) struct Reactor {
    pub(super) sources: Sources,
    pub(super) times: Times,
    /// Written to by other threads to end a wait.
    bell: Arc<OwnedFd>,
    last_id: AtomicU64,
}

thread_local! {
    static OF_THREAD: OnceCell<Arc<Reactor>> = const { OnceCell::new() };
}

impl Reactor {
    /// This thread's.
    pub(super) fn current() -> std::io::Result<Arc<Reactor>> {
        OF_THREAD.with(|own| {
            if let Some(reactor) = own.get() {
                return Ok(reactor.clone());
            }
            let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
            let sources = Sources::new(&bell)?;
            let reactor = Reactor { sources, times: Times::default(), bell, last_id: AtomicU64::new(BELL) };
            Ok(own.get_or_init(|| Arc::new(reactor)).clone())
        })
    }

    /// An id that nothing else has.
    pub(super) fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Wakes what is ready or due; waits until something is, where `may_wait`.
    fn react(&self, may_wait: bool, woken: &mut Vec<Waker>) {
        let now = Instant::now();
        self.times.take_due(now, woken);
        let wait = if may_wait && woken.is_empty() { self.times.next_in(now) } else { Some(Duration::ZERO) };
        self.sources.wait(wait, woken);
        if wait.is_some_and(|wait| !wait.is_zero()) {
            self.times.take_due(Instant::now(), woken);
        }
        woken.drain(..).for_each(Waker::wake);
    }
}

/// Runs a future to its end on this thread, and waits for what it waits for.
///
/// # Panics
/// Where the system has no descriptors left for the first reactor of this thread: without them nothing can be waited for.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let reactor = Reactor::current().expect("a reactor needs two descriptors");
    let doorbell = Arc::new(Doorbell { state: AtomicU8::new(AWAKE), bell: reactor.bell.clone() });
    let waker = Waker::from(doorbell.clone());
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    let mut woken = Vec::new();
    loop {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut cx) {
            return answer;
        }
        reactor.react(doorbell.may_sleep(), &mut woken);
        doorbell.state.store(AWAKE, Ordering::SeqCst);
    }
}

/// The thread polls, or will look before it sleeps.
const AWAKE: u8 = 0;
/// It waits, or is about to.
const ASLEEP: u8 = 1;
/// Somebody woke it.
const RUNG: u8 = 2;

/// Ends the wait of one [`block_on`]: with a system call only where it sleeps.
struct Doorbell {
    state: AtomicU8,
    bell: Arc<OwnedFd>,
}

impl Doorbell {
    /// Notes that the thread goes to sleep; false where it was woken meanwhile.
    fn may_sleep(&self) -> bool {
        self.state.compare_exchange(AWAKE, ASLEEP, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

impl Wake for Doorbell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(RUNG, Ordering::SeqCst) == ASLEEP {
            // It can only fail where it has been rung more often than a number can count, which is enough.
            let _ = rustix::io::write(&*self.bell, &1_u64.to_ne_bytes());
        }
    }
}
