//! The last lines of a run's output: `logs --tail`.

use std::collections::VecDeque;

use super::context::Context;
use super::notices::{gap_text, start_text};
use crate::cli::print;
use crate::cli::sink::Outputs;
use crate::client::failure::Failure;
use crate::client::follow::{Follower, Step};
use crate::event::Stream;
use crate::wire::{ReceivedGap, What};

/// By how much more is asked for where the newest events held too few lines.
const MORE: u64 = 8;

/// Prints the last lines of what a run has printed; answers who reads on, and at what it is: all is out, or the run has ended.
pub async fn print_last(
    context: &Context,
    run: i64,
    lines: u64,
    outputs: &Outputs,
) -> Result<(Follower, Step), Failure> {
    let (mut tail, mut is_met) = (Tail::new(lines), false);
    loop {
        let mut follower = Follower::new(&context.daemon, run, &tail.cursor(), is_met);
        let end = tail.read(&mut follower, run).await?;
        if let Some(further) = tail.further() {
            (tail, is_met) = (further, true);
            continue;
        }
        let (pieces, gap) = tail.take();
        if let Some(gap) = gap {
            print::warn(&gap_text(&gap));
        }
        for (stream, bytes) in pieces {
            outputs.piece(stream, &bytes).await?;
        }
        return Ok((follower, end));
    }
}

/// Output of which only the last lines are kept, of both streams together in their order.
struct Tail {
    lines: u64,
    /// The newest events that are looked at for them.
    events: u64,
    heard: u64,
    pieces: VecDeque<(Stream, Vec<u8>)>,
    newlines: u64,
    gap: Option<ReceivedGap>,
}

impl Tail {
    /// So many lines.
    fn new(lines: u64) -> Tail {
        // Many an event is no output; most output has at least a line in each event.
        Tail::among(lines, lines.saturating_add(MORE))
    }

    fn among(lines: u64, events: u64) -> Tail {
        Tail { lines, events: events.min(i64::MAX as u64), heard: 0, pieces: VecDeque::new(), newlines: 0, gap: None }
    }

    /// Where to read from.
    fn cursor(&self) -> String {
        format!("-{}", self.events)
    }

    /// Hears all that there is.
    async fn read(&mut self, follower: &mut Follower, run: i64) -> Result<Step, Failure> {
        loop {
            match follower.next().await? {
                Step::Event(event, _) => {
                    self.heard += 1;
                    match event.what {
                        What::Output(stream, bytes) => self.push(stream, bytes),
                        // Nothing else would say why there is no output.
                        What::Finished(outcome) if outcome.never_started() => print::warn(&start_text(run, &outcome)),
                        _ => {}
                    }
                }
                // Told at the end, if what is there is less than was asked for.
                Step::Gap(gap, _) => self.gap = Some(gap),
                Step::Away(why) => print::note(&format!("{why}; reconnecting")),
                Step::Back(seq) => print::note(&format!("connected again, going on after event {seq}")),
                end => return Ok(end),
            }
        }
    }

    /// Output came.
    fn push(&mut self, stream: Stream, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        self.newlines += newlines(&bytes);
        self.pieces.push_back((stream, bytes));
        // A first piece goes if a line begins behind it and enough of them follow.
        while let Some((_, first)) = self.pieces.front() {
            let behind = self.newlines - newlines(first);
            if behind <= self.lines {
                break;
            }
            self.newlines = behind;
            self.pieces.pop_front();
        }
    }

    /// A tail that looks further back, where too little was heard and there is more.
    fn further(&self) -> Option<Tail> {
        let is_all = self.heard < self.events || self.newlines > self.lines;
        (!is_all).then(|| Tail::among(self.lines, self.events.saturating_mul(MORE)))
    }

    /// The lines, and what is missing before them.
    fn take(self) -> (Vec<(Stream, Vec<u8>)>, Option<ReceivedGap>) {
        let is_open = self.pieces.back().is_some_and(|(_, last)| last.last() != Some(&b'\n'));
        let count = self.newlines + u64::from(is_open);
        let gap = self.gap.filter(|_| count < self.lines);
        let mut surplus = count.saturating_sub(self.lines);
        let mut pieces = Vec::from(self.pieces);
        for (_, piece) in &mut pieces {
            let ends = piece.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
            let left_out = ends.take(usize::try_from(surplus).unwrap_or(usize::MAX)).collect::<Vec<_>>();
            surplus -= left_out.len() as u64;
            match left_out.last() {
                // All of it belongs to lines that are left out.
                _ if surplus > 0 => piece.clear(),
                Some(begin) => _ = piece.drain(..*begin),
                None => {}
            }
            if surplus == 0 {
                break;
            }
        }
        (pieces, gap)
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last lines of these pieces, joined.
    fn tail(lines: u64, pieces: &[&str]) -> String {
        let mut tail = Tail::new(lines);
        for piece in pieces {
            tail.push(Stream::Stdout, piece.as_bytes().to_vec());
        }
        let (pieces, gap) = tail.take();
        assert!(gap.is_none());
        String::from_utf8(pieces.into_iter().flat_map(|(_, bytes)| bytes).collect()).expect("text")
    }

    #[test]
    fn the_last_lines_are_those_of_the_whole_however_it_is_cut() {
        for text in ["", "\n", "a", "a\n", "a\nb", "a\nb\n", "a\n\n\nb\nc\nd", "one\ntwo\nthree\n"] {
            let lines: Vec<&str> = text.split_inclusive('\n').collect();
            for count in 0..6 {
                let wanted = lines[lines.len().saturating_sub(count)..].concat();
                for one in 0..=text.len() {
                    for other in one..=text.len() {
                        let pieces = [&text[..one], &text[one..other], &text[other..]];
                        assert_eq!(tail(count as u64, &pieces), wanted, "{count} of {pieces:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn no_more_is_kept_than_the_lines_need() {
        let mut tail = Tail::new(3);
        for number in 0..1_000 {
            tail.push(Stream::Stdout, format!("{number}\n").into_bytes());
        }
        assert_eq!(tail.pieces.len(), 4);
    }

    #[test]
    fn it_looks_further_back_until_the_lines_or_the_events_are_all_there() {
        let mut tail = Tail::new(2);
        tail.heard = tail.events;
        let further = tail.further().expect("no line yet, and as many events as asked for");
        assert_eq!(further.events, tail.events * MORE);
        tail.push(Stream::Stderr, b"1\n2\n".to_vec());
        assert!(tail.further().is_some(), "the first line may have begun before");
        tail.push(Stream::Stderr, b"3\n".to_vec());
        assert!(tail.further().is_none());
        assert!(Tail::new(2).further().is_none(), "fewer events than asked for are all");
    }
}
