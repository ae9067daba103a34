//! The raw log: the bytes that a command wrote, in order, with a line where some are gone.
//!
//! It finds the last lines by reading backwards, a page at a time, and never holds more than a page.

use std::io;

use bytes::Bytes;
use futures_lite::stream;

use super::body::{broken_off, response};
use super::guard::StreamGuard;
use super::refusal::refusal;
use crate::event::{Data, Gap, Stream};
use crate::feed::{Follower, Form, Mark, Part, Step};
use crate::http::app::{Answer, Request};
use crate::http::server::rope::Rope;
use crate::numbers::{Position, RunId, Seq};
use crate::scope::{Cursor, Scope};
use crate::store::{Store, StoreError};

/// The part of a log that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// One of the streams, or all.
    pub stream: Option<Stream>,
    /// Whether to stay until the run ends.
    pub follow: bool,
    /// The last lines alone, so many.
    pub tail: Option<u64>,
}

/// Answers with the log of a run.
pub async fn answer(request: &Request, run: RunId, wanted: Wanted) -> Answer {
    let guard = StreamGuard::open(request, "log");
    let app = request.state();
    app.store.reveal(&[run]).await;
    let start = match wanted.tail {
        Some(lines) => Some(start_of_last(&app.store, run, wanted.stream, lines).await?),
        None => None,
    };
    let (after, skip) = start.as_ref().map_or((Seq(0), 0), |start| (start.after, start.skip_bytes));
    let scope = Scope::Run(run);
    let opened = Follower::open(&app.hub, scope.clone(), Form::Bytes, &Cursor::After(after.into())).await;
    let (follower, opening) = opened.map_err(|error| refusal(error, &scope, app.store.instance()))?;
    // What is printed from now on belongs to who stays, or else the last lines would not be the last of anything.
    let last = start.map_or(opening.head.last(), |start| start.last_seq.into());
    let until = (!wanted.follow).then_some(last);
    let log = Log { follower, stream: wanted.stream, skip, until, at_line_start: true, is_over: last == Position(0) };
    let ropes = stream::unfold(log, async |mut log| Some((log.next().await?, log)));
    // As text a browser shows it, and with `nosniff` never takes it for more, whatever its bytes are.
    let mut response = response(guard, "text/plain; charset=utf-8", ropes);
    response.insert_header("content-disposition", format!("inline; filename=\"run-{run}.log\""));
    Ok(response)
}

/// A run's log on its way out.
struct Log {
    follower: Follower,
    stream: Option<Stream>,
    /// Bytes that are left out of the first piece.
    skip: usize,
    /// The last event that belongs to it, where it does not go on until the run ends.
    until: Option<Position>,
    at_line_start: bool,
    is_over: bool,
}

impl Log {
    /// What comes next. Where it ends before the run does, it is broken off: raw bytes say no other way that more would
    /// have come.
    async fn next(&mut self) -> Option<io::Result<Rope>> {
        if self.is_over {
            return None;
        }
        let mut rope = Rope::default();
        match self.follower.next().await {
            Ok(Step::Events(parts)) => {
                for (mark, bytes) in parts.iter().flat_map(Part::pieces) {
                    if self.until.is_none_or(|until| Position::from(mark.seq) <= until) {
                        self.piece(mark, bytes, &mut rope);
                    }
                }
                let last = parts.last().and_then(|part| part.marks().last());
                self.is_over = last.is_some_and(|last| self.is_at_end(last.seq.into()));
            }
            Ok(Step::Gap(gap)) => {
                self.gap(&gap, &mut rope);
                self.is_over = self.is_at_end(gap.to);
            }
            Ok(Step::Cursor(_)) => {}
            Ok(Step::CaughtUp(_)) => self.is_over = self.until.is_some(),
            Ok(Step::End { .. }) => self.is_over = true,
            Ok(Step::Closing | Step::Gone) | Err(_) => {
                self.is_over = true;
                return Some(Err(broken_off().await));
            }
        }
        Some(Ok(rope))
    }

    /// Whether nothing behind this belongs to it.
    fn is_at_end(&self, position: Position) -> bool {
        self.until.is_some_and(|until| position >= until)
    }

    fn piece(&mut self, mark: Mark, mut bytes: Bytes, rope: &mut Rope) {
        let Some(stream) = mark.stream else { return };
        if self.stream.is_some_and(|wanted| wanted != stream) {
            return;
        }
        let skipped = std::mem::take(&mut self.skip).min(bytes.len());
        let bytes = bytes.split_off(skipped);
        if let Some(last) = bytes.last() {
            self.at_line_start = *last == b'\n';
        }
        rope.push(bytes);
    }

    /// A line of its own that says what is missing.
    fn gap(&mut self, gap: &Gap, rope: &mut Rope) {
        let Gap { from, to, reason, .. } = gap;
        let before = if self.at_line_start { "" } else { "\n" };
        rope.push(format!("{before}[runabout: the events {from} to {to} are gone: {}]\n", reason.as_str()).into());
        self.at_line_start = true;
        // The piece that was to be cut is among them.
        self.skip = 0;
    }
}

/// Where the last lines of a log begin.
struct Start {
    /// Behind this event …
    after: Seq,
    /// … and so many bytes of the next one that is wanted.
    skip_bytes: usize,
    /// The newest event when it was looked for.
    last_seq: Seq,
}

/// Walks back from the newest event until so many lines were seen. What follows the last newline is a line too, and so is
/// what follows a gap.
async fn start_of_last(store: &Store, run: RunId, stream: Option<Stream>, lines: u64) -> Result<Start, StoreError> {
    let mut before = Seq(i64::MAX);
    let mut newest = None;
    let mut newlines = Newlines { left: lines, is_at_end: true };
    loop {
        let (head, events) = store.page_before(run, before).await?;
        let last_seq = *newest.get_or_insert(head.last_seq);
        if lines == 0 {
            return Ok(Start { after: last_seq, skip_bytes: 0, last_seq });
        }
        if events.is_empty() {
            return Ok(Start { after: Seq(0), skip_bytes: 0, last_seq });
        }
        for event in &events {
            if event.seq < before.previous() && before < Seq(i64::MAX) && newlines.gap() {
                return Ok(Start { after: before.previous(), skip_bytes: 0, last_seq });
            }
            before = event.seq;
            let Data::Output(of, bytes) = &event.data else { continue };
            if stream.is_some_and(|wanted| wanted != *of) {
                continue;
            }
            if let Some(skip_bytes) = newlines.walk(bytes) {
                return Ok(Start { after: event.seq.previous(), skip_bytes, last_seq });
            }
        }
    }
}

/// Counts newlines backwards.
struct Newlines {
    left: u64,
    /// Nothing was walked over since the end, or a gap: a newline there ends a line and begins none.
    is_at_end: bool,
}

impl Newlines {
    /// Walks over a piece from its end; answers the offset behind the newline that was looked for, if it is in it.
    fn walk(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, byte) in bytes.iter().enumerate().rev() {
            let is_at_end = std::mem::replace(&mut self.is_at_end, false);
            if *byte == b'\n' && !is_at_end {
                self.left -= 1;
                if self.left == 0 {
                    return Some(at + 1);
                }
            }
        }
        None
    }

    /// Walks over a gap; answers whether the line that was looked for begins behind it.
    fn gap(&mut self) -> bool {
        if !std::mem::replace(&mut self.is_at_end, true) {
            self.left -= 1;
        }
        self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last lines of these pieces, put together.
    fn last(lines: u64, pieces: &[&str]) -> String {
        let mut newlines = Newlines { left: lines, is_at_end: true };
        for (nth, piece) in pieces.iter().enumerate().rev() {
            if let Some(skip) = newlines.walk(piece.as_bytes()) {
                return format!("{}{}", &piece[skip..], pieces[nth + 1..].concat());
            }
        }
        pieces.concat()
    }

    #[test]
    fn the_last_lines_are_those_of_tail() {
        for pieces in [&["a\nb\nc\n"][..], &["a\n", "b", "\nc", "\n"], &["a", "\n", "b\n", "c", "\n"]] {
            assert_eq!(last(1, pieces), "c\n", "{pieces:?}");
            assert_eq!(last(2, pieces), "b\nc\n", "{pieces:?}");
            assert_eq!(last(3, pieces), "a\nb\nc\n", "{pieces:?}");
            assert_eq!(last(9, pieces), "a\nb\nc\n", "{pieces:?}");
        }
        // One that is not finished is a line all the same.
        assert_eq!(last(1, &["a\nb\n", "c"]), "c");
        assert_eq!(last(2, &["a\nb\nc"]), "b\nc");
        assert_eq!(last(1, &["\n\n"]), "\n");
        assert_eq!(last(2, &["a\n", "\n", "\n"]), "\n\n");
    }
}
