//! Parses what clients send into domain types: a submit, a change, events to append.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::fields::{Fields, bad_json};
use super::terminal;
use super::unique::{self, Repeated};
use super::{limits, waits};
use crate::clock::UnixMs;
use crate::event::{APPEND_MAX, DATA_BYTES_MAX, Kind};
use crate::http::error::Problem;
use crate::http::error::VIOLATIONS_MAX;
use crate::run::{Command, Left, OnInterrupt, Options, Spec, StopSignal};
use crate::store::{Change, DEFAULT_QUEUE};
use crate::text::json;
use crate::wire::Violation;

/// The longest single argument, variable or script that Linux hands to a program: 128 KiB with its NUL.
const ARGUMENT_BYTES_MAX: usize = 131_071;
/// Ten years: longer than any run, short enough that no sum of times overflows.
pub const SECONDS_MAX: i64 = 315_360_000;
/// The highest priority; the lowest is as far below 0.
pub const PRIORITY_MAX: i64 = 1_000;
/// Characters of a name.
const NAME_CHARS_MAX: usize = 255;
/// Characters of a tag.
const TAG_CHARS_MAX: usize = 100;
/// Tags of a run.
const TAGS_MAX: usize = 50;

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

fn variables(fields: &mut Fields, field: &str) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    match fields.take(field) {
        None => {}
        Some(Value::Object(given)) => {
            for (key, value) in given {
                let Value::String(value) = value else {
                    fields.wrong(&format!("{field}.{key}"), "type", "must be a string");
                    continue;
                };
                if key.is_empty() || key.contains(['=', '\0']) {
                    fields.wrong(&format!("{field}.{key}"), "value", "a name must not be empty nor hold = or NUL");
                } else if let Err(message) = argument(&value) {
                    fields.wrong(&format!("{field}.{key}"), "value", message);
                } else {
                    variables.insert(key, value);
                }
            }
        }
        Some(_) => fields.wrong(field, "type", "must be an object of strings"),
    }
    variables
}

/// A submit's specification.
///
/// # Errors
/// All that is wrong with it at once.
pub fn spec_from(mut fields: Fields, now: UnixMs) -> Result<Spec, Problem> {
    let both = fields.gives("command") && fields.gives("script");
    let argv = fields.texts("command", usize::MAX, argument);
    let script = fields.text("script", non_empty_argument);
    let command = match (argv, script) {
        _ if both => {
            fields.wrong("command", "exclusive", "give either command or script, not both");
            None
        }
        (Some(argv), None) if argv.first().is_none_or(String::is_empty) => {
            // A program's name that is no argument was told already.
            if !fields.violations.iter().any(|v| v.field == "command[0]") {
                fields.wrong("command", "value", "must hold at least the program's name");
            }
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
    // First: it asks what else was given.
    let (key, conflict) = waits::key(&mut fields, name);
    let delayed_twice = fields.gives("delay_s") && fields.gives("not_before");
    let delay_s = fields.integer("delay_s", 0, SECONDS_MAX);
    let not_before = fields.time("not_before");
    if delayed_twice {
        fields.wrong("delay_s", "exclusive", "give either delay_s or not_before, not both");
    }
    let (stdin, open) = terminal::stdin(&mut fields);
    let spec = Spec {
        // Replaced below; with a violation it is never seen.
        command: command.unwrap_or_else(|| Command::Argv(Vec::new())),
        name: fields.text("name", name),
        queue: fields.text("queue", queue_name).unwrap_or_else(|| DEFAULT_QUEUE.to_owned()),
        priority: fields.integer("priority", -PRIORITY_MAX, PRIORITY_MAX).unwrap_or(0),
        tags: unique(fields.texts("tags", TAGS_MAX, tag).unwrap_or_default()),
        cwd: fields.text("cwd", directory),
        env: variables(&mut fields, "env"),
        stdin,
        timeout_s: fields.integer("timeout_s", 1, SECONDS_MAX),
        not_before: not_before.or(delay_s.filter(|s| *s > 0).map(|s| now.plus_s(s))),
        on_interrupt: fields.word("on_interrupt", OnInterrupt::ALL, OnInterrupt::as_str).unwrap_or(OnInterrupt::Fail),
        keep: fields.boolean("keep").unwrap_or(false),
        key,
        conflict,
        options: Options { stdin: open, ..options_from(&mut fields) },
    };
    fields.finish()?;
    Ok(spec)
}

/// Each field of the options, by name: one that is not read here is refused as unknown.
fn options_from(fields: &mut Fields) -> Options {
    Options {
        retry: waits::retry(fields),
        after: waits::after(fields),
        limits: limits::limits(fields).unwrap_or_default(),
        stop_signal: fields.word("stop_signal", StopSignal::ALL, StopSignal::as_str).unwrap_or_default(),
        left: fields.word("left", Left::ALL, Left::as_str).unwrap_or_default(),
        pty: terminal::pty(fields),
        // With the text that may be given in its place.
        stdin: None,
        survive: fields.boolean("survive"),
        start_before: fields.time("start_before"),
    }
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
        priority: fields.integer("priority", -PRIORITY_MAX, PRIORITY_MAX),
        // By a request of its own, which the terminal follows.
        pty: None,
    };
    fields.finish()?;
    Ok(change)
}

/// The events of an append: one object, an array, or one object a line.
///
/// # Errors
/// All that is wrong with them at once.
pub fn events_from(body: &[u8]) -> Result<Vec<(Kind, String)>, Problem> {
    let (mut json, repeated) = (serde_json::Deserializer::from_slice(body), Repeated::default());
    let (mut values, mut twice) = (Vec::new(), Vec::new());
    while json.end().is_err() {
        let value = unique::value(&mut json, &repeated).map_err(|error| bad_json(&error))?;
        twice.extend(repeated.take().into_iter().map(|field| (values.len(), field)));
        values.push(value);
    }
    let lines = values.len();
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
        if violations.len() >= VIOLATIONS_MAX {
            break;
        }
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
    let twice = twice.into_iter().map(|(nth, field)| if lines > 1 { format!("[{nth}].{field}") } else { field });
    violations.extend(twice.map(|field| Violation::new(field, "repeated", "may be given once")));
    violations.truncate(VIOLATIONS_MAX);
    if violations.is_empty() { Ok(events) } else { Err(Problem::violations(violations)) }
}

fn event_from(fields: &mut Fields) -> Option<(Kind, String)> {
    if !fields.gives("kind") {
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
    // Measured as it will be sent, so that no event of a client is longer on the wire than that.
    let text = json(&Value::Object(data)).expect("an object whose keys are strings is always JSON");
    if text.len() > DATA_BYTES_MAX {
        fields.wrong("data", "range", format!("must be at most {DATA_BYTES_MAX} bytes of JSON"));
    }
    kind.map(|kind| (kind, text))
}
