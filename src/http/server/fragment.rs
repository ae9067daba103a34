//! Finds requests whose target holds a `#`. The parser silently cuts the target there, so that it can only be seen in
//! the bytes that the client sent.
//!
//! It keeps no bytes, however long a line is: of each line that ends as a request's does it keeps a hash.

use std::collections::VecDeque;

/// Requests that are remembered until they are asked for; of a client that sends more of them at once the oldest are
/// forgotten.
const SEEN_MAX: usize = 1_024;
/// FNV-1a's constants: who finds two targets of one hash has a request of their own misjudged, and nobody else's.
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
/// What the line of a request ends with.
const VERSIONS: [&[u8]; 2] = [b"HTTP/1.1", b"HTTP/1.0"];

/// The lines that a client sends, one after the other. Where a body ends without one, the next request is on its last line:
/// so only the end of a line counts.
#[derive(Debug, Default)]
pub(super) struct Lines {
    word: Word,
    word_before: Word,
    seen: VecDeque<Word>,
}

/// What stands between two blanks, up to its first `#`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word {
    hash: u64,
    has_fragment: bool,
}

impl Default for Word {
    fn default() -> Word {
        Word { hash: FNV_BASIS, has_fragment: false }
    }
}

impl Word {
    fn of(bytes: &[u8]) -> Word {
        let mut word = Word::default();
        bytes.iter().for_each(|byte| word.push(*byte));
        word
    }

    fn push(&mut self, byte: u8) {
        self.has_fragment |= byte == b'#';
        if !self.has_fragment {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
        }
    }
}

impl Lines {
    /// Reads the next bytes.
    pub fn read(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b' ' => self.word_before = std::mem::take(&mut self.word),
                b'\n' => self.end(),
                b'\r' => {}
                byte => self.word.push(*byte),
            }
        }
    }

    /// Whether the next request, whose target was understood so, had more in it; asked once for each.
    ///
    /// A body may hold lines that end as a request's do, and behind a proxy it is another client's. So the request is
    /// taken for one without a fragment where any line that may be its own has none.
    pub fn had_fragment(&mut self, target: &str) -> bool {
        let hash = Word::of(target.as_bytes()).hash;
        let Some(first) = self.seen.iter().position(|seen| seen.hash == hash) else { return false };
        let is_plain = self.seen.iter().any(|seen| seen.hash == hash && !seen.has_fragment);
        self.seen.drain(..=first);
        !is_plain
    }

    fn end(&mut self) {
        let target = std::mem::take(&mut self.word_before);
        if VERSIONS.map(Word::of).contains(&std::mem::take(&mut self.word)) {
            if self.seen.len() == SEEN_MAX {
                self.seen.pop_front();
            }
            self.seen.push_back(target);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_is_found_however_its_line_comes() {
        let sent = b"POST /a HTTP/1.1\r\nHost: x\r\nX: y#z\r\n\r\n{\"a\": \"#\"}GET /b?c#d HTTP/1.1\r\nHost: x\r\n\r\n\
                     GET /d# HTTP/1.0\n\nGET /a HTTP/1.1\n\n";
        for size in 1..sent.len() {
            let mut lines = Lines::default();
            sent.chunks(size).for_each(|chunk| lines.read(chunk));
            assert!(!lines.had_fragment("/a"), "{size}");
            assert!(lines.had_fragment("/b?c") && lines.had_fragment("/d"), "{size}");
            assert!(!lines.had_fragment("/a") && lines.seen.is_empty(), "{size}");
        }
    }

    #[test]
    fn what_a_body_holds_has_no_later_request_refused() {
        let mut lines = Lines::default();
        lines.read(b"POST /c HTTP/1.1\r\n\r\n");
        assert!(!lines.had_fragment("/c"));
        lines.read(&b"GET /a#x HTTP/1.1\n".repeat(3));
        for _ in 0..5 {
            lines.read(b"GET /a HTTP/1.1\r\n\r\n");
            assert!(!lines.had_fragment("/a"));
        }
        lines.read(b"GET /b#x HTTP/1.1\r\n\r\n");
        assert!(lines.had_fragment("/b"));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut lines = Lines::default();
        lines.read(&b"GET /#x HTTP/1.1\r\n".repeat(2 * SEEN_MAX));
        assert_eq!(lines.seen.len(), SEEN_MAX);
    }
}
