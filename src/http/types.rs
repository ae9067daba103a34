//! JSON in and out: the only serialisable shapes. What comes in is checked whole: all violations at once, unknown
//! fields included, and nothing is guessed.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::error::{Problem, Violation};
use crate::clock::UnixMs;
use crate::event::{APPEND_MAX, DATA_BYTES_MAX, Kind};
use crate::feed::{Ended, Hello};
use crate::run::{Command, OnInterrupt, Run, Spec};
use crate::store::{Change, DEFAULT_QUEUE, EnrollmentToken, Queue, Session};

/// The longest single argument, variable or script that Linux hands to a program: 128 KiB with its NUL.
const ARGUMENT_BYTES_MAX: usize = 131_071;
/// Ten years: longer than any run, short enough that no sum of times overflows.
const SECONDS_MAX: i64 = 315_360_000;
/// Characters of a name.
const NAME_CHARS_MAX: usize = 255;
/// Characters of a tag.
const TAG_CHARS_MAX: usize = 100;
/// Tags of a run.
const TAGS_MAX: usize = 50;

/// A run, as a client sees it. Values of `env` and `stdin` are never given back.
#[derive(Serialize)]
pub struct RunBody<'a> {
    id: i64,
    name: &'a Option<String>,
    status: &'static str,
    reason: Option<&'static str>,
    queue: &'a str,
    priority: i64,
    tags: &'a [String],
    command: Option<&'a [String]>,
    script: Option<&'a str>,
    cwd: &'a Option<String>,
    env_keys: Vec<&'a str>,
    attempt: i64,
    exit_code: Option<i64>,
    signal: Option<i64>,
    error: &'a Option<String>,
    progress: Option<&'a RawValue>,
    pid: Option<i64>,
    last_seq: i64,
    output_bytes: i64,
    created_at: String,
    not_before: Option<String>,
    started_at: Option<String>,
    ended_at: Option<String>,
    timeout_s: Option<i64>,
    cancel_requested_at: Option<String>,
    retry_of: Option<i64>,
    on_interrupt: &'static str,
    keep: bool,
}

impl<'a> RunBody<'a> {
    /// The run as a client sees it.
    pub fn new(run: &'a Run) -> RunBody<'a> {
        let Spec { command, name, queue, priority, tags, cwd, env, timeout_s, not_before, on_interrupt, keep, .. } =
            &run.spec;
        let time = |at: &Option<UnixMs>| at.map(|at| at.to_string());
        RunBody {
            id: run.id.0,
            name,
            status: run.status.as_str(),
            reason: run.reason.map(|reason| reason.as_str()),
            queue,
            priority: *priority,
            tags,
            command: if let Command::Argv(argv) = command { Some(argv) } else { None },
            script: if let Command::Script(script) = command { Some(script) } else { None },
            cwd,
            env_keys: env.keys().map(String::as_str).collect(),
            attempt: run.attempt,
            exit_code: run.exit_code,
            signal: run.signal,
            error: &run.error,
            progress: run.progress.as_deref().and_then(|text| serde_json::from_str(text).ok()),
            pid: run.pid,
            last_seq: run.last_seq,
            output_bytes: run.output_bytes,
            created_at: run.created_at.to_string(),
            not_before: time(not_before),
            started_at: time(&run.started_at),
            ended_at: time(&run.ended_at),
            timeout_s: *timeout_s,
            cancel_requested_at: time(&run.cancel_requested_at),
            retry_of: run.retry_of.map(|run| run.0),
            on_interrupt: on_interrupt.as_str(),
            keep: *keep,
        }
    }
}

/// A queue.
#[derive(Serialize)]
pub struct QueueBody<'a> {
    name: &'a str,
    slots: i64,
    paused: bool,
    queued: i64,
    running: i64,
}

impl<'a> QueueBody<'a> {
    /// The queue as a client sees it.
    pub fn new(name: &'a str, queue: &Queue) -> QueueBody<'a> {
        let Queue { slots, paused, ready, delayed, running } = *queue;
        QueueBody { name, slots, paused, queued: ready + delayed, running }
    }
}

/// A session.
#[derive(Serialize)]
pub struct SessionBody<'a> {
    id: i64,
    name: &'a str,
    role: &'static str,
    created_at: String,
    last_used_at: String,
    expires_at: Option<String>,
    address: &'a Option<String>,
    current: bool,
}

impl<'a> SessionBody<'a> {
    /// The session as a client sees it; `current` says whether it is the client's own.
    pub fn new(session: &'a Session, current: Option<i64>) -> SessionBody<'a> {
        SessionBody {
            id: session.id,
            name: &session.name,
            role: session.role.as_str(),
            created_at: session.created_at.to_string(),
            last_used_at: session.last_used_at.to_string(),
            expires_at: session.expires_at.map(|at| at.to_string()),
            address: &session.address,
            current: current == Some(session.id),
        }
    }
}

/// An enrollment token; `token` only in the answer that makes it.
#[derive(Serialize)]
pub struct EnrollmentTokenBody<'a> {
    id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    role: &'static str,
    label: &'a Option<String>,
    max_uses: i64,
    uses: i64,
    session_ttl_s: Option<i64>,
    created_at: String,
    expires_at: String,
}

impl<'a> EnrollmentTokenBody<'a> {
    /// The token as a client sees it, in clear where it was just made.
    pub fn new(made: &'a EnrollmentToken, token: Option<&'a str>) -> EnrollmentTokenBody<'a> {
        EnrollmentTokenBody {
            id: made.id,
            token,
            role: made.role.as_str(),
            label: &made.label,
            max_uses: made.max_uses,
            uses: made.uses,
            session_ttl_s: made.session_ttl_s,
            created_at: made.created_at.to_string(),
            expires_at: made.expires_at.to_string(),
        }
    }
}

/// The objects of a stream that are not events.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs)] // the fields are the contract's own
pub enum Frame<'a> {
    /// First.
    Hello { run: i64, instance: &'a str, after: i64, first_seq: i64, last_seq: i64, status: &'static str },
    /// Events that are gone.
    Gap { from: i64, to: i64, reason: &'static str },
    /// Once, when the stored events are out.
    CaughtUp { seq: i64 },
    /// When nothing else was said for a while.
    Heartbeat { last_seq: i64 },
    /// Last.
    End { run: i64, status: &'static str, reason: Option<&'static str>, exit_code: Option<i64>, last_seq: i64 },
}

impl<'a> Frame<'a> {
    /// What a reader is told first.
    pub fn hello(run: i64, instance: &'a str, hello: &Hello) -> Frame<'a> {
        let Hello { after, head } = hello;
        let (first_seq, last_seq) = (head.first_seq, head.last_seq);
        Frame::Hello { run, instance, after: *after, first_seq, last_seq, status: head.status.as_str() }
    }

    /// What a reader is told last.
    pub fn end(run: i64, ended: &Ended) -> Frame<'a> {
        let Ended { status, reason, exit_code, last_seq } = *ended;
        Frame::End { run, status: status.as_str(), reason: reason.map(|r| r.as_str()), exit_code, last_seq }
    }

    /// These events were removed.
    pub fn gap(from: i64, to: i64) -> Frame<'a> {
        Frame::Gap { from, to, reason: "pruned" }
    }
}

/// Reads the fields of one object, and remembers everything that is wrong with it.
pub struct Fields {
    given: Map<String, Value>,
    prefix: String,
    violations: Vec<Violation>,
}

impl Fields {
    /// The fields of a body; an empty body has none.
    ///
    /// # Errors
    /// When it is not JSON, or not an object.
    pub fn of_body(body: &[u8]) -> Result<Fields, Problem> {
        if body.is_empty() {
            return Ok(Fields::of(Map::new(), ""));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(given)) => Ok(Fields::of(given, "")),
            Ok(_) => Err(Problem::violations(vec![Violation::new("", "type", "the body must be a JSON object")])),
            Err(error) => Err(bad_json(&error)),
        }
    }

    /// The fields of an object; `prefix` goes before their names in what is told.
    pub fn of(given: Map<String, Value>, prefix: impl Into<String>) -> Fields {
        Fields { given, prefix: prefix.into(), violations: Vec::new() }
    }

    /// Remembers that a field is wrong.
    pub fn wrong(&mut self, field: &str, reason: &'static str, message: impl Into<String>) {
        self.violations.push(Violation::new(format!("{}{field}", self.prefix), reason, message));
    }

    /// Whether nothing was wrong so far.
    pub fn is_right(&self) -> bool {
        self.violations.is_empty()
    }

    /// Whether the field was given, also as null.
    pub fn has(&self, field: &str) -> bool {
        self.given.contains_key(field)
    }

    /// What was wrong elsewhere with the same request.
    pub fn also_wrong(&mut self, violations: Vec<Violation>) {
        self.violations.extend(violations);
    }

    /// A text, without reading it.
    pub fn peek_text(&self, field: &str) -> Option<&str> {
        self.given.get(field).and_then(Value::as_str)
    }

    /// The field, null being as good as missing.
    fn take(&mut self, field: &str) -> Option<Value> {
        self.given.remove(field).filter(|value| !value.is_null())
    }

    /// A text that `check` finds right; `check` says what is allowed.
    pub fn text(&mut self, field: &str, check: impl Fn(&str) -> Result<(), String>) -> Option<String> {
        match self.take(field)? {
            Value::String(text) => match check(&text) {
                Ok(()) => return Some(text),
                Err(message) => self.wrong(field, "value", message),
            },
            _ => self.wrong(field, "type", "must be a string"),
        }
        None
    }

    /// A whole number in a range.
    pub fn integer(&mut self, field: &str, min: i64, max: i64) -> Option<i64> {
        let value = self.take(field)?;
        match value.as_i64() {
            Some(number) if (min..=max).contains(&number) => return Some(number),
            Some(_) => self.wrong(field, "range", format!("must be between {min} and {max}")),
            None => self.wrong(field, "type", format!("must be a whole number between {min} and {max}")),
        }
        None
    }

    /// True or false.
    pub fn boolean(&mut self, field: &str) -> Option<bool> {
        let value = self.take(field)?;
        if value.as_bool().is_none() {
            self.wrong(field, "type", "must be true or false");
        }
        value.as_bool()
    }

    /// One of some words.
    pub fn word<T: Copy>(&mut self, field: &str, words: &[T], name: impl Fn(T) -> &'static str) -> Option<T> {
        let value = self.take(field)?;
        let found = words.iter().copied().find(|word| value.as_str() == Some(name(*word)));
        if found.is_none() {
            let all: Vec<_> = words.iter().map(|word| name(*word)).collect();
            self.wrong(field, "value", format!("must be one of {}", all.join(", ")));
        }
        found
    }

    /// A list of texts, each of which `check` finds right.
    pub fn texts(
        &mut self,
        field: &str,
        max: usize,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Option<Vec<String>> {
        let value = self.take(field)?;
        let Value::Array(items) = value else {
            self.wrong(field, "type", "must be an array of strings");
            return None;
        };
        if items.len() > max {
            self.wrong(field, "range", format!("must have at most {max} items"));
            return None;
        }
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            match item {
                Value::String(text) => match check(&text) {
                    Ok(()) => texts.push(text),
                    Err(message) => self.wrong(&format!("{field}[{index}]"), "value", message),
                },
                _ => self.wrong(&format!("{field}[{index}]"), "type", "must be a string"),
            }
        }
        Some(texts)
    }

    /// A time, with any offset.
    pub fn time(&mut self, field: &str) -> Option<UnixMs> {
        let text = self.text(field, |text| {
            UnixMs::parse(text).map(|_| ()).ok_or_else(|| "must be a time like 2026-11-23T06:32:01Z".to_owned())
        })?;
        UnixMs::parse(&text)
    }

    fn variables(&mut self, field: &str) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::new();
        match self.take(field) {
            None => {}
            Some(Value::Object(given)) => {
                for (key, value) in given {
                    let Value::String(value) = value else {
                        self.wrong(&format!("{field}.{key}"), "type", "must be a string");
                        continue;
                    };
                    if key.is_empty() || key.contains(['=', '\0']) {
                        self.wrong(&format!("{field}.{key}"), "value", "a name must not be empty nor hold = or NUL");
                    } else if let Err(message) = argument(&value) {
                        self.wrong(&format!("{field}.{key}"), "value", message);
                    } else {
                        variables.insert(key, value);
                    }
                }
            }
            Some(_) => self.wrong(field, "type", "must be an object of strings"),
        }
        variables
    }

    fn refuse_unknown(&mut self) {
        let unknown: Vec<_> = std::mem::take(&mut self.given).into_iter().map(|(field, _)| field).collect();
        for field in unknown {
            self.wrong(&field, "unknown", "is not known here");
        }
    }

    /// Refuses what was not read and what was wrong.
    ///
    /// # Errors
    /// All violations at once.
    pub fn finish(mut self) -> Result<(), Problem> {
        self.refuse_unknown();
        if self.violations.is_empty() { Ok(()) } else { Err(Problem::violations(self.violations)) }
    }
}

fn bad_json(error: &serde_json::Error) -> Problem {
    Problem::bad_json(format!("the body is not JSON: {error}"))
}

/// Whether a text may be an argument or a variable of a program.
fn argument(text: &str) -> Result<(), String> {
    if text.contains('\0') {
        Err("must not hold a NUL".into())
    } else if text.len() > ARGUMENT_BYTES_MAX {
        Err(format!("must be at most {ARGUMENT_BYTES_MAX} bytes, the system's limit; send more by stdin or a file"))
    } else {
        Ok(())
    }
}

fn non_empty_argument(text: &str) -> Result<(), String> {
    if text.trim().is_empty() { Err("must not be empty".into()) } else { argument(text) }
}

fn directory(text: &str) -> Result<(), String> {
    if text.starts_with('/') { argument(text) } else { Err("must be an absolute path".into()) }
}

/// Whether a text may be a name; for paths' and queries' sake too.
pub fn name(text: &str) -> Result<(), String> {
    label(text, NAME_CHARS_MAX)
}

/// Whether a text may be a tag.
pub fn tag(text: &str) -> Result<(), String> {
    label(text, TAG_CHARS_MAX)
}

fn label(text: &str, chars_max: usize) -> Result<(), String> {
    if text.is_empty() || text.chars().count() > chars_max || text.chars().any(char::is_control) {
        return Err(format!("must be 1 to {chars_max} characters without control characters"));
    }
    Ok(())
}

/// Whether a text may name a queue.
pub fn queue_name(text: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    if text.is_empty() || text.len() > 64 || !text.bytes().all(allowed) {
        return Err("must be 1 to 64 of a-z, 0-9, _ and -".into());
    }
    Ok(())
}

/// A submit's specification.
///
/// # Errors
/// All that is wrong with it at once.
pub fn spec_from(mut fields: Fields, now: UnixMs) -> Result<Spec, Problem> {
    let both = fields.has("command") && fields.has("script");
    let argv = fields.texts("command", usize::MAX, argument);
    let script = fields.text("script", non_empty_argument);
    let command = match (argv, script) {
        _ if both => {
            fields.wrong("command", "exclusive", "give either command or script, not both");
            None
        }
        (Some(argv), None) if argv.first().is_none_or(String::is_empty) => {
            fields.wrong("command", "value", "must hold at least the program's name");
            None
        }
        (Some(argv), None) => Some(Command::Argv(argv)),
        (None, Some(script)) => Some(Command::Script(script)),
        _ => {
            if !fields.violations.iter().any(|v| v.field.starts_with("command") || v.field == "script") {
                fields.wrong("command", "required", "give a command (an array of strings) or a script (a string)");
            }
            None
        }
    };
    let delayed_twice = fields.has("delay_s") && fields.has("not_before");
    let delay_s = fields.integer("delay_s", 0, SECONDS_MAX);
    let not_before = fields.time("not_before");
    if delayed_twice {
        fields.wrong("delay_s", "exclusive", "give either delay_s or not_before, not both");
    }
    let spec = Spec {
        // Replaced below; with a violation it is never seen.
        command: command.unwrap_or_else(|| Command::Argv(Vec::new())),
        name: fields.text("name", name),
        queue: fields.text("queue", queue_name).unwrap_or_else(|| DEFAULT_QUEUE.to_owned()),
        priority: fields.integer("priority", -1_000, 1_000).unwrap_or(0),
        tags: unique(fields.texts("tags", TAGS_MAX, tag).unwrap_or_default()),
        cwd: fields.text("cwd", directory),
        env: fields.variables("env"),
        stdin: fields.text("stdin", |_| Ok(())),
        timeout_s: fields.integer("timeout_s", 1, SECONDS_MAX),
        not_before: not_before.or(delay_s.filter(|s| *s > 0).map(|s| now.plus_s(s))),
        on_interrupt: fields.word("on_interrupt", OnInterrupt::ALL, OnInterrupt::as_str).unwrap_or(OnInterrupt::Fail),
        keep: fields.boolean("keep").unwrap_or(false),
    };
    fields.finish()?;
    Ok(spec)
}

fn unique(mut tags: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    tags.retain(|tag| seen.insert(tag.clone()));
    tags
}

/// A PATCH of a run: null clears what can be absent.
///
/// # Errors
/// All that is wrong with it at once.
pub fn change_from(mut fields: Fields) -> Result<Change, Problem> {
    for required in ["keep", "tags", "queue", "priority"] {
        if fields.given.get(required).is_some_and(Value::is_null) {
            fields.given.remove(required);
            fields.wrong(required, "type", "cannot be null");
        }
    }
    let change = Change {
        name: fields.has("name").then(|| fields.text("name", name)),
        timeout_s: fields.has("timeout_s").then(|| fields.integer("timeout_s", 1, SECONDS_MAX)),
        not_before: fields.has("not_before").then(|| fields.time("not_before")),
        keep: fields.boolean("keep"),
        tags: fields.texts("tags", TAGS_MAX, tag).map(unique),
        queue: fields.text("queue", queue_name),
        priority: fields.integer("priority", -1_000, 1_000),
    };
    fields.finish()?;
    Ok(change)
}

/// The events of an append: one object, an array, or one object a line.
///
/// # Errors
/// All that is wrong with them at once.
pub fn events_from(body: &[u8]) -> Result<Vec<(Kind, String)>, Problem> {
    let mut values = Vec::new();
    for value in serde_json::Deserializer::from_slice(body).into_iter::<Value>() {
        values.push(value.map_err(|error| bad_json(&error))?);
    }
    if let [Value::Array(_)] = values.as_slice() {
        let Some(Value::Array(items)) = values.pop() else { unreachable!("it was just seen to be one array") };
        values = items;
    }
    if values.is_empty() || values.len() > APPEND_MAX {
        let message = format!("give 1 to {APPEND_MAX} events, each like {{\"kind\":\"progress\",\"data\":{{}}}}");
        return Err(Problem::violations(vec![Violation::new("", "range", message)]));
    }
    let several = values.len() > 1;
    let mut events = Vec::with_capacity(values.len());
    let mut violations = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        let prefix = if several { format!("[{index}].") } else { String::new() };
        let Value::Object(given) = value else {
            let field = if several { format!("[{index}]") } else { String::new() };
            violations.push(Violation::new(field, "type", "an event must be a JSON object"));
            continue;
        };
        let mut fields = Fields::of(given, prefix);
        let event = event_from(&mut fields);
        fields.refuse_unknown();
        violations.append(&mut fields.violations);
        events.extend(event);
    }
    if violations.is_empty() { Ok(events) } else { Err(Problem::violations(violations)) }
}

fn event_from(fields: &mut Fields) -> Option<(Kind, String)> {
    if !fields.has("kind") {
        fields.wrong("kind", "required", "must be progress or message");
    }
    let kind = fields.word("kind", &[Kind::Progress, Kind::Message], Kind::as_str);
    let data = match fields.given.remove("data") {
        Some(Value::Object(data)) => data,
        Some(_) => {
            fields.wrong("data", "type", "must be an object");
            return None;
        }
        None => Map::new(),
    };
    if data.get("percent").is_some_and(|percent| !percent.is_number() && !percent.is_null()) {
        fields.wrong("data.percent", "type", "must be a number");
    }
    let text = Value::Object(data).to_string();
    if text.len() > DATA_BYTES_MAX {
        fields.wrong("data", "range", format!("must be at most {DATA_BYTES_MAX} bytes of JSON"));
    }
    kind.map(|kind| (kind, text))
}
