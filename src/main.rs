//! The command line: the daemon, or one of its clients. Nothing else happens here.

use std::process::ExitCode;

use runabout::cli;
#[cfg(feature = "daemon")]
use runabout::cli::args::ServeOptions;
use runabout::cli::args::{Cli, Command};
#[cfg(feature = "daemon")]
use runabout::{daemon, keep, upkeep};

fn main() -> ExitCode {
    // First of all: a keeper is one of many, and has only what it needs.
    #[cfg(feature = "daemon")]
    if keep::is_asked_for() {
        return keep::run();
    }
    if let Some(code) = cli::fleet::handed_over() {
        return code;
    }
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match cli.command {
        #[cfg(feature = "daemon")]
        Command::Serve(options) => daemon::serve(serve_args(cli.global.state_dir, options)),
        #[cfg(feature = "daemon")]
        Command::Backup(_) | Command::Restore(_) | Command::Doctor(_) => upkeep::run(cli),
        #[cfg(not(feature = "daemon"))]
        Command::Serve(_)
        | Command::Backup(_)
        | Command::Restore(_)
        | Command::Doctor(_)
        | Command::Completions { .. }
        | Command::Manual { .. } => cli::client_only(),
        _ => cli::run(cli),
    }
}

#[cfg(feature = "daemon")]
fn serve_args(state_dir: Option<std::path::PathBuf>, options: ServeOptions) -> daemon::ServeArgs {
    let ServeOptions { listen, config, log, log_format, stop_all, check } = options;
    daemon::ServeArgs { state_dir, listen, config, log, log_format, stop_all, check }
}
