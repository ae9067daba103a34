//! Output that a keeper has read and that is not on the medium yet, in reading order, each byte with its offset.
//!
//! A stream is left only between characters, as far as its bytes are text: the daemon holds the beginning of a character back,
//! and would otherwise store what was read after it before it. So what is stored is always the beginning of what was read, and
//! one number says where to go on.

use std::collections::VecDeque;

use super::frame::{Frame, PIECE_BYTES_MAX};
use crate::event::Stream;
use crate::text::unfinished_character;

/// Bytes that may be held; then nothing more is read, and the command waits in its write.
pub const HELD_BYTES_MAX: usize = 1024 * 1024;
/// What a piece counts beside its bytes, so that switches between streams stay bounded, too.
const PIECE_COST_BYTES: usize = 128;

/// What is held.
#[derive(Debug, Default)]
pub struct Held {
    pieces: VecDeque<Piece>,
    /// Offset of the first byte that is held, or of the next one.
    from: u64,
    /// Offset of the next byte.
    next: u64,
    /// The beginning of a character of each stream, which has no offset yet.
    unfinished: [Vec<u8>; Stream::ALL.len()],
    cost: usize,
}

#[derive(Debug)]
struct Piece {
    offset: u64,
    stream: Stream,
    bytes: Vec<u8>,
    is_last: bool,
}

impl Piece {
    fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }
}

impl Held {
    /// How many bytes may be read now.
    pub fn room(&self) -> usize {
        HELD_BYTES_MAX.saturating_sub(self.cost)
    }

    /// Offset of the first byte that is held.
    pub fn from(&self) -> u64 {
        self.from
    }

    /// Whether all that was read is on the medium.
    pub fn is_settled(&self) -> bool {
        self.from == self.next
    }

    /// Adds what was read.
    pub fn push(&mut self, stream: Stream, read: &[u8]) {
        let mut bytes = std::mem::take(&mut self.unfinished[stream as usize]);
        bytes.extend_from_slice(read);
        let whole = bytes.len() - unfinished_character(&bytes);
        self.unfinished[stream as usize] = bytes.split_off(whole);
        self.append(stream, &bytes, false);
    }

    /// Nothing more comes of this stream.
    pub fn end_of_stream(&mut self, stream: Stream) {
        let bytes = std::mem::take(&mut self.unfinished[stream as usize]);
        self.append(stream, &bytes, true);
    }

    fn append(&mut self, stream: Stream, mut bytes: &[u8], is_last: bool) {
        if let Some(last) = self.pieces.back_mut().filter(|last| last.stream == stream && !last.is_last) {
            let fits = bytes.len().min(PIECE_BYTES_MAX.saturating_sub(last.bytes.len()));
            last.bytes.extend_from_slice(&bytes[..fits]);
            last.is_last = is_last && fits == bytes.len();
            self.cost += fits;
            self.next += fits as u64;
            bytes = &bytes[fits..];
            if last.is_last {
                return;
            }
        }
        while !bytes.is_empty() || is_last {
            let (first, rest) = bytes.split_at(bytes.len().min(PIECE_BYTES_MAX));
            let ends = is_last && rest.is_empty();
            self.pieces.push_back(Piece { offset: self.next, stream, bytes: first.to_vec(), is_last: ends });
            self.cost += first.len() + PIECE_COST_BYTES;
            self.next += first.len() as u64;
            bytes = rest;
            if ends {
                return;
            }
        }
    }

    /// The first frame that a reader who was sent so much still has to get, and what it was sent then.
    pub fn next_frame(&self, sent: Sent) -> Option<(Sent, Frame<'_>)> {
        // Pieces are in order of their offsets.
        let first = self.pieces.partition_point(|piece| piece.end() < sent.offset);
        for piece in self.pieces.range(first..) {
            let known = usize::try_from(sent.offset.saturating_sub(piece.offset)).unwrap_or(usize::MAX);
            let rest = piece.bytes.get(known..).unwrap_or_default();
            let told = sent.ended[piece.stream as usize];
            if rest.is_empty() && (!piece.is_last || told) {
                continue;
            }
            let mut sent = Sent { offset: piece.end(), ..sent };
            sent.ended[piece.stream as usize] |= piece.is_last;
            return Some((sent, Frame::Output(piece.end() - rest.len() as u64, piece.stream, piece.is_last, rest)));
        }
        None
    }

    /// What is before this offset is on the medium.
    pub fn ack(&mut self, offset: u64) {
        self.from = self.from.max(offset.min(self.next));
        while self.pieces.front().is_some_and(|piece| piece.end() <= self.from) {
            let Some(piece) = self.pieces.pop_front() else { break };
            self.cost -= piece.bytes.len() + PIECE_COST_BYTES;
        }
        if self.pieces.is_empty() {
            // What a burst took goes back.
            self.pieces.shrink_to(8);
        }
    }
}

/// What a reader has been sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Everything before this offset …
    pub offset: u64,
    /// … and the end of these streams.
    pub ended: [bool; Stream::ALL.len()],
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(held: &Held, mut sent: Sent) -> Vec<(u64, Stream, bool, Vec<u8>)> {
        let mut all = Vec::new();
        while let Some((next, Frame::Output(offset, stream, is_last, bytes))) = held.next_frame(sent) {
            all.push((offset, stream, is_last, bytes.to_vec()));
            sent = next;
        }
        all
    }

    #[test]
    fn a_reader_gets_each_byte_once_and_each_end() {
        let mut held = Held::default();
        held.push(Stream::Stdout, b"one");
        held.push(Stream::Stderr, b"two");
        held.end_of_stream(Stream::Stderr);
        held.end_of_stream(Stream::Stdout);
        let all = read_all(&held, Sent::default());
        let texts: Vec<&[u8]> = all.iter().map(|(.., bytes)| &bytes[..]).collect();
        assert_eq!(texts, [&b"one"[..], b"two", b""]);
        assert!(all[1].2 && all[2].2 && !all[0].2, "{all:?}");
        assert_eq!(read_all(&held, Sent { offset: 4, ..Sent::default() })[0].3, b"wo");
        held.ack(4);
        assert_eq!((held.from(), held.is_settled()), (4, false));
        held.ack(6);
        assert!(held.is_settled());
        assert!(read_all(&held, Sent { offset: 6, ..Sent::default() }).len() <= 2, "at most the ends");
    }

    #[test]
    fn a_stream_is_left_between_characters_alone() {
        let mut held = Held::default();
        held.push(Stream::Stdout, "a\u{20ac}".as_bytes().split_last().expect("four").1);
        held.push(Stream::Stderr, b"!");
        held.push(Stream::Stdout, &[0xac]);
        let texts: Vec<(u64, Vec<u8>)> =
            read_all(&held, Sent::default()).into_iter().map(|(offset, .., bytes)| (offset, bytes)).collect();
        let expected = [(0, b"a".to_vec()), (1, b"!".to_vec()), (2, "\u{20ac}".as_bytes().to_vec())];
        assert_eq!(texts, expected);
    }

    #[test]
    fn it_is_full_at_its_limit_whatever_the_pieces_are() {
        for step in [1, 5_000, 70_000] {
            let (mut held, block) = (Held::default(), vec![b'x'; step]);
            let streams = [Stream::Stdout, Stream::Stderr];
            let mut count = 0;
            while held.room() > 0 {
                held.push(streams[count % 2], &block[..step.min(held.room())]);
                count += 1;
            }
            assert!(held.next as usize <= HELD_BYTES_MAX);
            let end = held.next;
            held.ack(end);
            assert!(held.room() >= HELD_BYTES_MAX - 2 * PIECE_COST_BYTES && held.is_settled());
        }
    }
}
