//! Clients that have done nothing wrong, while others attack: what they wait is what an attack costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{Client, Daemon, Frame, Reader};

/// How long all but a few answers may take on a loaded machine; 200 ms is what a quiet one keeps to.
const P95_MAX: Duration = Duration::from_millis(1_000);
/// Between two requests over the Unix socket, and between two lines of the run.
const PAUSE: Duration = Duration::from_millis(100);

/// A reader over WebSocket of a run that prints every 100 ms, and a client of the Unix socket.
pub struct Bystanders {
    over: Arc<AtomicBool>,
    reading: Option<JoinHandle<Vec<Duration>>>,
    asking: Option<JoinHandle<Vec<Duration>>>,
    client: Client,
    run: i64,
}

impl Bystanders {
    /// Starts them. The run takes a slot of the queue `bystanders`.
    #[track_caller]
    pub fn start(daemon: &Daemon) -> Bystanders {
        daemon.put("/v1/queues/bystanders", &serde_json::json!({})).expect(201);
        let script = "while :; do date +%s%N; sleep 0.1; done";
        let run = daemon.submit(&serde_json::json!({"script": script, "queue": "bystanders"}));
        let over = Arc::new(AtomicBool::new(false));
        let mut reader = Reader::open(&daemon.tcp_as("viewer"), run, 0);
        reader.until_kind("output");
        let reading = std::thread::spawn(move || read_on(&mut reader));
        let (client, stop) = (Client::clone(daemon), over.clone());
        let asking = std::thread::spawn(move || ask_on(&client, run, &stop));
        Bystanders { over, reading: Some(reading), asking: Some(asking), client: Client::clone(daemon), run }
    }

    /// Ends them; fails unless they were served in time all the while. `what` is said with the figures.
    #[track_caller]
    pub fn were_served(mut self, what: &str) {
        self.over.store(true, Ordering::Relaxed);
        self.client.call("POST", &format!("/v1/runs/{}/cancel", self.run)).send();
        let told = self.reading.take().unwrap().join().expect("the reader read to the end");
        let answered = self.asking.take().unwrap().join().expect("every request was answered");
        for (who, mut took) in [("the reader", told), ("the Unix socket", answered)] {
            took.sort_unstable();
            assert!(took.len() > 2, "{what}: {who} was not served at all");
            let (half, p95, worst) = (took[took.len() / 2], took[took.len() * 95 / 100], took[took.len() - 1]);
            println!(
                "{what}: {who}, {} times: half within {half:?}, 95 of 100 within {p95:?}, all within {worst:?}",
                took.len()
            );
            assert!(p95 < P95_MAX, "{what}: {who} waited {p95:?}");
        }
    }
}

impl Drop for Bystanders {
    fn drop(&mut self) {
        // The threads of a test that failed end with its daemon.
        self.over.store(true, Ordering::Relaxed);
    }
}

/// How long each line was under way from the command to the reader.
fn read_on(reader: &mut Reader) -> Vec<Duration> {
    let mut took = Vec::new();
    loop {
        match reader.next() {
            Frame::Event(event) if event["kind"] == "output" => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                let text = event["data"]["text"].as_str().unwrap();
                // Of lines that came together the first has waited longest.
                let printed_ns = text.lines().next().and_then(|line| line.parse().ok()).unwrap();
                took.push(now.saturating_sub(Duration::from_nanos(printed_ns)));
            }
            Frame::Closed(code) => {
                assert_eq!(code, 1000, "the bystander was closed");
                return took;
            }
            Frame::Lost => panic!("the bystander lost its connection"),
            _ => {}
        }
    }
}

/// How long each request took.
fn ask_on(client: &Client, run: i64, over: &AtomicBool) -> Vec<Duration> {
    let mut took = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        client.get(&format!("/v1/runs/{run}")).expect(200);
        took.push(begun.elapsed());
        std::thread::sleep(PAUSE);
    }
    took
}
