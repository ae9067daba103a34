//! The time that a client has for a request's head, as hyper asks for it: anew for each, and hardly ever used up.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

use crate::timer::Due;

/// All connections' timers.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadTimer;

struct UntilDue(Due);

impl Timer for HeadTimer {
    fn sleep(&self, time: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + time)
    }

    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(UntilDue(Due::at(at)))
    }
}

impl Future for UntilDue {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl Sleep for UntilDue {}
