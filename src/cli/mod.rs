//! The command line: what every subcommand but `serve` does, as a client of the daemon.
//!
//! Reading order: `args` (what can be said), `choose` (to which daemon), `patience` (asking again), `commands` (one file
//! a command or small group), `print` and `sink` (what comes out). It knows the daemon by [`crate::client`] alone: it must
//! never import the store, the runner, the feed or the server.

pub mod args;
pub(crate) mod choose;
mod commands;
mod duration;
mod exit;
pub mod fleet;
#[cfg(unix)]
mod interrupts;
#[cfg(not(unix))]
#[path = "no_interrupts.rs"]
mod interrupts;
#[cfg(unix)]
mod keys;
mod login;
#[cfg(unix)]
mod modes;
mod notify;
mod outcome;
mod patience;
pub(crate) mod print;
#[cfg(unix)]
mod sink;
#[cfg(not(unix))]
#[path = "blocking_sink.rs"]
mod sink;
#[cfg(unix)]
mod tty;
mod view;
#[cfg(unix)]
mod writer;

use std::process::ExitCode;

use args::{Cli, Command};

use crate::client::failure::Failure;

/// Does what the command line says and gives the code to exit with.
pub fn run(cli: Cli) -> ExitCode {
    let follows = matches!(cli.command, Command::Run(_) | Command::Attach(_) | Command::Wait { .. });
    exit(smol::block_on(commands::dispatch(cli)), follows)
}

/// What a build without the daemon says to the commands that are not in it.
#[cfg(not(feature = "daemon"))]
pub fn client_only() -> ExitCode {
    let text = "this build of runabout is a client only (without the Cargo feature `daemon`): serve, backup, restore, \
                doctor and completions are in the full build, as on the daemon's machine";
    exit(Err(Failure::Usage(text.to_owned())), false)
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
