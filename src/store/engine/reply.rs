//! The answer to one request: a thread of the store makes it, a task awaits it.
//!
//! Who makes it does not wake who awaits it: the answers of a commit are laid down first, and then all are woken together.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Makes both ends.
pub fn reply<T>() -> (Reply<T>, Answer<T>) {
    let slot = Arc::new(Slot(Mutex::new(State { answer: None, waker: None, is_over: false })));
    (Reply(slot.clone()), Answer(slot))
}

/// The end of whoever answers. Dropped without an answer, it ends the wait.
pub struct Reply<T>(Arc<Slot<T>>);

/// The answer, for whoever asked; `None` where nobody is left to give it.
pub struct Answer<T>(Arc<Slot<T>>);

struct Slot<T>(Mutex<State<T>>);

struct State<T> {
    answer: Option<T>,
    waker: Option<Waker>,
    is_over: bool,
}

impl<T> Slot<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Reply<T> {
    /// Whether anybody still awaits it.
    pub fn is_awaited(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Gives the answer; returns whom to wake.
    #[must_use]
    pub fn lay_down(self, answer: T) -> Option<Waker> {
        let mut state = self.0.lock();
        state.answer = Some(answer);
        state.waker.take()
    }

    /// Gives the answer at once.
    pub fn give(self, answer: T) {
        self.lay_down(answer).into_iter().for_each(Waker::wake);
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_over = true;
        let waiting = state.waker.take();
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl<T> Future for Answer<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.0.lock();
        if let Some(answer) = state.answer.take() {
            return Poll::Ready(Some(answer));
        }
        if state.is_over {
            return Poll::Ready(None);
        }
        if state.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once};

    #[test]
    fn what_is_laid_down_is_found_by_who_is_woken() {
        let (reply, mut answer) = reply();
        assert_eq!(block_on(poll_once(&mut answer)), None);
        assert!(reply.is_awaited());
        let waiting = reply.lay_down(7).expect("somebody waits");
        waiting.wake();
        assert_eq!(block_on(answer), Some(7));
    }

    #[test]
    fn nobody_waits_for_a_reply_that_is_dropped() {
        let (reply, answer) = reply::<()>();
        let waits = std::thread::spawn(|| block_on(answer));
        drop(reply);
        assert_eq!(waits.join().expect("it ends"), None);
        let (reply, answer) = super::reply::<()>();
        drop(answer);
        assert!(!reply.is_awaited());
        reply.give(());
    }
}
