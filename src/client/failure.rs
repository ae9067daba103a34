//! What can go wrong at a client, in words for people.

use std::fmt;

use crate::text::printable;
use crate::wire::{ProblemBody, Violation};

/// Why a client did not get what it asked for.
#[derive(Debug)]
pub enum Failure {
    /// What was given cannot be used: a URL, a file, a word of the command line.
    Usage(String),
    /// Nobody answers there, or somebody who is no daemon.
    NoDaemon(String),
    /// The connection was made and broke before the answer was there: what came of the request is unknown.
    Lost(String),
    /// The socket is there, and not for us.
    NotAllowed(String),
    /// The daemon said no.
    Refused(Box<Problem>),
    /// Something of our own: an output that cannot be written, an answer beyond all limits.
    Own(String),
    /// Who read the output of the command line has gone, which is no error.
    OutputClosed,
}

impl Failure {
    /// Whether the same request may fare better later, given that a daemon has been met there before.
    pub fn may_pass(&self) -> bool {
        match self {
            Failure::NoDaemon(_) | Failure::Lost(_) | Failure::NotAllowed(_) => true,
            Failure::Refused(problem) => problem.status >= 500 || matches!(problem.status, 408 | 429),
            Failure::Usage(_) | Failure::Own(_) | Failure::OutputClosed => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(text)
            | Failure::NoDaemon(text)
            | Failure::Lost(text)
            | Failure::NotAllowed(text)
            | Failure::Own(text) => out.write_str(text),
            Failure::Refused(problem) => problem.fmt(out),
            Failure::OutputClosed => out.write_str("the output was closed"),
        }
    }
}

impl std::error::Error for Failure {}

/// The daemon's no.
pub type Problem = ProblemBody<'static>;

impl Problem {
    /// Reads an answer's body; `None` when it is not a daemon's.
    pub fn read(status: u16, body: &[u8]) -> Option<Problem> {
        let problem: Problem = serde_json::from_slice(body).ok()?;
        (!problem.code.is_empty()).then_some(Problem { status, ..problem })
    }
}

impl fmt::Display for Problem {
    /// The detail, then each violation on a line of its own; nothing in it reaches a terminal as a command.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = if self.detail.is_empty() { &self.code } else { &self.detail };
        let violations = self.violations();
        let told = violations.iter().all(|violation| detail.contains(&violation.message));
        match violations.as_slice() {
            [] => return write!(out, "{}", printable(detail)),
            [_] if told => return write!(out, "{}", printable(detail)),
            [..] if told => write!(out, "{} things are wrong", violations.len())?,
            [..] => write!(out, "{}", printable(detail))?,
        }
        for Violation { field, message, .. } in &violations {
            let (field, message) = (printable(field), printable(message));
            if field.is_empty() { write!(out, "\n  {message}")? } else { write!(out, "\n  {field}: {message}")? }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_tells_every_violation_on_its_line() {
        let body = br#"{"type":"about:blank","title":"Unprocessable Content","status":422,"code":"invalid",
            "detail":"2 fields are wrong","details":{"violations":[
            {"field":"queue","reason":"unknown","message":"no queue \u001b[31mgpu"},
            {"field":"","reason":"missing","message":"command or script is needed"}]}}"#;
        let problem = Problem::read(422, body).expect("a problem");
        let text = "2 fields are wrong\n  queue: no queue \\x1b[31mgpu\n  command or script is needed";
        assert_eq!(problem.to_string(), text);
    }

    #[test]
    fn a_detail_that_tells_the_violations_already_is_not_told_twice() {
        let shown = |detail: &str, violations: &str| {
            let body = format!(r#"{{"code":"invalid","detail":"{detail}","details":{{"violations":[{violations}]}}}}"#);
            Problem::read(422, body.as_bytes()).expect("a problem").to_string()
        };
        let (one, two) = (r#"{"field":"a","message":"is needed"}"#, r#"{"field":"b","message":"no such field"}"#);
        assert_eq!(shown("a: is needed", one), "a: is needed");
        let both = shown("a: is needed; b: no such field", &format!("{one},{two}"));
        assert_eq!(both, "2 things are wrong\n  a: is needed\n  b: no such field");
    }

    #[test]
    fn what_is_not_a_problem_is_not_a_daemon() {
        assert!(Problem::read(502, b"<html>Bad Gateway</html>").is_none());
        assert!(Problem::read(404, b"{}").is_none());
    }

    #[test]
    fn only_what_passes_is_tried_again() {
        let refused = |status| Failure::Refused(Box::new(Problem { status, ..Problem::default() }));
        assert!(refused(503).may_pass() && refused(429).may_pass() && Failure::Lost(String::new()).may_pass());
        assert!(!refused(409).may_pass() && !refused(410).may_pass() && !Failure::OutputClosed.may_pass());
    }
}
