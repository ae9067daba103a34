//! Bytes of a client to a whole daemon in this process: head, target, query, cursors, `Last-Event-ID`, bodies of strangers, and
//! behind an upgrade what a WebSocket's client sends. `@viewer@` in them is a viewer's token, who may start nothing.
//!
//! Every answer is HTTP, and none is a fault of the daemon; every connection ends once its client has; no descriptor is left.
#![no_main]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use runabout::daemon::{ServeArgs, serve};
use serde_json::Value;

const PLACE: &[u8] = b"@viewer@";
/// How long an answer is waited for before the client says that it will send nothing more.
const PATIENCE: Duration = Duration::from_millis(40);
const DEADLINE: Duration = Duration::from_secs(10);
/// Inputs between two looks at descriptors and token.
const ROUND: usize = 1_000;

struct Daemon {
    address: SocketAddr,
    token: std::sync::Mutex<String>,
    socket: PathBuf,
    descriptors: usize,
}

static DAEMON: OnceLock<Daemon> = OnceLock::new();
static NTH: AtomicUsize = AtomicUsize::new(0);

/// Asks as the daemon's own user.
fn ask(socket: &Path, method: &str, path: &str, body: &str) -> Value {
    let mut stream = UnixStream::connect(socket).expect("the daemon listens");
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    let head = format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(head.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{method} {path}: {error}: {answer}"))
}

fn token(socket: &Path) -> String {
    let made = ask(socket, "POST", "/v1/enrollment-tokens", r#"{"role":"viewer"}"#);
    let traded = ask(socket, "POST", "/v1/enroll", &serde_json::json!({"token": made["token"]}).to_string());
    traded["session_token"].as_str().expect("a token").to_owned()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

fn start() -> Daemon {
    let dir = std::env::temp_dir().join(format!("runabout-fuzz-{}", std::process::id()));
    let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
    let args = ServeArgs {
        state_dir: Some(dir.clone()),
        listen: Some(address.to_string()),
        log: Some("off".to_owned()),
        ..ServeArgs::default()
    };
    std::thread::spawn(move || serve(args));
    let socket = dir.join("runabout.sock");
    let begun = Instant::now();
    while UnixStream::connect(&socket).is_err() || TcpStream::connect(address).is_err() {
        assert!(begun.elapsed() < DEADLINE, "the daemon does not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    // The last goes on until the directory is removed.
    let going_on = format!("while [ -e {} ]; do sleep 1; done", dir.display());
    for script in ["echo hello; echo there >&2", "exit 3", &going_on] {
        ask(&socket, "POST", "/v1/runs", &serde_json::json!({"script": script, "tags": ["t"]}).to_string());
    }
    let token = std::sync::Mutex::new(token(&socket));
    std::thread::sleep(Duration::from_millis(300));
    Daemon { address, token, socket, descriptors: descriptors() }
}

fuzz_target!(|data: &[u8]| {
    let daemon = DAEMON.get_or_init(start);
    if NTH.fetch_add(1, Ordering::Relaxed) % ROUND == ROUND - 1 {
        look_after(daemon);
    }
    let sent = with_token(data, daemon.token.lock().expect("one thread").as_bytes());
    let mut stream = TcpStream::connect(daemon.address).expect("the daemon lives");
    // A reset: a million closed connections would wait for a minute each.
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("a socket");
    let mut answer = Vec::new();
    if stream.write_all(&sent).is_ok() && sent.windows(4).any(|four| four == b"\r\n\r\n") {
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        while !answer.windows(4).any(|four| four == b"\r\n\r\n") && read_some(&mut stream, &mut answer) {}
    }
    let _ = stream.shutdown(Shutdown::Write);
    stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
    let begun = Instant::now();
    while read_some(&mut stream, &mut answer) {
        assert!(answer.len() < 64 << 20 && begun.elapsed() < DEADLINE, "it does not end: {} bytes", answer.len());
    }
    assert!(begun.elapsed() < DEADLINE, "the connection outlives its client by {:?}", begun.elapsed());
    judge(&answer);
});

/// Whether there may be more.
fn read_some(stream: &mut TcpStream, to: &mut Vec<u8>) -> bool {
    let mut piece = [0; 16_384];
    match stream.read(&mut piece) {
        Ok(0) => false,
        Ok(count) => {
            to.extend_from_slice(&piece[..count]);
            true
        }
        Err(error) => error.kind() == ErrorKind::Interrupted,
    }
}

fn with_token(data: &[u8], token: &[u8]) -> Vec<u8> {
    let mut sent = Vec::with_capacity(data.len() + 64);
    let mut rest = data;
    while let Some(at) = rest.windows(PLACE.len()).position(|bytes| bytes == PLACE) {
        sent.extend_from_slice(&rest[..at]);
        sent.extend_from_slice(token);
        rest = &rest[at + PLACE.len()..];
    }
    sent.extend_from_slice(rest);
    sent
}

/// Judges the first answer; whether another follows depends on what hyper made of the first request.
fn judge(answer: &[u8]) {
    let mut rest = answer;
    let (status, head) = loop {
        let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") else {
            assert!(
                rest.is_empty() || b"HTTP/1.1 ".starts_with(&rest[..rest.len().min(9)]) || rest.starts_with(b"HTTP/1.")
            );
            return;
        };
        let head = std::str::from_utf8(&rest[..end]).expect("a head in ASCII");
        rest = &rest[end + 4..];
        let digits = head.strip_prefix("HTTP/1.1 ").or(head.strip_prefix("HTTP/1.0 ")).and_then(|line| line.get(..3));
        let status: u16 = digits.and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("no status: {head}"));
        if status != 100 {
            break (status, head.to_ascii_lowercase());
        }
    };
    assert!(head.is_ascii() && (200..500).contains(&status) || matches!(status, 101 | 501 | 503 | 505), "{head}");
    let has = |name: &str| head.lines().any(|line| line.starts_with(name));
    let is_framed = has("content-length:") || has("transfer-encoding:") || has("connection: close");
    assert!(is_framed || matches!(status, 101 | 204 | 304), "{head}");
    if status == 101 {
        frames(rest);
    } else if head.contains("application/problem+json") && !rest.is_empty() && has("connection: close") {
        let problem: Value = serde_json::from_slice(rest).unwrap_or_else(|error| panic!("{error}: {head}"));
        assert_eq!(problem["status"], status);
    }
}

/// What the daemon sends on a WebSocket: frames without a mask, whole or cut off.
fn frames(mut bytes: &[u8]) {
    while let [first, second, rest @ ..] = bytes {
        assert!(matches!(first, 0x81 | 0x88 | 0x89 | 0x8a) && second & 0x80 == 0, "{first:x} {second:x}");
        let (length, rest) = match second {
            126 if rest.len() >= 2 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            126 | 127 => return,
            length => (usize::from(*length), rest),
        };
        let Some(payload) = rest.get(..length) else { return };
        if *first == 0x81 {
            let _: Value = serde_json::from_slice(payload).expect("an object a frame");
        }
        bytes = &rest[length..];
    }
}

/// Descriptors are back where they were, and the token is still one: a client may end its session.
fn look_after(daemon: &Daemon) {
    let begun = Instant::now();
    while descriptors() > daemon.descriptors + 4 {
        assert!(begun.elapsed() < DEADLINE, "{} descriptors, at first {}", descriptors(), daemon.descriptors);
        std::thread::sleep(Duration::from_millis(10));
    }
    *daemon.token.lock().expect("one thread") = token(&daemon.socket);
}
