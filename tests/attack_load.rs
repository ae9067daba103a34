//! More than there is room for: slow clients, too many of them, no descriptors left, floods. Everything has a limit and a
//! deadline, and when it is over everything is as before.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
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
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).ok()?;
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

/// A daemon that may have so many descriptors.
fn daemon_with_descriptors(count: usize) -> Daemon {
    let limit = ["sh", "-c", &format!("ulimit -n {count}; exec \"$@\""), "sh"];
    Daemon::builder().config("[limits]\nhead_s = 60\n").wrapper(&limit).start()
}

#[test]
fn clients_leave_descriptors_for_commands_and_for_those_who_look_after_the_daemon() {
    let daemon = daemon_with_descriptors(64);
    let to = address_of(&daemon.tcp());
    let mut before = Connection::open(&daemon);
    before.send(&daemon.call("GET", "/healthz")).unwrap().expect(200);
    let idle = open_descriptors(daemon.pid());
    let mut crowd: Vec<TcpStream> = (0..200).filter_map(|_| connect_from(Ipv4Addr::LOCALHOST, to)).collect();
    let mut told = 0;
    eventually(DEADLINE, "most are turned away", || {
        told += fates(&mut crowd).told;
        told > 0 && daemon.log().contains("connections are turned away")
    });
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
    println!("a crowd: {cpu} ms of the processor in {took:?}, an answer within {worst:?}");
    assert!(cpu < 300, "it spins: {cpu} ms of the processor in {took:?}");
    // The daemon's own user gets in by the socket, and commands run.
    for round in 0..3 {
        let run = daemon.sh(&format!("echo {round}"));
        assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
    }
    drop(crowd);
    eventually(DEADLINE, "the descriptors are given back", || open_descriptors(daemon.pid()) <= idle + 1);
    daemon.tcp_as("viewer").get("/v1/runs").expect(200);
}

#[test]
fn what_cannot_be_started_for_want_of_descriptors_stays_queued_says_so_and_runs_later() {
    let daemon = daemon_with_descriptors(64);
    daemon.put("/v1/queues/default", &json!({"slots": 40})).expect(200);
    // Whoever comes to a gate after it was opened would wait for ever.
    let on = daemon.dir().join("on");
    let script = format!("until [ -e {} ]; do sleep 0.2; done", on.display());
    let runs: Vec<i64> = (0..30).map(|_| daemon.sh(&script)).collect();
    let waiting = |run: &i64| {
        let run = daemon.run(*run);
        run["status"] == "queued" && run["error"].as_str().is_some_and(|error| error.contains("file descriptors"))
    };
    let mut postponed = Vec::new();
    eventually(DEADLINE, "some wait and say why", || {
        postponed = runs.iter().copied().filter(|run| waiting(run)).collect();
        !postponed.is_empty()
    });
    let run = daemon.run(postponed[0]);
    assert!(run["not_before"].is_string() && run["attempt"].as_i64() > Some(1), "{run}");
    let events = daemon.events(postponed[0]);
    let told = events.iter().find(|event| event["kind"] == "attempt_ended").expect("the end of an attempt");
    assert_eq!(told["data"]["reason"], "spawn_failed", "{told}");
    assert!(told["data"]["error"].as_str().is_some_and(|error| error.contains("file descriptors")), "{told}");
    // One that waits so can be canceled.
    let canceled = daemon.post(&format!("/v1/runs/{}/cancel", postponed[0]), &json!({}));
    assert!(matches!(canceled.status, 200 | 202), "{}", canceled.text());
    assert!(daemon.log().contains("cannot be started yet"), "{}", daemon.log());
    std::fs::write(&on, "").unwrap();
    for run in &runs {
        let ended = daemon.wait_ended_within(*run, 2 * DEADLINE);
        let wanted = if *run == postponed[0] { "canceled" } else { "succeeded" };
        assert_eq!(ended["status"], wanted, "{ended}");
        assert!(ended["error"].is_null() || wanted == "canceled", "{ended}");
    }
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

/// Two hundred connections on which this is asked for and nothing read; answers by how much the daemon grew.
fn growth_by_slow_readers(daemon: &Daemon, head: &str) -> u64 {
    let (before, descriptors) = (resident_bytes(daemon.pid()), open_descriptors(daemon.pid()));
    let to = address_of(&daemon.tcp());
    let mut readers = Vec::new();
    let highest = highest_resident_bytes(daemon.pid(), || {
        for _ in 0..200 {
            let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
            // So that the kernel takes little.
            rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4_096).unwrap();
            connect(&socket, &to).unwrap();
            let mut socket = TcpStream::from(socket);
            socket.write_all(head.as_bytes()).unwrap();
            readers.push(socket);
        }
        // Each has begun to be answered, and what there is for it is there.
        for socket in &mut readers {
            socket.set_read_timeout(Some(DEADLINE)).unwrap();
            let mut first = [0; 12];
            socket.read_exact(&mut first).unwrap();
            assert!(first.starts_with(b"HTTP/1.1 "), "{}", String::from_utf8_lossy(&first));
        }
        std::thread::sleep(Duration::from_secs(1));
    });
    drop(readers);
    eventually(DEADLINE, "they are gone", || open_descriptors(daemon.pid()) <= descriptors + 1);
    highest.saturating_sub(before)
}

#[test]
fn two_hundred_slow_readers_stay_within_the_budget() {
    let daemon = Daemon::start();
    let run = daemon.sh("head -c 4000000 /dev/zero | tr '\\0' 'x'");
    daemon.wait_ended(run);
    for _ in 0..20 {
        daemon.submit(&json!({"command": ["true", "y".repeat(100_000)], "delay_s": 3_600}));
    }
    let big = daemon.submit(&json!({"command": vec!["y".repeat(100_000); 9], "delay_s": 3_600}));
    let tcp = daemon.tcp_as("viewer");
    let call = |path: String| tcp.call("GET", &path);
    let websocket =
        call(format!("/v1/runs/{run}/events")).header("Connection", "Upgrade").header("Upgrade", "websocket");
    let websocket = websocket.header("Sec-WebSocket-Version", "13");
    for (what, head) in [
        ("pages", call(format!("/v1/runs/{run}/events?limit=10000"))),
        ("pages of all", call("/v1/events?after=0&kinds=output&limit=10000".to_owned())),
        ("lines", call(format!("/v1/runs/{run}/events?follow=true")).header("Accept", "application/x-ndjson")),
        ("SSE", call(format!("/v1/runs/{run}/events")).header("Accept", "text/event-stream")),
        ("logs", call(format!("/v1/runs/{run}/log"))),
        ("WebSockets", websocket.header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")),
        ("lists", call("/v1/runs?limit=500".to_owned())),
        ("large runs", call(format!("/v1/runs/{big}"))),
    ] {
        let growth = growth_by_slow_readers(&daemon, &head.head());
        println!("200 slow readers of {what}: + {growth} bytes");
        // 8 MiB for what waits, and 96 KiB for what a connection has besides: its buffers, its task, its request.
        assert!(growth < 8 * 1024 * 1024 + 200 * 96 * 1024, "{what}: grew by {growth} bytes");
    }
}
