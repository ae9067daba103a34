//! `logs` of several runs: each line behind its run's number, whole, whatever the others print meanwhile.
//!
//! Followed, they share one connection and are left when every one of them has ended or is gone. The bytes of a line
//! are the command's own; between a line's pieces nothing of another run may come.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;

use super::context::Context;
use super::notices::{gap_text, start_text};
use crate::cli::args::LogsOptions;
use crate::cli::notify::tell_ended;
use crate::cli::patience::{Patience, ask_until_answered};
use crate::cli::print::{self, Colour, Paint};
use crate::cli::sink::Outputs;
use crate::cli::view::{RunView, read};
use crate::client::connection::Ask;
use crate::client::failure::Failure;
use crate::client::follow::{Follower, Step};
use crate::event::Stream;
use crate::numbers::RunId;
use crate::scope::FILTER_RUNS_MAX;
use crate::text::printable_json;
use crate::wire::{ReceivedEvent, ReceivedGap, What};

/// A line that is longer is broken here: what waits for its end is kept in memory.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// The colours by which runs are told apart, by turns.
const COLOURS: &[Colour] = &[Colour::Cyan, Colour::Yellow, Colour::Green, Colour::Red];

/// Prints them.
pub async fn logs(context: &Context, options: &LogsOptions, mut runs: Vec<i64>) -> Result<u8, Failure> {
    let mut known = BTreeSet::new();
    runs.retain(|run| known.insert(*run));
    let cursor = options.after.as_deref().unwrap_or("0");
    if options.attempt.is_some() || options.tail.is_some() {
        return Err(Failure::Usage("--attempt and --tail are of one run alone".into()));
    }
    if !matches!(cursor, "0" | "latest") && !cursor.starts_with('-') {
        return Err(Failure::Usage("of several runs, --after takes `latest` or -N: each run counts for itself".into()));
    }
    if options.follow && runs.len() > FILTER_RUNS_MAX {
        return Err(Failure::Usage(format!("at most {FILTER_RUNS_MAX} runs can be followed at once")));
    }
    let mut lines = Lines::open(&runs, context.json)?;
    if options.follow {
        follow(context, &runs, cursor, &mut lines).await?;
        if options.notify {
            tell_ended(&context.runs_to_tell(&runs).await);
        }
    } else {
        for run in runs {
            print_one(context, run, cursor, &mut lines).await?;
        }
    }
    Ok(0)
}

/// What there is of one.
async fn print_one(context: &Context, run: i64, cursor: &str, lines: &mut Lines) -> Result<(), Failure> {
    let mut follower = Follower::new(&context.daemon, run, cursor, false);
    loop {
        match follower.next().await? {
            Step::Event(event, line) => lines.event(RunId(run), event, &line).await?,
            Step::Gap(gap, line) => lines.gap(Some(run), &gap, &line).await?,
            Step::CaughtUp | Step::End(_) => return lines.end_of(run).await,
            Step::Away(why) => print::note(&format!("{why}; reconnecting")),
            Step::Back(seq) => print::note(&format!("connected again, going on after event {seq}")),
        }
    }
}

/// All of them until the last has ended.
async fn follow(context: &Context, runs: &[i64], cursor: &str, lines: &mut Lines) -> Result<(), Failure> {
    let mut patience = Patience { met: false, at_most: None };
    let mut left: BTreeSet<i64> = runs.iter().copied().collect();
    // Those that had ended before we looked: all of theirs is stored, and out with the rest.
    let mut ended = BTreeSet::new();
    for run in runs {
        let body = context.daemon.ask(&Ask::get(format!("/v1/runs/{run}"))).await?;
        patience.met = true;
        if read::<RunView>(&body)?.outcome().is_terminal() {
            ended.insert(*run);
        }
    }
    let mut follower = Follower::of_several(&context.daemon, runs, cursor);
    while !left.is_empty() {
        match follower.next().await? {
            Step::Event(event, line) => {
                let (run, is_last) = (event.run, matches!(event.what, What::Finished(_)));
                lines.event(run, event, &line).await?;
                if is_last {
                    left.remove(&run.0);
                }
            }
            Step::Gap(gap, line) => {
                lines.gap(None, &gap, &line).await?;
                // What was deleted will not tell its end any more.
                for run in left.clone() {
                    if is_gone(context, run, &mut patience).await? {
                        left.remove(&run);
                        lines.end_of(run).await?;
                        print::warn(&format!("run {run} was deleted"));
                    }
                }
            }
            Step::CaughtUp => left.retain(|run| !ended.contains(run)),
            Step::Away(why) => print::note(&format!("{why}; reconnecting")),
            Step::Back(id) => print::note(&format!("connected again, going on after event {id}")),
            // Several runs have no end in common.
            Step::End(_) => {}
        }
    }
    Ok(())
}

async fn is_gone(context: &Context, run: i64, patience: &mut Patience) -> Result<bool, Failure> {
    match ask_until_answered(&context.daemon, &Ask::get(format!("/v1/runs/{run}")), patience).await {
        Ok(_) => Ok(false),
        Err(Failure::Refused(problem)) if problem.code == "run_pruned" => Ok(true),
        Err(failure) => Err(failure),
    }
}

/// Output on its way into lines.
struct Lines {
    outputs: Outputs,
    /// What stands before a line of a run, by stream.
    prefixes: BTreeMap<i64, [String; 2]>,
    /// Lines whose end has not come.
    open: BTreeMap<(i64, usize), Vec<u8>>,
    json: bool,
}

impl Lines {
    fn open(runs: &[i64], json: bool) -> Result<Lines, Failure> {
        let paints = [Paint::new(), Paint::of(std::io::stderr().is_terminal())];
        let prefixes = runs.iter().zip(COLOURS.iter().cycle()).map(|(run, colour)| {
            let text = format!("{run}|");
            (*run, paints.map(|paint| format!("{} ", paint.paint(&text, *colour))))
        });
        Ok(Lines { outputs: Outputs::open()?, prefixes: prefixes.collect(), open: BTreeMap::new(), json })
    }

    async fn event(&mut self, run: RunId, event: ReceivedEvent, line: &str) -> Result<(), Failure> {
        if let Some((from, to)) = event.gone {
            print::warn(&format!("run {run}: events {from} to {to} are gone"));
        }
        if self.json {
            return self.outputs.line(&printable_json(line)).await;
        }
        match event.what {
            What::Output(stream, bytes) => self.piece(run.0, stream, &bytes).await,
            What::Finished(outcome) if outcome.never_started() => {
                print::warn(&start_text(run.0, &outcome));
                self.end_of(run.0).await
            }
            What::Finished(_) | What::Queued => self.end_of(run.0).await,
            What::Started(_) | What::Other => Ok(()),
        }
    }

    async fn gap(&self, run: Option<i64>, gap: &ReceivedGap, line: &str) -> Result<(), Failure> {
        if self.json {
            self.outputs.line(&printable_json(line)).await?;
        }
        // Where it is of all of them, each run's own events show what it misses.
        if let Some(run) = run {
            print::warn(&format!("run {run}: {}", gap_text(gap)));
        }
        Ok(())
    }

    /// Writes the lines that this piece ends, and keeps what is behind the last of them.
    async fn piece(&mut self, run: i64, stream: Stream, bytes: &[u8]) -> Result<(), Failure> {
        let waiting = self.open.entry((run, stream as usize)).or_default();
        waiting.extend_from_slice(bytes);
        let prefix = self.prefixes.get(&run).map(|of_streams| of_streams[stream as usize].as_bytes());
        let prefix = prefix.unwrap_or_default();
        let mut whole = Vec::with_capacity(waiting.len() + prefix.len());
        let mut from = 0;
        while let Some(length) = waiting[from..].iter().position(|byte| *byte == b'\n') {
            whole.extend_from_slice(prefix);
            whole.extend_from_slice(&waiting[from..=from + length]);
            from += length + 1;
        }
        waiting.drain(..from);
        if waiting.len() >= LINE_BYTES_MAX {
            whole.extend_from_slice(prefix);
            whole.append(waiting);
            whole.push(b'\n');
        }
        self.outputs.piece(stream, &whole).await
    }

    /// Ends the lines that a run has left open.
    async fn end_of(&mut self, run: i64) -> Result<(), Failure> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if self.open.get(&(run, stream as usize)).is_some_and(|line| !line.is_empty()) {
                self.piece(run, stream, b"\n").await?;
            }
            self.open.remove(&(run, stream as usize));
        }
        Ok(())
    }
}
