//! Why a command was not started, and whether that may pass.

/// Why a command was not started.
#[derive(Clone, Debug)]
pub(super) struct Unstarted {
    /// For people.
    pub why: String,
    /// Whether descriptors, processes or memory are wanting, which come back; it can be tried again.
    pub is_shortage: bool,
}

impl From<String> for Unstarted {
    fn from(why: String) -> Unstarted {
        Unstarted { why, is_shortage: false }
    }
}
