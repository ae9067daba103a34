//! Orders that commits give to whoever runs commands, in the order of the commits.
//!
//! An order is sent after its COMMIT and before the answer, so that an attempt's start comes before its stop. A stop
//! may come after the attempt's end: then nothing is left to do.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::run::{Ask, Command, Options, RunId};

/// A run that was just claimed: its attempt and `started` event are on the medium, its process is not there yet.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Whose turn it is.
    pub run: RunId,
    /// Which attempt this is.
    pub attempt: i64,
    /// What to execute.
    pub command: Command,
    /// Where.
    pub cwd: Option<String>,
    /// Added to the daemon's environment.
    pub env: BTreeMap<String, String>,
    /// Standard input.
    pub stdin: Option<String>,
    /// Seconds until SIGTERM.
    pub timeout_s: Option<i64>,
    /// What else its submit said.
    pub options: Options,
    /// Where it may leave files; whoever starts it says so.
    pub artifacts_dir: Option<PathBuf>,
    /// How long it had been waiting since it was due.
    pub waited_ms: i64,
}

/// One thing to do.
#[derive(Clone, Debug)]
pub enum Order {
    /// Start this attempt.
    Start(Box<Claimed>),
    /// Remove the files that this run left: nothing of them is written down any more.
    RemoveArtifacts(RunId),
    /// Ask what runs of a run to end.
    Stop {
        /// Whose attempt.
        run: RunId,
        /// Who asks.
        asked: Ask,
        /// Without a grace, and without what is left of one.
        now: bool,
    },
}
