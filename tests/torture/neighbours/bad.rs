//! Neighbours, each bad in a way of its own, and the crowd of them.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::place::Ways;
use crate::common::{Address, Call, Random, Socket};

/// Threads that play them.
const THREADS: usize = 4;
/// How long a turn of all of a thread's neighbours takes at least.
const TURN: Duration = Duration::from_millis(20);
/// How long a write of theirs may take, and a read.
const WRITE_MAX: Duration = Duration::from_millis(5);
const READ_MAX: Duration = Duration::from_millis(1);

/// In which way one is bad.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Stalls,
    Trickles,
    TakesByteByByte,
    TricklesBody,
    Resets,
    HalfCloses,
    SendsGarbage,
    SendsGarbageFrames,
    SaysNothing,
    UpgradesAndVanishes,
    Pipelines,
    WaitsAndVanishes,
    CutsItsBody,
    Floods,
    HalfShakesHands,
}

const KINDS: &[(Kind, &str)] = &[
    (Kind::Stalls, "readers that take nothing"),
    (Kind::TakesByteByByte, "readers that take a byte at a time"),
    (Kind::Trickles, "heads byte by byte"),
    (Kind::TricklesBody, "bodies byte by byte"),
    (Kind::Resets, "readers that reset"),
    (Kind::HalfCloses, "readers that close their half"),
    (Kind::SendsGarbage, "senders of garbage"),
    (Kind::SendsGarbageFrames, "senders of garbage frames"),
    (Kind::SaysNothing, "silent connections"),
    (Kind::UpgradesAndVanishes, "upgrades without a reader"),
    (Kind::Pipelines, "pipelines that nobody reads"),
    (Kind::WaitsAndVanishes, "waits that nobody awaits"),
    (Kind::CutsItsBody, "bodies cut off"),
    (Kind::Floods, "floods of pings"),
    (Kind::HalfShakesHands, "half handshakes"),
];

/// How many there were of each kind.
#[derive(Default)]
pub struct Crowd {
    pub counts: BTreeMap<&'static str, u64>,
}

impl Crowd {
    /// Keeps so many of them busy for a time: who is done or thrown out is followed by another. When it returns all are gone.
    pub fn of(count: usize, ways: &Ways, random: &mut Random, time: Duration) -> Crowd {
        let seeds: Vec<u64> = (0..THREADS).map(|_| random.below(u32::MAX.into())).collect();
        let counts = Mutex::new(BTreeMap::new());
        let until = Instant::now() + time;
        std::thread::scope(|scope| {
            for seed in seeds {
                let counts = &counts;
                scope.spawn(move || play(count / THREADS, ways, &mut Random::new(seed), until, counts));
            }
        });
        Crowd { counts: counts.into_inner().unwrap() }
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }
}

fn play(count: usize, ways: &Ways, random: &mut Random, until: Instant, counts: &Mutex<BTreeMap<&'static str, u64>>) {
    let mut all: Vec<Neighbour> = Vec::new();
    while Instant::now() < until {
        let turn = Instant::now();
        all.retain_mut(|neighbour| neighbour.goes_on(random));
        // A few at a time, so that a turn does not take long while hands are shaken.
        for _ in 0..(count - all.len()).min(5) {
            let (kind, name) = KINDS[random.below(KINDS.len() as u64) as usize];
            if let Some(neighbour) = Neighbour::new(kind, ways, random) {
                *counts.lock().unwrap().entry(name).or_default() += 1;
                all.push(neighbour);
            }
        }
        std::thread::sleep(TURN.saturating_sub(turn.elapsed()));
    }
}

/// One of them.
struct Neighbour {
    kind: Kind,
    socket: Socket,
    /// What it sends bit by bit.
    rest: Vec<u8>,
    turns: u64,
    /// Turns after which it goes by itself.
    turns_max: u64,
}

impl Neighbour {
    /// Connects and begins; `None` where it is not let in.
    fn new(kind: Kind, ways: &Ways, random: &mut Random) -> Option<Neighbour> {
        let client = &ways.viewer;
        let mut socket = match (kind, client.address()) {
            // Past the handshake there is nothing left of it to send; without TLS it is garbage.
            (Kind::HalfShakesHands, Address::Tls(address, _)) => Socket::connect(&Address::Tcp(*address)).ok()?,
            (_, address) => Socket::connect(address).ok()?,
        };
        be_short(&socket);
        let stream = |random: &mut Random, run: i64| stream(ways, random, run);
        let head = |call: Call| call.head().into_bytes();
        let (now, rest) = match kind {
            Kind::Stalls => (stream(random, ways.large), Vec::new()),
            Kind::TakesByteByByte | Kind::Resets | Kind::HalfCloses => {
                let run = if random.below(2) == 0 { ways.large } else { ways.live };
                (stream(random, run), Vec::new())
            }
            Kind::Trickles => (Vec::new(), head(client.call("GET", "/v1/runs").header("X-Slow", &"x".repeat(500)))),
            Kind::TricklesBody => {
                let call = ways.operator.call("POST", "/v1/runs").header("Content-Type", "application/json");
                (head(call.header("Content-Length", "5000")), b"{\"script\":  ".to_vec())
            }
            Kind::SendsGarbage => (garbage(random, 2_000), garbage(random, 2_000)),
            Kind::SendsGarbageFrames => {
                ([upgrade(ways, ways.live), garbage(random, 500)].concat(), garbage(random, 500))
            }
            Kind::SaysNothing => (Vec::new(), Vec::new()),
            Kind::UpgradesAndVanishes => (upgrade(ways, ways.live), Vec::new()),
            Kind::Pipelines => {
                let path = format!("/v1/runs/{}/events?limit=10000", ways.large);
                (head(client.call("GET", &path)).repeat(30), Vec::new())
            }
            Kind::WaitsAndVanishes => {
                (head(client.call("GET", &format!("/v1/runs/{}?wait_s=300", ways.live))), Vec::new())
            }
            Kind::CutsItsBody => {
                let call = ways.operator.call("POST", "/v1/runs").header("Content-Type", "application/json");
                ([head(call.header("Content-Length", "40")), b"{\"script\":\"true\"".to_vec()].concat(), Vec::new())
            }
            // Masked, with a mask of zeros.
            Kind::Floods => {
                let pings = [0x89, 0x84, 0, 0, 0, 0, b'p', b'i', b'n', b'g'].repeat(400);
                (upgrade(ways, ways.live), pings)
            }
            Kind::HalfShakesHands => (vec![22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3], garbage(random, 50)),
        };
        socket.write_all(&now).ok()?;
        Some(Neighbour { kind, socket, rest, turns: 0, turns_max: 5 + random.below(150) })
    }

    /// One turn; whether another follows.
    fn goes_on(&mut self, random: &mut Random) -> bool {
        self.turns += 1;
        let is_last = self.turns > self.turns_max;
        match self.kind {
            // These stay until they are thrown out; what is behind them is seen at the end.
            Kind::Stalls | Kind::SaysNothing | Kind::Pipelines => self.turns < 400,
            Kind::Trickles | Kind::TricklesBody | Kind::HalfShakesHands => {
                let byte = if self.rest.is_empty() { b' ' } else { self.rest.remove(0) };
                self.socket.write_all(&[byte]).is_ok() && !self.is_closed() && self.turns < 400
            }
            Kind::TakesByteByByte => {
                self.socket.read(&mut [0]).map_or_else(|error| Socket::is_timeout(&error), |n| n > 0) && !is_last
            }
            Kind::Resets => {
                let _ = self.socket.read(&mut [0; 4_096]);
                if is_last {
                    reset(&self.socket);
                }
                !is_last
            }
            Kind::HalfCloses => {
                if self.turns == 2 {
                    self.socket.close_half();
                }
                !self.is_closed() && !is_last
            }
            Kind::SendsGarbage | Kind::SendsGarbageFrames => {
                let bytes = random.below(self.rest.len() as u64) as usize;
                self.socket.write_all(&self.rest[..bytes]).is_ok() && !self.is_closed() && !is_last
            }
            Kind::UpgradesAndVanishes | Kind::CutsItsBody => self.turns < 2 + random.below(3),
            Kind::WaitsAndVanishes => !is_last,
            Kind::Floods => self.socket.write_all(&self.rest).is_ok() && !is_last,
        }
    }

    /// Whether the daemon has closed; what it says is thrown away.
    fn is_closed(&mut self) -> bool {
        match self.socket.read(&mut [0; 16_384]) {
            Ok(count) => count == 0,
            Err(error) => !Socket::is_timeout(&error),
        }
    }
}

/// The head of a request for events, by any way.
fn stream(ways: &Ways, random: &mut Random, run: i64) -> Vec<u8> {
    let path = format!("/v1/runs/{run}/events?after=0");
    let call = match random.below(4) {
        0 => return upgrade(ways, run),
        1 => ways.viewer.call("GET", &path).header("Accept", "text/event-stream"),
        2 => ways.viewer.call("GET", &format!("/v1/runs/{run}/log?follow=true")),
        _ => ways.viewer.call("GET", &format!("{path}&follow=true")).header("Accept", "application/x-ndjson"),
    };
    call.head().into_bytes()
}

fn upgrade(ways: &Ways, run: i64) -> Vec<u8> {
    let call = ways.viewer.call("GET", &format!("/v1/runs/{run}/events?after=0"));
    let call =
        call.header("Connection", "Upgrade").header("Upgrade", "websocket").header("Sec-WebSocket-Version", "13");
    call.header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==").head().into_bytes()
}

fn garbage(random: &mut Random, bytes_max: u64) -> Vec<u8> {
    (0..1 + random.below(bytes_max)).map(|_| random.below(256) as u8).collect()
}

/// None of them holds its thread up.
fn be_short(socket: &Socket) {
    socket.read_within(READ_MAX);
    let limit = Some(WRITE_MAX);
    let _ = match socket {
        Socket::Unix(stream) => stream.set_write_timeout(limit),
        Socket::Tcp(stream) => stream.set_write_timeout(limit),
        #[cfg(feature = "tls")]
        Socket::Tls(stream) => stream.sock.set_write_timeout(limit),
        #[cfg(not(feature = "tls"))]
        Socket::Tls(stream) => stream.set_write_timeout(limit),
    };
}

/// Has the connection reset when it is dropped, where there is such a thing.
fn reset(socket: &Socket) {
    let now = Some(Duration::ZERO);
    let _ = match socket {
        Socket::Unix(_) => return,
        Socket::Tcp(stream) => rustix::net::sockopt::set_socket_linger(stream, now),
        #[cfg(feature = "tls")]
        Socket::Tls(stream) => rustix::net::sockopt::set_socket_linger(&stream.sock, now),
        #[cfg(not(feature = "tls"))]
        Socket::Tls(stream) => rustix::net::sockopt::set_socket_linger(stream, now),
    };
}
