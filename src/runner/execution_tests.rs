//! An attempt over something that is no process: what is asked of it, in which order, and that each byte comes once.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_io::Timer;
use async_io::block_on;
use event_listener::Event;
use futures_lite::future;

use super::*;
use crate::run::{Ask, Left, RunId};
use crate::runner::supervise::supervise;
use crate::runner::{Graces, Running};
use crate::store::Backlog;

const RUN: RunId = RunId(1);

/// Ends when it is asked in one of these ways, and notes all that it is asked.
struct Scripted {
    obeys: &'static [&'static str],
    asked: Mutex<Vec<&'static str>>,
    changed: Event,
}

impl Scripted {
    fn obeying(obeys: &'static [&'static str]) -> Scripted {
        Scripted { obeys, asked: Mutex::default(), changed: Event::new() }
    }

    fn note(&self, what: &'static str) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(what);
        self.changed.notify(usize::MAX);
    }

    fn was_asked(&self) -> Vec<&'static str> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Execution for Scripted {
    fn mark(&self) -> ProcessMark {
        ProcessMark { pid: 1, start_ticks: 1, boot_id: "boot".into() }
    }

    fn session(&self) -> Option<Pid> {
        None
    }

    async fn exited(&self) {
        loop {
            let changed = self.changed.listen();
            if self.was_asked().iter().any(|what| self.obeys.contains(what)) {
                return;
            }
            changed.await;
        }
    }

    fn terminate(&self, _asked: Option<Ask>) {
        self.note("terminate");
    }

    fn kill(&self) {
        self.note("kill");
    }

    async fn sweep(&self, _kill_at: Instant) {
        self.note("sweep");
    }

    fn left(&self) -> Option<Vec<Identity>> {
        None
    }

    fn exit(self) -> Ended {
        Ended { exit: Exit::Code(0), usage: None, biggest: None }
    }
}

/// Sends these pieces, the last of them after the end.
struct Sent(Vec<(u64, &'static str)>);

impl Pieces for Sent {
    async fn pump(&mut self, to: &mut Outlet) {
        while self.0.len() > 1 {
            let (offset, text) = self.0.remove(0);
            to.take(offset, Stream::Stdout, text.as_bytes());
            future::yield_now().await;
        }
    }

    async fn drain(&mut self, to: &mut Outlet, _deadline: Instant) {
        for (offset, text) in self.0.drain(..) {
            to.take(offset, Stream::Stdout, text.as_bytes());
        }
    }
}

/// Sees it to its end beside `other`; answers who asked for that, and what it printed.
fn see_to_its_end(
    scripted: &Scripted,
    sent: Vec<(u64, &'static str)>,
    limit: Option<Duration>,
    other: impl Future<Output = ()>,
    running: &Running,
) -> (Option<Ask>, String) {
    let backlog = Backlog::default();
    let mut outlet = Outlet::new(backlog.open(RUN));
    let switch = running.register(RUN);
    let graces = Graces { kill: Duration::from_millis(20), shutdown: Duration::from_millis(10) };
    let deadline = limit.map(|limit| Instant::now() + limit);
    let mut sent = Sent(sent);
    let supervised = supervise(scripted, &mut sent, &mut outlet, &switch, graces, deadline, Left::Leave);
    let beside = async {
        other.await;
        future::pending().await
    };
    let late = async {
        Timer::after(Duration::from_secs(10)).await;
        panic!("it does not end: {:?}", scripted.was_asked());
    };
    let asked = block_on(future::or(supervised, future::or(beside, late)));
    let bytes: Vec<u8> = backlog.take_all(RUN).into_iter().flat_map(|piece| piece.bytes).collect();
    (asked, String::from_utf8(bytes).expect("text"))
}

#[test]
fn what_obeys_is_asked_once_and_swept() {
    let (scripted, running) = (Scripted::obeying(&["terminate"]), Running::default());
    let cancel = async { assert!(running.ask(RUN, Ask::Cancel)) };
    let (asked, _) = see_to_its_end(&scripted, Vec::new(), None, cancel, &running);
    assert_eq!((asked, scripted.was_asked()), (Some(Ask::Cancel), vec!["terminate", "sweep"]));
}

#[test]
fn what_does_not_obey_is_killed_when_the_grace_is_up() {
    let (scripted, running) = (Scripted::obeying(&["kill"]), Running::default());
    let limit = Some(Duration::from_millis(5));
    let (asked, _) = see_to_its_end(&scripted, Vec::new(), limit, async {}, &running);
    assert_eq!((asked, scripted.was_asked()), (Some(Ask::Timeout), vec!["terminate", "kill", "sweep"]));
}

#[test]
fn what_ends_by_itself_is_asked_nothing_and_sends_its_rest() {
    let (scripted, running) = (Scripted::obeying(&["itself"]), Running::default());
    let sent = vec![(0, "one "), (0, "one "), (2, "e two "), (5, "wo "), (8, "three")];
    let ends = async { scripted.note("itself") };
    let (asked, printed) = see_to_its_end(&scripted, sent, None, ends, &running);
    assert_eq!((asked, scripted.was_asked()), (None, vec!["itself"]));
    assert_eq!(printed, "one two three", "each byte once, whatever was sent again");
}
