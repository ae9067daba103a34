//! Who must not notice: a reader by each way, of one run and of all, and a submitter.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::place::{Place, Ways};
use crate::common::{Client, Connection, Frame, Reader, Via};

/// Between two events.
const PAUSE: Duration = Duration::from_millis(25);
/// Events between two submits.
const SUBMIT_EACH: u64 = 8;

/// How long somebody waited, each time.
pub struct Told {
    pub who: String,
    /// Without neighbours.
    pub quiet: Vec<Duration>,
    /// With them.
    pub loud: Vec<Duration>,
}

impl Told {
    fn of(who: String) -> Told {
        Told { who, quiet: Vec::new(), loud: Vec::new() }
    }

    fn add(&mut self, is_loud: bool, took: Duration) {
        if is_loud { self.loud.push(took) } else { self.quiet.push(took) }
    }
}

/// All of them.
pub struct Good {
    /// Whether there are neighbours now.
    pub is_loud: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    readers: Vec<JoinHandle<(Told, u64)>>,
    submitter: Option<JoinHandle<Submitted>>,
}

/// What the submitter did.
struct Submitted {
    told: Vec<Told>,
    events: u64,
    runs: Vec<i64>,
}

impl Good {
    /// Starts them; each reader reads from the start.
    pub fn start(place: &Place) -> Good {
        let (is_loud, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let Ways { operator, viewer, live, .. } = &place.ways;
        let live = *live;
        let mut readers: Vec<JoinHandle<(Told, u64)>> = Vec::new();
        for via in Via::STREAMS {
            let mut reader = Reader::open_by(via, viewer, live, 0);
            reader.until_caught_up();
            readers.push(std::thread::spawn(move || read(&mut reader, format!("a reader by {via:?}"), live)));
        }
        let mut of_all = Reader::open_all(Via::Ndjson, viewer, &format!("runs={live}"), 0);
        of_all.until_caught_up();
        readers.push(std::thread::spawn(move || read(&mut of_all, "a reader of all runs".to_owned(), live)));
        let (operator, loud, end) = (operator.clone(), is_loud.clone(), over.clone());
        let submitter = Some(std::thread::spawn(move || submit(&operator, live, &loud, &end)));
        Good { is_loud, over, readers, submitter }
    }

    /// Ends them; fails where one of them missed anything.
    pub fn end(mut self, place: &Place) -> Vec<Told> {
        self.over.store(true, Ordering::Relaxed);
        let submitted = self.submitter.take().unwrap().join().expect("every request was answered");
        place.gate.open();
        let mut all = submitted.told;
        for reader in self.readers.drain(..) {
            let (told, events) = reader.join().expect("a reader reads to the end");
            assert_eq!(events, submitted.events, "{} saw not all", told.who);
            all.push(told);
        }
        for run in &submitted.runs {
            assert_eq!(place.daemon.wait_ended(*run)["status"], "succeeded");
        }
        let mut once = submitted.runs.clone();
        once.dedup();
        assert_eq!(once.len(), submitted.runs.len(), "a run was given out twice");
        all
    }
}

impl Drop for Good {
    fn drop(&mut self) {
        // The threads of a round that failed end with its daemon.
        self.over.store(true, Ordering::Relaxed);
    }
}

fn now_ns() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

/// Appends an event every so often, and submits a run now and then.
fn submit(client: &Client, live: i64, is_loud: &AtomicBool, over: &AtomicBool) -> Submitted {
    let mut connection = Connection::open(client);
    let (mut appended, mut submitted) = (Told::of("who appends".to_owned()), Told::of("who submits".to_owned()));
    let (mut events, mut runs) = (0, Vec::new());
    while !over.load(Ordering::Relaxed) {
        let loud = is_loud.load(Ordering::Relaxed);
        let begun = Instant::now();
        let event = json!({"kind": "message", "data": {"n": events, "at_ns": now_ns(), "loud": loud}});
        let path = format!("/v1/runs/{live}/events");
        connection.send(&client.call("POST", &path).json(&event)).unwrap().expect(201);
        appended.add(loud, begun.elapsed());
        events += 1;
        if events % SUBMIT_EACH == 0 {
            let begun = Instant::now();
            let run = json!({"script": "true", "name": format!("good {events}")});
            let run = connection.send(&client.call("POST", "/v1/runs").json(&run)).unwrap().expect(201).json();
            // A submit is rarer than an event: each counts for all events since the last.
            (0..SUBMIT_EACH).for_each(|_| submitted.add(loud, begun.elapsed()));
            runs.push(run["id"].as_i64().unwrap());
        }
        std::thread::sleep(PAUSE);
    }
    Submitted { told: vec![appended, submitted], events, runs }
}

/// Reads to the end: each event of the submitter once, in order. Answers how many there were.
fn read(reader: &mut Reader, who: String, live: i64) -> (Told, u64) {
    let (mut told, mut next) = (Told::of(who), 0);
    loop {
        match reader.next() {
            Frame::Event(event) if event["kind"] == "message" => {
                let data = &event["data"];
                assert_eq!((&event["run"], &data["n"]), (&live.into(), &next.into()), "{}", told.who);
                let took = Duration::from_nanos(now_ns().saturating_sub(data["at_ns"].as_u64().unwrap()));
                told.add(data["loud"] == true, took);
                next += 1;
            }
            Frame::Event(event) if event["kind"] == "finished" => return (told, next),
            Frame::Closed(_) | Frame::Lost => panic!("{} lost its connection", told.who),
            _ => {}
        }
    }
}
