//! What a command is given to read: the text of its submit, then what clients send while it runs; and how large its terminal
//! becomes.
//!
//! Bytes go in the order in which they came, as fast as the command takes them. One that takes none is no error.

use std::io;
use std::os::fd::OwnedFd;

use async_io::Async;
use futures_lite::future;
use rustix::io::{Errno, write};

use crate::inputs::Input;
use crate::process::pty;

/// The most that one write passes on: what a pipe that can be written takes without blocking (POSIX: `PIPE_BUF`).
const WRITE_BYTES_MAX: usize = 4096;

/// The way to a command's standard input.
pub(super) struct Feed<'a> {
    /// `None` once the command has its end, or never takes anything.
    to: Option<Async<OwnedFd>>,
    is_terminal: bool,
    /// What is left of the submit's text.
    text: &'a [u8],
    input: Input,
    /// The byte that went last.
    last: Option<u8>,
    /// What ends the input of a terminal, where that is to be typed.
    end: Option<Vec<u8>>,
}

/// What one step did.
enum Step {
    /// There may be more to do at once.
    Went,
    /// The command takes no more now.
    Full,
    /// There is nothing to pass on now.
    Idle,
    /// There will be nothing to pass on any more.
    Over,
}

impl<'a> Feed<'a> {
    /// To a pipe or a terminal of ours, where there is one.
    pub(super) fn new(to: Option<OwnedFd>, is_terminal: bool, text: &'a str, input: Input) -> io::Result<Feed<'a>> {
        let to = to.map(Async::new).transpose()?;
        Ok(Feed { to, is_terminal, text: text.as_bytes(), input, last: None, end: None })
    }

    /// Passes on what comes, until nothing more can come. Dropping the future loses nothing.
    pub(super) async fn run(&mut self) {
        loop {
            let changed = self.input.listen();
            if let (Some(size), Some(to)) = (self.input.resized(), &self.to) {
                pty::resize(to, size);
            }
            match self.step() {
                Step::Went => {}
                Step::Full => {
                    let writable = async {
                        if let Some(to) = &self.to {
                            let _ = to.writable().await;
                        }
                    };
                    future::or(writable, changed).await;
                }
                Step::Idle => changed.await,
                // Of a terminal the size may still change.
                Step::Over if self.is_terminal => changed.await,
                Step::Over => {
                    self.close();
                    return;
                }
            }
        }
    }

    /// Closes it, and refuses what comes.
    pub(super) fn close(&mut self) {
        self.input.close();
        self.to = None;
    }

    fn step(&mut self) -> Step {
        if !self.text.is_empty() {
            let text = self.text;
            return self.pass_on(&text[..text.len().min(WRITE_BYTES_MAX)], |feed, count| feed.text = &text[count..]);
        }
        let mut bytes = [0; WRITE_BYTES_MAX];
        let count = self.input.front(&mut bytes);
        if count > 0 {
            return self.pass_on(&bytes[..count], |feed, count| feed.input.passed_on(count));
        }
        if self.input.takes_bytes() && !self.input.is_over() {
            return Step::Idle;
        }
        let (true, Some(to)) = (self.is_terminal, &self.to) else { return Step::Over };
        let last = self.last;
        let end = self.end.get_or_insert_with(|| pty::end_of_input(to, last)).clone();
        if end.is_empty() {
            return Step::Over;
        }
        self.pass_on(&end, |feed, count| feed.end = Some(end[count..].to_vec()))
    }

    fn pass_on(&mut self, bytes: &[u8], went: impl FnOnce(&mut Self, usize)) -> Step {
        let Some(to) = &self.to else { return Step::Over };
        match write(to.get_ref(), bytes) {
            Ok(count) => {
                self.last = bytes[..count].last().copied().or(self.last);
                went(self, count);
                Step::Went
            }
            Err(Errno::AGAIN) => Step::Full,
            Err(Errno::INTR) => Step::Went,
            Err(_) => {
                self.text = &[];
                self.end = Some(Vec::new());
                self.input.close();
                if !self.is_terminal {
                    self.to = None;
                }
                Step::Over
            }
        }
    }
}
