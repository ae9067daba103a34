//! What somebody types on a terminal that is lent to a command: nearly all of it is the command's, but for what follows
//! Ctrl-].
//!
//! It only tells the two apart; nothing is lost, and nothing typed is held back for longer than the key that has to follow.

/// Ctrl-], alone and as terminals send it that were asked to tell all keys apart.
const ESCAPES: &[&[u8]] = &[b"\x1d", b"\x1b[93;5u", b"\x1b[27;5;93~"];

/// Something that was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// For the command.
    Bytes(Vec<u8>),
    /// Ctrl-] d: leave it running.
    Detach,
    /// Ctrl-] w: write from now on, whoever did.
    TakeOver,
    /// Ctrl-] z: stop this program, not the command.
    Suspend,
    /// Ctrl-] ?: say which keys there are.
    Help,
}

/// Reads what is typed.
#[derive(Debug, Default)]
pub struct Keys {
    is_escaped: bool,
}

impl Keys {
    /// What these bytes mean, after those before.
    pub fn read(&mut self, mut bytes: &[u8]) -> Vec<Typed> {
        let (mut typed, mut plain) = (Vec::new(), Vec::new());
        while let Some(&byte) = bytes.first() {
            let escape = ESCAPES.iter().find(|escape| bytes.starts_with(escape));
            if std::mem::take(&mut self.is_escaped) {
                let meant = match byte {
                    b'd' => Some(Typed::Detach),
                    b'w' => Some(Typed::TakeOver),
                    b'z' => Some(Typed::Suspend),
                    b'?' => Some(Typed::Help),
                    _ => None,
                };
                if let Some(meant) = meant {
                    flush(&mut plain, &mut typed);
                    typed.push(meant);
                    bytes = &bytes[1..];
                    continue;
                }
                // Twice it is the command's own, and so it is before any other key.
                plain.push(ESCAPES[0][0]);
                bytes = &bytes[escape.map_or(0, |escape| escape.len())..];
            } else if let Some(escape) = escape {
                self.is_escaped = true;
                bytes = &bytes[escape.len()..];
            } else {
                plain.push(byte);
                bytes = &bytes[1..];
            }
        }
        flush(&mut plain, &mut typed);
        typed
    }
}

fn flush(plain: &mut Vec<u8>, typed: &mut Vec<Typed>) {
    if !plain.is_empty() {
        typed.push(Typed::Bytes(std::mem::take(plain)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Typed {
        Typed::Bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn all_but_what_follows_the_escape_is_the_commands() {
        let read = |text: &str| Keys::default().read(text.as_bytes());
        assert_eq!(read("ls\r\x03"), [bytes("ls\r\x03")]);
        assert_eq!(read("a\x1ddb"), [bytes("a"), Typed::Detach, bytes("b")]);
        assert_eq!(read("\x1d\x1d"), [bytes("\x1d")]);
        assert_eq!(read("\x1dx\x1dw"), [bytes("\x1dx"), Typed::TakeOver]);
        assert_eq!(read("\x1b[93;5ud\x1b[A"), [Typed::Detach, bytes("\x1b[A")]);
        let mut keys = Keys::default();
        assert_eq!((keys.read(b"\x1d"), keys.read(b"z")), (Vec::new(), vec![Typed::Suspend]));
    }
}
