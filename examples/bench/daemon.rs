//! The daemon under test, and the few words of HTTP that it takes to talk to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::bench::{Build, socket};
use crate::process::{Process, log};

/// How long an answer or a frame is waited for.
const PATIENCE: Duration = Duration::from_secs(330);

/// A daemon of its own, on scratch state. Dropped, it is stopped and waited for.
pub struct Daemon {
    pub process: Process,
    state: PathBuf,
    socket: PathBuf,
    /// Where it takes TCP connections.
    pub address: SocketAddr,
}

impl Daemon {
    /// Starts one on the state in a directory, with these variables in its environment.
    pub fn start(build: &Build, dir: &Path, env: &[(&str, &str)]) -> Daemon {
        std::fs::create_dir_all(dir).unwrap();
        let (state, socket) = (dir.join("state"), socket(dir));
        let mut command = Command::new(&build.binary);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--log", "warn", "--state-dir"])
            .arg(&state)
            .env("RUNABOUT_ACCESS_SOCKET", &socket)
            .env("RUNABOUT_LIMITS_QUEUED_RUNS", "10000000")
            .env("RUNABOUT_LIMITS_CONNECTIONS", "4096")
            .env("RUNABOUT_LIMITS_CONNECTIONS_PER_CLIENT", "4096")
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .stderr(log(dir));
        let mut process = Process::start(&mut command);
        let mut line = String::new();
        BufReader::new(process.child().stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| {
            panic!("{}: {line:?}, {}", build.binary.display(), std::fs::read_to_string(dir.join("log")).unwrap())
        });
        Daemon { process, state, socket, address }
    }

    /// Its database.
    pub fn database(&self) -> PathBuf {
        database(&self.state)
    }

    /// A connection to its Unix socket.
    pub fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// One request on a connection of its own; answers the body.
    pub fn request(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(http(method, path, body, "close").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {answer}");
        body.to_owned()
    }

    /// The same; answers what the body says.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        serde_json::from_str(&self.request(method, path, body)).unwrap()
    }

    /// Submits a script; answers its run's number.
    pub fn script(&self, script: &str) -> i64 {
        let body = serde_json::json!({ "script": script }).to_string();
        self.ask("POST", "/v1/runs", &body)["id"].as_i64().unwrap()
    }

    /// How many runs there are of a status.
    pub fn runs(&self, status: &str) -> i64 {
        self.ask("GET", "/v1/system", "")["runs"][status].as_i64().unwrap()
    }

    /// A session for connections over TCP.
    pub fn session(&self) -> String {
        let token = self.ask("POST", "/v1/enrollment-tokens", r#"{"role":"operator"}"#);
        let enroll = serde_json::json!({ "token": token["token"] }).to_string();
        self.ask("POST", "/v1/enroll", &enroll)["session_token"].as_str().unwrap().to_owned()
    }

    /// A WebSocket on the Unix socket that has been shown all that is stored, and what came behind.
    pub fn reader(&self, run: i64) -> (UnixStream, Vec<u8>) {
        open(self.connect(), run, "", CAUGHT_UP)
    }

    /// The same over TCP.
    pub fn tcp_reader(&self, run: i64, session: &str) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (stream, behind) = open(stream, run, &format!("Authorization: Bearer {session}\r\n"), CAUGHT_UP);
        assert!(behind.is_empty(), "{}", String::from_utf8_lossy(&behind));
        stream
    }

    /// A WebSocket that was answered, and what came behind its answer.
    pub fn fresh_reader(&self, run: i64) -> (UnixStream, Vec<u8>) {
        open(self.connect(), run, "", b"\r\n\r\n")
    }
}

/// What a reader is told when it has been shown what is stored.
const CAUGHT_UP: &[u8] = br#"{"type":"caught_up""#;

/// Where the database is in a state directory.
pub fn database(state: &Path) -> PathBuf {
    state.join("runabout.db")
}

/// Asks for a run's events as a WebSocket, and reads until a whole frame with these words came.
fn open<S: Read + Write>(mut stream: S, run: i64, header: &str, until: &[u8]) -> (S, Vec<u8>) {
    let request = format!(
        "GET /v1/runs/{run}/events HTTP/1.1\r\nHost: localhost\r\n{header}Upgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let len = stream.read(&mut buffer).unwrap();
        assert!(len > 0, "{}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&buffer[..len]);
        let Some(at) = find(&said, until) else { continue };
        // A frame of so few bytes has two bytes of head, the second is its length.
        let end = if until == CAUGHT_UP { at + usize::from(said[at - 1]) } else { at + until.len() };
        if said.len() >= end {
            return (stream, said.split_off(end));
        }
    }
}

/// A request.
pub fn http(method: &str, path: &str, body: &str, connection: &str) -> String {
    http_with(method, path, body, &format!("Connection: {connection}\r\n"))
}

/// A request with these headers besides.
pub fn http_with(method: &str, path: &str, body: &str, headers: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\
         \r\n\r\n{body}",
        body.len()
    )
}

/// Where one begins in the other.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Whether a whole answer of success is there: its head, and as much body as the head says.
pub fn is_answer(answer: &[u8]) -> bool {
    let Some(end) = find(answer, b"\r\n\r\n") else { return false };
    assert!(answer.starts_with(b"HTTP/1.1 20"), "{}", String::from_utf8_lossy(answer));
    let head = &answer[..end];
    let declared = find(head, b"content-length: ").map(|at| {
        let digits = head[at + 16..].iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'))
    });
    answer.len() >= end + 4 + declared.unwrap_or(0)
}
