//! Output is committed at a pace that spares the medium: often enough for those who read, seldom while nobody does.

use std::time::{Duration, Instant};

use crate::common::{DEADLINE, Daemon, Reader, eventually};

/// How long commits are counted.
const WINDOW: Duration = Duration::from_secs(2);

/// A daemon with a command that prints a line every few milliseconds, and nothing else to commit.
fn chatty() -> (Daemon, i64) {
    let daemon = Daemon::start();
    let run = daemon.sh("while :; do echo line; sleep 0.003; done");
    daemon.wait_running(run);
    eventually(DEADLINE, "its output is stored", || daemon.metrics().get("events_total{kind=\"output\"}") > 0.0);
    (daemon, run)
}

/// How many commits there are in a second while `meanwhile` is done over and over.
fn commits_per_s(daemon: &Daemon, mut meanwhile: impl FnMut()) -> f64 {
    let commits = || daemon.metrics().get("commits_total");
    let (before, begun) = (commits(), Instant::now());
    while begun.elapsed() < WINDOW {
        meanwhile();
    }
    (commits() - before) / begun.elapsed().as_secs_f64()
}

#[test]
fn output_that_nobody_reads_is_committed_once_a_second() {
    let (daemon, _run) = chatty();
    let rate = commits_per_s(&daemon, || std::thread::sleep(WINDOW));
    assert!(rate <= 2.0, "{rate} commits/s");
}

#[test]
fn output_that_is_read_is_committed_twenty_times_a_second_at_most() {
    let (daemon, run) = chatty();
    let mut readers = [Reader::open(&daemon, run, 0), Reader::open(&daemon, run, 0)];
    let rate = commits_per_s(&daemon, || readers.iter_mut().for_each(|reader| drop(reader.next())));
    println!("{rate} commits/s");
    assert!((1.0..=21.5).contains(&rate), "{rate} commits/s");
}

#[test]
fn pages_that_are_read_often_do_not_set_the_pace() {
    let (daemon, run) = chatty();
    let path = format!("/v1/runs/{run}/events?after=latest");
    let mut pages = 0;
    let rate = commits_per_s(&daemon, || {
        daemon.get(&path).expect(200);
        pages += 1;
    });
    println!("{pages} pages, {rate} commits/s");
    assert!((1.0..=21.5).contains(&rate), "{rate} commits/s with {pages} pages");
}

#[test]
fn a_page_shows_what_was_printed_before_it_was_asked_for() {
    let daemon = Daemon::with_config("[output]\nflush_unwatched_ms = 600000");
    let mut feed = daemon.feed("lines");
    let run = daemon.sh(&format!("while read -r line; do echo \"$line\"; done < {}", feed.path()));
    // The first piece is committed at once, the second would wait for ten minutes.
    feed.say("one\n");
    eventually(DEADLINE, "the first is stored", || daemon.metrics().get("events_total{kind=\"output\"}") == 1.0);
    feed.say("two\n");
    // The first page asks for a commit; where it came before the daemon had read the line, the next ones see it soon.
    eventually(Duration::from_secs(5), "a page shows the second", || {
        let page = daemon.get(&format!("/v1/runs/{run}/events?after=-1")).expect(200).json();
        page["events"][0]["data"]["text"] == "two\n"
    });
}
