//! What a shell and a person are told of a run's end.
//!
//! Words that this program does not know make no exit code of their own: a newer daemon may have more of them.

use crate::run::{Outcome, Reason, Status};
use crate::text::printable;
use crate::wire::OutcomeBody;

impl OutcomeBody {
    /// Whether there was no command to print anything.
    pub fn never_started(&self) -> bool {
        self.known_reason() == Some(Reason::SpawnFailed)
    }

    /// What `run` and `wait` exit with.
    pub fn exit_code(&self) -> u8 {
        if self.never_started() {
            // The daemon's words for what a shell tells by 127 and 126.
            return match self.error.as_deref() {
                Some(error) if error.starts_with("not found: ") => 127,
                Some(error) if error.starts_with("not executable: ") => 126,
                _ => 125,
            };
        }
        let code = self.known().as_ref().map_or(125, Outcome::shell_exit_code);
        u8::try_from(code & 0xff).unwrap_or(125)
    }

    /// What a person should be told beyond the exit code; `None` when the command ended by itself.
    pub fn complaint(&self, run: i64) -> Option<String> {
        let reason = self.known_reason();
        match (self.status.known(), reason) {
            (_, Some(Reason::SpawnFailed)) => {
                let why = self.error.as_deref().unwrap_or("it could not be started");
                let is_line = why.strip_prefix("not found: ").is_some_and(|name| name.contains(char::is_whitespace));
                let hint = if is_line { "\nfor a line of shell: runabout run -s 'LINE'" } else { "" };
                Some(format!("{}{hint}", printable(why)))
            }
            (_, Some(Reason::Oom)) => Some(format!("run {run} was killed: it ran out of memory")),
            (Some(Status::TimedOut), _) => Some(format!("run {run} timed out")),
            (Some(Status::Canceled), _) => {
                let why = self.error.as_deref().map(|why| format!(": {}", printable(why))).unwrap_or_default();
                Some(format!("run {run} was canceled{why}"))
            }
            (Some(Status::Interrupted), Some(Reason::Shutdown)) => {
                Some(format!("run {run} was interrupted: the daemon stopped"))
            }
            (Some(Status::Interrupted), _) => Some(format!("run {run} was interrupted: the daemon died under it")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(status: &str, reason: &str) -> OutcomeBody {
        serde_json::from_value(serde_json::json!({ "status": status, "reason": reason })).expect("an outcome")
    }

    fn exit(status: &str, reason: &str, exit_code: Option<i64>, signal: Option<i64>, error: Option<&str>) -> u8 {
        OutcomeBody { exit_code, signal, error: error.map(str::to_owned), ..body(status, reason) }.exit_code()
    }

    #[test]
    fn exit_codes_are_those_of_timeout_and_the_shell() {
        assert_eq!(exit("succeeded", "exited", Some(0), None, None), 0);
        assert_eq!(exit("failed", "exited", Some(7), None, None), 7);
        assert_eq!(exit("failed", "signaled", None, Some(9), None), 137);
        assert_eq!(exit("timed_out", "timeout", Some(0), None, None), 124);
        assert_eq!(exit("canceled", "canceled", None, Some(15), None), 143);
        assert_eq!(exit("interrupted", "daemon_lost", None, None, None), 125);
        assert_eq!(exit("failed", "spawn_failed", None, None, Some("not found: foo")), 127);
        assert_eq!(exit("failed", "spawn_failed", None, None, Some("not executable: foo")), 126);
        assert_eq!(exit("failed", "spawn_failed", None, None, Some("working directory /x: gone")), 125);
        assert_eq!(exit("evaporated", "magic", None, None, None), 125);
    }

    #[test]
    fn only_what_the_command_did_not_do_itself_is_told() {
        let outcome = body;
        assert!(outcome("failed", "exited").complaint(1).is_none());
        assert!(outcome("failed", "signaled").complaint(1).is_none());
        assert_eq!(outcome("timed_out", "timeout").complaint(7).as_deref(), Some("run 7 timed out"));
        assert_eq!(outcome("canceled", "canceled").complaint(7).as_deref(), Some("run 7 was canceled"));
        let error = Some("run 6 failed, and it had to succeed".to_owned());
        let needed = OutcomeBody { error, ..outcome("canceled", "dependency") }.complaint(7);
        assert_eq!(needed.as_deref(), Some("run 7 was canceled: run 6 failed, and it had to succeed"));
    }

    #[test]
    fn a_line_of_shell_that_was_taken_for_a_program_is_told_from_a_program() {
        let complaint = |name: &str| {
            let error = Some(format!("not found: {name}"));
            OutcomeBody { error, ..body("failed", "spawn_failed") }.complaint(1).unwrap_or_default()
        };
        assert_eq!(complaint("gerp"), "not found: gerp");
        let told = complaint("make | tee log");
        assert_eq!(told, "not found: make | tee log\nfor a line of shell: runabout run -s 'LINE'");
    }
}
