//! `logs`: what a run printed, and with `-f` what it will print.
//!
//! The bytes are the command's own. Unlike `run`, it may never change the run: a closed output only ends the reading.

use super::context::Context;
use super::logs_of_several;
use super::notices::{gap_text, start_text};
use crate::cli::args::LogsOptions;
use crate::cli::print;
use crate::cli::sink::Outputs;
use crate::client::failure::Failure;
use crate::client::follow::{Follower, Step};
use crate::text::printable_json;
use crate::wire::What;

/// Prints it.
pub async fn logs(context: &Context, options: LogsOptions) -> Result<u8, Failure> {
    let runs = context.numbers(&options.ids).await?;
    let [run] = runs[..] else { return logs_of_several::logs(context, &options, runs).await };
    let outputs = Outputs::open()?;
    let cursor = options.after.as_deref().unwrap_or("0");
    let mut follower = Follower::new(&context.daemon, run, cursor, false);
    loop {
        match follower.next().await? {
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
            Step::End(_) => return Ok(0),
        }
    }
}
