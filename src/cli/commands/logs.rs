//! `logs`: what a run printed, and with `-f` what it will print.
//!
//! The bytes are the command's own. Unlike `run`, it may never change the run: a closed output only ends the reading.

use futures_lite::future;

use super::context::Context;
use super::logs_of_several;
use super::notices::{gap_text, start_text};
use super::tail;
use crate::cli::args::LogsOptions;
use crate::cli::notify::tell_ended;
use crate::cli::print;
use crate::cli::sink::Outputs;
use crate::client::failure::Failure;
use crate::client::follow::{Follower, Step};
use crate::text::printable_json;
use crate::wire::What;

/// Prints it, until nobody reads it any more.
pub async fn logs(context: &Context, options: LogsOptions) -> Result<u8, Failure> {
    let outputs = Outputs::open()?;
    let closed = async { Err(outputs.closed().await) };
    future::or(print_runs(context, options, &outputs), closed).await
}

/// Who reads on, and what it has come to where something was read already.
async fn begin(
    context: &Context,
    options: &LogsOptions,
    run: i64,
    outputs: &Outputs,
) -> Result<(Follower, Option<Step>), Failure> {
    match options.tail {
        None => {
            let cursor = options.after.as_deref().unwrap_or("0");
            Ok((Follower::new(&context.daemon, run, cursor, false), None))
        }
        Some(_) if context.json => {
            Err(Failure::Usage("--tail counts lines, --json prints events: --after -N has the newest N".into()))
        }
        Some(lines) => {
            let (follower, step) = tail::print_last(context, run, lines, outputs).await?;
            Ok((follower, Some(step)))
        }
    }
}

async fn print_runs(context: &Context, options: LogsOptions, outputs: &Outputs) -> Result<u8, Failure> {
    let runs = context.numbers(&options.ids).await?;
    let [run] = runs[..] else { return logs_of_several::logs(context, &options, runs).await };
    let (mut follower, mut first) = begin(context, &options, run, outputs).await?;
    // The attempt that prints; none before the first.
    let mut attempt = 0;
    let is_wanted = |attempt| options.attempt.is_none_or(|wanted| wanted == attempt);
    loop {
        let step = match first.take() {
            Some(step) => step,
            None => follower.next().await?,
        };
        if let Step::Event(event, _) = &step {
            if let What::Started(started) = event.what {
                attempt = started;
            }
            if options.attempt.is_some_and(|wanted| attempt > wanted) {
                return Ok(0);
            }
        }
        if let (Step::CaughtUp | Step::End(_), Some(wanted)) = (&step, options.attempt) {
            let goes_on = options.follow && matches!(step, Step::CaughtUp);
            if attempt < wanted && !goes_on {
                return Err(Failure::Own(format!("run {run} has no attempt {wanted}: the last is {attempt}")));
            }
        }
        match step {
            Step::Event(event, _) if !is_wanted(attempt) && !matches!(event.what, What::Finished(_)) => {}
            Step::Event(_, line) if context.json => outputs.line(&printable_json(&line)).await?,
            Step::Event(event, _) => match event.what {
                What::Output(stream, bytes) => outputs.piece(stream, &bytes).await?,
                // Nothing else would say why there is no output.
                What::Finished(outcome) if outcome.never_started() => print::warn(&start_text(run, &outcome)),
                _ => {}
            },
            Step::Gap(gap, line) => {
                if context.json {
                    outputs.line(&printable_json(&line)).await?;
                }
                print::warn(&gap_text(&gap));
            }
            Step::CaughtUp if !options.follow => return Ok(0),
            Step::CaughtUp => {}
            Step::Away(why) => print::note(&format!("{why}; reconnecting")),
            Step::Back(seq) => print::note(&format!("connected again, going on after event {seq}")),
            Step::End(_) => {
                if options.notify {
                    tell_ended(&context.runs_to_tell(&[run]).await);
                }
                return Ok(0);
            }
        }
    }
}
