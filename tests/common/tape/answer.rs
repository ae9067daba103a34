//! An answer as it comes over a socket, taken apart: head, body without its chunks, frames.

use std::io::{Read as _, Write as _};
use std::time::Instant;

use crate::common::{Client, DEADLINE, Socket};

/// An answer that may go on.
pub struct Open {
    pub(super) what: String,
    pub(super) sent: Vec<u8>,
    socket: Socket,
    pub(super) came: Vec<u8>,
    is_closed: bool,
}

impl Open {
    #[track_caller]
    pub(super) fn begin(what: &str, client: &Client, sent: Vec<u8>) -> Open {
        let mut socket = client.connect();
        // Of what is refused early the rest is not read.
        let _ = socket.write_all(&sent);
        Open { what: what.to_owned(), sent, socket, came: Vec::new(), is_closed: false }
    }

    /// Sends more.
    pub fn say(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// Reads on until this has come.
    #[track_caller]
    pub fn until(&mut self, text: &str) {
        let until = Instant::now() + DEADLINE;
        while !self.came.windows(text.len()).any(|window| window == text.as_bytes()) {
            assert!(!self.is_closed, "{}: closed before {text:?}: {}", self.what, shown(&self.came));
            assert!(Instant::now() < until, "{}: no {text:?} in {}", self.what, shown(&self.came));
            self.more();
        }
    }

    /// Reads to the end; of a WebSocket to its close, or to the end of its refusal.
    #[track_caller]
    pub fn until_closed(&mut self) {
        let is_upgrade = split(&self.sent).0.contains("\r\nUpgrade: websocket");
        while !self.is_closed {
            if is_upgrade {
                let answer = Answer::read(self);
                let is_over = |frames: Vec<String>| frames.iter().any(|frame| frame.starts_with("close "));
                if answer.frames().map_or(answer.is_whole, is_over) {
                    break;
                }
            }
            self.more();
        }
    }

    #[track_caller]
    fn more(&mut self) {
        let mut chunk = [0; 64 * 1024];
        match self.socket.read(&mut chunk) {
            Ok(0) => self.is_closed = true,
            Ok(count) => self.came.extend_from_slice(&chunk[..count]),
            Err(error) if Socket::is_timeout(&error) => {
                panic!("{}: nothing more came behind {}", self.what, shown(&self.came));
            }
            // A request that was not read to its end has the connection reset behind the answer.
            Err(_) => self.is_closed = true,
        }
    }
}

/// What came, taken apart.
pub(super) struct Answer {
    /// Lines that end in CR LF, but for the last; an interim answer's before the final one's.
    pub head: String,
    pub body: Vec<u8>,
    /// What its head says of that.
    length: Option<usize>,
    is_whole: bool,
    /// How it ended, where it did not end as its head said.
    pub end: String,
}

impl Answer {
    /// All of it.
    #[track_caller]
    pub fn of(open: &Open) -> Answer {
        let answer = Answer::read(open);
        if let Some(length) = answer.length {
            assert_eq!(answer.body.len(), length, "{}: the body is not as long as its head says", open.what);
        }
        answer
    }

    /// What came so far.
    fn read(open: &Open) -> Answer {
        let (mut head, mut rest) = split(&open.came);
        // An answer on the way stands before the one that counts.
        if head.starts_with("HTTP/1.1 100 ") {
            let (next, behind) = split(rest);
            (head, rest) = (format!("{head}\r\n\r\n{next}"), behind);
        }
        let of = |name: &str| head.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let is_chunked = of("transfer-encoding") == Some("chunked");
        let length: Option<usize> = of("content-length").map(|length| length.parse().unwrap());
        let is_bare = open.sent.starts_with(b"HEAD ") || head.contains(" 304 ") || head.contains(" 101 ");
        let mut end = if open.is_closed || length.is_some() { "" } else { "(left)" };
        let body = if is_chunked && !is_bare {
            let (body, is_whole) = joined(rest);
            if open.is_closed && !is_whole {
                end = "(cut off)";
            }
            body
        } else {
            rest.to_vec()
        };
        if head.contains(" 101 ") {
            end = "";
        }
        let length = length.filter(|_| !is_bare);
        Answer { is_whole: length.is_some_and(|length| body.len() >= length), length, end: end.to_owned(), head, body }
    }

    /// Of a WebSocket: each frame that came whole, by name.
    pub fn frames(&self) -> Option<Vec<String>> {
        if !self.head.starts_with("HTTP/1.1 101 ") {
            return None;
        }
        let (mut frames, mut rest) = (Vec::new(), self.body.as_slice());
        while let Some((first, payload, behind)) = frame(rest) {
            let text = match first {
                0x81 => format!("text {}", shown(payload)),
                0x88 if payload.len() >= 2 => {
                    let code = u16::from_be_bytes([payload[0], payload[1]]);
                    format!("close {code} {}", shown(&payload[2..])).trim_end().to_owned()
                }
                // They come by the clock.
                0x89 => String::new(),
                other => format!("frame {other:02x} {}", shown(payload)),
            };
            if !text.is_empty() {
                frames.push(text);
            }
            rest = behind;
        }
        Some(frames)
    }
}

/// The first frame: its first byte, its payload, and what comes behind it.
fn frame(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    assert!(second < 128, "a daemon masks nothing");
    let (start, length) = match second {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap()))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap()) as usize),
        short => (2, usize::from(short)),
    };
    Some((first, bytes.get(start..start + length)?, &bytes[start + length..]))
}

/// A head without the empty line behind it, and what comes behind that.
pub(super) fn split(bytes: &[u8]) -> (String, &[u8]) {
    match bytes.windows(4).position(|window| window == b"\r\n\r\n") {
        Some(at) => (shown(&bytes[..at]), &bytes[at + 4..]),
        None => (shown(bytes), &[]),
    }
}

/// The body of chunks, and whether the last one is there.
fn joined(mut coded: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(line) = coded.windows(2).position(|window| window == b"\r\n") else { return (body, false) };
        let size = usize::from_str_radix(std::str::from_utf8(&coded[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            assert_eq!(&coded[line..], b"\r\n\r\n", "something came behind the last chunk");
            return (body, true);
        }
        let Some(chunk) = coded.get(line + 2..line + 2 + size) else { return (body, false) };
        body.extend_from_slice(chunk);
        coded = coded.get(line + 2 + size + 2..).unwrap_or_default();
    }
}

/// Bytes as text; those that are none, and control characters but for ends of lines, in hexadecimal.
pub(super) fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\r' | '\n' => text.push(char),
                char if char.is_control() => text.push_str(&format!("⟨{:02x}⟩", u32::from(char))),
                char => text.push(char),
            }
        }
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("⟨{byte:02x}⟩")));
    }
    text
}
