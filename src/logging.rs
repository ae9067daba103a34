//! Log lines on standard error: for people, for the journal, or as JSON.
//!
//! It never waits for the reader of the log, never panics, and writes no control characters. A line that cannot be written at
//! once is dropped.

use std::borrow::Cow;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use log::{Level, LevelFilter, Log, Metadata, Record};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::clock::UnixMs;
use crate::text::{printable, printable_json, printable_lines};

/// The longest line, in bytes. A pipe takes this much at once or not at all (PIPE_BUF of pipe(7)), so that `poll` shows
/// whether a write would block.
const LINE_BYTES_MAX: usize = 4_096;

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `2026-11-23T06:32:01.123Z INFO message`.
    Text,
    /// `<6>message`: the journal understands the priority and adds the time.
    Journal,
    /// One JSON object a line.
    Json,
}

impl Format {
    /// [`Format::Journal`] when standard error is the journal (JOURNAL_STREAM of systemd.exec(5)), else [`Format::Text`].
    pub fn of_text() -> Format {
        let stream = std::env::var_os("JOURNAL_STREAM");
        let ours = rustix::fs::fstat(std::io::stderr()).ok().map(|stat| format!("{}:{}", stat.st_dev, stat.st_ino));
        match (stream, ours) {
            (Some(stream), Some(ours)) if stream.as_bytes() == ours.as_bytes() => Format::Journal,
            _ => Format::Text,
        }
    }
}

/// Starts the log. Other crates are logged from warnings up.
///
/// A second call only changes the level.
pub fn start(format: Format, level: LevelFilter) {
    // It fails only where a logger is there already.
    let _ = log::set_boxed_logger(Box::new(Stderr { format }));
    log::set_max_level(level);
}

/// Writes why the daemon does not start, before there is a log: for people after the program's name, for the journal as
/// errors.
pub fn refuse(why: &str) {
    let why = printable_lines(why);
    let text = match Format::of_text() {
        Format::Journal => why.lines().map(|line| format!("<{}>{line}\n", syslog(Level::Error))).collect(),
        Format::Text | Format::Json => format!("runabout: {why}\n"),
    };
    // Standard error may be gone; there is nobody else to tell.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

struct Stderr {
    format: Format,
}

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let ours = metadata.target().split("::").next() == Some(env!("CARGO_PKG_NAME"));
        metadata.level() <= log::max_level() && (ours || metadata.level() <= Level::Warn)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = line(self.format, UnixMs::now(), record.level(), record.target(), &record.args().to_string());
            write_or_drop(&line);
        }
    }

    fn flush(&self) {}
}

fn line(format: Format, at: UnixMs, level: Level, target: &str, message: &str) -> String {
    // A byte of a message can take six in JSON, and the frame around it its own.
    let room = if format == Format::Json { (LINE_BYTES_MAX - 256) / 6 } else { LINE_BYTES_MAX - 64 };
    let mut line = match format {
        Format::Text => format!("{at} {level} {}", escaped(message, room)),
        Format::Journal => format!("<{}>{}", syslog(level), escaped(message, room)),
        Format::Json => json_line(at, level, target, cut(message, LINE_BYTES_MAX - 256)),
    };
    if line.len() >= LINE_BYTES_MAX {
        line = json_line(at, level, "", cut(message, room));
    }
    line.push('\n');
    line
}

fn json_line(at: UnixMs, level: Level, target: &str, message: &str) -> String {
    let level = level.as_str().to_ascii_lowercase();
    let target = cut(target, 64);
    let line = serde_json::json!({"at": at.to_string(), "level": level, "target": target, "message": message});
    printable_json(&line.to_string())
}

/// The priorities of syslog(3), as sd-daemon(3) wants them.
fn syslog(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// The text with control characters escaped, cut to `room` bytes and marked with `…` where it is longer.
fn escaped(text: &str, room: usize) -> Cow<'_, str> {
    let shown = printable(text);
    if shown.len() <= room { shown } else { Cow::Owned(format!("{}…", cut(&shown, room - '…'.len_utf8()))) }
}

fn cut(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn write_or_drop(line: &str) {
    let stderr = std::io::stderr();
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let ready = {
        let mut fds = [PollFd::from_borrowed_fd(stderr.as_fd(), PollFlags::OUT)];
        matches!(poll(&mut fds, Some(&now)), Ok(1)) && fds[0].revents().contains(PollFlags::OUT)
    };
    if ready {
        let _ = rustix::io::write(stderr.as_fd(), line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_byte_gets_through() {
        let hostile = "a\u{1b}[31m\nb\u{9b}\u{202e}\u{e0041}\0";
        for format in [Format::Text, Format::Journal, Format::Json] {
            let line = line(format, UnixMs(0), Level::Info, "runabout", hostile);
            let text = line.strip_suffix('\n').expect("one line");
            assert!(text.is_ascii() && !text.chars().any(char::is_control), "{line:?}");
            if format == Format::Json {
                let read: serde_json::Value = serde_json::from_str(text).expect("JSON");
                assert_eq!(read["message"], hostile);
            }
        }
        assert!(line(Format::Journal, UnixMs(0), Level::Warn, "runabout", "x").starts_with("<4>x"));
        assert_eq!(line(Format::Text, UnixMs(0), Level::Info, "runabout", "x"), "1970-01-01T00:00:00.000Z INFO x\n");
    }

    #[test]
    fn a_line_fits_a_pipe_and_json_stays_json() {
        for message in ["x".repeat(10_000), "\u{1}".repeat(10_000), "é".repeat(5_000)] {
            for format in [Format::Text, Format::Journal, Format::Json] {
                let line = line(format, UnixMs(0), Level::Info, "runabout", &message);
                assert!(line.len() <= LINE_BYTES_MAX, "{} in {format:?}", line.len());
                if format == Format::Json {
                    serde_json::from_str::<serde_json::Value>(&line).expect("JSON");
                }
            }
        }
    }
}
