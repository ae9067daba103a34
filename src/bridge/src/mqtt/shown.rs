//! What is shown of runs: the bodies of what is published. Home Assistant keeps them as attributes, so they are short.

use serde_json::{Value, json};

use super::discovery::NOT_STARTED;

/// Of a text, in characters: a state has room for 255.
const TEXT_CHARS_MAX: usize = 250;
/// Tags of a run.
const TAGS_MAX: usize = 20;

/// An end of a run, from its `finished` event as the daemon tells it.
pub fn end(event: &Value, job: &Value) -> Value {
    let data = &event["data"];
    let tags: Vec<Value> = data["tags"].as_array().into_iter().flatten().take(TAGS_MAX).map(short).collect();
    json!({
        "event_type": data["status"],
        "run": event["run"],
        "event": event["id"],
        "at": event["at"],
        "name": short(&data["name"]),
        "job": job,
        "queue": data["queue"],
        "tags": tags,
        "reason": data["reason"],
        "exit_code": data["exit_code"],
        "signal": data["signal"],
        "error": short(&data["error"]),
        "duration_ms": data["duration_ms"],
    })
}

/// A failure as it stays, from its end.
pub fn failure_of_end(end: &Value) -> Value {
    let mut failure = end.clone();
    if let Some(fields) = failure.as_object_mut() {
        let status = fields.remove("event_type").unwrap_or_default();
        fields.insert("status".to_owned(), status);
        fields.remove("event");
    }
    failure
}

/// The same, from a run; where there is none, all is null.
pub fn failure_of_run(run: &Value) -> Value {
    let tags: Vec<Value> = run["tags"].as_array().into_iter().flatten().take(TAGS_MAX).map(short).collect();
    json!({
        "status": run["status"],
        "run": run["id"],
        "at": run["ended_at"],
        "name": short(&run["name"]),
        "job": run["job"],
        "queue": run["queue"],
        "tags": tags,
        "reason": run["reason"],
        "exit_code": run["exit_code"],
        "signal": run["signal"],
        "error": short(&run["error"]),
        "duration_ms": duration_ms(run),
    })
}

/// A press that started nothing.
pub fn not_started(job: &str, why: &str) -> Value {
    json!({ "event_type": NOT_STARTED, "job": job, "error": short(&Value::from(why)) })
}

fn short(value: &Value) -> Value {
    let Some(text) = value.as_str() else { return value.clone() };
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]).into(),
        None => text.into(),
    }
}

fn duration_ms(run: &Value) -> Option<i64> {
    let at = |name: &str| run[name].as_str()?.parse::<jiff::Timestamp>().ok();
    Some(at("ended_at")?.as_millisecond() - at("started_at")?.as_millisecond())
}
