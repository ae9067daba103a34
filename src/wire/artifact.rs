//! What a run left to be fetched.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::word::Word;
use crate::run::Artifact;
use crate::words::words;

words! {
    /// What a list of artifacts is.
    ArtifactState {
        /// The run goes on: what its command has there now.
        Live = "live",
        /// The run has ended, and this is what it left.
        Kept = "kept",
        /// It left some, which were removed to make room.
        Removed = "removed",
    }
}

/// One file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ArtifactBody<'a> {
    /// Its path in the run's directory, with `/` between its parts.
    pub name: Cow<'a, str>,
    /// Its length.
    pub bytes: i64,
    /// Its hash, as 64 digits.
    pub sha256: Option<Cow<'a, str>>,
    /// When it was last written.
    pub modified_at: String,
}

/// The files of a run, by name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ArtifactList<'a> {
    /// What they are.
    pub state: Word<ArtifactState>,
    /// At most 1,000.
    #[serde(borrow)]
    pub artifacts: Vec<ArtifactBody<'a>>,
}

impl<'a> ArtifactBody<'a> {
    /// The file as a client sees it.
    pub fn of(artifact: &'a Artifact) -> ArtifactBody<'a> {
        let Artifact { name, bytes, sha256, modified_at } = artifact;
        ArtifactBody {
            name: name.into(),
            bytes: *bytes,
            sha256: sha256.as_deref().map(Cow::from),
            modified_at: modified_at.to_string(),
        }
    }
}
