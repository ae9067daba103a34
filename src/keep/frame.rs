//! Frames between a daemon and a keeper, both ways, and in the file that a keeper leaves: how many bytes, which type, a body.
//!
//! A type that is not known is skipped, so that either end may be the older one. Numbers are little-endian.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::protocol::{Ended, Exec, Hello, Started, Stop, Welcome};
use crate::event::Stream;

/// The most bytes of a frame: a command with all its arguments and its environment, of which Linux takes 2 MiB, with what JSON
/// makes of them.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The most bytes of output or input in one frame.
pub const PIECE_BYTES_MAX: usize = 16 * 1024;
/// Bytes of input that a keeper holds for its command.
pub const INPUT_BYTES_MAX: u64 = 64 * 1024;
/// The length, and the type.
const HEAD_BYTES: usize = 5;

/// One frame.
#[derive(Debug, PartialEq)]
pub enum Frame<'a> {
    /// The first of a connection, from the daemon: for whom it is.
    Hello(Hello),
    /// The first of a connection, from the keeper: who answers, and how far it is.
    Welcome(Welcome),
    /// Start this command. Once in a keeper's life.
    Exec(Box<Exec>),
    /// Send output from this offset on.
    Resume(u64),
    /// Output before this offset is on the medium.
    Ack(u64),
    /// Bytes for the command's standard input, which begin at this offset in it.
    Input(u64, &'a [u8]),
    /// Its standard input ends at this offset.
    InputEnd(u64),
    /// The terminal has so many columns and rows.
    Resize(u16, u16),
    /// End the command: ask, wait, kill.
    Stop(Stop),
    /// Kill all of it now.
    Kill,
    /// This signal to the command's own group.
    Signal(i32),
    /// The end is recorded: the keeper may go.
    Release,
    /// The command was started.
    Started(Started),
    /// What it printed: the offset of its first byte in all that was printed, the stream, and whether the stream ends with it.
    Output(u64, Stream, bool, &'a [u8]),
    /// So many bytes of input are in the command's pipe, or read by it. The keeper takes [`INPUT_BYTES_MAX`] beyond them.
    InputTaken(u64),
    /// The keeper asked the command to end, for this reason: a word of `run::Ask`.
    Asked(String),
    /// The command has ended; all its output was sent before.
    Ended(Ended),
    /// A type that this build does not know.
    Unknown(u8),
}

/// What one end sent that the other cannot read: nothing more of this connection can be.
#[derive(Debug)]
pub struct Malformed(pub &'static str);

impl From<Malformed> for io::Error {
    fn from(Malformed(why): Malformed) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, why)
    }
}

// What the daemon sends is below 64, what the keeper sends from there on.
const HELLO: u8 = 1;
const EXEC: u8 = 2;
const RESUME: u8 = 3;
const ACK: u8 = 4;
const INPUT: u8 = 5;
const INPUT_END: u8 = 6;
const RESIZE: u8 = 7;
const STOP: u8 = 8;
const KILL: u8 = 9;
const SIGNAL: u8 = 10;
const RELEASE: u8 = 11;
const WELCOME: u8 = 64;
const STARTED: u8 = 65;
const OUTPUT: u8 = 66;
const INPUT_TAKEN: u8 = 67;
const ASKED: u8 = 68;
const ENDED: u8 = 69;

/// A piece after which its stream has no more.
const LAST: u8 = 0x80;

impl Frame<'_> {
    /// Appends the frame's bytes.
    pub fn encode(&self, to: &mut Vec<u8>) {
        let begin = to.len();
        to.extend_from_slice(&[0; HEAD_BYTES]);
        let kind = self.encode_body(to);
        let length = u32::try_from(to.len() - begin - 4).unwrap_or(u32::MAX);
        to[begin..begin + 4].copy_from_slice(&length.to_le_bytes());
        to[begin + 4] = kind;
    }

    fn encode_body(&self, to: &mut Vec<u8>) -> u8 {
        match self {
            Frame::Hello(hello) => json(to, HELLO, hello),
            Frame::Welcome(welcome) => json(to, WELCOME, welcome),
            Frame::Exec(exec) => json(to, EXEC, exec),
            Frame::Stop(stop) => json(to, STOP, stop),
            Frame::Started(started) => json(to, STARTED, started),
            Frame::Ended(ended) => json(to, ENDED, ended),
            Frame::Resume(offset) => number(to, RESUME, *offset),
            Frame::Ack(offset) => number(to, ACK, *offset),
            Frame::InputEnd(offset) => number(to, INPUT_END, *offset),
            Frame::InputTaken(offset) => number(to, INPUT_TAKEN, *offset),
            Frame::Input(offset, bytes) => {
                number(to, INPUT, *offset);
                to.extend_from_slice(bytes);
                INPUT
            }
            Frame::Output(offset, stream, is_last, bytes) => {
                number(to, OUTPUT, *offset);
                to.push(stream_number(*stream) | if *is_last { LAST } else { 0 });
                to.extend_from_slice(bytes);
                OUTPUT
            }
            Frame::Resize(columns, rows) => {
                to.extend_from_slice(&columns.to_le_bytes());
                to.extend_from_slice(&rows.to_le_bytes());
                RESIZE
            }
            Frame::Signal(signal) => {
                to.extend_from_slice(&signal.to_le_bytes());
                SIGNAL
            }
            Frame::Asked(asked) => {
                to.extend_from_slice(asked.as_bytes());
                ASKED
            }
            Frame::Kill => KILL,
            Frame::Release => RELEASE,
            Frame::Unknown(kind) => *kind,
        }
    }

    fn decode(kind: u8, body: &[u8]) -> Result<Frame<'_>, Malformed> {
        Ok(match kind {
            HELLO => Frame::Hello(parsed(body)?),
            WELCOME => Frame::Welcome(parsed(body)?),
            EXEC => Frame::Exec(parsed(body)?),
            STOP => Frame::Stop(parsed(body)?),
            STARTED => Frame::Started(parsed(body)?),
            ENDED => Frame::Ended(parsed(body)?),
            RESUME => Frame::Resume(split_number(body)?.0),
            ACK => Frame::Ack(split_number(body)?.0),
            INPUT_END => Frame::InputEnd(split_number(body)?.0),
            INPUT_TAKEN => Frame::InputTaken(split_number(body)?.0),
            INPUT => {
                let (offset, bytes) = split_number(body)?;
                Frame::Input(offset, bytes)
            }
            OUTPUT => {
                let (offset, rest) = split_number(body)?;
                let (&stream, bytes) = rest.split_first().ok_or(Malformed("output without a stream"))?;
                let named = stream_of(stream & !LAST).ok_or(Malformed("output of an unknown stream"))?;
                Frame::Output(offset, named, stream & LAST != 0, bytes)
            }
            RESIZE => match *body {
                [a, b, c, d, ..] => Frame::Resize(u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])),
                _ => return Err(Malformed("a size of a terminal is too short")),
            },
            SIGNAL => {
                let number = body.first_chunk().ok_or(Malformed("a signal is too short"))?;
                Frame::Signal(i32::from_le_bytes(*number))
            }
            ASKED => Frame::Asked(String::from_utf8_lossy(body).into_owned()),
            KILL => Frame::Kill,
            RELEASE => Frame::Release,
            other => Frame::Unknown(other),
        })
    }
}

fn json(to: &mut Vec<u8>, kind: u8, value: &impl Serialize) -> u8 {
    // Its keys are texts and its numbers JSON's; a vector takes all that is written.
    if serde_json::to_writer(&mut *to, value).is_err() {
        to.extend_from_slice(b"{}");
    }
    kind
}

fn number(to: &mut Vec<u8>, kind: u8, number: u64) -> u8 {
    to.extend_from_slice(&number.to_le_bytes());
    kind
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Malformed> {
    serde_json::from_slice(body).map_err(|_| Malformed("a frame that is no JSON of its type"))
}

fn split_number(body: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let (number, rest) = body.split_first_chunk().ok_or(Malformed("a number is too short"))?;
    Ok((u64::from_le_bytes(*number), rest))
}

/// A stream's number in a frame, which never changes.
const fn stream_number(stream: Stream) -> u8 {
    match stream {
        Stream::Stdout => 1,
        Stream::Stderr => 2,
        Stream::Pty => 3,
    }
}

fn stream_of(number: u8) -> Option<Stream> {
    Stream::ALL.iter().copied().find(|&stream| stream_number(stream) == number)
}

/// Bytes that came, of which frames are taken one by one.
#[derive(Debug, Default)]
pub struct Incoming {
    bytes: Vec<u8>,
    /// Where the next frame begins.
    taken: usize,
}

impl Incoming {
    /// Adds what was read.
    pub fn add(&mut self, read: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(read);
    }

    /// The next whole frame, and how many bytes it has: [`Incoming::take`] moves past it.
    ///
    /// # Errors
    /// Where the other end cannot be understood.
    pub fn peek(&self) -> Result<Option<(usize, Frame<'_>)>, Malformed> {
        let rest = &self.bytes[self.taken..];
        let Some(length) = rest.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*length) as usize;
        if length == 0 || length > FRAME_BYTES_MAX {
            return Err(Malformed("a frame that is empty or too long"));
        }
        let Some(frame) = rest.get(4..4 + length) else { return Ok(None) };
        Ok(Some((4 + length, Frame::decode(frame[0], &frame[1..])?)))
    }

    /// Moves past the frame that [`Incoming::peek`] has shown.
    pub fn take(&mut self, bytes: usize) {
        self.taken += bytes;
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            self.taken = 0;
            // A command's description comes once.
            self.bytes.shrink_to(PIECE_BYTES_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Frame<'static>> {
        let welcome = Welcome { version: 1, pid: 7, asked: Some("timeout".into()), ..Welcome::default() };
        vec![
            Frame::Hello(Hello { version: 1, instance: "k3v9".into(), run: 7, attempt: 2, name: "n".into() }),
            Frame::Welcome(welcome),
            Frame::Resume(u64::MAX),
            Frame::Input(3, b"in\0"),
            Frame::Resize(80, 24),
            Frame::Stop(Stop { asked: "cancel".into(), grace_ms: 10 }),
            Frame::Kill,
            Frame::Signal(-1),
            Frame::Output(9, Stream::Stderr, true, &[0xff, 0]),
            Frame::Output(9, Stream::Stdout, false, b""),
            Frame::Asked("shutdown".into()),
            Frame::Ended(Ended { code: Some(3), ..Ended::default() }),
            Frame::Release,
        ]
    }

    #[test]
    fn what_is_sent_is_read_however_it_is_cut() {
        let mut sent = Vec::new();
        all().iter().for_each(|frame| frame.encode(&mut sent));
        for size in [1, 2, 7, sent.len()] {
            let (mut incoming, mut read) = (Incoming::default(), 0);
            for part in sent.chunks(size) {
                incoming.add(part);
                while let Some((bytes, frame)) = incoming.peek().expect("ours") {
                    assert_eq!(frame, all()[read], "in parts of {size}");
                    read += 1;
                    incoming.take(bytes);
                }
            }
            assert_eq!(read, all().len());
        }
    }

    #[test]
    fn a_type_and_a_field_of_a_later_version_are_skipped() {
        let mut incoming = Incoming::default();
        Frame::Unknown(200).encode_with(b"later", &mut incoming);
        Frame::Unknown(STOP).encode_with(br#"{"asked":"cancel","grace_ms":5,"later":[1]}"#, &mut incoming);
        let (bytes, frame) = incoming.peek().expect("whole").expect("there");
        assert_eq!(frame, Frame::Unknown(200));
        incoming.take(bytes);
        let stop = Frame::Stop(Stop { asked: "cancel".into(), grace_ms: 5 });
        assert_eq!(incoming.peek().expect("whole").expect("there").1, stop);
    }

    #[test]
    fn what_cannot_be_a_frame_is_an_error() {
        for bytes in [&[0_u8; 5][..], &[255; 5], b"\x02\0\0\0\x03\0", b"\x03\0\0\0\x01{]"] {
            let mut incoming = Incoming::default();
            incoming.add(bytes);
            assert!(incoming.peek().is_err(), "{bytes:?}");
        }
    }

    impl Frame<'_> {
        fn encode_with(&self, body: &[u8], to: &mut Incoming) {
            let mut bytes = Vec::new();
            self.encode(&mut bytes);
            bytes.extend_from_slice(body);
            let length = u32::try_from(bytes.len() - 4).expect("short");
            bytes[..4].copy_from_slice(&length.to_le_bytes());
            to.add(&bytes);
        }
    }
}
