//! Windows, order and the pacing's plan.

use super::*;
use crate::event::OUTPUT_BYTES_MAX;
use futures_lite::future;

const RUN: RunId = RunId(7);
const PACE: Pace = Pace { watched: Duration::from_millis(50), unwatched: Duration::from_secs(1) };

fn settle(backlog: &Backlog, now: Instant) -> usize {
    let pieces = backlog.take_ready(now);
    backlog.settled(&pieces);
    pieces.iter().map(|piece| piece.bytes.len()).sum()
}

#[test]
fn a_full_window_opens_when_a_commit_settles() {
    let backlog = Backlog::default();
    let intake = backlog.open(RUN);
    while let room @ 1.. = intake.room_now() {
        intake.push(Stream::Stdout, &vec![b'x'; room.min(64 * 1024)]);
    }
    let mut waits = Box::pin(intake.room());
    assert!(future::block_on(future::poll_once(&mut waits)).is_none());
    let pieces = backlog.take_ready(Instant::now());
    assert!(future::block_on(future::poll_once(&mut waits)).is_none(), "taken is not yet on the medium");
    backlog.settled(&pieces);
    assert!(future::block_on(waits) > 200 * 1024);
}

#[test]
fn a_commit_that_failed_gives_the_same_pieces_again() {
    let backlog = Backlog::default();
    let (one, two) = (backlog.open(RunId(1)), backlog.open(RunId(2)));
    for number in 0..100 {
        one.push(Stream::Stdout, format!("{number}\n").repeat(3_000).as_bytes());
        two.push(Stream::Stderr, format!("{number}\n").as_bytes());
        let taken = backlog.take_ready(Instant::now());
        let bytes: Vec<_> = taken.iter().map(|piece| (piece.run, piece.bytes.clone())).collect();
        let waiting = backlog.waiting_bytes();
        backlog.put_back(taken);
        assert!(backlog.waiting_bytes() > waiting);
        let mut again = backlog.take_ready(Instant::now());
        again.sort_by_key(|piece| piece.run);
        let mut bytes = bytes;
        bytes.sort_by_key(|(run, _)| *run);
        assert_eq!(again.iter().map(|piece| (piece.run, piece.bytes.clone())).collect::<Vec<_>>(), bytes);
        backlog.settled(&again);
    }
}

#[test]
fn one_commit_is_bounded_and_leaves_nobody_out() {
    let backlog = Backlog::default();
    let intakes: Vec<Intake> = (1..=20).map(|run| backlog.open(RunId(run))).collect();
    let mut served = std::collections::BTreeSet::new();
    for _ in 0..10 {
        for intake in &intakes {
            intake.push(Stream::Stdout, &vec![b'x'; intake.room_now().min(64 * 1024)]);
        }
        let pieces = backlog.take_ready(Instant::now());
        // Pieces are not cut for it: the last one may go beyond.
        assert!(pieces.iter().map(|piece| piece.bytes.len()).sum::<usize>() < COMMIT_BYTES_MAX + OUTPUT_BYTES_MAX);
        served.extend(pieces.iter().map(|piece| piece.run));
        backlog.settled(&pieces);
    }
    assert_eq!(served.len(), 20);
}

#[test]
fn what_nobody_took_is_gone_with_the_intake() {
    let backlog = Backlog::default();
    let first = backlog.open(RUN);
    first.push(Stream::Stdout, b"old\n");
    let second = backlog.open(RUN);
    second.push(Stream::Stdout, b"new\n");
    drop(first);
    let pieces = backlog.take_all(RUN);
    assert_eq!(pieces.len(), 1);
    assert_eq!(pieces[0].bytes, b"new\n");
    second.push(Stream::Stdout, b"left\n");
    drop(second);
    assert_eq!(backlog.waiting_bytes(), 0);
    assert!(backlog.take_ready(Instant::now()).is_empty());
    backlog.put_back(pieces);
    assert_eq!(backlog.waiting_bytes(), 0);
}

#[test]
fn the_first_piece_is_due_at_once_and_the_next_after_the_pace() {
    let backlog = Backlog::default();
    let intake = backlog.open(RUN);
    let now = Instant::now();
    assert_eq!(backlog.plan(now, PACE), Plan::Nothing);
    intake.push(Stream::Stdout, b"first\n");
    assert_eq!(backlog.plan(Instant::now(), PACE), Plan::Now);
    assert_eq!(settle(&backlog, Instant::now()), 6);
    assert_eq!(backlog.plan(Instant::now(), PACE), Plan::Nothing);
    intake.push(Stream::Stdout, b"second\n");
    let Plan::At(unwatched) = backlog.plan(Instant::now(), PACE) else { panic!("too soon") };
    assert!(unwatched > now + Duration::from_millis(900));
    let reader = backlog.watch(RUN);
    assert_eq!(backlog.plan(Instant::now(), PACE), Plan::Now, "a reader that comes");
    settle(&backlog, Instant::now());
    intake.push(Stream::Stdout, b"third\n");
    let Plan::At(watched) = backlog.plan(Instant::now(), PACE) else { panic!("too soon") };
    assert!(watched < Instant::now() + PACE.watched);
    drop(reader);
    assert!(matches!(backlog.plan(Instant::now(), PACE), Plan::At(at) if at > watched));
    backlog.touch(RUN);
    assert_eq!(backlog.plan(Instant::now(), PACE), Plan::Now, "a page that comes");
    settle(&backlog, Instant::now());
    intake.push(Stream::Stdout, &[b'x'; FLUSH_BYTES]);
    assert_eq!(backlog.plan(Instant::now(), PACE), Plan::Now, "64 KiB");
}

#[test]
fn an_unfinished_line_is_due_after_its_hold_and_half_a_character_never() {
    let backlog = Backlog::default();
    let intake = backlog.open(RUN);
    intake.push(Stream::Stdout, b"\xe2\x82");
    assert_eq!(backlog.plan(Instant::now(), PACE), Plan::Nothing);
    let before = Instant::now();
    intake.push(Stream::Stdout, b"\xacprompt> ");
    let Plan::At(at) = backlog.plan(Instant::now(), PACE) else { panic!("not held") };
    assert!(at >= before + lane::LINE_HOLD);
    assert_eq!(settle(&backlog, at - Duration::from_millis(1)), 0);
    assert_eq!(settle(&backlog, at), 11);
}

#[test]
fn only_what_is_due_earlier_wakes_the_appender() {
    let backlog = Backlog::default();
    let intake = backlog.open(RUN);
    intake.push(Stream::Stdout, b"first\n");
    settle(&backlog, Instant::now());
    let woken = |listener: EventListener| future::block_on(future::poll_once(listener)).is_some();
    let listener = backlog.listen();
    assert_eq!(backlog.plan(Instant::now(), PACE), Plan::Nothing);
    intake.push(Stream::Stdout, b"second\n");
    assert!(woken(listener));
    let listener = backlog.listen();
    assert!(matches!(backlog.plan(Instant::now(), PACE), Plan::At(_)));
    intake.push(Stream::Stdout, b"third\n");
    assert!(!woken(listener));
    let listener = backlog.listen();
    let _reader = backlog.watch(RUN);
    assert!(woken(listener));
}
