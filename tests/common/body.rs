//! Events in the body of an answer, a chunk at a time: SSE or NDJSON, read by the letter.

use std::io::{self, Read as _};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::reader::{Said, wire_object};
use super::{Call, Response, Socket};

/// How objects are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    Sse,
    /// Lines.
    Ndjson,
}

impl Framing {
    /// What is asked for.
    pub fn content_type(self) -> &'static str {
        match self {
            Framing::Sse => "text/event-stream",
            Framing::Ndjson => "application/x-ndjson",
        }
    }
}

/// One open answer.
pub struct BodyWire {
    pub framing: Framing,
    body: Chunked,
    /// The type of the last event of SSE.
    pub event: String,
    /// Its id, if it had one.
    pub id: Option<String>,
    /// What `retry` said last, in milliseconds.
    pub retry_ms: Option<u64>,
    ended: bool,
}

impl BodyWire {
    /// Sends a call; anything but a stream fails the test.
    #[track_caller]
    pub fn open(call: Call, framing: Framing) -> io::Result<(Response, BodyWire)> {
        let (response, read, socket) = call.header("Accept", framing.content_type()).stream()?;
        assert!(matches!(response.status, 200 | 201), "{:?} {}", response, response.text());
        assert_eq!(response.header("content-type"), Some(framing.content_type()));
        assert_eq!(response.header("cache-control"), Some("no-store, no-transform"));
        assert_eq!(response.header("transfer-encoding"), Some("chunked"));
        let body = Chunked::new(socket, read);
        Ok((response, BodyWire { framing, body, event: String::new(), id: None, retry_ms: None, ended: false }))
    }

    pub(super) fn object(&mut self, limit: Duration) -> Said {
        let until = Instant::now() + limit;
        let text = match self.framing {
            Framing::Ndjson => self.body.line(until),
            Framing::Sse => self.event(until),
        };
        let text = match text {
            Ok(Some(text)) => text,
            Ok(None) => return Said::Closed(if self.ended { 1000 } else { 1001 }),
            Err(error) if Socket::is_timeout(&error) => return Said::Nothing,
            Err(_) => return Said::Lost,
        };
        let object = wire_object(&text);
        self.ended = object["type"] == "end";
        Said::Object(object)
    }

    /// The data of the next event.
    fn event(&mut self, until: Instant) -> io::Result<Option<String>> {
        // Nothing is taken before all of it is there.
        let Some(block) = self.body.until(b"\n\n", until)? else { return Ok(None) };
        let (mut data, mut name, mut id) = (None, None, None);
        for line in block.lines() {
            let (field, value) = line.split_once(": ").unwrap_or_else(|| panic!("no field: {line:?}"));
            let place = match field {
                "event" => &mut name,
                "id" => &mut id,
                "data" => &mut data,
                "retry" => {
                    self.retry_ms = Some(value.parse().unwrap());
                    continue;
                }
                _ => panic!("no field of SSE: {line:?}"),
            };
            assert_eq!(place.replace(value.to_owned()), None, "twice: {block:?}");
        }
        self.event = name.unwrap_or_else(|| panic!("no event: {block:?}"));
        self.id = id;
        Ok(Some(data.unwrap_or_else(|| panic!("no data: {block:?}"))))
    }
}

/// A chunked body as it comes.
pub struct Chunked {
    socket: Socket,
    /// As it came.
    coded: Vec<u8>,
    /// Without its coding.
    plain: Vec<u8>,
    /// What of `plain` was looked at already, and what of it was taken.
    seen: usize,
    taken: usize,
    is_whole: bool,
}

impl Chunked {
    /// A connection behind the head of its answer, and what was read behind that.
    pub fn new(socket: Socket, read: Vec<u8>) -> Chunked {
        let mut body = Chunked { socket, coded: read, plain: Vec::new(), seen: 0, taken: 0, is_whole: false };
        body.decode();
        body
    }

    /// The next line, without its end; none behind the last.
    pub fn line(&mut self, until: Instant) -> io::Result<Option<String>> {
        self.until(b"\n", until)
    }

    /// What comes before a mark, which is taken too; none where the body ends before.
    fn until(&mut self, mark: &[u8], until: Instant) -> io::Result<Option<String>> {
        loop {
            let from = self.seen.max(self.taken);
            if let Some(at) = self.plain[from..].windows(mark.len()).position(|window| window == mark) {
                let text = String::from_utf8(self.plain[self.taken..from + at].to_vec()).unwrap();
                self.taken = from + at + mark.len();
                if self.taken > 1 << 20 {
                    self.plain.drain(..std::mem::take(&mut self.taken));
                }
                self.seen = self.taken;
                return Ok(Some(text));
            }
            self.seen = (self.plain.len() + 1).saturating_sub(mark.len()).max(self.taken);
            if self.is_whole {
                let left = &self.plain[self.taken..];
                assert!(left.is_empty(), "the last one is cut: {:?}", String::from_utf8_lossy(left));
                return Ok(None);
            }
            self.read(until)?;
        }
    }

    /// All of it, to its last chunk.
    pub fn rest(&mut self, until: Instant) -> io::Result<Vec<u8>> {
        while !self.is_whole {
            self.read(until)?;
        }
        Ok(self.plain.split_off(std::mem::take(&mut self.taken)))
    }

    /// What came so far.
    pub fn so_far(&self) -> &[u8] {
        &self.plain[self.taken..]
    }

    /// Reads once.
    pub fn read(&mut self, until: Instant) -> io::Result<()> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.socket.read_within(left);
        let mut piece = [0; 64 * 1024];
        match self.socket.read(&mut piece)? {
            0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the last chunk is missing")),
            count => self.coded.extend_from_slice(&piece[..count]),
        }
        self.decode();
        Ok(())
    }

    /// Says that nothing more will be asked.
    pub fn close_half(&self) {
        self.socket.close_half();
    }

    fn decode(&mut self) {
        let mut at = 0;
        while let Some((size, start)) = chunk_head(&self.coded[at..]) {
            let end = at + start + size + 2;
            if self.coded.len() < end {
                break;
            }
            assert_eq!(&self.coded[end - 2..end], b"\r\n", "a chunk that does not end where it says");
            self.plain.extend_from_slice(&self.coded[at + start..end - 2]);
            at = end;
            if size == 0 {
                self.is_whole = true;
                assert_eq!(self.coded.len(), end, "something came behind the last chunk");
            }
        }
        self.coded.drain(..at);
    }
}

/// The size of a chunk, and where it begins.
fn chunk_head(coded: &[u8]) -> Option<(usize, usize)> {
    let line = coded.windows(2).position(|window| window == b"\r\n")?;
    let size = std::str::from_utf8(&coded[..line]).unwrap();
    Some((usize::from_str_radix(size, 16).unwrap_or_else(|error| panic!("{error}: {size:?}")), line + 2))
}
