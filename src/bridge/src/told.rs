//! What is told to people: lines on standard error, and the reason why it ends.

use std::fmt;
use std::io::Write as _;

/// Why there is nothing to go on with.
#[derive(Debug)]
pub enum Refusal {
    /// What was given cannot be used.
    Usage(String),
    /// The hub or the daemon said no.
    No(String),
    /// Nobody is there.
    Absent(String),
}

impl Refusal {
    /// As the daemon's command line has them: 2 usage, 1 no, 3 nobody there.
    pub fn exit_code(&self) -> u8 {
        match self {
            Refusal::No(_) => 1,
            Refusal::Usage(_) => 2,
            Refusal::Absent(_) => 3,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Refusal::Usage(text) | Refusal::No(text) | Refusal::Absent(text)) = self;
        out.write_str(text)
    }
}

/// A line for the log. One that cannot be written is dropped.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "runabout-bridge: {text}");
}
