//! A reader of all runs that comes back gets what it has not seen, once and in order, whoever died in between.

use serde_json::{Value, json};

use crate::common::{Daemon, Frame, Random, Reader, Transcript, Via, wait_gone};

/// A reader over many connections, and each event that it was told.
struct Journal {
    query: String,
    told: Transcript,
    events: Vec<Value>,
}

impl Journal {
    fn new(query: &str) -> Journal {
        Journal { query: query.to_owned(), told: Transcript::of_all(query), events: Vec::new() }
    }

    fn open(&self, daemon: &Daemon, via: Via, with_instance: bool) -> Reader {
        let told = self.told.clone().by(via);
        let after = if with_instance && told.cursor > 0 { told.place() } else { told.cursor.to_string() };
        Reader::try_open(daemon, told, &after).unwrap()
    }

    /// Reads some frames of a connection and drops it; up to its end where it is closed.
    fn read(&mut self, mut reader: Reader, frames: u64) {
        for _ in 0..frames {
            match reader.next() {
                Frame::Event(event) => self.events.push(event),
                // Nothing more until something happens.
                Frame::CaughtUp(_) | Frame::Closed(_) | Frame::Lost => break,
                _ => {}
            }
        }
        self.told = reader.disconnect();
    }

    #[track_caller]
    fn assert_complete(&mut self, daemon: &Daemon) {
        let reader = self.open(daemon, Via::Sse, true);
        self.read(reader, u64::MAX);
        let all = daemon.all_events(&self.query, 0);
        let ids = |events: &[Value]| events.iter().map(|event| event["id"].as_i64().unwrap()).collect::<Vec<_>>();
        assert_eq!(ids(&self.events), ids(&all), "{:?}", self.query);
        assert_eq!(self.events, all, "what was shown once is what is there");
    }
}

#[test]
fn at_random_points_over_restarts_and_crashes_each_event_comes_once() {
    let mut daemon = Daemon::start();
    daemon.put("/v1/queues/default", &json!({"slots": 4})).expect(200);
    let mut random = Random::new(11);
    let mut runs = vec![daemon.sh("echo first")];
    // Named from the start, and one of them talks all the time.
    runs.push(daemon.submit(
        &json!({"script": "while :; do echo line; echo other >&2; sleep 0.01; done", "on_interrupt": "requeue"}),
    ));
    let named = format!("runs={},{}", runs[0], runs[1]);
    let mut journals = ["", "kinds=finished,output", &named].map(Journal::new);
    for round in 0..24 {
        for _ in 0..random.below(4) {
            runs.push(daemon.sh("echo a; echo b >&2"));
        }
        let mut open =
            |journal: &Journal| journal.open(&daemon, Via::STREAMS[random.below(3) as usize], random.below(2) == 0);
        let readers: Vec<Reader> = journals.iter().map(&mut open).collect();
        match round {
            // With readers connected, and events on their way.
            7 => daemon.kill9(),
            15 => drop(daemon.stop()),
            _ => {}
        }
        for (journal, reader) in journals.iter_mut().zip(readers) {
            journal.read(reader, random.below(60));
        }
        if matches!(round, 7 | 15) {
            daemon.start_again();
        }
    }
    for run in &runs[1..2] {
        daemon.post(&format!("/v1/runs/{run}/cancel"), &json!({})).expect(202);
    }
    for run in &runs {
        daemon.wait_ended(*run);
    }
    for journal in &mut journals {
        journal.assert_complete(&daemon);
    }
}

#[test]
fn a_restart_without_a_new_event_gives_nothing_twice_and_closes_with_1001() {
    let mut daemon = Daemon::start();
    for _ in 0..3 {
        daemon.wait_ended(daemon.sh("true"));
    }
    let mut readers = Via::STREAMS.map(|via| Reader::open_all(via, &daemon, "", 0));
    for reader in &mut readers {
        assert_eq!(reader.stored().len(), 9);
    }
    daemon.stop();
    for reader in &mut readers {
        assert_eq!(reader.next(), Frame::Closed(1001));
    }
    daemon.start_again();
    let again = |reader: &Reader| Reader::try_open(&daemon, reader.told.clone(), &reader.told.place()).unwrap();
    let mut again: Vec<Reader> = readers.iter().map(again).collect();
    for (reader, before) in again.iter_mut().zip(&readers) {
        assert_eq!(reader.next(), Frame::CaughtUp(before.told.cursor));
    }
    daemon.wait_ended(daemon.sh("true"));
    for reader in &mut again {
        assert_eq!(reader.until_finished(1).len(), 3);
    }
}

#[test]
fn a_shutdown_is_told_to_its_end_of_every_run() {
    let mut daemon = Daemon::start();
    daemon.put("/v1/queues/default", &json!({"slots": 4})).expect(200);
    let runs: Vec<i64> =
        (0..4).map(|_| daemon.sh("trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done")).collect();
    let pids: Vec<i32> = runs.iter().map(|run| daemon.wait_running(*run)).collect();
    let mut readers = Via::STREAMS.map(|via| Reader::open_all(via, &daemon, "kinds=finished", ""));
    for reader in &mut readers {
        assert!(matches!(reader.next(), Frame::CaughtUp(_)));
    }
    daemon.stop();
    for reader in &mut readers {
        assert_eq!(reader.until_finished(4).len(), 4);
        assert_eq!(reader.next(), Frame::Closed(1001));
    }
    pids.into_iter().for_each(wait_gone);
}
