//! Frames of a stream as they arrive: counted without being looked into, or one after another as what they say.

use std::io::Read;
use std::os::unix::net::UnixStream;

use serde_json::Value;

/// Payload of NATS in the load, and what stands before it.
pub const NATS_BYTES: usize = 200;
const NATS_HEAD: usize = "MSG e 1 200\r\n".len();

/// Which stream it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    WebSocket,
    Nats,
}

/// Counts events in a stream that is cut anywhere.
pub struct Counter {
    protocol: Protocol,
    /// Bytes that are left of the frame under way.
    left: usize,
    /// The head of a frame that was cut.
    head: [u8; 10],
    head_len: usize,
    /// Events whose frame has begun, and control frames and what else is no event.
    pub events: u64,
    pub others: u64,
}

impl Counter {
    pub fn new(protocol: Protocol) -> Counter {
        Counter { protocol, left: 0, head: [0; 10], head_len: 0, events: 0, others: 0 }
    }

    /// Whether nothing of a frame is outstanding.
    pub fn is_between(&self) -> bool {
        self.left == 0 && self.head_len == 0
    }

    /// Takes what was read.
    pub fn take(&mut self, mut bytes: &[u8]) {
        loop {
            let skipped = self.left.min(bytes.len());
            self.left -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return;
            }
            // Without a head that was cut it is looked at where it lies.
            if self.head_len == 0 {
                if let Some((head, payload)) = self.protocol.head(bytes) {
                    self.begin(&bytes[head.min(bytes.len())..], bytes[0], payload);
                    self.left = payload;
                    bytes = &bytes[head..];
                    continue;
                }
            }
            self.head[self.head_len] = bytes[0];
            self.head_len += 1;
            bytes = &bytes[1..];
            if let Some((_, payload)) = self.protocol.head(&self.head[..self.head_len]) {
                let first = self.head[0];
                self.begin(&[], first, payload);
                (self.left, self.head_len) = (payload, 0);
            }
        }
    }

    /// Counts a frame by its first byte, its length, and what is there of its payload.
    fn begin(&mut self, payload: &[u8], first: u8, len: usize) {
        const EVENT: &[u8] = br#"{"type":"event""#;
        let is_event = match self.protocol {
            Protocol::Nats => first == b'M',
            // A text whose beginning was cut off is known by its length: what else comes while events do is short.
            Protocol::WebSocket if payload.len() < EVENT.len() => first == 0x81 && len > 150,
            Protocol::WebSocket => first == 0x81 && payload.starts_with(EVENT),
        };
        if is_event {
            self.events += 1;
        } else {
            self.others += 1;
        }
    }
}

impl Protocol {
    /// How long the head of a frame is and its payload, unless too little of it is there. Of NATS nothing is looked at
    /// but the first byte, since all messages of the load are of one length.
    fn head(self, bytes: &[u8]) -> Option<(usize, usize)> {
        match self {
            Protocol::Nats if bytes[0] == b'M' => Some((1, NATS_HEAD - 1 + NATS_BYTES + 2)),
            Protocol::Nats => Some((1, "PING\r\n".len() - 1)),
            Protocol::WebSocket => match (bytes.get(1)?, bytes) {
                (126, [_, _, high, low, ..]) => Some((4, usize::from(u16::from_be_bytes([*high, *low])))),
                (126, _) => None,
                (127, [_, _, length @ ..]) if length.len() >= 8 => {
                    Some((10, u64::from_be_bytes(length[..8].try_into().unwrap()) as usize))
                }
                (127, _) => None,
                (short, _) => Some((2, usize::from(*short))),
            },
        }
    }
}

/// A WebSocket as what its texts say.
pub struct Reading {
    stream: UnixStream,
    buffer: Vec<u8>,
    /// Up to where it was taken.
    taken: usize,
}

impl Reading {
    /// Goes on behind the handshake.
    pub fn new((stream, buffer): (UnixStream, Vec<u8>)) -> Reading {
        Reading { stream, buffer, taken: 0 }
    }

    /// The next text; an answer to a ping is not owed within the minutes of a bench.
    pub fn next(&mut self) -> Value {
        loop {
            let waiting = &self.buffer[self.taken..];
            let head = if waiting.is_empty() { None } else { Protocol::WebSocket.head(waiting) };
            if let Some((head, payload)) = head.filter(|(head, payload)| waiting.len() >= head + payload) {
                let first = waiting[0];
                let text = &waiting[head..head + payload];
                let said = (first == 0x81).then(|| serde_json::from_slice(text).unwrap());
                self.taken += head + payload;
                if let Some(said) = said {
                    return said;
                }
                continue;
            }
            self.buffer.drain(..self.taken);
            self.taken = 0;
            let mut piece = [0; 16_384];
            let len = self.stream.read(&mut piece).unwrap();
            assert!(len > 0, "a stream ended without its end");
            self.buffer.extend_from_slice(&piece[..len]);
        }
    }
}
