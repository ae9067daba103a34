//! WebSocket frames and upgrades that are none: they end their own stream and nothing else.

use std::io::Write as _;
use std::time::Duration;

use serde_json::json;

use crate::attack_wire::{beside_bystanders, read_to_close, statuses};
use crate::common::{Client, DEADLINE, Daemon, Opening, Random, Response, Socket, eventually};

#[test]
fn an_upgrade_that_is_none_is_refused() {
    let daemon = Daemon::start();
    let run = daemon.submit(&json!({"script": "true", "delay_s": 3_600}));
    let tcp = daemon.tcp_as("viewer");
    let open = || Opening::new(&tcp, format!("/v1/runs/{run}/events"));
    let refused: Vec<(&str, Response, u16)> = vec![
        ("no key", open().without("Sec-WebSocket-Key").refused(), 400),
        ("an empty key", open().header("Sec-WebSocket-Key", "").refused(), 400),
        ("a key of 15 bytes", open().header("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAA").refused(), 400),
        ("a key that is no base64", open().header("Sec-WebSocket-Key", "!!!!!!!!!!!!!!!!!!!!!!==").refused(), 400),
        ("no version", open().without("Sec-WebSocket-Version").refused(), 426),
        ("an old version", open().header("Sec-WebSocket-Version", "8").refused(), 426),
        ("a list of versions", open().header("Sec-WebSocket-Version", "13, 8").refused(), 426),
        ("no connection", open().without("Connection").refused(), 426),
        ("another protocol", open().header("Upgrade", "h2c").refused(), 426),
    ];
    for (what, response, wanted) in refused {
        assert_eq!(response.status, wanted, "{what}: {}", response.text());
    }
    // Neither with a body, nor by another method, nor in HTTP/1.0.
    let websocket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (method, version, body) in
        [("GET", "1.1", "Content-Length: 2\r\n\r\n{}"), ("POST", "1.1", "\r\n"), ("GET", "1.0", "\r\n")]
    {
        let head = format!("{method} /v1/runs/{run}/events HTTP/{version}\r\nHost: localhost\r\n{websocket}{body}");
        let answer = daemon.raw(head.as_bytes(), Duration::from_millis(500));
        assert!(matches!(statuses(&answer)[..], [400 | 415 | 426]), "{}", String::from_utf8_lossy(&answer));
    }
}

/// A frame as a client must send it, or with one thing wrong.
struct WireFrame {
    first: u8,
    payload: Vec<u8>,
    masked: bool,
    /// What the length says, where it lies.
    length: Option<u64>,
}

impl WireFrame {
    fn new(first: u8, payload: &[u8]) -> WireFrame {
        WireFrame { first, payload: payload.to_vec(), masked: true, length: None }
    }

    fn bytes(&self) -> Vec<u8> {
        let mask = if self.masked { 0x80 } else { 0 };
        let length = self.length.unwrap_or(self.payload.len() as u64);
        let mut bytes = vec![self.first];
        match length {
            0..=125 => bytes.push(mask | length as u8),
            126..=65_535 => {
                bytes.push(mask | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask | 127);
                bytes.extend(length.to_be_bytes());
            }
        }
        if self.masked {
            // A mask of zeros is a mask.
            bytes.extend([0; 4]);
        }
        bytes.extend(&self.payload);
        bytes
    }
}

/// Opens a stream and sends these bytes; answers the socket, and what was read behind the head.
fn say(client: &Client, run: i64, bytes: &[u8]) -> (Vec<u8>, Socket) {
    let (response, read, mut socket) = Opening::new(client, format!("/v1/runs/{run}/events")).ask().unwrap();
    response.expect(101);
    // It may be closed before it is all sent.
    let _ = socket.write_all(bytes);
    (read, socket)
}

/// The payload of the close that the daemon's frames end with, to the last byte.
fn close_of((mut frames, mut socket): (Vec<u8>, Socket)) -> Result<Vec<u8>, String> {
    frames.extend(read_to_close(&mut socket)?);
    let mut rest = frames.as_slice();
    loop {
        let [first, length, behind @ ..] = rest else { return Err(format!("no close behind {} bytes", frames.len())) };
        let (length, behind) = match (length, behind) {
            (126, [high, low, behind @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])), behind),
            (length, behind) => (usize::from(*length), behind),
        };
        let (payload, behind) = behind.split_at_checked(length).ok_or("half a frame")?;
        match (first, behind) {
            (0x88, []) => return Ok(payload.to_vec()),
            (0x88, _) => return Err("something behind the close".to_owned()),
            _ => rest = behind,
        }
    }
}

fn code_of(close: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes([*close.first()?, *close.get(1)?]))
}

#[test]
fn frames_that_are_none_end_their_own_stream_and_nothing_else() {
    let daemon = Daemon::start();
    let run = daemon.submit(&json!({"script": "true", "delay_s": 3_600}));
    let tcp = daemon.tcp_as("viewer");
    let frame = WireFrame::new;
    let mut attacks: Vec<(&str, Vec<u8>, u16)> = vec![
        ("unmasked", WireFrame { masked: false, ..frame(0x81, b"hello") }.bytes(), 1002),
        ("oversized", WireFrame { length: Some(65_537), ..frame(0x82, &[0; 1_000]) }.bytes(), 1009),
        ("of 2^63 bytes", WireFrame { length: Some(1 << 63), ..frame(0x82, b"x") }.bytes(), 1009),
        ("of 2^64 - 1 bytes", WireFrame { length: Some(u64::MAX), ..frame(0x82, b"x") }.bytes(), 1009),
        ("a fragmented ping", frame(0x09, b"x").bytes(), 1002),
        ("a fragmented close", frame(0x08, b"").bytes(), 1002),
        ("a ping of 126 bytes", frame(0x89, &[0; 126]).bytes(), 1002),
        ("a close of one byte", frame(0x88, b"x").bytes(), 1002),
        ("a close of no code", frame(0x88, &[0, 0]).bytes(), 1002),
        ("a close of a reserved code", frame(0x88, &1_005_u16.to_be_bytes()).bytes(), 1002),
        ("a close of bad UTF-8", frame(0x88, b"\x03\xe8\xff\xfe").bytes(), 1007),
        ("a text of bad UTF-8", frame(0x81, b"\xc0\xaf\xff").bytes(), 1007),
        ("a continuation of nothing", frame(0x80, b"x").bytes(), 1002),
        ("a text within a text", [frame(0x01, b"x").bytes(), frame(0x81, b"y").bytes()].concat(), 1002),
        (
            "fragments beyond the limit",
            [frame(0x02, &[0; 1]).bytes(), frame(0x00, &[0; 40_000]).bytes().repeat(3)].concat(),
            1009,
        ),
    ];
    for (what, first) in [
        ("reserved bit 1", 0xc1),
        ("reserved bit 2", 0xa1),
        ("reserved bit 3", 0x91),
        ("opcode 3", 0x83),
        ("opcode 11", 0x8b),
        ("opcode 15", 0x8f),
    ] {
        attacks.push((what, frame(first, b"x").bytes(), 1002));
    }
    beside_bystanders(&daemon, "frames that are none", || {
        for client in [&tcp, &*daemon] {
            for (what, bytes, code) in &attacks {
                let close = close_of(say(client, run, bytes)).unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(code_of(&close), Some(*code), "{what}");
            }
        }
        // Noise, the same every time.
        let mut random = Random::new(7);
        let noise: Vec<_> =
            (0..50).map(|_| say(&tcp, run, &(0..200).map(|_| random.below(256) as u8).collect::<Vec<u8>>())).collect();
        drop(noise);
    });
    eventually(DEADLINE, "no stream is left", || daemon.metrics().sum("readers") == 0.0);
    assert_eq!(daemon.run(run)["status"], "queued");
}

#[test]
fn a_close_that_is_never_answered_is_not_waited_for() {
    let daemon = Daemon::start();
    let run = daemon.sh("true");
    daemon.wait_ended(run);
    let tcp = daemon.tcp_as("viewer");
    let silent: Vec<_> = (0..20).map(|_| say(&tcp, run, b"")).collect();
    eventually(DEADLINE, "the silent ones are gone", || daemon.metrics().sum("readers") == 0.0);
    drop(silent);
}

#[test]
fn the_close_of_a_client_is_answered_with_its_own_code() {
    let daemon = Daemon::start();
    let quiet = daemon.submit(&json!({"script": "true", "delay_s": 3_600}));
    let chatty = daemon.sh("while :; do echo line; sleep 0.01; done");
    daemon.wait_running(chatty);
    let tcp = daemon.tcp_as("viewer");
    for run in [quiet, chatty] {
        for payload in [&b""[..], b"\x03\xe8", b"\x03\xe8bye", b"\x03\xe9", b"\x0b\xb8", b"\x13\x87"] {
            for client in [&tcp, &*daemon] {
                // Whatever comes behind it is nobody's business.
                let bytes = [WireFrame::new(0x88, payload).bytes(), WireFrame::new(0x81, b"x").bytes()].concat();
                let close = close_of(say(client, run, &bytes)).unwrap_or_else(|error| panic!("{payload:?}: {error}"));
                assert_eq!(close, payload);
            }
        }
    }
    eventually(DEADLINE, "no stream is left", || daemon.metrics().sum("readers") == 0.0);
    daemon.post(&format!("/v1/runs/{chatty}/cancel"), &json!({})).expect(202);
}
