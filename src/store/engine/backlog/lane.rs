//! Waiting output of one run: bytes in reading order go in, pieces come out.
//!
//! It decides where output is cut, not when. It must never lose, add or reorder a byte of a stream.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::event::{OUTPUT_BYTES_MAX, OUTPUT_JSON_BYTES_MAX, Stream};
use crate::run::RunId;
use crate::text::{fits_json, unfinished_character};

/// How long an unfinished line waits for its newline.
pub const LINE_HOLD: Duration = Duration::from_millis(200);
/// What a switch between the streams counts, so that the bookkeeping of one-byte switches stays within the window.
const SWITCH_COST_BYTES: usize = 128;

/// A part of one stream, ready to become an `output` event.
///
/// It counts against the run's window until it is settled or put back.
#[derive(Debug)]
pub struct Piece {
    /// The run that printed it.
    pub run: RunId,
    /// The stream.
    pub stream: Stream,
    /// Never empty, at most [`OUTPUT_BYTES_MAX`], and at most [`OUTPUT_JSON_BYTES_MAX`] as JSON.
    pub bytes: Vec<u8>,
    /// Bytes that count against the window.
    pub(super) cost: usize,
}

/// The output of one run, in the order in which it was read.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Pieces of failed commits; they are older than all segments.
    returned: VecDeque<Piece>,
    /// Output in order. Neighbours are of different streams, so only the last one can still grow.
    segments: VecDeque<Segment>,
    /// Beginning of a character of each stream whose rest was not read yet.
    carry: [Vec<u8>; Stream::ALL.len()],
    /// Bytes and cost of switches that no commit has taken.
    waiting: usize,
    /// Those, and what is taken and not settled.
    in_flight: usize,
    /// Bytes that are settled: always the beginning of what was pushed, where each stream is left between characters.
    settled: u64,
}

/// What may be taken now.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    /// Whole lines, full pieces, and a last line that is unfinished for long enough.
    Ready(Instant),
    /// Everything, since nothing more will be read.
    All,
}

/// Consecutive bytes of one stream, ending between characters.
#[derive(Debug)]
struct Segment {
    stream: Stream,
    bytes: Vec<u8>,
    /// Where the last whole line in `bytes` ends; 0 without one.
    lines: usize,
    /// When the unfinished line behind it began to wait.
    tail_since: Instant,
}

impl Lane {
    /// Adds what was read.
    pub(super) fn push(&mut self, stream: Stream, read: &[u8], now: Instant) {
        let carried = std::mem::take(&mut self.carry[stream as usize]);
        self.waiting += read.len();
        self.in_flight += read.len();
        let segment = self.segment(stream, now);
        let from = segment.bytes.len();
        segment.bytes.extend_from_slice(&carried);
        segment.bytes.extend_from_slice(read);
        let whole = segment.bytes.len() - unfinished_character(&segment.bytes[from..]);
        let carry = segment.bytes.split_off(whole);
        match last_newline(&segment.bytes[from..]) {
            // What is drawn on a terminal is no lines, and somebody may wait to see what he typed.
            _ if stream == Stream::Pty => segment.lines = segment.bytes.len(),
            Some(at) => (segment.lines, segment.tail_since) = (from + at + 1, now),
            None if segment.lines == from => segment.tail_since = now,
            None => {}
        }
        self.carry[stream as usize] = carry;
        self.drop_empty_segment();
    }

    /// Ends a stream: what waits of it no longer waits for a newline or the rest of a character.
    pub(super) fn end_of_stream(&mut self, stream: Stream, now: Instant) {
        let carried = std::mem::take(&mut self.carry[stream as usize]);
        if !carried.is_empty() {
            self.segment(stream, now).bytes.extend_from_slice(&carried);
        }
        if let Some(last) = self.segments.back_mut().filter(|last| last.stream == stream) {
            last.lines = last.bytes.len();
        }
    }

    /// Moves up to `budget` bytes of pieces to `out`; returns what is left of `budget`.
    pub(super) fn take(&mut self, run: RunId, which: Which, mut budget: usize, out: &mut Vec<Piece>) -> usize {
        let before = out.len();
        if let Which::All = which {
            let now = Instant::now();
            Stream::ALL.iter().for_each(|&stream| self.end_of_stream(stream, now));
        }
        while budget > 0 {
            let Some(piece) = self.returned.pop_front() else { break };
            budget = budget.saturating_sub(piece.bytes.len());
            out.push(piece);
        }
        while budget > 0 {
            let may_grow = self.segments.len() == 1;
            let Some(first) = self.segments.front_mut() else { break };
            let tail_too = match which {
                Which::Ready(now) => !may_grow || first.ripe_at() <= now,
                Which::All => true,
            };
            budget = first.take(run, tail_too, budget, out);
            if !first.bytes.is_empty() {
                break;
            }
            self.segments.pop_front();
        }
        self.waiting -= out[before..].iter().map(|piece| piece.cost).sum::<usize>();
        budget
    }

    /// Puts a piece back to the front; of several, the last comes first.
    pub(super) fn put_back(&mut self, piece: Piece) {
        self.waiting += piece.cost;
        self.returned.push_front(piece);
    }

    /// Notes that a piece is stored.
    pub(super) fn settled(&mut self, piece: &Piece) {
        self.in_flight = self.in_flight.saturating_sub(piece.cost);
        self.settled += piece.bytes.len() as u64;
    }

    /// Bytes that are stored.
    pub(super) fn settled_bytes(&self) -> u64 {
        self.settled
    }

    /// Waiting bytes with the cost of switches.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Bytes that are not stored yet, with the cost of switches.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Bytes that a commit could take now, without a line that waits for its newline.
    pub(super) fn ready(&self) -> usize {
        let growing = self.segments.back().map_or(0, Segment::unready);
        let carried = self.carry.iter().map(Vec::len).sum::<usize>();
        self.waiting - growing - carried
    }

    /// When a commit finds something to take; `None` while only parts of characters wait.
    pub(super) fn ripe_at(&self, now: Instant) -> Option<Instant> {
        if self.ready() > 0 {
            return Some(now);
        }
        self.segments.back().map(Segment::ripe_at)
    }

    /// The segment that output of `stream` goes to.
    fn segment(&mut self, stream: Stream, now: Instant) -> &mut Segment {
        if self.segments.back().is_none_or(|last| last.stream != stream) {
            self.waiting += SWITCH_COST_BYTES;
            self.in_flight += SWITCH_COST_BYTES;
            self.segments.push_back(Segment { stream, bytes: Vec::new(), lines: 0, tail_since: now });
        }
        let last = self.segments.len() - 1;
        &mut self.segments[last]
    }

    /// Removes a last segment that is empty: part of a character is no switch of the streams.
    fn drop_empty_segment(&mut self) {
        if self.segments.back().is_some_and(|last| last.bytes.is_empty()) {
            self.segments.pop_back();
            self.waiting -= SWITCH_COST_BYTES;
            self.in_flight -= SWITCH_COST_BYTES;
        }
    }
}

impl Segment {
    fn take(&mut self, run: RunId, tail_too: bool, mut budget: usize, out: &mut Vec<Piece>) -> usize {
        let mut start = 0;
        while budget > 0 && start < self.bytes.len() {
            let Some(end) = self.cut(start, tail_too).map(|end| self.within_json(start, end)) else { break };
            let bytes = self.bytes[start..end].to_vec();
            let last = if end == self.bytes.len() { SWITCH_COST_BYTES } else { 0 };
            budget = budget.saturating_sub(bytes.len());
            out.push(Piece { run, stream: self.stream, cost: bytes.len() + last, bytes });
            start = end;
        }
        if start > self.lines {
            self.tail_since = Instant::now();
        }
        self.bytes.drain(..start);
        self.lines = self.lines.saturating_sub(start);
        budget
    }

    /// End of the piece that begins at `start`; `None` where it should wait.
    fn cut(&self, start: usize, tail_too: bool) -> Option<usize> {
        let limit = start + OUTPUT_BYTES_MAX;
        if self.lines > start && self.lines <= limit {
            return Some(self.lines);
        }
        if self.bytes.len() >= limit {
            let newline = if self.lines > start { last_newline(&self.bytes[start..limit]) } else { None };
            return Some(newline.map_or_else(|| between_characters(&self.bytes, limit), |at| start + at + 1));
        }
        tail_too.then_some(self.bytes.len())
    }

    /// End of the piece so that its event stays within its limit as JSON, where a control byte takes six.
    fn within_json(&self, start: usize, end: usize) -> usize {
        let fits = start + fits_json(&self.bytes[start..end], OUTPUT_JSON_BYTES_MAX);
        if fits == end {
            return end;
        }
        let newline = last_newline(&self.bytes[start..fits]);
        newline.map_or_else(|| between_characters(&self.bytes, fits), |at| start + at + 1)
    }

    /// Bytes and cost of what waits for a newline or for a full piece.
    fn unready(&self) -> usize {
        if self.lines == 0 && self.bytes.len() < OUTPUT_BYTES_MAX {
            return self.bytes.len() + SWITCH_COST_BYTES;
        }
        (self.bytes.len() - self.lines) % OUTPUT_BYTES_MAX
    }

    fn ripe_at(&self) -> Instant {
        self.tail_since + LINE_HOLD
    }
}

/// Position of the last newline. `contains` looks at a word at a time; a search from the end does not.
fn last_newline(bytes: &[u8]) -> Option<usize> {
    let mut end = bytes.len();
    for chunk in bytes.rchunks(512) {
        if chunk.contains(&b'\n') {
            let at = chunk.iter().rposition(|&byte| byte == b'\n')?;
            return Some(end - chunk.len() + at);
        }
        end -= chunk.len();
    }
    None
}

/// `at`, or up to three bytes before it where `at` would split a valid character.
fn between_characters(bytes: &[u8], at: usize) -> usize {
    let from = at - unfinished_character(&bytes[..at]);
    let character = &bytes[from..bytes.len().min(from + 4)];
    match std::str::from_utf8(character) {
        Err(error) if error.valid_up_to() == 0 && error.error_len().is_some() => at,
        _ => from,
    }
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod tests;
