//! Submits a command, prints what it prints while it runs, and exits as it does: a client in the standard library and
//! `serde_json` alone, to copy into a program of yours.
//!
//! `cargo run --example client -- make -j4`. `RUNABOUT_URL` is `http://HOST:PORT` with a session's token in
//! `RUNABOUT_TOKEN`, or `unix:/path/of/the/socket`.
//!
//! Requests are HTTP/1.0, whose answers end with their connection: nothing to decode, each line is one JSON object.
//! It must never submit twice, nor print an event twice or leave one out without saying so.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

type Lines = io::Lines<BufReader<Box<dyn Read>>>;
type Failure = Box<dyn Error>;

/// A heartbeat comes every 15 s: after this long without a byte, the connection is dead.
const SILENCE: Duration = Duration::from_secs(40);
/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let command: Vec<String> = std::env::args().skip(1).collect();
    match submit_and_follow(&command) {
        Ok(code) => ExitCode::from(code),
        Err(why) => {
            eprintln!("client: {why}");
            ExitCode::from(125)
        }
    }
}

fn submit_and_follow(command: &[String]) -> Result<u8, Failure> {
    let body = json!({ "command": command }).to_string();
    // The same key again gives the same run: what was lost on the way may be sent again.
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let key = format!("client-{}-{}", std::process::id(), since.as_nanos());
    let mut told = Told::default();
    loop {
        let answer = match (told.run, &told.instance) {
            (Some(run), Some(instance)) => {
                let after = format!("{instance}-{}", told.seq);
                request("GET", &format!("/v1/runs/{run}/events?follow=true&after={after}"), &key, "")
            }
            _ => request("POST", "/v1/runs?follow=true", &key, &body),
        };
        match answer {
            Ok((200 | 201, lines)) => {
                if let Some(run) = told.take(lines)? {
                    let (_, mut lines) = request("GET", &format!("/v1/runs/{run}/exit_code"), &key, "")?;
                    return Ok(lines.next().ok_or("no exit code")??.trim().parse()?);
                }
            }
            Ok((status, mut lines)) if status < 500 => {
                let problem: Value = serde_json::from_str(&lines.next().unwrap_or(Ok(String::new()))?)?;
                return Err(format!("{status}: {}", problem["detail"].as_str().unwrap_or_default()).into());
            }
            Ok((status, _)) => eprintln!("client: {status}, trying again"),
            Err(why) => eprintln!("client: {why}, trying again"),
        }
        std::thread::sleep(PAUSE);
    }
}

/// What was told so far: enough to go on from there.
#[derive(Default)]
struct Told {
    run: Option<i64>,
    instance: Option<String>,
    seq: i64,
}

impl Told {
    /// Prints what comes; the run once it has ended, `None` when the connection ends before.
    fn take(&mut self, lines: Lines) -> Result<Option<i64>, Failure> {
        for line in lines {
            // Half a line, or none for too long: from here another connection goes on.
            let Some(object) = line.ok().and_then(|line| serde_json::from_str::<Value>(&line).ok()) else { break };
            match object["type"].as_str().unwrap_or_default() {
                "hello" => {
                    self.run = object["run"].as_i64();
                    self.instance = object["instance"].as_str().map(str::to_owned);
                }
                "event" => {
                    self.seq = object["seq"].as_i64().unwrap_or(self.seq);
                    if object["kind"] == "output" {
                        print(&object["data"])?;
                    }
                }
                "gap" => {
                    eprintln!("client: events {} to {} are gone: {}", object["from"], object["to"], object["reason"]);
                    self.seq = object["to"].as_i64().unwrap_or(self.seq);
                }
                "end" => return Ok(self.run),
                // A reader ignores what it does not know, and what it does not need.
                _ => {}
            }
        }
        Ok(None)
    }
}

fn print(data: &Value) -> Result<(), Failure> {
    let bytes = match data["text"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => decode(data["base64"].as_str().unwrap_or_default()),
    };
    match data["stream"] == "stderr" {
        true => io::stderr().write_all(&bytes)?,
        false => io::stdout().write_all(&bytes)?,
    }
    Ok(io::stdout().flush()?)
}

/// Base64's alphabet stands for six bits a letter; the padding at its end stands for nothing.
fn decode(base64: &str) -> Vec<u8> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bytes, mut bits, mut waiting) = (Vec::new(), 0_u32, 0);
    for six in base64.bytes().filter_map(value) {
        bits = bits << 6 | u32::from(six);
        waiting += 6;
        if waiting >= 8 {
            waiting -= 8;
            bytes.push((bits >> waiting) as u8);
        }
    }
    bytes
}

/// Sends a request; the answer's status and, line by line, its body.
fn request(method: &str, path: &str, key: &str, body: &str) -> Result<(u16, Lines), Failure> {
    let url = std::env::var("RUNABOUT_URL").unwrap_or_else(|_| "http://127.0.0.1:7867".to_owned());
    let host =
        if url.starts_with("unix:") { "localhost" } else { url.trim_start_matches("http://").trim_end_matches('/') };
    let mut head = format!("{method} {path} HTTP/1.0\r\nHost: {host}\r\nAccept: application/x-ndjson\r\n");
    if let Ok(token) = std::env::var("RUNABOUT_TOKEN") {
        head.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    if method == "POST" {
        head.push_str(&format!("Content-Type: application/json\r\nIdempotency-Key: {key}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    let answer: Box<dyn Read> = match url.strip_prefix("unix:") {
        Some(path) => {
            let mut socket = UnixStream::connect(path)?;
            socket.set_read_timeout(Some(SILENCE))?;
            socket.write_all((head + body).as_bytes())?;
            Box::new(socket)
        }
        None => {
            let mut socket = TcpStream::connect(host)?;
            socket.set_read_timeout(Some(SILENCE))?;
            socket.write_all((head + body).as_bytes())?;
            Box::new(socket)
        }
    };
    let mut lines = BufReader::new(answer).lines();
    let status = lines.next().ok_or("the connection was closed")??;
    let status = status.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or("that was no HTTP")?;
    // The head ends with an empty line.
    while lines.next().ok_or("the connection was closed")??.trim() != "" {}
    Ok((status, lines))
}
