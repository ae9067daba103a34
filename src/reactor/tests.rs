//! Against real sockets: what is waited for is told, also twice, and what nobody waits for keeps nobody busy.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::future::{or, poll_once, yield_now, zip};
use futures_lite::io::{AsyncReadExt, AsyncWriteExt};

use super::{Async, Timer, block_on, within};

/// Longer than anything here takes.
const LATE: Duration = Duration::from_secs(10);

fn pair() -> (Async<UnixStream>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    (Async::new(ours).expect("ours"), theirs)
}

#[test]
fn what_is_readable_is_told_as_often_as_it_is_asked() {
    let (ours, mut theirs) = pair();
    theirs.write_all(b"x").expect("written");
    block_on(async {
        for _ in 0..3 {
            ours.readable().await.expect("it is watched");
        }
        // By two at once, too.
        zip(async { ours.readable().await.expect("one") }, async { ours.readable().await.expect("other") }).await;
    });
}

#[test]
fn what_came_while_nobody_waited_is_found_and_keeps_nobody_busy() {
    let (mut ours, mut theirs) = pair();
    block_on(async {
        assert!(poll_once(ours.readable()).await.is_none());
        theirs.write_all(b"x").expect("written");
        // It is seen, and there is nobody to be told.
        Timer::after(Duration::from_millis(5)).await;
        Timer::after(Duration::from_millis(5)).await;
        let mut byte = [0];
        ours.read_exact(&mut byte).await.expect("read");
        assert!(poll_once(ours.read(&mut byte)).await.is_none());
        drop(theirs);
        assert_eq!(within(LATE, ours.read(&mut byte)).await.expect("in time").expect("read"), 0);
    });
}

#[test]
fn both_ways_are_waited_for_at_once() {
    let (ours, theirs) = pair();
    let theirs = Async::new(theirs).expect("theirs");
    let sent = vec![7; 4 * 1_024 * 1_024];
    let (mut reader, mut writer) = (theirs, ours);
    block_on(async {
        let mut read = vec![0; sent.len()];
        let (written, got) = zip(writer.write_all(&sent), reader.read_exact(&mut read)).await;
        written.and(got).expect("carried");
        assert!(read == sent);
    });
}

#[test]
fn times_come_in_their_order_and_not_before() {
    let begun = Instant::now();
    let waits = |ms| async move {
        Timer::after(Duration::from_millis(ms)).await;
        (ms, begun.elapsed() >= Duration::from_millis(ms))
    };
    assert_eq!(block_on(or(waits(30), waits(10))), (10, true));
    let mut moved = Timer::never();
    assert!(block_on(poll_once(&mut moved)).is_none());
    moved.set_at(Instant::now() + Duration::from_millis(2));
    block_on(moved);
}

#[test]
fn another_thread_ends_the_wait() {
    let (sender, answer) = async_channel::bounded(1);
    let (asleep, is_asleep) = mpsc::channel();
    let other = thread::spawn(move || {
        is_asleep.recv().expect("asked");
        for number in 0..1_000 {
            sender.send_blocking(number).expect("taken");
        }
    });
    block_on(async {
        asleep.send(()).expect("told");
        for number in 0..1_000 {
            assert_eq!(within(LATE, answer.recv()).await, Some(Ok(number)));
        }
    });
    other.join().expect("it has ended");
}

#[test]
fn who_only_yields_does_not_keep_the_others_out() {
    let (ours, mut theirs) = pair();
    theirs.write_all(b"x").expect("written");
    let busy = async {
        loop {
            yield_now().await;
        }
    };
    block_on(or(async { ours.readable().await.expect("it is watched") }, busy));
    block_on(or(async { _ = Timer::after(Duration::from_millis(1)).await }, async {
        loop {
            yield_now().await
        }
    }));
}
