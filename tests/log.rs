//! The raw log of a run: the command's bytes as they came, all of them or the last lines, and a line of its own where
//! some are gone.

use std::io;
use std::time::Instant;

use rusqlite::Connection;
use serde_json::json;

use crate::common::{Chunked, Client, DEADLINE, Daemon, Reader, eventually, highest_resident_bytes, resident_bytes};

/// The log with these parameters, whole.
#[track_caller]
fn log(client: &Client, run: i64, query: &str) -> Vec<u8> {
    client.get(&format!("/v1/runs/{run}/log{query}")).expect(200).body
}

/// An open log.
fn open(client: &Client, path: &str) -> io::Result<Chunked> {
    let (head, read, socket) = client.call("GET", path).stream()?;
    assert_eq!(head.status, 200, "{}", head.text());
    Ok(Chunked::new(socket, read))
}

/// Reads on until what came ends like this.
#[track_caller]
fn until(log: &mut Chunked, end: &str) {
    while !log.so_far().ends_with(end.as_bytes()) {
        log.read(Instant::now() + DEADLINE).unwrap();
    }
}

#[test]
fn a_log_is_what_the_command_wrote_byte_for_byte() {
    let daemon = Daemon::start();
    let bytes: Vec<u8> = (0..100_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(daemon.dir().join("bytes"), &bytes).unwrap();
    // What is said on one stream waits until the other was read.
    let script = format!("cat {}/bytes; sleep 0.3; echo error >&2; sleep 0.3; echo out", daemon.dir().display());
    let run = daemon.sh(&script);
    daemon.wait_ended(run);
    let stdout = [&bytes[..], b"out\n"].concat();
    for client in [Client::clone(&daemon), daemon.tcp_as("viewer")] {
        assert!(log(&client, run, "") == [&bytes[..], b"error\nout\n"].concat(), "both");
        assert!(log(&client, run, "?stream=stdout") == stdout, "stdout");
        assert_eq!(log(&client, run, "?stream=stderr"), b"error\n");
        assert!(log(&client, run, "?follow=true&stream=stdout") == stdout, "followed to its end");
    }
    let answer = daemon.get(&format!("/v1/runs/{run}/log")).expect(200);
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("content-disposition"), Some(format!("inline; filename=\"run-{run}.log\"").as_str()));
    let head = daemon.call("HEAD", &format!("/v1/runs/{run}/log?follow=true")).send().expect(200);
    assert_eq!((head.header("content-type"), &head.body[..]), (Some("text/plain; charset=utf-8"), &b""[..]));
    eventually(DEADLINE, "no reader is left", || daemon.metrics().get("readers{transport=\"log\"}") == 0.0);
    daemon.get("/v1/runs/99/log").expect_problem(404, "run_not_found");
    let wrong = daemon.get(&format!("/v1/runs/{run}/log?stream=both&follow=1&tail=-1&after=3"));
    let wrong = wrong.expect_problem(422, "invalid");
    let fields = wrong["details"]["violations"].as_array().unwrap().iter().map(|violation| violation["field"].clone());
    assert_eq!(fields.collect::<Vec<_>>(), ["stream", "follow", "tail", "after"]);
}

#[test]
fn the_last_lines_are_exact() {
    let daemon = Daemon::start();
    let unfinished = daemon.sh("seq 1 200000; echo error >&2; sleep 0.3; printf 'not finished'");
    let blank = daemon.sh("printf 'a\\n\\n\\n'");
    let silent = daemon.sh("true");
    // A line that is many events long, and long lines of one stream between those of the other.
    let long = daemon.sh("head -c 600000 /dev/zero | tr '\\0' x; sleep 0.3; echo >&2; sleep 0.3; echo; echo last");
    for run in [unfinished, blank, silent, long] {
        daemon.wait_ended(run);
    }
    let tail = |run, query: &str| String::from_utf8(log(&daemon, run, query)).unwrap();
    assert_eq!(tail(unfinished, "?tail=1"), "not finished");
    assert_eq!(tail(unfinished, "?tail=3&stream=stdout"), "199999\n200000\nnot finished");
    assert_eq!(tail(unfinished, "?tail=1&stream=stderr"), "error\n");
    assert_eq!(tail(unfinished, "?tail=0"), "");
    let all = tail(unfinished, "?stream=stdout");
    assert!(tail(unfinished, "?stream=stdout&tail=1000000") == all);
    assert!(tail(unfinished, "?stream=stdout&tail=200001") == all);
    assert!(tail(unfinished, "?stream=stdout&tail=200000") == all["1\n".len()..]);
    let expected: String = (150_002..=200_000).map(|number| format!("{number}\n")).collect();
    assert!(tail(unfinished, "?stream=stdout&tail=50000") == expected + "not finished");
    assert_eq!((tail(blank, "?tail=1"), tail(blank, "?tail=2")), ("\n".to_owned(), "\n\n".to_owned()));
    assert_eq!((tail(silent, "?tail=5"), tail(silent, "")), (String::new(), String::new()));
    assert_eq!(tail(long, "?tail=1"), "last\n");
    assert_eq!(tail(long, "?tail=2&stream=stdout").len(), 600_000 + "\nlast\n".len());
    assert_eq!(tail(long, "?tail=3").len(), 600_000 + "\n\nlast\n".len());
}

#[test]
fn a_log_is_followed_from_its_last_lines_to_the_end_of_the_last_attempt() {
    let mut daemon = Daemon::start();
    let mut feed = daemon.feed("lines");
    let run = daemon.submit(&json!({
        "script": format!("echo attempt $RUNABOUT_ATTEMPT; echo e >&2; exec cat {}", feed.path()),
        "on_interrupt": "requeue",
    }));
    let path = format!("/v1/runs/{run}/log");
    let mut first = open(&daemon, &format!("{path}?follow=true&stream=stdout")).unwrap();
    until(&mut first, "attempt 1\n");
    feed.say("one\ntwo\n");
    until(&mut first, "two\n");
    assert_eq!(log(&daemon, run, "?stream=stdout"), b"attempt 1\none\ntwo\n", "what there is, while it runs");
    let mut last = open(&daemon, &format!("{path}?follow=true&stream=stdout&tail=1")).unwrap();
    feed.say("three\n");
    until(&mut last, "three\n");
    assert_eq!(last.so_far(), b"two\nthree\n");
    drop(feed);
    assert_eq!(first.rest(Instant::now() + DEADLINE).unwrap(), b"attempt 1\none\ntwo\nthree\n");
    assert_eq!(last.rest(Instant::now() + DEADLINE).unwrap(), b"two\nthree\n");
    // A run that is queued again has not ended: its log is broken off by the stop, and so says that there is more.
    let gate = daemon.gate("again");
    let run = daemon.submit(&json!({
        "script": format!("echo attempt $RUNABOUT_ATTEMPT; [ $RUNABOUT_ATTEMPT = 2 ] || {}", gate.wait()),
        "on_interrupt": "requeue",
    }));
    let mut broken = open(&daemon, &format!("/v1/runs/{run}/log?follow=true")).unwrap();
    until(&mut broken, "attempt 1\n");
    daemon.stop();
    let error = broken.rest(Instant::now() + DEADLINE).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    daemon.start_again();
    daemon.wait_ended(run);
    assert_eq!(log(&daemon, run, ""), b"attempt 1\nattempt 2\n", "all attempts");
}

#[test]
fn where_events_are_gone_a_line_of_its_own_says_so() {
    let mut daemon = Daemon::start();
    let mut feed = daemon.feed("words");
    let run = daemon.sh(&format!("while read -r word; do printf \"$word\"; done < {}", feed.path()));
    let mut reader = Reader::open(&daemon, run, 0);
    for word in ["one", "two\n", "three\n", "four\n"] {
        feed.say(&format!("{}\n", word.replace('\n', "\\n")));
        reader.until_stdout(word);
    }
    drop(feed);
    reader.until_end();
    daemon.stop();
    let database = Connection::open(daemon.state_dir().join("runabout.db")).unwrap();
    assert_eq!(database.execute("DELETE FROM output WHERE run = ?1 AND data = 'two\n'", [run]).unwrap(), 1);
    drop(database);
    daemon.start_again();
    let gone = "[runabout: the events 4 to 4 are gone: pruned]\n";
    let tail = |query: &str| String::from_utf8(log(&daemon, run, query)).unwrap();
    assert_eq!(tail(""), format!("one\n{gone}three\nfour\n"));
    assert_eq!(tail("?tail=2"), "three\nfour\n");
    assert_eq!(tail("?tail=3&follow=true"), format!("one\n{gone}three\nfour\n"));
    assert_eq!(tail("?tail=1"), "four\n");
}

#[test]
fn a_long_log_passes_through_a_small_daemon() {
    let daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("seq 1 300000"));
    let run = daemon.sh("seq 1 3000000");
    daemon.wait_ended(run);
    log(&daemon, run, "?tail=10");
    let before = resident_bytes(daemon.pid());
    let (mut bytes, mut last) = (Vec::new(), Vec::new());
    let highest = highest_resident_bytes(daemon.pid(), || {
        bytes = log(&daemon, run, "");
        last = log(&daemon, run, "?tail=2999999");
    });
    assert_eq!(bytes.len(), 22_888_896);
    assert!(last == bytes["1\n".len()..]);
    let growth = highest.saturating_sub(before);
    println!("22 MB of log: {before} + {growth} bytes");
    assert!(growth < 12 * 1024 * 1024, "grew by {growth} bytes from {before}");
}
