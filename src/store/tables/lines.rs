//! Lines of a run's output that have a text, piece by piece from the newest to the oldest: where a line goes on in the piece
//! behind, it is put together.

use std::borrow::Cow;

use crate::event::Stream;

/// Bytes of a line that are shown before the text in it …
const BEFORE_BYTES: usize = 60;
/// … and in all.
const LINE_BYTES: usize = 240;
/// Bytes of the beginning of a piece that are kept for the line that begins before it: more than a text and what is shown.
const HEAD_BYTES: usize = 4 * 1024;

/// A line, or what stands around the text in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Without its end; what is not UTF-8 is replaced.
    pub text: String,
    /// Whether it is longer.
    pub is_cut: bool,
}

/// Finds a text in pieces of output that come from the newest to the oldest.
pub struct Lines {
    needle: Vec<u8>,
    /// The byte of the text that is looked for first, being the rarest, and where it stands in it.
    rare: usize,
    /// How the piece behind begins, of each stream.
    heads: [Vec<u8>; Stream::ALL.len()],
}

impl Lines {
    /// With this text, of which there is some.
    pub fn with(text: &str) -> Lines {
        let needle = text.as_bytes().to_vec();
        let commonness = |byte: u8| b"zqxjkvbpygfwmucldrhsnioate ".iter().position(|common| *common == byte);
        let rare = (0..needle.len()).min_by_key(|at| commonness(needle[*at].to_ascii_lowercase())).unwrap_or(0);
        Lines { needle, rare, heads: Default::default() }
    }

    /// The lines of a piece in which the text begins, in their order.
    pub fn find(&mut self, stream: Stream, piece: &[u8]) -> Vec<Line> {
        let whole = self.whole(stream, piece);
        let (mut lines, mut from) = (Vec::new(), 0);
        while let Some(at) = self.position(&whole, from).filter(|at| *at < piece.len()) {
            let begin = memchr::memrchr(b'\n', &whole[..at]).map_or(0, |newline| newline + 1);
            let end = memchr::memchr(b'\n', &whole[at..]).map_or(whole.len(), |newline| at + newline);
            lines.push(shown(&whole[begin..end], at - begin));
            from = end;
        }
        let head = head_of(&whole);
        self.heads[stream as usize] = head;
        lines
    }

    /// Takes a piece as the one behind, in which nothing is looked for.
    pub fn pass(&mut self, stream: Stream, piece: &[u8]) {
        let head = head_of(&self.whole(stream, piece));
        self.heads[stream as usize] = head;
    }

    /// A piece with the rest of its last line.
    fn whole<'p>(&self, stream: Stream, piece: &'p [u8]) -> Cow<'p, [u8]> {
        let head = &self.heads[stream as usize];
        if piece.ends_with(b"\n") || head.is_empty() { piece.into() } else { [piece, head].concat().into() }
    }

    /// Where the text is, from there on.
    fn position(&self, bytes: &[u8], from: usize) -> Option<usize> {
        let rare = self.needle[self.rare];
        let (lower, upper) = (rare.to_ascii_lowercase(), rare.to_ascii_uppercase());
        let searched = bytes.get(from..)?;
        let is_it = |found: usize| -> Option<usize> {
            let at = (from + found).checked_sub(self.rare).filter(|at| *at >= from)?;
            let there = bytes.get(at..at + self.needle.len())?;
            there.eq_ignore_ascii_case(&self.needle).then_some(at)
        };
        if lower == upper {
            memchr::memchr_iter(lower, searched).find_map(is_it)
        } else {
            memchr::memchr2_iter(lower, upper, searched).find_map(is_it)
        }
    }
}

/// The first line of a piece, as far as it is kept.
fn head_of(piece: &[u8]) -> Vec<u8> {
    let end = memchr::memchr(b'\n', piece).map_or(piece.len(), |newline| newline + 1);
    piece[..end.min(HEAD_BYTES)].to_vec()
}

/// A line with the text at `at`, cut to what is shown.
fn shown(line: &[u8], at: usize) -> Line {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (begin, end) = if line.len() <= LINE_BYTES {
        (0, line.len())
    } else {
        let begin = at.saturating_sub(BEFORE_BYTES).min(line.len() - LINE_BYTES);
        (begin, begin + LINE_BYTES)
    };
    // At characters, where it is made of such.
    let is_inside = |at: usize| line.get(at).is_some_and(|byte| *byte & 0xc0 == 0x80);
    let begin = (begin..begin + 4).find(|at| !is_inside(*at)).unwrap_or(begin);
    let end = (end.saturating_sub(3)..=end).rev().find(|at| !is_inside(*at)).unwrap_or(end);
    let text = String::from_utf8_lossy(&line[begin.min(end)..end]).into_owned();
    Line { text, is_cut: end - begin < line.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: Vec<Line>) -> Vec<String> {
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn a_text_is_found_wherever_its_line_was_cut() {
        let text = "first line\nthe Needle is here\nlast needle";
        for cut in 1..text.len() {
            let (front, back) = text.as_bytes().split_at(cut);
            let mut lines = Lines::with("needle");
            let behind = texts(lines.find(Stream::Stdout, back));
            // Another stream stands between them.
            assert_eq!(lines.find(Stream::Stderr, b"no\n"), []);
            let mut found = texts(lines.find(Stream::Stdout, front));
            let begins = |at: usize| usize::from(at < cut);
            assert_eq!(found.len(), begins(15) + begins(35), "cut at {cut}: {found:?} {behind:?}");
            found.extend(behind);
            assert_eq!(found.len(), 2, "cut at {cut}: {found:?}");
            assert!(found.iter().all(|line| line.to_lowercase().contains("needle")), "cut at {cut}: {found:?}");
        }
    }

    #[test]
    fn long_lines_are_cut_around_the_text_and_at_characters() {
        let line = format!("{}NEEDLE{}", "\u{e4}".repeat(1_000), "\u{f6}".repeat(1_000));
        let found = Lines::with("needle").find(Stream::Stdout, line.as_bytes());
        assert_eq!(found.len(), 1);
        let Line { text, is_cut } = &found[0];
        assert!(*is_cut && text.len() <= LINE_BYTES && text.contains("NEEDLE") && !text.contains('\u{fffd}'), "{text}");
        let found = Lines::with("x").find(Stream::Stdout, b"x\r\ny\nxx\n\xff x");
        assert_eq!(texts(found), ["x", "xx", "\u{fffd} x"]);
    }

    #[test]
    fn what_is_no_letter_is_found_as_it_is() {
        let found = |text: &str, piece: &str| Lines::with(text).find(Stream::Stdout, piece.as_bytes()).len();
        assert_eq!(found("[ERROR] ", "a [error] b\n[ERROR]\n"), 1);
        assert_eq!(found("\u{c4}", "\u{e4}\n\u{c4}\n"), 1);
        assert_eq!(found("aaa", "aa\na\naaaaaa\n"), 1);
    }
}
