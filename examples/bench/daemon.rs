//! The daemon under test, and the few words of HTTP that it takes to talk to it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A daemon of its own, on scratch state. Dropped, it is stopped and waited for.
pub struct Daemon {
    child: Child,
    state: PathBuf,
    socket: PathBuf,
}

impl Daemon {
    /// Starts one on the state in a directory, with these variables in its environment.
    pub fn start(dir: &Path, env: &[(&str, String)]) -> Daemon {
        // The example stands in target/release/examples, the daemon one above.
        let binary = std::env::current_exe().unwrap().parent().unwrap().join("../runabout");
        std::fs::create_dir_all(dir).unwrap();
        let state = dir.join("state");
        let log = File::options().create(true).append(true).open(dir.join("log")).unwrap();
        let mut child = Command::new(&binary)
            .args(["serve", "--listen", "none", "--log", "warn", "--state-dir"])
            .arg(&state)
            .env("RUNABOUT_LIMITS_QUEUED_RUNS", "10000000")
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; run `cargo build --release` first", binary.display()));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("listening on"), "{line}");
        Daemon { child, socket: state.join("runabout.sock"), state }
    }

    /// Its database, to be written to while it is stopped.
    pub fn database(&self) -> PathBuf {
        self.state.join("runabout.db")
    }

    /// Where it can be reached.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its resident memory.
    pub fn resident_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }

    /// One request on a connection of its own; answers the body.
    pub fn request(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.write_all(http(method, path, body, "close").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {answer}");
        body.to_owned()
    }

    /// A WebSocket whose first frames have come, and what was read of them.
    pub fn reader(&self, run: &serde_json::Value) -> (UnixStream, Vec<u8>) {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        write!(
            stream,
            "GET /v1/runs/{run}/events HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
        )
        .unwrap();
        let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
        while !contains(&said, br#""type":"hello""#) {
            let len = stream.read(&mut buffer).unwrap();
            assert!(len > 0, "{}", String::from_utf8_lossy(&said));
            said.extend_from_slice(&buffer[..len]);
        }
        let end = said.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        (stream, said.split_off(end))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// A request.
pub fn http(method: &str, path: &str, body: &str, connection: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: {connection}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Whether one stands in the other.
pub fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Whether a whole answer is there: its head, and as much body as the head says.
pub fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let declared = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    answer.len() >= end + 4 + declared.unwrap_or(0)
}
