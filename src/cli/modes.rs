//! The modes that a command has set on a terminal, so that they can be taken back when it is left to somebody else.
//!
//! It reads what goes to the terminal, however it is cut, and changes none of it.

use std::collections::BTreeSet;

/// The longest control sequence that is looked at; a longer one sets no mode.
const SEQUENCE_BYTES_MAX: usize = 64;
/// Private modes that a terminal begins with: it wraps lines, and shows its cursor.
const USUALLY_SET: &[u16] = &[7, 25];

/// What is set now and was not at the beginning.
#[derive(Clone, Debug, Default)]
pub struct Modes {
    /// The sequence that has begun, without its escape; `None` between two.
    sequence: Option<Vec<u8>>,
    /// Private modes that are not as they usually are.
    unusual: BTreeSet<u16>,
    /// Whether keys of the keypad are told apart.
    has_keypad: bool,
    /// How often the terminal was asked to tell all keys apart (kitty's protocol), and not to any more.
    key_flags: usize,
}

impl Modes {
    /// Reads what goes to the terminal.
    pub fn pass(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == 0x1b {
                self.sequence = Some(Vec::new());
                continue;
            }
            let Some(sequence) = &mut self.sequence else { continue };
            sequence.push(byte);
            let is_over = match sequence.as_slice() {
                [b'['] => false,
                [b'[', ..] => (0x40..=0x7e).contains(&byte) || sequence.len() > SEQUENCE_BYTES_MAX,
                _ => true,
            };
            if is_over {
                let sequence = self.sequence.take().unwrap_or_default();
                self.set(&sequence);
            }
        }
    }

    /// What takes back all that is set, in the order in which it should go.
    pub fn taken_back(&self) -> Vec<u8> {
        let mut back = String::new();
        for _ in 0..self.key_flags.min(8) {
            back.push_str("\x1b[<u");
        }
        // The other screen last: what is set on it is set on both.
        for mode in self.unusual.iter().rev() {
            back.push_str(&format!("\x1b[?{mode}{}", if USUALLY_SET.contains(mode) { 'h' } else { 'l' }));
        }
        if self.has_keypad {
            back.push_str("\x1b>");
        }
        // Colours, and the letters' own shapes.
        back.push_str("\x1b[m\x1b(B");
        back.into_bytes()
    }

    fn set(&mut self, sequence: &[u8]) {
        match sequence {
            b"=" => self.has_keypad = true,
            b">" => self.has_keypad = false,
            // A reset of everything.
            b"c" => *self = Modes::default(),
            [b'[', b'?', numbers @ .., set @ (b'h' | b'l')] => {
                let numbers = String::from_utf8_lossy(numbers);
                for mode in numbers.split(';').filter_map(|number| number.parse::<u16>().ok()) {
                    if (*set == b'h') == USUALLY_SET.contains(&mode) {
                        self.unusual.remove(&mode);
                    } else {
                        self.unusual.insert(mode);
                    }
                }
            }
            [b'[', b'>', .., b'u'] => self.key_flags += 1,
            [b'[', b'<', .., b'u'] => self.key_flags = self.key_flags.saturating_sub(1),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(pieces: &[&str]) -> String {
        let mut modes = Modes::default();
        pieces.iter().for_each(|piece| modes.pass(piece.as_bytes()));
        let all = modes.taken_back();
        String::from_utf8(all).expect("text").trim_end_matches("\x1b[m\x1b(B").to_owned()
    }

    #[test]
    fn what_is_set_is_taken_back_and_nothing_else() {
        assert_eq!(back(&["plain \x1b[31mred\x1b[m \x1b]0;a title?25l\x07"]), "");
        assert_eq!(back(&["\x1b[?1049h\x1b[?25l\x1b[?1;2004h\x1b="]), "\x1b[?2004l\x1b[?1049l\x1b[?25h\x1b[?1l\x1b>");
        assert_eq!(back(&["\x1b[?1049h", "\x1b[?10", "49l"]), "");
        assert_eq!(back(&["\x1b[?25l\x1b[?25h\x1b[?7h\x1b[>1u\x1b[>5u\x1b[<u"]), "\x1b[<u");
        assert_eq!(back(&["\x1b[?1000h\x1bc"]), "");
    }
}
