//! How a run stands or ended, as a run, a `finished` event and an `end` tell it.

use serde::{Deserialize, Serialize};

use super::word::Word;
use crate::run::{Outcome, Reason, Status};

/// [`Outcome`] on the wire, where both words may be of a newer daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutcomeBody {
    /// Where the run stands.
    pub status: Word<Status>,
    /// Why it ended; `None` until then.
    pub reason: Option<Word<Reason>>,
    /// The command's exit code.
    pub exit_code: Option<i64>,
    /// The number of the signal that ended it.
    pub signal: Option<i64>,
    /// Why it could not start.
    pub error: Option<String>,
}

impl OutcomeBody {
    /// Whether nothing will change it.
    pub fn is_terminal(&self) -> bool {
        self.status.known().is_some_and(Status::is_terminal)
    }

    /// The reason, if there is one and this version knows it.
    pub fn known_reason(&self) -> Option<Reason> {
        self.reason.as_ref().and_then(Word::known)
    }

    /// The outcome, if this version knows its status. A reason that it does not know is left out.
    pub fn known(&self) -> Option<Outcome> {
        let OutcomeBody { status, exit_code, signal, error, .. } = self;
        let (exit_code, signal, error) = (*exit_code, *signal, error.clone());
        Some(Outcome { status: status.known()?, reason: self.known_reason(), exit_code, signal, error })
    }
}
