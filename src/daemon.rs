//! The daemon's wiring. (Interface sketch; the body follows.)

use std::path::PathBuf;
use std::process::ExitCode;

/// What the command line says about `serve`; what is absent is left to the environment and the configuration.
#[derive(Clone, Debug, Default)]
pub struct ServeArgs {
    /// Where everything is kept.
    pub state_dir: Option<PathBuf>,
    /// `ADDR:PORT` or `none`.
    pub listen: Option<String>,
    /// The configuration's path.
    pub config: Option<PathBuf>,
    /// The log's level.
    pub log: Option<String>,
    /// `text` or `json`.
    pub log_format: Option<String>,
    /// Only validate the configuration.
    pub check: bool,
}

/// Serves until it is told to stop.
pub fn serve(args: ServeArgs) -> ExitCode {
    let _ = args;
    ExitCode::from(1)
}
