//! The command line's other half: what every subcommand but `serve` does, as a client of the daemon.
//!
//! Reading order: `args` (what can be said), `target` (to whom), `connection` (one request), `patience` (again),
//! `position` and `follow` (a run's events), `commands` (one file a command or small group), `failure` (exit codes).
//! It knows the daemon by its HTTP interface alone: it must never import the store, the runner, the feed or the server.

pub mod args;
mod commands;
mod connection;
mod duration;
mod failure;
mod follow;
mod interrupts;
mod login;
mod outcome;
mod patience;
mod position;
mod print;
mod sink;
mod target;
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
    let code = match smol::block_on(commands::dispatch(cli)) {
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
