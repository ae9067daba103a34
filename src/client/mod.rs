//! The command line's other half: what every subcommand but `serve` does, as a client of the daemon.
//!
//! Reading order: `args` (what can be said), `target` (to whom), `connection` (one request), `patience` (again),
//! `position` and `follow` (a run's events), `commands` (one file a command or small group), `failure` (exit codes).
//! It knows the daemon by its HTTP interface alone: it must never import the store, the runner, the feed or the server.

pub mod args;
mod commands;
pub(crate) mod connection;
mod duration;
pub(crate) mod failure;
mod follow;
mod interrupts;
mod login;
mod outcome;
mod patience;
mod position;
pub(crate) mod print;
mod sink;
pub(crate) mod target;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;
mod view;

use std::process::ExitCode;

use args::{Cli, Command};
use failure::Failure;

/// Does what the command line says and gives the code to exit with.
pub fn run(cli: Cli) -> ExitCode {
    let follows = matches!(cli.command, Command::Run(_) | Command::Wait { .. });
    exit(smol::block_on(commands::dispatch(cli)), follows)
}

/// Says what went wrong, if something did, and gives the code to exit with; `follows` where 1 is the command's own.
pub(crate) fn exit(outcome: Result<u8, Failure>, follows: bool) -> ExitCode {
    let code = match outcome {
        Ok(code) => code,
        Err(failure) => {
            if !matches!(failure, Failure::OutputClosed) {
                print::warn(&failure.to_string());
            }
            if follows { failure.run_exit_code() } else { failure.exit_code() }
        }
    };
    ExitCode::from(code)
}
