//! A reader that is slow, or takes nothing, is nobody's business but its own: the others, the command and the
//! daemon's memory do not feel it, and it still gets everything.

use std::time::{Duration, Instant};

use async_tungstenite::tungstenite::Message;
use serde_json::{Value, json};

use crate::common::{
    Client, DEADLINE, Daemon, Frame, Reader, Via, eventually, highest_resident_bytes, over_each, resident_bytes,
};

over_each!(
    stalled_readers_hold_up_neither_the_fast_one_nor_the_command_nor_the_memory,
    a_slow_reader_is_resynced_again_and_again_and_misses_nothing,
    readers_that_stop_in_the_middle_of_what_all_are_sent_cost_nobody_anything,
    a_reader_that_takes_nothing_for_too_long_is_dropped_and_may_come_back,
    a_reader_of_a_quiet_command_is_not_taken_for_one_that_stalls,
);

/// What the daemon may grow by while readers stall: their channels, the pages under way, SQLite's cache.
const GROWTH_BYTES_MAX: u64 = 12 * 1024 * 1024;

/// What `seq 1 LAST` prints.
fn lines(last: u64) -> Vec<u8> {
    (1..=last).map(|number| format!("{number}\n")).collect::<String>().into_bytes()
}

fn stalled_readers_hold_up_neither_the_fast_one_nor_the_command_nor_the_memory(via: Via) {
    let daemon = Daemon::start();
    let tcp = daemon.tcp_as("viewer");
    let expected = lines(2_200_000);
    assert!(expected.len() > 16_000_000);
    // The same once, small, so that what is allocated once is there before it is measured.
    let warm = daemon.sh("seq 1 300000");
    let mut reader = Reader::open_by(via, &tcp, warm, 0);
    reader.until_end();
    let gate = daemon.gate("burst");
    let run = daemon.sh(&format!("{}; exec seq 1 2200000", gate.wait()));
    let clients: [&Client; 2] = [&daemon, &tcp];
    let mut stalled: Vec<Reader> = (0..10).map(|number| Reader::open_by(via, clients[number % 2], run, 0)).collect();
    let mut fast = Reader::open_by(via, &tcp, run, 0);
    let before = resident_bytes(daemon.pid());
    let resyncs = daemon.metrics().get("reader_resyncs_total");
    let begun = Instant::now();
    gate.open();
    let mut took = Duration::ZERO;
    let highest = highest_resident_bytes(daemon.pid(), || {
        assert_eq!(fast.until_end()["status"], "succeeded");
        took = begun.elapsed();
    });
    assert!(fast.told.stdout == expected, "{} bytes of {}", fast.told.stdout.len(), expected.len());
    let told = fast.disconnect();
    let run_ms = daemon.events(run).last().unwrap()["data"]["duration_ms"].as_i64().unwrap();
    let growth = highest.saturating_sub(before);
    println!("16 MB by {via:?}: the command {run_ms} ms, the fast reader {took:?}, memory {before} + {growth} bytes");
    assert!(took < Duration::from_millis(run_ms as u64) + Duration::from_secs(5), "the end came late: {took:?}");
    assert!(growth < GROWTH_BYTES_MAX, "grew by {growth} bytes from {before}");
    let resyncs = daemon.metrics().get("reader_resyncs_total") - resyncs;
    assert!(resyncs >= stalled.len() as f64, "{resyncs} resyncs");
    // Now they read on, from wherever they stopped, all at once.
    let highest = highest_resident_bytes(daemon.pid(), || {
        std::thread::scope(|scope| {
            for reader in &mut stalled {
                scope.spawn(|| reader.until_end());
            }
        });
    });
    for reader in stalled {
        let late = reader.disconnect();
        assert!(late.stdout == expected && late.events == told.events, "a stalled reader missed something");
    }
    let growth = highest.saturating_sub(before);
    println!("while {} readers caught up: + {growth} bytes", 10);
    assert!(growth < GROWTH_BYTES_MAX, "grew by {growth} bytes from {before} while the stalled ones caught up");
    eventually(DEADLINE, "no reader is left", || daemon.metrics().sum("readers") == 0.0);
}

fn a_slow_reader_is_resynced_again_and_again_and_misses_nothing(via: Via) {
    let daemon = Daemon::with_config("[limits]\nstream_buffer_events = 2\nstream_buffer_bytes = 4096");
    let run = daemon.sh("for round in 1 2 3 4 5 6 7 8 9 10; do seq 1 20000; sleep 0.05; done");
    let mut slow = Reader::open_by(via, &daemon, run, 0);
    let mut frames = 0;
    let end = loop {
        match slow.next() {
            Frame::End(end) => break end,
            _ => frames += 1,
        }
        // Slower than the command: this is the behaviour under test, not a wait.
        if frames % 8 == 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    assert_eq!(end["status"], "succeeded");
    assert!(slow.told.stdout == lines(20_000).repeat(10), "{} bytes", slow.told.stdout.len());
    assert!(daemon.metrics().get("reader_resyncs_total") >= 5.0, "{:?}", daemon.metrics().get("reader_resyncs_total"));
}

fn readers_that_stop_in_the_middle_of_what_all_are_sent_cost_nobody_anything(via: Via) {
    const ROUNDS: usize = 60;
    let daemon = Daemon::start();
    let tcp = daemon.tcp_as("viewer");
    let run = daemon.submit(&json!({"script": "true", "delay_s": 3_600}));
    // One commit of 64 KiB: each reader is given it as a whole, and no socket takes many of them.
    let event = json!({"kind": "message", "data": {"level": "info", "text": "x".repeat(1_000)}});
    let events: Value = vec![event; 64].into();
    let clients: [&Client; 2] = [&daemon, &tcp];
    let mut stalled: Vec<Reader> = (0..8).map(|number| Reader::open_by(via, clients[number % 2], run, 0)).collect();
    stalled.iter_mut().for_each(Reader::until_caught_up);
    let mut fast = Reader::open_by(via, &tcp, run, 0);
    for round in 0..ROUNDS {
        daemon.post(&format!("/v1/runs/{run}/events"), &events).expect(201);
        while fast.told.events.len() < 1 + (round + 1) * 64 {
            fast.next();
        }
        if via == Via::WebSocket && round % 20 == 10 {
            // What answers this must not come in the middle of a frame either.
            stalled.iter_mut().for_each(|reader| reader.say(Message::Ping("where are you".into())));
        }
    }
    for reader in &mut stalled {
        while reader.told.events.len() < fast.told.events.len() {
            reader.next();
        }
        assert_eq!(reader.told.events, fast.told.events);
    }
    daemon.post(&format!("/v1/runs/{run}/events"), &events).expect(201);
    for mut reader in stalled {
        while reader.told.events.len() < 1 + (ROUNDS + 1) * 64 {
            reader.next();
        }
    }
}

#[test]
fn readers_who_share_a_small_total_get_everything() {
    let daemon = Daemon::with_config("[limits]\nstream_total_bytes = 16384");
    let gate = daemon.gate("burst");
    let run = daemon.sh(&format!("{}; exec seq 1 200000", gate.wait()));
    let mut readers: Vec<Reader> =
        (0..8).map(|number| Reader::open_by(Via::STREAMS[number % 3], &daemon, run, 0)).collect();
    gate.open();
    std::thread::scope(|scope| {
        for reader in &mut readers {
            scope.spawn(|| reader.until_end());
        }
    });
    let expected = lines(200_000);
    assert!(readers.iter().all(|reader| reader.told.stdout == expected));
}

fn a_reader_that_takes_nothing_for_too_long_is_dropped_and_may_come_back(via: Via) {
    let daemon = Daemon::with_config("[limits]\nstream_stall_s = 1");
    let run = daemon.sh("seq 1 400000; exec sleep 600");
    let mut stalled = Reader::open_by(via, &daemon, run, 0);
    let mut fast = Reader::open_by(via, &daemon, run, 0);
    fast.until_stdout("\n400000\n");
    drop(fast);
    eventually(DEADLINE, "the stalled reader is dropped", || daemon.metrics().sum("readers") == 0.0);
    assert_eq!(stalled.until_closed(), None, "without a close: it could not be told");
    let mut back = Reader::resume(&daemon, stalled.disconnect());
    back.until_stdout("\n400000\n");
    assert!(back.told.stdout == lines(400_000));
}

fn a_reader_of_a_quiet_command_is_not_taken_for_one_that_stalls(via: Via) {
    let daemon = Daemon::with_config("[limits]\nstream_stall_s = 1");
    let gate = daemon.gate("quiet");
    let run = daemon.sh(&format!("echo ready; {}", gate.wait()));
    let mut reader = Reader::open_by(via, &daemon, run, 0);
    reader.until_stdout("ready\n");
    // There is nothing that it could take, for three times as long.
    let until = Instant::now() + Duration::from_secs(3);
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        let frame = reader.next_within(left);
        assert!(matches!(frame, None | Some(Frame::CaughtUp(_))), "{frame:?}");
    }
    gate.open();
    assert_eq!(reader.until_end()["status"], "succeeded");
}

#[test]
fn a_burst_without_any_reader_is_stored_whole_and_the_memory_does_not_hold_it() {
    let daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("seq 1 300000"));
    let before = resident_bytes(daemon.pid());
    let run = daemon.sh("head -c 33554432 /dev/zero | tr '\\0' x");
    let highest = highest_resident_bytes(daemon.pid(), || {
        assert_eq!(daemon.wait_ended(run)["output_bytes"], 33_554_432);
    });
    let growth = highest.saturating_sub(before);
    println!("32 MiB without a reader: {before} + {growth} bytes");
    assert!(growth < GROWTH_BYTES_MAX, "grew by {growth} bytes from {before}");
}

/// Memory that a reader may take who waits, in bytes: its tasks, and no buffer.
const WAITING_BYTES_MAX: u64 = 16 * 1_024;

#[test]
fn a_reader_that_waits_holds_no_buffer() {
    const READERS: u64 = 150;
    let daemon = Daemon::start();
    let tcp = daemon.tcp_as("viewer");
    let gate = daemon.gate("waiting");
    let run = daemon.sh(&gate.wait());
    let open = |count: u64| -> Vec<Reader> {
        let mut readers: Vec<Reader> = (0..count).map(|_| Reader::open(&tcp, run, 0)).collect();
        readers.iter_mut().for_each(Reader::until_caught_up);
        readers
    };
    let _first = open(50);
    let before = resident_bytes(daemon.pid());
    let _waiting = open(READERS);
    let each = resident_bytes(daemon.pid()).saturating_sub(before) / READERS;
    assert!(each < WAITING_BYTES_MAX, "{each} bytes each");
    gate.open();
}
