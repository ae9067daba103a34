//! Escapes text for output: JSON that every reader sees as one line, and text without control characters for terminals.
//!
//! Nothing is lost: the JSON parses to the original text, and for a terminal characters are escaped, not removed.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;

/// A value as JSON on the wire. Beside what JSON itself asks for, U+007F to U+009F, U+2028 and U+2029 are escaped: some
/// are line ends to clients that split text by Unicode's rules, the others are control characters to a terminal.
///
/// # Errors
/// When it cannot be represented in JSON, such as a map whose keys are not strings.
pub fn json(value: &(impl Serialize + ?Sized)) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string(value)?;
    if first_to_escape(text.as_bytes()).is_none() {
        return Ok(text);
    }
    let mut escaped = String::with_capacity(text.len() + 64);
    push_json(&text, &mut escaped);
    Ok(escaped)
}

/// `text` as a JSON string on the wire, with its quotes.
pub fn json_string(text: &str) -> String {
    json(text).expect("a string always serialises")
}

/// Appends `text` as [`json_string`] has it.
pub fn push_json_string(text: &str, out: &mut String) {
    // Some more than the text: most of it is printed as it is.
    let mut json = Vec::with_capacity(text.len() + text.len() / 16 + 16);
    serde_json::to_writer(&mut json, text).expect("a string always serialises");
    let json = String::from_utf8(json).expect("JSON is UTF-8");
    if first_to_escape(text.as_bytes()).is_none() {
        out.push_str(&json);
    } else {
        push_json(&json, out);
    }
}

/// Appends JSON from elsewhere with the escapes of [`json`]. The characters to escape occur in strings only.
pub fn push_json(json: &str, out: &mut String) {
    let mut rest = json;
    while let Some((at, len, code)) = first_to_escape(rest.as_bytes()) {
        out.push_str(&rest[..at]);
        push_escape(code, out);
        rest = &rest[at + len..];
    }
    out.push_str(rest);
}

/// The first character of a valid UTF-8 text that is to be escaped: its offset, its length in bytes, its code.
fn first_to_escape(bytes: &[u8]) -> Option<(usize, usize, u16)> {
    memchr::memchr3_iter(0x7f, 0xc2, 0xe2, bytes).find_map(|at| match bytes[at..] {
        [0x7f, ..] => Some((at, 1, 0x7f)),
        [0xc2, low @ 0x80..=0x9f, ..] => Some((at, 2, u16::from(low))),
        [0xe2, 0x80, low @ (0xa8 | 0xa9), ..] => Some((at, 3, 0x2000 | u16::from(low & 0x3f))),
        _ => None,
    })
}

fn push_escape(code: u16, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(out, "\\u{code:04x}");
}

/// How many of the first bytes fit into `max` bytes of a JSON string, without its quotes. Bytes that are not UTF-8 are
/// counted as if they were.
pub fn fits_json(bytes: &[u8], max: usize) -> usize {
    /// The most that one byte can take.
    const DEAREST: usize = 6;
    // A fast count first: nearly all that commands print fits by it.
    if bytes.len() * DEAREST <= max || bytes.len() + (DEAREST - 1) * count_dear(bytes) <= max {
        return bytes.len();
    }
    let mut taken = 0;
    let over = bytes.iter().position(|byte| {
        taken += match byte {
            b'\n' | b'\r' | b'\t' | 0x08 | 0x0c | b'"' | b'\\' => 2,
            0x00..=0x1f | 0x7f => DEAREST,
            // With the one or two bytes that follow, as much as an escape: the most that such a sequence takes.
            0xc2 => DEAREST - 1,
            0xe2 => DEAREST - 2,
            _ => 1,
        };
        taken > max
    });
    over.unwrap_or(bytes.len())
}

/// Bytes that take more than one in a JSON string of the wire, or begin what does.
fn count_dear(bytes: &[u8]) -> usize {
    let is_dear = |byte: &&u8| matches!(byte, 0x00..=0x1f | b'"' | b'\\' | 0x7f | 0xc2 | 0xe2);
    let words = bytes.chunks_exact(8);
    let rest = words.remainder();
    let dear = words.filter(|word| <[u8; 8]>::try_from(*word).is_ok_and(|word| may_be_dear(u64::from_ne_bytes(word))));
    dear.map(|word| word.iter().filter(is_dear).count()).sum::<usize>() + rest.iter().filter(is_dear).count()
}

/// Whether one of eight bytes may be dear, looked at together: most of what is printed is not, and this is built for size.
#[inline(always)]
fn may_be_dear(word: u64) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    // A byte that is below another wraps when that is subtracted, and had no high bit itself.
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (below(word, 0x20) | is(b'"') | is(b'\\') | is(0x7f) | is(0xc2) | is(0xe2)) & HIGH != 0
}

/// `text` with every character escaped that a terminal obeys, or that hides other text.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match char {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            _ if !is_hostile(char) => out.push(char),
            _ if char.is_ascii() => _ = write!(out, "\\x{:02x}", u32::from(char)),
            _ => _ = write!(out, "\\u{{{:x}}}", u32::from(char)),
        }
    }
    Cow::Owned(out)
}

/// The same line by line, for text that has several lines on purpose.
pub fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// JSON for a terminal, on one line and still JSON: what [`printable`] escapes is escaped in JSON's way. Line ends outside
/// of strings become spaces; inside they are escaped already.
pub fn printable_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut units = [0; 2];
    for char in json.chars() {
        match char {
            '\n' | '\r' | '\t' => out.push(' '),
            _ if is_hostile(char) => char.encode_utf16(&mut units).iter().for_each(|unit| push_escape(*unit, &mut out)),
            _ => out.push(char),
        }
    }
    out
}

/// Whether a terminal obeys the character, shows nothing for it, or reorders text by it: control characters, line and
/// paragraph separators, and Unicode 16's format characters (Cf) and Default_Ignorable_Code_Point, except the two that choose
/// the look of an emoji. The web page has the same list as `HOSTILE` in `format.js`.
fn is_hostile(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
            | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0d}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Length of a character of UTF-8 at the end of which a part is still to come, 0 to 3 bytes.
pub fn unfinished_character(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let lead = bytes[bytes.len() - back];
        if lead & 0b1100_0000 == 0b1000_0000 {
            continue;
        }
        let tail = &bytes[bytes.len() - back..];
        let unfinished = std::str::from_utf8(tail).is_err_and(|error| error.error_len().is_none());
        return if unfinished { back } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every character that the wire has escaped, and neighbours that it has not.
    fn characters() -> String {
        let escaped = ('\u{7f}'..='\u{9f}').chain(['\u{2028}', '\u{2029}']);
        escaped.chain("\0\u{1f} ~\u{a0}éÂâ\u{2027}\u{202a}€\u{20a8}😀\"\\".chars()).collect()
    }

    #[test]
    fn json_holds_no_line_end_and_no_control_character_and_says_the_same() {
        let text = characters();
        let raw = serde_json::value::RawValue::from_string(serde_json::to_string(&text).expect("JSON")).expect("JSON");
        for json in [json_string(&text), json(&raw).expect("JSON"), json(&[("k", &text)]).expect("JSON")] {
            assert!(!json.contains(|c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}'), "{json:?}");
            assert!(json.contains("\\u007f\\u0080") && json.contains("\\u009f\\u2028\\u2029"), "{json:?}");
            assert!(json.contains(" ~\u{a0}éÂâ\u{2027}\u{202a}€\u{20a8}😀"), "{json:?}");
        }
        assert_eq!(serde_json::from_str::<String>(&json_string(&text)).expect("JSON"), text);
    }

    #[test]
    fn what_fits_takes_no_more_than_that() {
        let texts = ["x", "\0", "\n", "a\n", "\u{7f}", "\u{85}", "é", "\u{2028}", "€", "\"", "a\0b", "😀"];
        for text in texts.map(|text| text.repeat(700)).iter().chain([&characters().repeat(20)]) {
            for max in [6, 100, 1_000, 4_199, 4_200, 100_000] {
                let mut end = fits_json(text.as_bytes(), max);
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                let taken = json_string(&text[..end]).len() - 2;
                // Two bytes that might have begun an escape count as much as one: three times what they take.
                assert!(taken <= max && (end == text.len() || 3 * taken + 12 > max), "{taken} of {max}: {text:.4?}");
            }
        }
    }

    #[test]
    fn nothing_reaches_the_terminal_as_a_command() {
        assert_eq!(printable("a\x1b]0;x\x07\nb\u{9b}1m\u{202e}"), "a\\x1b]0;x\\x07\\nb\\u{9b}1m\\u{202e}");
        assert!(matches!(printable("läuft ✓ עברית ❤\u{fe0f}"), Cow::Borrowed("läuft ✓ עברית ❤\u{fe0f}")));
        assert_eq!(printable_lines("a\x1b\nb\u{ad}"), "a\\x1b\nb\\u{ad}");
    }

    #[test]
    fn nothing_that_is_not_seen_hides() {
        let hidden = "\u{61c}\u{ad}\u{180e}\u{e0041}\u{115f}\u{3164}\u{2066}\u{feff}\u{fe00}\u{85}\u{2028}";
        let shown = printable(hidden);
        assert!(shown.is_ascii() && shown.matches("\\u{").count() == hidden.chars().count(), "{shown}");
        let json = printable_json(&format!("{{\n\t\"k\":\"{hidden}\"}}"));
        assert!(json.is_ascii(), "{json}");
        let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(read["k"], hidden);
    }
}
