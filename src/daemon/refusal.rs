//! Why the daemon ends before it serves.

/// The exit code, and what to say.
pub(super) struct Refusal(pub(super) u8, pub(super) String);
