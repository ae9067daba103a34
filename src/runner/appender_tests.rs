//! The contract's pacing, against a store whose commits take as long as a test says.

use std::sync::Mutex;

use async_io::block_on;
use futures_lite::future;

use super::*;
use crate::event::Stream;
use crate::run::RunId;
use crate::store::Fault;
use crate::store::backlog::Intake;

const RUN: RunId = RunId(1);
const PACE: Pace = Pace { watched: Duration::from_millis(50), unwatched: Duration::from_millis(400) };

/// Runs the appender while `act` prints, and answers when each commit took how many bytes.
fn commits<A: Future<Output = ()>>(commit: Duration, act: impl FnOnce(Backlog, Intake) -> A) -> Vec<(Duration, usize)> {
    let backlog = Backlog::default();
    let intake = backlog.open(RUN);
    let log = Mutex::new(Vec::new());
    let began = Instant::now();
    let flush = || async {
        let pieces = backlog.take_ready(Instant::now());
        Timer::after(commit).await;
        backlog.settled(&pieces);
        log.lock().expect("one thread").push((began.elapsed(), pieces.iter().map(|piece| piece.bytes.len()).sum()));
        Ok(commit)
    };
    let appended = append_to(&backlog, PACE, flush);
    block_on(future::or(appended, act(backlog.clone(), intake)));
    log.into_inner().expect("one thread")
}

async fn ms(ms: u64) {
    Timer::after(Duration::from_millis(ms)).await;
}

fn gaps(commits: &[(Duration, usize)]) -> Vec<Duration> {
    commits.windows(2).map(|pair| pair[1].0 - pair[0].0).collect()
}

async fn chatter(intake: &Intake, for_ms: u64) {
    let end = Instant::now() + Duration::from_millis(for_ms);
    while Instant::now() < end {
        intake.push(Stream::Stdout, b"a line\n");
        ms(5).await;
    }
}

#[test]
fn the_first_piece_goes_at_once_and_the_next_at_the_readers_pace() {
    let commits = commits(Duration::from_millis(2), |backlog, intake| async move {
        let _reader = backlog.watch(RUN);
        chatter(&intake, 600).await;
    });
    assert!((4..=13).contains(&commits.len()), "{commits:?}");
    assert!(gaps(&commits).iter().all(|gap| *gap >= PACE.watched), "{commits:?}");
}

#[test]
fn nobody_who_reads_makes_it_slower() {
    let commits = commits(Duration::from_millis(2), |_, intake| async move { chatter(&intake, 1_000).await });
    assert!(commits[0].0 < PACE.unwatched / 2, "{commits:?}");
    assert!((2..=3).contains(&commits.len()) && gaps(&commits).iter().all(|gap| *gap >= PACE.unwatched), "{commits:?}");
}

#[test]
fn a_slow_medium_has_three_quarters_of_its_time_for_others() {
    let commits = commits(Duration::from_millis(50), |backlog, intake| async move {
        let _reader = backlog.watch(RUN);
        chatter(&intake, 1_500).await;
    });
    assert!(gaps(&commits).iter().all(|gap| *gap >= Duration::from_millis(250)), "{commits:?}");
    assert!(commits.len() >= 3, "{commits:?}");
}

#[test]
fn a_reader_that_comes_and_much_that_waits_go_at_once() {
    let commits = commits(Duration::ZERO, |backlog, intake| async move {
        intake.push(Stream::Stdout, b"first\n");
        ms(20).await;
        intake.push(Stream::Stdout, b"second\n");
        ms(30).await;
        let reader = backlog.watch(RUN);
        ms(20).await;
        drop(reader);
        intake.push(Stream::Stderr, &[b'x'; 70_000]);
        ms(20).await;
    });
    let sizes: Vec<usize> = commits.iter().map(|(_, size)| *size).collect();
    assert_eq!(sizes[..2], [6, 7], "{commits:?}");
    assert!(sizes[2] > 60_000 && commits[2].0 < PACE.unwatched, "{commits:?}");
}

#[test]
fn an_unfinished_line_waits_for_its_newline() {
    let commits = commits(Duration::ZERO, |backlog, intake| async move {
        let _reader = backlog.watch(RUN);
        intake.push(Stream::Stdout, b"password: ");
        ms(350).await;
    });
    assert!(commits.len() == 1 && commits[0].0 >= Duration::from_millis(200), "{commits:?}");
}

#[test]
fn it_sleeps_while_nothing_waits_and_when_others_carried_all_away() {
    let commits = commits(Duration::ZERO, |backlog, intake| async move {
        intake.push(Stream::Stdout, b"first\n");
        ms(20).await;
        intake.push(Stream::Stdout, b"second\n");
        ms(20).await;
        let urgent = backlog.take_ready(Instant::now());
        backlog.settled(&urgent);
        ms(600).await;
    });
    assert_eq!(commits.len(), 1, "{commits:?}");
}

#[test]
fn a_store_that_fails_is_tried_again_and_loses_nothing() {
    let backlog = Backlog::default();
    let intake = backlog.open(RUN);
    let tries = Mutex::new(Vec::new());
    let taken = Mutex::new(Vec::new());
    let flush = || async {
        let pieces = backlog.take_ready(Instant::now());
        tries.lock().expect("one thread").push(Instant::now());
        if tries.lock().expect("one thread").len() < 3 {
            backlog.put_back(pieces);
            return Err(Fault::Unavailable("no room".to_owned()).into());
        }
        backlog.settled(&pieces);
        taken.lock().expect("one thread").extend(pieces.into_iter().flat_map(|piece| piece.bytes));
        Ok(Duration::ZERO)
    };
    intake.push(Stream::Stdout, b"one\n");
    let acting = async {
        ms(300).await;
        intake.push(Stream::Stdout, b"two\n");
        ms(2_200).await;
    };
    block_on(future::or(append_to(&backlog, PACE, flush), acting));
    assert_eq!(tries.lock().expect("one thread").len(), 3, "once a second, whatever is printed meanwhile");
    assert_eq!(taken.into_inner().expect("one thread"), b"one\ntwo\n");
}

#[test]
fn output_takes_a_quarter_of_the_time_of_a_slow_medium() {
    assert_eq!(PACE.after(Duration::from_millis(30)).watched, Duration::from_millis(120));
}
