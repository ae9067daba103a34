//! What works on the daemon's files from beside it: a copy while it runs, a copy in its place while it does not, and a
//! look at all that it stands on.
//!
//! It never writes a database that a daemon has, and never deletes one.

mod backup;
mod doctor;
mod files;
mod place;
mod restore;

use std::process::ExitCode;

use crate::cli;
use crate::cli::args::{Cli, Command};

/// Does what the command line says and gives the code to exit with.
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
