//! A file that a run left to be fetched.

use crate::clock::UnixMs;

/// Artifacts that one run may leave; what comes behind them by name is removed.
pub const ARTIFACTS_MAX: usize = 1_000;
/// Bytes of an artifact's name, with the directories that it is in.
pub const ARTIFACT_NAME_BYTES_MAX: usize = 512;

/// One artifact of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Its path in the run's directory, with `/` between its parts.
    pub name: String,
    /// Its length, in bytes.
    pub bytes: i64,
    /// Its hash, as 64 digits; `None` while the run goes on, and where there was no time to read all of it.
    pub sha256: Option<String>,
    /// When it was last written.
    pub modified_at: UnixMs,
}
