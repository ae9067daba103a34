//! What a submit does to the runs of its key that have not ended.

use serde::{Deserialize, Serialize};

use crate::words::words;

words! {
    /// What becomes of a run of the same key that has not begun. One of a key runs at a time, whatever is said here, and what
    /// has begun swallows no submit.
    OnConflict {
        /// It stays, and the new one waits behind it.
        Wait = "wait",
        /// It stays, and stands for the new one too.
        Join = "join",
        /// The new one takes its place.
        Replace = "replace",
        /// It becomes the new one, and waits anew.
        Debounce = "debounce",
        /// The new one takes its place, and the one that has begun is canceled.
        Cancel = "cancel",
    }
}

/// What a submit says about its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// What is done about others of the key.
    pub on_conflict: OnConflict,
    /// Seconds that a debounced run waits after the newest of its submits; 0 unless it is debounced.
    pub debounce_s: i64,
    /// Seconds after the first of its submits that it waits at most; `None`: however long submits go on.
    pub debounce_max_s: Option<i64>,
}

impl Default for Conflict {
    fn default() -> Conflict {
        Conflict { on_conflict: OnConflict::Wait, debounce_s: 0, debounce_max_s: None }
    }
}
