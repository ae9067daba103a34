//! Parses what a submit says about terminal and standard input, and how large a terminal is to be.

use serde_json::Value;

use super::fields::Fields;
use crate::http::error::Problem;
use crate::run::{CELLS_MAX, Stdin, TerminalSize};

/// `pty`: the terminal, where one is asked for. What is left out of its size is as usual.
pub fn pty(fields: &mut Fields) -> Option<TerminalSize> {
    let mut given = fields.object("pty")?;
    let usual = TerminalSize::default();
    let size = TerminalSize {
        columns: cells(&mut given, "columns").unwrap_or(usual.columns),
        rows: cells(&mut given, "rows").unwrap_or(usual.rows),
    };
    fields.take_back(given);
    Some(size)
}

/// The size that a terminal is to have: both of its numbers.
///
/// # Errors
/// All that is wrong with it at once.
pub fn size_from(mut fields: Fields) -> Result<TerminalSize, Problem> {
    let missing: Vec<_> = ["columns", "rows"].into_iter().filter(|field| !fields.gives(field)).collect();
    for field in missing {
        fields.wrong(field, "required", format!("give how many there are, 1 to {CELLS_MAX}"));
        fields.given.remove(field);
    }
    let (columns, rows) = (cells(&mut fields, "columns"), cells(&mut fields, "rows"));
    fields.finish()?;
    let usual = TerminalSize::default();
    Ok(TerminalSize { columns: columns.unwrap_or(usual.columns), rows: rows.unwrap_or(usual.rows) })
}

fn cells(fields: &mut Fields, field: &str) -> Option<u16> {
    fields.integer(field, 1, CELLS_MAX).and_then(|cells| u16::try_from(cells).ok())
}

/// `stdin`: a text, as it is or as `{"text": …}`, or the word for an input that stays open.
pub fn stdin(fields: &mut Fields) -> (Option<String>, Option<Stdin>) {
    match fields.take("stdin") {
        None => (None, None),
        Some(Value::String(word)) if word == Stdin::OPEN => (None, Some(Stdin::Open)),
        Some(Value::String(text)) => (Some(text), None),
        Some(Value::Object(given)) => {
            let mut given = Fields::of(given, "stdin.");
            if !given.gives("text") {
                given.wrong("text", "required", "give the text that is to be read");
                given.given.remove("text");
            }
            let text = given.text("text", |_| Ok(()));
            fields.take_back(given);
            (text, None)
        }
        Some(_) => {
            fields.wrong("stdin", "type", "must be a text, \"open\", or {\"text\": …} for a text that is that word");
            (None, None)
        }
    }
}
