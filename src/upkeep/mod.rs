//! Commands that work on the daemon's files without the daemon: backup, restore and doctor.
//!
//! They never write a database that a daemon has open, and never delete one.

mod backup;
mod doctor;
mod files;
mod place;
mod restore;

use std::process::ExitCode;

use crate::cli;
use crate::cli::args::{Cli, Command};

/// Runs the command and returns the code to exit with.
pub fn run(cli: Cli) -> ExitCode {
    let outcome = match cli.command {
        Command::Backup(options) => backup::backup(&cli.global, &options),
        Command::Restore(options) => restore::restore(&cli.global, &options),
        Command::Doctor(options) => doctor::doctor(&cli.global, &options),
        // Everything else is the client's or the daemon's.
        _ => Ok(2),
    };
    cli::exit(outcome, false)
}
