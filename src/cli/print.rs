//! What Runabout itself prints: answers on standard output, notes and warnings on standard error.
//!
//! Text that comes from elsewhere is made harmless first: no name or command may move a terminal's cursor. Nothing
//! here may panic because an output is closed. The commands' own bytes do not pass here, but through `sink`.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};

use crate::client::failure::Failure;
use crate::text::{printable, printable_json, printable_lines};

/// Writes an answer to standard output.
///
/// # Errors
/// [`Failure::OutputClosed`] when nobody reads it any more.
pub fn answer(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written =
        out.write_all(text.as_bytes()).and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
    match written.and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::OutputClosed),
        Err(error) => Err(Failure::Own(format!("cannot write standard output: {error}"))),
    }
}

/// Tells a person at a terminal what is going on; nobody else.
pub fn note(text: &str) {
    if io::stderr().is_terminal() {
        warn(text);
    }
}

/// Tells that something is wrong, on a terminal or not. A closed standard error is nobody's problem.
pub fn warn(text: &str) {
    let _ = writeln!(io::stderr(), "runabout: {}", printable_lines(text));
}

/// Answers with JSON on one line.
///
/// # Errors
/// As [`answer`].
pub fn answer_json(json: &str) -> Result<(), Failure> {
    answer(&printable_json(json))
}

/// Colours for standard output: on a terminal, unless `NO_COLOR` is set.
#[derive(Clone, Copy, Debug)]
pub struct Paint(bool);

/// What a colour stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// As it comes.
    Plain,
    /// Stands back.
    Dim,
    /// Went well.
    Green,
    /// Is not as it should be, by somebody's wish.
    Yellow,
    /// Went wrong.
    Red,
    /// Is going on.
    Cyan,
}

impl Paint {
    /// As standard output and the environment want it.
    pub fn new() -> Paint {
        Paint::of(io::stdout().is_terminal())
    }

    /// For another output, as the environment wants it.
    pub fn of(is_terminal: bool) -> Paint {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Paint(is_terminal && !unwanted && !dumb)
    }

    /// Whether there are colours.
    pub fn is_on(self) -> bool {
        self.0
    }

    /// `text` in that colour, where there are colours.
    pub fn paint(self, text: &str, colour: Colour) -> String {
        let code = match colour {
            Colour::Plain => return text.to_owned(),
            Colour::Dim => 2,
            Colour::Green => 32,
            Colour::Yellow => 33,
            Colour::Red => 31,
            Colour::Cyan => 36,
        };
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

impl Default for Paint {
    fn default() -> Self {
        Paint::new()
    }
}

/// A table whose columns are as wide as what is in them; the last one is cut at a terminal's edge.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<(String, Colour)>>,
    right: Vec<bool>,
}

impl Table {
    /// A table with these headings; one that starts with `>` is over a column of numbers.
    pub fn new(headings: &[&str]) -> Table {
        let right = headings.iter().map(|heading| heading.starts_with('>')).collect();
        let first = headings.iter().map(|heading| (heading.trim_start_matches('>').to_owned(), Colour::Dim)).collect();
        Table { rows: vec![first], right }
    }

    /// Adds a row; its texts may come from anywhere.
    pub fn row<const N: usize>(&mut self, cells: [(&str, Colour); N]) {
        self.rows.push(cells.map(|(text, colour)| (printable(text).into_owned(), colour)).into());
    }

    /// The table, one line a row.
    pub fn show(&self, paint: Paint) -> String {
        self.show_within(paint, terminal_columns())
    }

    fn show_within(&self, paint: Paint, columns_max: Option<usize>) -> String {
        let columns = self.right.len();
        let width = |text: &str| text.chars().count();
        let widths: Vec<usize> =
            (0..columns).map(|column| self.rows.iter().map(|row| width(&row[column].0)).max().unwrap_or(0)).collect();
        let before_last: usize = widths.iter().take(columns.saturating_sub(1)).map(|width| width + 2).sum();
        let last_max = columns_max.map(|max| max.saturating_sub(before_last).max(8));
        let mut out = String::new();
        for row in &self.rows {
            for (column, (text, colour)) in row.iter().enumerate() {
                let last = column + 1 == columns;
                let text = if last { cut(text, last_max) } else { Cow::Borrowed(text.as_str()) };
                let gap = " ".repeat(widths[column].saturating_sub(width(&text)));
                let painted = paint.paint(&text, *colour);
                match (self.right[column], last) {
                    (true, _) => _ = write!(out, "{gap}{painted}"),
                    (false, true) => out.push_str(&painted),
                    (false, false) => _ = write!(out, "{painted}{gap}"),
                }
                out.push_str(if last { "\n" } else { "  " });
            }
        }
        out
    }
}

fn cut(text: &str, chars_max: Option<usize>) -> Cow<'_, str> {
    match chars_max {
        Some(max) if text.chars().count() > max => {
            let kept: String = text.chars().take(max.saturating_sub(1)).collect();
            Cow::Owned(kept + "…")
        }
        _ => Cow::Borrowed(text),
    }
}

fn terminal_columns() -> Option<usize> {
    let out = io::stdout();
    if !out.is_terminal() {
        return None;
    }
    #[cfg(unix)]
    let columns = rustix::termios::tcgetwinsize(&out).ok().map(|size| usize::from(size.ws_col));
    // Without a way to ask, the usual width.
    #[cfg(not(unix))]
    let columns = Some(80);
    columns.filter(|columns| *columns > 0)
}

/// An argument vector as one would type it.
pub fn shell_words(argv: &[String]) -> String {
    let word = |word: &String| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(&byte);
        if !word.is_empty() && word.bytes().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    argv.iter().map(word).collect::<Vec<String>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let mut table = Table::new(&[">ID", "STATUS", "COMMAND"]);
        table.row([("7", Colour::Plain), ("running", Colour::Cyan), ("true", Colour::Plain)]);
        table.row([("12", Colour::Plain), ("failed", Colour::Red), ("echo a long one", Colour::Plain)]);
        let plain = table.show_within(Paint(false), None);
        assert_eq!(plain, "ID  STATUS   COMMAND\n 7  running  true\n12  failed   echo a long one\n");
        let narrow = table.show_within(Paint(false), Some(23));
        assert!(narrow.ends_with("echo a lon…\n") || narrow.contains('…'), "{narrow}");
        assert!(table.show_within(Paint(true), None).contains("\x1b[31mfailed\x1b[0m   echo"));
    }

    #[test]
    fn words_are_quoted_as_a_shell_reads_them() {
        let argv = ["sh", "-c", "echo 'a b'", "", "x=1"].map(str::to_owned);
        assert_eq!(shell_words(&argv), r"sh -c 'echo '\''a b'\''' '' x=1");
    }
}
