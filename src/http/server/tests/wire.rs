//! What comes over the wire: malformed, endless, slow, or cut off.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{DROPPED, Daemon, TOKEN, rest, status};
use crate::config::{Access, Limits};

#[test]
fn what_is_not_http_gets_a_bare_400_and_the_server_lives() {
    let daemon = Daemon::plain();
    let hosted = "Host: localhost\r\n";
    let long = "a".repeat(70_000);
    let many: String = (0..101).map(|nth| format!("h{nth}: x\r\n")).collect();
    for (bytes, expected) in [
        ("garbage\r\n\r\n".to_owned(), "400"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), "400"),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\r\n\r\n".to_owned(), "400"),
        ("GET /ok HTTP/9.9\r\n\r\n".to_owned(), "400"),
        (format!("GET /ok HTTP/1.1\r\n{hosted}a b: c\r\n\r\n"), "400"),
        (format!("GET /ok HTTP/1.1\r\n{hosted}x: {long}\r\n\r\n"), "431"),
        (format!("GET /ok HTTP/1.1\r\n{hosted}{many}\r\n"), "431"),
        (format!("GET /{long} HTTP/1.1\r\n{hosted}\r\n"), "431"),
        (format!("POST /echo HTTP/1.1\r\n{hosted}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"), "400"),
        (format!("POST /echo HTTP/1.1\r\n{hosted}Content-Length: +3\r\n\r\nabc"), "400"),
        (format!("POST /echo HTTP/1.1\r\n{hosted}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), "400"),
        (format!("POST /echo HTTP/1.0\r\n{hosted}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "400"),
    ] {
        let answer = daemon.raw(&bytes);
        assert_eq!(status(&answer), expected, "{:.60} got {answer:.80}", bytes);
    }
    let short = Daemon::start(Limits { head_bytes: 8_192, ..Limits::default() }, Access::default());
    assert_eq!(status(&short.raw(format!("GET /ok HTTP/1.1\r\n{hosted}x: {}\r\n\r\n", "a".repeat(9_000)))), "431");
    assert!(daemon.is_alive() && short.is_alive());
}

#[test]
fn an_endless_line_is_not_kept_in_memory() {
    let daemon = Daemon::plain();
    let mut stream = daemon.connect();
    let piece = [b'a'; 65_536];
    let sent = (0..2_000).take_while(|_| stream.write_all(&piece).is_ok()).count();
    assert!(sent < 500, "{sent} pieces were taken");
    assert!(daemon.is_alive());
}

#[test]
fn bodies_are_bounded_in_bytes_and_time() {
    let daemon = Daemon::start(Limits { body_bytes: 1_024, body_s: 1, ..Limits::default() }, Access::default());
    assert!(daemon.ask("POST /echo", "Content-Length: 3\r\n", "abc").ends_with("abc"));
    let huge = daemon.ask("POST /echo", "Content-Length: 99999999999\r\n", "abc");
    assert_eq!(status(&huge), "413", "{huge}");
    let chunks = "400\r\n".to_owned() + &"a".repeat(1_024) + "\r\n1\r\nb\r\n0\r\n\r\n";
    assert_eq!(status(&daemon.ask("POST /echo", "Transfer-Encoding: chunked\r\n", &chunks)), "413");
    let start = Instant::now();
    assert_eq!(status(&daemon.ask("POST /echo", "Content-Length: 3\r\n", "a")), "408");
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert_eq!(status(&daemon.ask("POST /echo", "Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")), "400");
    let both = daemon.ask("POST /echo", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "1\r\nx\r\n0\r\n\r\n");
    assert!(status(&both) == "200" && both.contains("connection: close") && both.ends_with("\r\n\r\nx"), "{both}");
}

#[test]
fn a_body_that_was_not_read_is_no_request() {
    let daemon = Daemon::plain();
    let smuggled = format!("GET /who HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    let head = format!(
        "GET /ok HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n",
        smuggled.len()
    );
    let mut stream = daemon.connect();
    stream.write_all(format!("{head}{smuggled}").as_bytes()).expect("sent");
    let answer = rest(&mut stream);
    assert_eq!((answer.matches("HTTP/1.1").count(), answer.contains("connection: close")), (1, true), "{answer}");
    // Refused before it is sent: no 100, and the refusal can be read although 10 MB follow.
    let mut stream = daemon.connect();
    let head = "POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 900000\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("sent");
    let _ = stream.write_all(&[b'a'; 900_000]);
    let answer = rest(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let expecting = daemon.ask("POST /echo", "Expect: 100-continue\r\nContent-Length: 1\r\n", "a");
    assert!(expecting.starts_with("HTTP/1.1 100"), "{expecting}");
}

#[test]
fn pipelined_requests_and_split_chunks_are_answered() {
    let daemon = Daemon::plain();
    let one = format!("GET /ok HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n");
    let answers = {
        let mut stream = daemon.connect();
        stream.write_all(format!("{one}\r\n{one}Connection: keep-alive, close\r\n\r\n").as_bytes()).expect("sent");
        rest(&mut stream)
    };
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
    let mut stream = daemon.connect();
    let head = format!(
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    for piece in [head.as_str(), "1\r\na\r\n0\r\n\r", "\n"] {
        stream.write_all(piece.as_bytes()).expect("sent");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(rest(&mut stream).ends_with("a"));
}

#[test]
fn a_handlers_faults_are_500_and_no_more() {
    let daemon = Daemon::plain();
    let panicked = daemon.ask("GET /panic", "", "");
    assert!(status(&panicked) == "500" && !panicked.contains("on purpose"), "{panicked}");
    let split = daemon.ask("GET /split", "", "");
    assert!(status(&split) == "500" && !split.contains("injected"), "{split}");
    assert!(daemon.is_alive());
    assert!(daemon.ask("GET /who", "", "").contains("session:x"));
    let seen = daemon.seen.lock().expect("lock").clone();
    assert!(seen.contains(&("none", 500)) && seen.contains(&("/who", 200)), "{seen:?}");
}

#[test]
fn head_is_get_without_the_body() {
    let daemon = Daemon::plain();
    let answer = daemon.ask("HEAD /ok", "", "");
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("content-length: 2\r\n") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
    let stream = daemon.ask("HEAD /stream", "", "");
    assert!(stream.starts_with("HTTP/1.1 200") && stream.ends_with("\r\n\r\n"), "{stream}");
    assert!(daemon.ask("GET /stream", "", "").ends_with("3\r\nstr\r\n3\r\neam\r\n2\r\ned\r\n0\r\n\r\n"));
    assert!(
        daemon.ask("HEAD /upgrade", "Connection: upgrade\r\nUpgrade: websocket\r\n", "").starts_with("HTTP/1.1 200")
    );
}

#[test]
fn the_client_that_goes_away_drops_its_handler() {
    let daemon = Daemon::plain();
    let before = DROPPED.load(Ordering::SeqCst);
    let mut stream = daemon.connect();
    stream
        .write_all(format!("GET /slow HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n").as_bytes())
        .expect("sent");
    std::thread::sleep(Duration::from_millis(100));
    drop(stream);
    let deadline = Instant::now() + Duration::from_secs(5);
    while DROPPED.load(Ordering::SeqCst) == before {
        assert!(Instant::now() < deadline, "the handler goes on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn slow_heads_and_idle_connections_are_closed() {
    let daemon = Daemon::start(Limits { head_s: 1, ..Limits::default() }, Access::default());
    for sent in ["", "GET /ok HTTP/1.1\r\nHost: loc", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        let (mut stream, start) = (daemon.connect(), Instant::now());
        stream.write_all(sent.as_bytes()).expect("sent");
        rest(&mut stream);
        assert!((900..3_000).contains(&start.elapsed().as_millis()), "{sent:?} took {:?}", start.elapsed());
    }
}

#[test]
fn a_client_that_takes_nothing_is_dropped() {
    let daemon = Daemon::start(Limits { stream_stall_s: 1, connections: 1, ..Limits::default() }, Access::default());
    let mut stream = daemon.connect();
    stream
        .write_all(format!("GET /big HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n").as_bytes())
        .expect("sent");
    std::thread::sleep(Duration::from_millis(100));
    assert!(!daemon.is_alive(), "the place is taken");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !daemon.is_alive() {
        assert!(Instant::now() < deadline, "the client is not dropped");
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    assert!(bytes.len() < super::BIG_BYTES, "{} bytes came", bytes.len());
}

#[test]
fn one_connection_too_many_is_told_so() {
    let daemon =
        Daemon::start(Limits { connections: 3, connections_per_client: 2, ..Limits::default() }, Access::default());
    let held = [daemon.connect(), daemon.connect()];
    std::thread::sleep(Duration::from_millis(50));
    let answer = daemon.ask("GET /ok", "", "");
    assert!(status(&answer) == "503" && answer.contains("application/problem+json"), "{answer}");
    drop(held);
    std::thread::sleep(Duration::from_millis(50));
    assert!(daemon.is_alive());
}

#[test]
fn an_upgrade_keeps_the_bytes_that_came_with_it() {
    let daemon = Daemon::plain();
    let mut stream = daemon.connect();
    let head = format!(
        "GET /upgrade HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    std::thread::sleep(Duration::from_millis(50));
    stream.write_all(b"-late").expect("sent");
    stream.shutdown(Shutdown::Write).expect("shut");
    let answer = rest(&mut stream);
    assert!(
        answer.starts_with("HTTP/1.1 101")
            && answer.contains("upgrade: websocket")
            && answer.ends_with("\r\n\r\nearly-late"),
        "{answer}"
    );
    assert!(daemon.ask("GET /upgrade", "Upgrade: websocket\r\nContent-Length: 1\r\n", "a").contains("not upgraded"));
}
