//! One event to many readers: how many events, times readers, a second the server gets rid of on one core, and what the
//! readers cost it in memory. NATS does the same for the same client.
//!
//! The client has the other core, reads everything and counts events in every stream. It publishes the next batch while
//! no reader is more than [`WINDOW`] batches behind, so that nobody is ever cut off or falls behind by design; at the end
//! every reader must have got every event.

use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::bench::{Bench, Build, Contender};
use crate::daemon::{Daemon, http_with, is_answer};
use crate::frames::{Counter, NATS_BYTES, Protocol};
use crate::peers::{self, NATS};
use crate::process::{Process, cores, pin, unpin};

/// Readers of each load, and its line.
const LOADS: [(usize, &str); 2] = [(100, "fan_out_100"), (1_000, "fan_out_1000")];
/// Readers that are there before the memory of idle ones is measured.
const WARM: usize = 50;
/// Events that are published together, and batches that are on their way at most: less than what the daemon keeps for a
/// reader before it serves him from the database.
pub const BATCH: u64 = 64;
pub const WINDOW: u64 = 3;
/// Bytes of an event, as its reader gets it.
pub const EVENT_BYTES: usize = 200;
pub const SERVER_CORE: usize = 0;
pub const CLIENT_CORE: usize = 1;
/// How long the last events may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub fn measure(bench: &mut Bench) {
    if cores() < 2 {
        bench.skip("fan_out", "it needs a core for the server and one for the client".into());
        return;
    }
    raise_descriptors();
    for round in bench.rounds() {
        for (readers, key) in LOADS {
            for contender in bench.contenders(&[NATS], round) {
                let dir = bench.directory(contender.name());
                pin(SERVER_CORE);
                let service = Service::start(&contender, &dir);
                pin(CLIENT_CORE);
                load(bench, &service, contender.name(), readers, key);
                drop(service);
                unpin();
            }
        }
    }
}

/// As many descriptors as there may be: each reader takes one here and one at the server.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
}

/// A server that is published to and read from.
enum Service {
    Daemon { daemon: Box<Daemon>, run: i64, session: String, batch: String },
    Nats { process: Process, address: std::net::SocketAddr, batch: String },
}

impl Service {
    fn start(contender: &Contender, dir: &Path) -> Service {
        match contender {
            Contender::Build(build) => Service::daemon(build, dir),
            Contender::Peer(_, program) => {
                let (process, address) = peers::nats(program, dir);
                let message = format!("PUB e {NATS_BYTES}\r\n{}\r\n", "x".repeat(NATS_BYTES));
                Service::Nats { process, address, batch: message.repeat(BATCH as usize) }
            }
        }
    }

    fn daemon(build: &Build, dir: &Path) -> Service {
        let daemon = Box::new(Daemon::start(build, dir, &[]));
        daemon.request("PUT", "/v1/queues/held", r#"{"paused":true}"#);
        let run = daemon.ask("POST", "/v1/runs", r#"{"command":["true"],"queue":"held"}"#)["id"].as_i64().unwrap();
        let message = |text: &str| format!(r#"{{"kind":"message","data":{{"level":"info","text":"{text}"}}}}"#);
        // How long an event is without its text, as a reader is shown it.
        let path = format!("/v1/runs/{run}/events");
        daemon.request("POST", &path, &message(""));
        let page = daemon.request("GET", &format!("{path}?after=1"), "");
        let event = &page[r#"{"events":["#.len()..page.find(r#"],"gaps""#).unwrap()];
        // A hundred thousand events later its two numbers have eight digits more.
        let text = "x".repeat(EVENT_BYTES - event.len() - 8);
        let session = daemon.session();
        let messages = vec![message(&text); BATCH as usize].join(",");
        let headers = format!("Authorization: Bearer {session}\r\nConnection: keep-alive\r\n");
        let batch = http_with("POST", &path, &format!("[{messages}]"), &headers);
        Service::Daemon { daemon, run, session, batch }
    }

    fn process(&self) -> &Process {
        match self {
            Service::Daemon { daemon, .. } => &daemon.process,
            Service::Nats { process, .. } => process,
        }
    }

    fn reader(&self) -> Reader {
        let (stream, protocol) = match self {
            Service::Daemon { daemon, run, session, .. } => (daemon.tcp_reader(*run, session), Protocol::WebSocket),
            Service::Nats { address, .. } => (peers::nats_client(*address, "SUB e 1\r\n"), Protocol::Nats),
        };
        stream.set_nonblocking(true).unwrap();
        Reader { stream, counter: Counter::new(protocol), batches: 0 }
    }

    fn publisher(&self) -> Publisher {
        match self {
            Service::Daemon { daemon, batch, .. } => {
                Publisher::new(TcpStream::connect(daemon.address).unwrap(), batch, true)
            }
            Service::Nats { address, batch, .. } => Publisher::new(peers::nats_client(*address, ""), batch, false),
        }
    }
}

struct Reader {
    stream: TcpStream,
    counter: Counter,
    /// Batches that it has got whole.
    batches: u64,
}

/// Who publishes: one request at a time, where requests are answered.
struct Publisher {
    stream: TcpStream,
    batch: Vec<u8>,
    is_answered: bool,
    is_waiting: bool,
    answer: Vec<u8>,
}

impl Publisher {
    fn new(stream: TcpStream, batch: &str, is_answered: bool) -> Publisher {
        stream.set_nodelay(true).unwrap();
        Publisher { stream, batch: batch.as_bytes().to_vec(), is_answered, is_waiting: false, answer: Vec::new() }
    }

    fn publish(&mut self) {
        self.stream.write_all(&self.batch).unwrap();
        self.is_waiting = self.is_answered;
    }

    fn hear(&mut self) {
        let mut buffer = [0; 4096];
        let len = self.stream.read(&mut buffer).unwrap();
        assert!(len > 0, "the server closed the publisher's connection");
        self.answer.extend_from_slice(&buffer[..len]);
        if self.is_answered && is_answer(&self.answer) {
            self.answer.clear();
            self.is_waiting = false;
        }
    }
}

/// Connects the readers, measures what they hold, and publishes for a while.
fn load(bench: &mut Bench, service: &Service, who: &'static str, count: usize, key: &'static str) {
    let is_many = count == LOADS[1].0;
    if is_many {
        // What only the start needed must not be in the difference.
        service.process().settled_bytes();
    }
    let mut readers: Vec<_> = (0..WARM).map(|_| service.reader()).collect();
    let before_mib = service.process().resident_mib();
    readers.extend((WARM..count).map(|_| service.reader()));
    if is_many {
        let idle_mib = service.process().resident_mib() - before_mib;
        bench.add("reader_idle", who, idle_mib * 1024.0 / (count - WARM) as f64);
    }
    let mut resident_mib = 0_f64;
    let (publisher, worked_s) = (service.publisher(), service.process().cpu_s());
    let sent = publish(&mut readers, publisher, bench.span(), || {
        resident_mib = resident_mib.max(service.process().resident_mib());
    });
    let worked_s = service.process().cpu_s() - worked_s;
    bench.add(key, who, sent.events as f64 / 1e6 / sent.took_s);
    if is_many {
        bench.add("readers_resident", who, resident_mib);
        bench.add("fan_out_server", who, worked_s / sent.took_s * 100.0);
        bench.add("fan_out_client", who, sent.worked_s / sent.took_s * 100.0);
    }
}

/// What a load came to.
struct Sent {
    /// Events, times readers.
    events: u64,
    took_s: f64,
    /// Seconds that the client worked.
    worked_s: f64,
}

/// Publishes until it is over and everybody has got everything.
fn publish(readers: &mut [Reader], mut publisher: Publisher, span: Duration, mut tick: impl FnMut()) -> Sent {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let publishers = epoll::EventData::new_u64(u64::MAX);
    epoll::add(&epoll, &publisher.stream, publishers, epoll::EventFlags::IN).unwrap();
    for (index, reader) in readers.iter().enumerate() {
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(&epoll, &reader.stream, data, epoll::EventFlags::IN).unwrap();
    }
    let (begun, worked_s) = (Instant::now(), cpu_s());
    let mut ticked = begun;
    let mut flight = Flight { published: 0, whole: 0, got: vec![0; WINDOW as usize + 1] };
    let mut buffer = vec![0; 256 * 1024];
    let mut space = [const { MaybeUninit::<epoll::Event>::uninit() }; 128];
    loop {
        let is_over = begun.elapsed() >= span;
        while !is_over && !publisher.is_waiting && flight.published - flight.whole < WINDOW {
            publisher.publish();
            flight.published += 1;
        }
        if is_over && flight.whole == flight.published && !publisher.is_waiting {
            break;
        }
        assert!(begun.elapsed() < span + PATIENCE, "a reader has not got every event");
        let (ready, _) = epoll::wait(&epoll, &mut space, None).unwrap();
        for event in ready {
            match event.data.u64() {
                u64::MAX => publisher.hear(),
                index => take(&mut readers[index as usize], &mut buffer, &mut flight),
            }
        }
        flight.land(readers.len());
        if ticked.elapsed() > Duration::from_millis(250) {
            ticked = Instant::now();
            tick();
        }
    }
    let (took_s, worked_s) = (begun.elapsed().as_secs_f64(), cpu_s() - worked_s);
    let events = flight.published * BATCH;
    let is_whole = |reader: &Reader| reader.counter.events == events && reader.counter.is_between();
    assert!(readers.iter().all(is_whole), "a reader has got another number of events than were published");
    Sent { events: events * readers.len() as u64, took_s, worked_s }
}

/// What is on its way: batches that were published, those that everybody has got, and how many readers have got each of
/// those between the two.
struct Flight {
    published: u64,
    whole: u64,
    got: Vec<usize>,
}

impl Flight {
    fn land(&mut self, readers: usize) {
        while self.whole < self.published && self.got[(self.whole % (WINDOW + 1)) as usize] == readers {
            self.got[(self.whole % (WINDOW + 1)) as usize] = 0;
            self.whole += 1;
        }
    }
}

/// Reads what is there for one reader, and counts it.
fn take(reader: &mut Reader, buffer: &mut [u8], flight: &mut Flight) {
    let len = match reader.stream.read(buffer) {
        Ok(len) => len,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
        Err(error) => panic!("{error}"),
    };
    assert!(len > 0, "the server closed a reader's connection");
    reader.counter.take(&buffer[..len]);
    let whole = if reader.counter.is_between() { reader.counter.events } else { reader.counter.events - 1 };
    while reader.batches < whole / BATCH {
        flight.got[(reader.batches % (WINDOW + 1)) as usize] += 1;
        reader.batches += 1;
    }
}

/// Seconds that this thread has worked.
fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
