//! What a kept command is given to read: the text of its submit, then what clients send; and how large its terminal is.
//!
//! What a keeper was sent is held until the command has it: where a connection breaks, the next one goes on at the byte
//! that the keeper has got. What clients have sent is lost with the daemon alone.

use std::collections::VecDeque;

use event_listener::EventListener;

use crate::inputs::Input;
use crate::keep::frame::{Frame, INPUT_BYTES_MAX, PIECE_BYTES_MAX};
use crate::run::TerminalSize;
use crate::runner::keepers::Link;

/// The way to a kept command's standard input.
pub(super) struct Feed {
    /// The submit's text, which begins at 0.
    text: Vec<u8>,
    input: Input,
    /// From clients: what was taken from `input` and may have to be sent again.
    held: VecDeque<u8>,
    /// Offset of the first byte in `held`.
    held_from: u64,
    /// What the keeper was sent, and what of it is in the pipe.
    sent: u64,
    written: u64,
    is_end_sent: bool,
    /// What its terminal is to be, and whether the keeper was told.
    size: Option<TerminalSize>,
    is_size_sent: bool,
}

impl Feed {
    pub(super) fn new(text: Option<String>, input: Input) -> Feed {
        let text = text.unwrap_or_default().into_bytes();
        let held_from = text.len() as u64;
        Feed {
            text,
            input,
            held: VecDeque::new(),
            held_from,
            sent: 0,
            written: 0,
            is_end_sent: false,
            size: None,
            is_size_sent: false,
        }
    }

    /// The same, where its terminal may not have been told of its size.
    pub(super) fn sized(self, size: Option<TerminalSize>) -> Feed {
        Feed { size, ..self }
    }

    /// Resolves when there may be something new.
    pub(super) fn listen(&self) -> EventListener {
        self.input.listen()
    }

    /// A keeper has got so many bytes; what it has written it will say.
    pub(super) fn goes_on(&mut self, given: u64) {
        self.forget_until(given);
        self.held_from = self.held_from.max(given);
        (self.sent, self.written) = (given, 0);
        (self.is_end_sent, self.is_size_sent) = (false, false);
    }

    /// So many bytes are in the pipe.
    pub(super) fn written(&mut self, written: u64) {
        self.written = self.written.max(written);
        self.forget_until(written);
    }

    fn forget_until(&mut self, offset: u64) {
        let known = usize::try_from(offset.saturating_sub(self.held_from)).unwrap_or(usize::MAX).min(self.held.len());
        self.held.drain(..known);
        self.held_from += known as u64;
    }

    /// Nothing more is taken.
    pub(super) fn close(&self) {
        self.input.close();
    }

    /// Sends what there is, as far as the keeper takes it.
    pub(super) fn tell(&mut self, link: &mut Link) {
        if let Some(size) = self.input.resized() {
            (self.size, self.is_size_sent) = (Some(size), false);
        }
        if let Some(size) = self.size.filter(|_| !self.is_size_sent) {
            self.is_size_sent = true;
            link.send(&Frame::Resize(size.columns, size.rows));
        }
        while self.sent < self.written + INPUT_BYTES_MAX {
            let piece = self.next_piece();
            if piece.is_empty() {
                break;
            }
            link.send(&Frame::Input(self.sent, &piece));
            self.sent += piece.len() as u64;
        }
        let is_all_sent = self.sent >= self.held_from + self.held.len() as u64;
        if is_all_sent && !self.is_end_sent && (!self.input.takes_bytes() || self.input.is_over()) {
            self.is_end_sent = true;
            link.send(&Frame::InputEnd(self.sent));
        }
    }

    fn next_piece(&mut self) -> Vec<u8> {
        let at = usize::try_from(self.sent).unwrap_or(usize::MAX);
        if let Some(rest) = self.text.get(at..).filter(|rest| !rest.is_empty()) {
            return rest[..rest.len().min(PIECE_BYTES_MAX)].to_vec();
        }
        let known = usize::try_from(self.sent - self.held_from).unwrap_or(usize::MAX);
        if known >= self.held.len() {
            let mut buffer = [0; PIECE_BYTES_MAX];
            let count = self.input.front(&mut buffer);
            self.input.passed_on(count);
            self.held.extend(&buffer[..count]);
        }
        self.held.iter().skip(known).take(PIECE_BYTES_MAX).copied().collect()
    }
}
