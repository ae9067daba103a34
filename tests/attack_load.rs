//! More than there is room for: slow clients, too many of them, no descriptors left, floods. Everything has a limit and a
//! deadline, and when it is over everything is as before.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use serde_json::json;

use crate::common::{
    Address, Bystanders, Client, Connection, DEADLINE, Daemon, Opening, Socket, cpu_ms, eventually,
    highest_resident_bytes, open_descriptors, resident_bytes,
};

fn address_of(client: &Client) -> SocketAddr {
    match client.address() {
        Address::Tcp(address) => *address,
        address => unreachable!("{address:?}"),
    }
}

/// Whether the daemon has closed a connection; what it said is thrown away.
fn is_closed(socket: &mut Socket) -> bool {
    socket.read_within(Duration::from_millis(1));
    let mut chunk = [0; 1_024];
    loop {
        match socket.read(&mut chunk) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return !Socket::is_timeout(&error),
        }
    }
}

#[test]
fn those_who_send_a_byte_now_and_then_are_dropped_at_the_deadline() {
    const SLOW: usize = 50;
    let daemon = Daemon::with_config("[limits]\nhead_s = 1\nbody_s = 1\n");
    let tcp = daemon.tcp_as("operator");
    let head =
        tcp.call("POST", "/v1/runs").header("Content-Type", "application/json").header("Content-Length", "1000").head();
    // A byte of these counts as nothing new.
    let slow_head = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n";
    for (what, first, drip) in [("a head", "", slow_head), ("a body", head.as_str(), "{\"command\":          ")] {
        let bystanders = Bystanders::start(&daemon);
        let mut slow: Vec<Socket> = (0..SLOW).map(|_| tcp.connect()).collect();
        for socket in &mut slow {
            socket.write_all(first.as_bytes()).unwrap();
        }
        let begun = Instant::now();
        let mut bytes = drip.as_bytes().iter();
        while !slow.is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(15), "{} drip {what} still", slow.len());
            let byte = [*bytes.next().unwrap_or(&b' ')];
            slow.retain_mut(|socket| socket.write_all(&byte).is_ok() && !is_closed(socket));
            // The drip itself: five bytes a second.
            std::thread::sleep(Duration::from_millis(200));
        }
        println!("{SLOW} that drip {what} were gone after {:?}", begun.elapsed());
        bystanders.were_served(&format!("those who drip {what}"));
    }
    let mut socket = tcp.connect();
    socket.write_all(head.as_bytes()).unwrap();
    socket.write_all(b"{").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("body_timeout"), "{answer}");
}

/// Connects from an address of this machine's own network, without waiting for more than the handshake.
fn connect_from(from: Ipv4Addr, to: SocketAddr) -> Option<TcpStream> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).ok()?;
    bind(&socket, &SocketAddr::from((from, 0))).ok()?;
    connect(&socket, &to).ok()?;
    Some(TcpStream::from(socket))
}

/// What became of a connection: nothing said yet, told why, or closed without a word.
#[derive(Default, Debug)]
struct Fates {
    held: usize,
    told: usize,
    closed: usize,
}

fn fates(streams: &mut [TcpStream]) -> Fates {
    let mut fates = Fates::default();
    for stream in streams {
        stream.set_nonblocking(true).unwrap();
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock && answer.is_empty() => fates.held += 1,
            _ if answer.starts_with(b"HTTP/1.1 503 ") => {
                assert!(String::from_utf8_lossy(&answer).contains("\"code\":\"unavailable\""));
                fates.told += 1;
            }
            _ => {
                assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
                fates.closed += 1;
            }
        }
    }
    fates
}

#[test]
fn two_thousand_connections_at_once_are_cut_to_the_limits() {
    let daemon = Daemon::with_config("[limits]\nhead_s = 60\n");
    let to = address_of(&daemon.tcp());
    let bystanders = Bystanders::start(&daemon);
    let descriptors = open_descriptors(daemon.pid());
    let before = resident_bytes(daemon.pid());
    let mut all: Vec<TcpStream> = Vec::new();
    let highest = highest_resident_bytes(daemon.pid(), || {
        // From eight addresses, none of them the bystanders'.
        all.extend((0..2_000_u16).filter_map(|nth| connect_from(Ipv4Addr::new(127, 0, 1, 1 + (nth % 8) as u8), to)));
        assert!(all.len() > 1_900, "{} connected", all.len());
        // An answer is read once; of a connection that was told, a later look sees the end alone.
        let (mut found, mut told) = (Fates::default(), 0);
        eventually(DEADLINE, "those beyond the limit are told", || {
            found = fates(&mut all);
            told += found.told;
            // One place is the reading bystander's.
            found.held == 511
        });
        println!("2,000 at once: {} held, {told} told why, {} closed", found.held, 2_000 - found.held - told);
        assert!(told > 0, "nobody was told why: {found:?}");
    });
    let growth = highest.saturating_sub(before);
    println!("2,000 at once: memory {before} + {growth} bytes, {} descriptors", open_descriptors(daemon.pid()));
    assert!(growth < 32 * 1024 * 1024, "grew by {growth} bytes from {before}");
    bystanders.were_served("2,000 connections at once");
    drop(all);
    eventually(DEADLINE, "every place is given back", || open_descriptors(daemon.pid()) <= descriptors);
    // One address alone has half of them.
    let mut all: Vec<TcpStream> = (0..300).filter_map(|_| connect_from(Ipv4Addr::new(127, 0, 2, 1), to)).collect();
    eventually(DEADLINE, "256 of one address", || fates(&mut all).held == 256);
    daemon.tcp_as("viewer").get("/v1/runs").expect(200);
}

#[test]
fn without_descriptors_it_waits_says_why_and_recovers() {
    let limit = ["sh", "-c", "ulimit -n 64; exec \"$@\"", "sh"];
    let daemon = Daemon::builder().config("[limits]\nhead_s = 60\n").wrapper(&limit).start();
    let ended = daemon.sh("true");
    assert_eq!(daemon.wait_ended(ended)["status"], "succeeded", "there is room for one");
    let to = address_of(&daemon.tcp());
    let mut before = Connection::open(&daemon);
    before.send(&daemon.call("GET", "/healthz")).unwrap().expect(200);
    let idle = open_descriptors(daemon.pid());
    let crowd: Vec<TcpStream> = (0..200).filter_map(|_| connect_from(Ipv4Addr::LOCALHOST, to)).collect();
    eventually(DEADLINE, "the last descriptor is taken", || open_descriptors(daemon.pid()) >= 64);
    // Who was there before is served, at once.
    let (cpu, begun) = (cpu_ms(daemon.pid()), Instant::now());
    let mut worst = Duration::ZERO;
    while begun.elapsed() < Duration::from_secs(1) {
        let asked = Instant::now();
        before.send(&daemon.call("GET", "/healthz")).unwrap().expect(200);
        worst = worst.max(asked.elapsed());
        std::thread::sleep(Duration::from_millis(100));
    }
    let (cpu, took) = (cpu_ms(daemon.pid()) - cpu, begun.elapsed());
    println!("without descriptors: {cpu} ms of the processor in {took:?}, an answer within {worst:?}");
    assert!(cpu < 300, "it spins: {cpu} ms of the processor in {took:?}");
    // A run that cannot get its pipes fails and says so.
    let submit = daemon.call("POST", "/v1/runs").json(&json!({"script": "echo never"}));
    let run = before.send(&submit).unwrap().expect(201).json()["id"].as_i64().unwrap();
    let wait = daemon.call("GET", &format!("/v1/runs/{run}?wait_s=20"));
    let failed = before.send(&wait).unwrap().expect(200).json();
    assert_eq!((&failed["status"], &failed["reason"]), (&"failed".into(), &"spawn_failed".into()), "{failed}");
    assert!(failed["error"].as_str().unwrap().contains("file descriptors"), "{failed}");
    assert!(failed["exit_code"].is_null(), "{failed}");
    // Everything recovers, also for those who came meanwhile.
    let mut waiting = daemon.connect();
    waiting.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    drop(crowd);
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let run = daemon.sh("echo again");
    assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
    daemon.tcp_as("viewer").get("/v1/runs").expect(200);
    eventually(DEADLINE, "the descriptors are given back", || open_descriptors(daemon.pid()) <= idle + 1);
    let complaints = daemon.log().lines().filter(|line| line.contains("no connection can be accepted")).count();
    assert!((1..=2).contains(&complaints), "{complaints} times: {}", daemon.log());
}

#[test]
fn who_takes_nothing_of_a_big_page_is_dropped() {
    let daemon = Daemon::with_config("[limits]\nstream_stall_s = 1\n");
    let run = daemon.sh("head -c 4000000 /dev/zero | tr '\\0' 'x'");
    daemon.wait_ended(run);
    let bystanders = Bystanders::start(&daemon);
    let descriptors = open_descriptors(daemon.pid());
    let path = format!("/v1/runs/{run}/events?limit=10000");
    let whole = daemon.get(&path).expect(200).body.len();
    assert!(whole > 1_000_000, "{whole} bytes");
    let tcp = daemon.tcp_as("viewer");
    let before = resident_bytes(daemon.pid());
    let mut takers: Vec<Socket> = Vec::new();
    let highest = highest_resident_bytes(daemon.pid(), || {
        for nth in 0..20 {
            let client = if nth % 2 == 0 { &tcp } else { &*daemon };
            let mut socket = client.connect();
            // Over TCP the kernel takes megabytes; one page after the other is asked for.
            let request = client.call("GET", &path).head().repeat(if nth % 2 == 0 { 30 } else { 1 });
            socket.write_all(request.as_bytes()).unwrap();
            takers.push(socket);
        }
        eventually(DEADLINE, "they are served", || open_descriptors(daemon.pid()) > descriptors + 10);
        eventually(DEADLINE, "they are dropped", || open_descriptors(daemon.pid()) <= descriptors + 2);
    });
    for socket in &mut takers[..2] {
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        assert!(answer.starts_with(b"HTTP/1.1 200 ") && answer.len() < 31 * whole, "{} bytes", answer.len());
    }
    let growth = highest.saturating_sub(before);
    println!("20 that take nothing: memory {before} + {growth} bytes");
    assert!(growth < 64 * 1024 * 1024, "grew by {growth} bytes from {before}");
    bystanders.were_served("those who take nothing of a page");
}

/// Sends the same bytes again and again until told to stop, or until the daemon has closed; answers how many times.
fn flood(mut socket: Socket, bytes: &[u8], over: &AtomicBool) -> usize {
    let mut count = 0;
    while !over.load(Ordering::Relaxed) && socket.write_all(bytes).is_ok() {
        count += 1;
    }
    count
}

/// A masked frame, with a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126);
    [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

#[test]
fn a_flood_of_frames_is_its_senders_business() {
    let daemon = Daemon::start();
    let tcp = daemon.tcp_as("viewer");
    let gate = daemon.gate("end");
    let live = daemon.sh(&gate.wait());
    daemon.wait_running(live);
    for (what, bytes) in [
        ("pings", frame(0x89, b"ping").repeat(5_000)),
        ("pongs", frame(0x8a, b"").repeat(8_000)),
        ("messages", frame(0x82, &[0; 100]).repeat(500)),
        ("fragments of nothing", [frame(0x02, b"x"), frame(0x00, b"").repeat(8_000), frame(0x80, b"")].concat()),
    ] {
        let bystanders = Bystanders::start(&daemon);
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let flooding: Vec<_> = (0..2)
                .map(|_| {
                    let (response, _, socket) = Opening::new(&tcp, format!("/v1/runs/{live}/events")).ask().unwrap();
                    response.expect(101);
                    let (bytes, over) = (&bytes, &over);
                    scope.spawn(move || flood(socket, bytes, over))
                })
                .collect();
            // For as long as it takes to see what the bystanders feel of it.
            std::thread::sleep(Duration::from_secs(2));
            over.store(true, Ordering::Relaxed);
            bystanders.were_served(&format!("a flood of {what}"));
            let written: usize = flooding.into_iter().map(|flood| flood.join().unwrap()).sum();
            println!("a flood of {what}: {} MB", written * bytes.len() / 1_000_000);
        });
    }
    // Also behind the end, where the daemon waits for the client's close.
    let bystanders = Bystanders::start(&daemon);
    let over = AtomicBool::new(false);
    let bytes = frame(0x82, &[0; 100]).repeat(500);
    std::thread::scope(|scope| {
        let (response, _, socket) = Opening::new(&tcp, format!("/v1/runs/{live}/events")).ask().unwrap();
        response.expect(101);
        let flooding = scope.spawn(|| flood(socket, &bytes, &over));
        gate.open();
        daemon.wait_ended(live);
        let dropped = Instant::now();
        eventually(Duration::from_secs(20), "the flood is cut off", || flooding.is_finished());
        println!("a flood behind the end was cut off after {:?}", dropped.elapsed());
        over.store(true, Ordering::Relaxed);
    });
    bystanders.were_served("a flood behind the end");
    eventually(DEADLINE, "no reader is left", || daemon.metrics().sum("readers") == 0.0);
}

#[test]
fn a_flood_of_requests_on_one_connection_is_its_senders_business() {
    let daemon = Daemon::start();
    let tcp = daemon.tcp_as("viewer");
    let bystanders = Bystanders::start(&daemon);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let request = tcp.call("GET", "/healthz").head().repeat(200);
                let mut socket = tcp.connect();
                let mut answers = [0; 64 * 1024];
                while !over.load(Ordering::Relaxed) {
                    socket.write_all(request.as_bytes()).unwrap();
                    socket.read_within(Duration::from_millis(1));
                    while matches!(socket.read(&mut answers), Ok(1..)) {}
                }
            });
        }
        std::thread::sleep(Duration::from_secs(2));
        over.store(true, Ordering::Relaxed);
    });
    bystanders.were_served("a flood of requests");
}

#[test]
fn a_client_that_has_gone_is_noticed_behind_whatever_it_sent() {
    let daemon = Daemon::start();
    let run = daemon.submit(&json!({"script": "true", "delay_s": 3_600}));
    let tcp = daemon.tcp_as("viewer");
    let before = open_descriptors(daemon.pid());
    let extras = [b"G".to_vec(), tcp.call("GET", "/healthz").head().into_bytes(), vec![b'x'; 100_000]];
    for client in [&tcp, &*daemon] {
        for path in ["log?follow=true", "events?follow=true"] {
            for extra in &extras {
                let call =
                    client.call("GET", &format!("/v1/runs/{run}/{path}")).header("Accept", "application/x-ndjson");
                let (response, _, mut socket) = call.open().unwrap();
                response.expect(200);
                // What the daemon does not take of it stays behind.
                socket.read_within(Duration::from_millis(1));
                let _ = socket.write_all(&extra[..1]);
                let _ = socket.write_all(&extra[1..]);
            }
        }
        for extra in &extras {
            let mut socket = client.connect();
            let head = client.call("GET", &format!("/v1/runs/{run}?wait_s=300")).head();
            socket.write_all(&[head.as_bytes(), extra].concat()).unwrap();
        }
    }
    eventually(DEADLINE, "no reader is left", || daemon.metrics().sum("readers") == 0.0);
    eventually(DEADLINE, "no connection is left", || open_descriptors(daemon.pid()) <= before);
}
