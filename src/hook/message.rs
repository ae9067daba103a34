//! What is sent: the bytes of a delivery, made once, when the run ends, in the form that the hook asks for.
//!
//! Nothing of a run's command, environment, input or output is in it, and there are no templates.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Form;
use crate::clock::UnixMs;
use crate::event::Finished;
use crate::numbers::EventId;
use crate::run::{Outcome, Reason, Run, Status};

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
/// The longest `error` that is repeated to people, in characters.
const ERROR_CHARS_MAX: usize = 300;

/// What is sent, but for what depends on when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `Content-Type`.
    pub content_type: String,
    /// Further headers, in lower case; their values are visible ASCII.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// The end of a run, as a hook tells it.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// The run, as it was before its end.
    pub run: &'a Run,
    /// How it ended.
    pub finished: &'a Finished,
    /// The event that says so.
    pub event: EventId,
    /// When.
    pub at: UnixMs,
    /// The database's name.
    pub instance: &'a str,
    /// The machine's name.
    pub host: &'a str,
}

impl Message {
    /// Of the end of a run.
    pub fn of(ended: &Ended<'_>, form: Form) -> Message {
        let status = ended.finished.outcome.status;
        match form {
            Form::Standard => {
                let at = ended.at.to_string();
                Message::json(&json!({"type": "run.finished", "timestamp": at, "data": ended.data()}))
            }
            Form::HomeAssistant => {
                let mut flat = Map::new();
                flat.insert("type".into(), "run.finished".into());
                flat.insert("timestamp".into(), ended.at.to_string().into());
                flat.insert("title".into(), ended.title().into());
                flat.insert("message".into(), ended.details().into());
                flat.extend(ended.data());
                Message::json(&Value::Object(flat))
            }
            Form::Ntfy => {
                let (priority, tags) = importance(status);
                Message::ntfy(&ended.title(), ended.details(), priority, tags)
            }
            Form::Slack => Message::slack(&ended.title(), &ended.details()),
        }
    }

    /// Of no run: somebody wants to see whether a hook works.
    pub fn test(hook: &str, form: Form, at: UnixMs, instance: &str, host: &str) -> Message {
        let title = format!("{hook}: a test");
        let details = format!("The hook {hook} of Runabout on {host} reaches you.");
        let at = at.to_string();
        match form {
            Form::Standard => {
                let data = json!({"hook": hook, "instance": instance, "host": host});
                Message::json(&json!({"type": "hook.test", "timestamp": at, "data": data}))
            }
            Form::HomeAssistant => Message::json(&json!({
                "type": "hook.test", "timestamp": at, "title": title, "message": details, "hook": hook,
                "instance": instance, "host": host,
            })),
            Form::Ntfy => Message::ntfy(&title, details, "3", "bell"),
            Form::Slack => Message::slack(&title, &details),
        }
    }

    fn json(value: &Value) -> Message {
        Message { content_type: JSON.to_owned(), headers: Vec::new(), body: value.to_string() }
    }

    fn ntfy(title: &str, body: String, priority: &str, tags: &str) -> Message {
        let headers = [("title", header(title)), ("priority", priority.to_owned()), ("tags", tags.to_owned())];
        let headers = headers.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Message { content_type: TEXT.to_owned(), headers, body }
    }

    fn slack(title: &str, details: &str) -> Message {
        // Its own three characters, and what it takes for the borders of bold, which a name may have.
        let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        Message::json(&json!({ "text": format!("*{}*\n{}", escaped(title).replace('*', "∗"), escaped(details)) }))
    }
}

impl Ended<'_> {
    /// What there is to be known of it, for programs.
    fn data(&self) -> Map<String, Value> {
        let Ended { run, finished, .. } = self;
        let time = |at: Option<UnixMs>| at.map(|at| at.to_string());
        let Outcome { status, reason, exit_code, signal, error } = &finished.outcome;
        let data = json!({
            "id": run.id, "name": finished.name, "status": status, "reason": reason, "exit_code": exit_code,
            "signal": signal, "error": error, "duration_ms": finished.duration_ms, "attempt": run.attempt,
            "queue": finished.queue, "tags": finished.tags, "cause": run.origin.cause, "job": run.origin.job,
            "scheduled_for": time(run.origin.scheduled_for), "retry_of": run.retry_of,
            "created_at": run.created_at.to_string(), "started_at": time(run.started_at),
            "ended_at": self.at.to_string(), "usage": finished.usage, "event": self.event, "instance": self.instance, "host": self.host,
        });
        if let Value::Object(data) = data { data } else { Map::new() }
    }

    /// `backup failed`
    fn title(&self) -> String {
        let label = self.finished.name.as_deref().or(self.run.origin.job.as_deref());
        let label = label.map_or_else(|| format!("run {}", self.run.id), str::to_owned);
        let verb = match self.finished.outcome.status {
            Status::Succeeded => "succeeded",
            Status::Canceled => "was canceled",
            Status::TimedOut => "timed out",
            Status::Interrupted => "was interrupted",
            Status::Failed | Status::Queued | Status::Running => "failed",
        };
        format!("{label} {verb}")
    }

    /// Why, after how long, and where it is to be looked at.
    fn details(&self) -> String {
        let Outcome { reason, exit_code, signal, error, .. } = &self.finished.outcome;
        let why = match (reason, exit_code, signal) {
            (Some(Reason::Exited), Some(code), _) => Some(format!("exit code {code}")),
            (Some(Reason::Signaled), _, Some(signal)) => Some(format!("signal {signal}")),
            (Some(Reason::Oom), ..) => Some("out of memory".to_owned()),
            (Some(Reason::SpawnFailed), ..) => Some("it could not be started".to_owned()),
            (Some(Reason::DaemonLost), ..) => Some("the daemon died".to_owned()),
            (Some(Reason::Shutdown), ..) => Some("the daemon was shut down".to_owned()),
            (Some(Reason::Expired), ..) => Some("it was too late to start it".to_owned()),
            (Some(Reason::Dependency), ..) => Some("a run that it needs ended otherwise".to_owned()),
            (Some(Reason::Replaced), ..) => Some("a newer one took its place".to_owned()),
            _ => None,
        };
        let after = self.finished.duration_ms.map(|ms| format!("after {}", time(ms)));
        let first: Vec<String> = why.into_iter().chain(after).collect();
        let mut lines: Vec<String> = (!first.is_empty()).then(|| first.join(", ")).into_iter().collect();
        lines.extend(error.as_ref().map(|error| error.chars().take(ERROR_CHARS_MAX).collect()));
        lines.push(format!("Run {} in queue {} on {}", self.run.id, self.finished.queue, self.host));
        lines.join("\n")
    }
}

/// Priority (1 to 5, 3 is usual) and picture of an end, in ntfy's words.
fn importance(status: Status) -> (&'static str, &'static str) {
    match status {
        Status::Succeeded => ("3", "white_check_mark"),
        Status::Canceled => ("3", "no_entry_sign"),
        Status::TimedOut => ("4", "hourglass"),
        Status::Interrupted => ("4", "warning"),
        Status::Failed | Status::Queued | Status::Running => ("4", "x"),
    }
}

/// A text as the value of a header: as it is, else as RFC 2047 has it, in words of at most 75 characters.
fn header(text: &str) -> String {
    const WORD_BYTES_MAX: usize = 45;
    let is_plain = text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) && !text.contains("=?");
    if is_plain && text.trim() == text {
        return text.to_owned();
    }
    let mut words = vec![String::new()];
    for char in text.chars() {
        if words.last().is_some_and(|word| word.len() + char.len_utf8() > WORD_BYTES_MAX) {
            words.push(String::new());
        }
        words.last_mut().into_iter().for_each(|word| word.push(char));
    }
    let encoded: Vec<String> = words.iter().map(|word| format!("=?UTF-8?B?{}?=", STANDARD.encode(word))).collect();
    encoded.join(" ")
}

/// `850 ms`, `12 s`, `3 min 2 s`, `2 h 5 min`
fn time(ms: i64) -> String {
    let seconds = ms / 1_000;
    match ms {
        ..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{seconds} s"),
        60_000..3_600_000 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::tests::run;

    fn message(form: Form, name: Option<&str>, outcome: Outcome) -> Message {
        let run = run("gpu", &["media"], Some("nightly"));
        let finished = Finished {
            outcome,
            duration_ms: Some(182_000),
            name: name.map(str::to_owned),
            queue: "gpu".into(),
            tags: vec!["media".into()],
            usage: None,
            context: None,
            artifacts: None,
        };
        let at = UnixMs(1_790_000_000_000);
        let ended = Ended { run: &run, finished: &finished, event: EventId(7), at, instance: "abc", host: "pi" };
        Message::of(&ended, form)
    }

    const FAILED: Outcome =
        Outcome { status: Status::Failed, reason: Some(Reason::Exited), exit_code: Some(1), ..Outcome::QUEUED };

    #[test]
    fn each_form_is_what_its_receivers_take() {
        let standard = message(Form::Standard, Some("backup"), FAILED);
        let body: Value = serde_json::from_str(&standard.body).expect("it is one");
        assert_eq!((&body["type"], &body["timestamp"]), (&json!("run.finished"), &json!("2026-09-21T14:13:20.000Z")));
        assert_eq!(
            (&body["data"]["id"], &body["data"]["exit_code"], &body["data"]["job"]),
            (&json!(42), &json!(1), &json!("nightly"))
        );
        assert!(body["data"].get("env").is_none() && body["data"].get("command").is_none());

        let flat: Value =
            serde_json::from_str(&message(Form::HomeAssistant, Some("backup"), FAILED).body).expect("it is one");
        assert_eq!((&flat["title"], &flat["status"]), (&json!("backup failed"), &json!("failed")));

        let ntfy = message(Form::Ntfy, Some("backup"), FAILED);
        assert_eq!(ntfy.body, "exit code 1, after 3 min 2 s\nRun 42 in queue gpu on pi");
        let headers: Vec<_> = ntfy.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(headers, [("title", "backup failed"), ("priority", "4"), ("tags", "x")]);

        let slack: Value =
            serde_json::from_str(&message(Form::Slack, Some("<!channel> & *"), FAILED).body).expect("it is one");
        let text = slack["text"].as_str().expect("it is one");
        assert!(
            text.starts_with("*&lt;!channel&gt; &amp; ∗ failed*\nexit code 1"),
            "nobody is called by a name: {text}"
        );
    }

    #[test]
    fn a_title_in_any_language_is_a_header() {
        let title = |name: &str| message(Form::Ntfy, Some(name), FAILED).headers[0].1.clone();
        assert_eq!(title("Sicherung für Ä"), "=?UTF-8?B?U2ljaGVydW5nIGbDvHIgw4QgZmFpbGVk?=");
        for hostile in ["a\r\nx: y", "\u{7f}", "=?UTF-8?B?", "中".repeat(255).as_str()] {
            let title = title(hostile);
            assert!(title.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{title:?}");
            assert!(title.split(' ').all(|word| word.len() <= 75), "{title:?}");
        }
    }

    #[test]
    fn a_run_without_a_name_goes_by_its_job() {
        let slack =
            message(Form::Slack, None, Outcome { status: Status::TimedOut, reason: Some(Reason::Timeout), ..FAILED });
        assert!(slack.body.contains("*nightly timed out*\\nafter 3 min 2 s\\nRun 42"), "{}", slack.body);
    }
}
