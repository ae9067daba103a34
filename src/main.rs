//! The command line: the daemon, or one of its clients. Nothing else happens here.

use std::process::ExitCode;

use runabout::cli::args::{Cli, Command, ServeOptions};
use runabout::{cli, daemon, upkeep};

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match cli.command {
        Command::Serve(options) => daemon::serve(serve_args(cli.global.state_dir, options)),
        Command::Backup(_) | Command::Restore(_) | Command::Doctor(_) => upkeep::run(cli),
        _ => cli::run(cli),
    }
}

fn serve_args(state_dir: Option<std::path::PathBuf>, options: ServeOptions) -> daemon::ServeArgs {
    let ServeOptions { listen, config, log, log_format, check } = options;
    daemon::ServeArgs { state_dir, listen, config, log, log_format, check }
}
