//! What a command reads and prints on where that is no pipe: a terminal of some size, an input that stays open.

use serde::{Deserialize, Serialize};

/// The most columns and the most rows of a terminal: more than any screen has, and what a reader can still draw.
pub const CELLS_MAX: i64 = 1_000;

/// How large a terminal is, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TerminalSize {
    /// Characters of a line, 1 to [`CELLS_MAX`].
    pub columns: u16,
    /// Lines, 1 to [`CELLS_MAX`].
    pub rows: u16,
}

impl Default for TerminalSize {
    fn default() -> TerminalSize {
        TerminalSize { columns: 80, rows: 24 }
    }
}

/// What becomes of a command's standard input after its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stdin {
    /// It takes what clients send while it runs.
    Open,
}

impl Stdin {
    /// The word by which a submit asks for it; a text of these letters is given as `{"text": "open"}`.
    pub const OPEN: &'static str = "open";
}
