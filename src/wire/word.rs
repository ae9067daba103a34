//! A word of a list that may grow.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One of the words that this version knows, or another one, of a newer daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Word<T> {
    /// A word of this version.
    Known(T),
    /// Any other, as it came.
    Other(String),
}

impl<T: Copy> Word<T> {
    /// The word, if this version knows it.
    pub fn known(&self) -> Option<T> {
        match self {
            Word::Known(word) => Some(*word),
            Word::Other(_) => None,
        }
    }
}

impl<T> Default for Word<T> {
    fn default() -> Word<T> {
        Word::Other(String::new())
    }
}

impl<T> From<T> for Word<T> {
    fn from(word: T) -> Word<T> {
        Word::Known(word)
    }
}

impl<T: fmt::Display> fmt::Display for Word<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Word::Known(word) => word.fmt(out),
            Word::Other(word) => word.fmt(out),
        }
    }
}
