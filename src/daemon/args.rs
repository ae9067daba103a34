//! The flags of `runabout serve`.

use std::path::PathBuf;

/// What `runabout serve` was given.
#[derive(Clone, Debug, Default)]
pub struct ServeArgs {
    /// `--state-dir`
    pub state_dir: Option<PathBuf>,
    /// `--listen`
    pub listen: Option<String>,
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--log`
    pub log: Option<String>,
    /// `--log-format`
    pub log_format: Option<String>,
    /// `--stop-all`
    pub stop_all: bool,
    /// `--check`
    pub check: bool,
}
