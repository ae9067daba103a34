//! Parses what a submit says about why its run may wait: when it is tried again, what it comes after, and its key.

use serde_json::Value;

use super::fields::Fields;
use crate::numbers::RunId;
use crate::run::{Conflict, NEEDS_MAX, Need, OnConflict, RETRIED, Retry, Status, When};

/// Ten years, as for other spans.
const SECONDS_MAX: i64 = 315_360_000;
/// The most attempts of a run that is tried again.
const ATTEMPTS_MAX: i64 = 100;
/// The most by which a wait is longer than the one before it.
const FACTOR_MAX: f64 = 100.0;
/// Exit codes that there are.
const EXIT_MAX: i64 = 255;

/// `retry`: when it is tried again.
pub fn retry(fields: &mut Fields) -> Option<Retry> {
    let mut given = fields.object("retry")?;
    let usual = Retry::default();
    let delay_s = given.integer("delay_s", 0, SECONDS_MAX).unwrap_or(usual.delay_s);
    let on = given.texts("on", RETRIED.len(), |text| {
        let known = RETRIED.iter().any(|status| status.as_str() == text);
        if known { Ok(()) } else { Err("must be failed or timed_out".to_owned()) }
    });
    if on.as_ref().is_some_and(Vec::is_empty) && given.is_right() {
        given.wrong("on", "range", "must name an end after which it is tried again; leave retry out for none");
    }
    let retry = Retry {
        attempts: given.integer("attempts", 1, ATTEMPTS_MAX).unwrap_or(usual.attempts),
        delay_s,
        factor: given.number("factor", 1.0, FACTOR_MAX).unwrap_or(usual.factor),
        // A first wait that is longer than the usual longest is meant.
        max_delay_s: given.integer("max_delay_s", 0, SECONDS_MAX).unwrap_or(usual.max_delay_s.max(delay_s)),
        jitter: given.number("jitter", 0.0, 1.0).unwrap_or(usual.jitter),
        on: on.map_or(usual.on, |on| on.iter().filter_map(|word| Status::parse(word)).collect()),
        unless_exit: given.integers("unless_exit", EXIT_MAX as usize + 1, 0, EXIT_MAX).unwrap_or_default(),
    };
    fields.take_back(given);
    Some(retry)
}

/// `after`: the runs that have to end first.
pub fn after(fields: &mut Fields) -> Vec<Need> {
    let Some(value) = fields.take("after") else { return Vec::new() };
    let Value::Array(items) = value else {
        fields.wrong("after", "type", "must be an array of runs, each like 41 or {\"run\":41,\"when\":\"ended\"}");
        return Vec::new();
    };
    if items.len() > NEEDS_MAX {
        fields.wrong("after", "range", format!("must have at most {NEEDS_MAX} items"));
        return Vec::new();
    }
    let mut needs: Vec<Need> = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let Some(need) = need(fields, &format!("after[{index}]"), item) else { continue };
        match needs.iter().find(|other| other.run == need.run) {
            None => needs.push(need),
            Some(other) if *other == need => {}
            Some(_) => fields.wrong(&format!("after[{index}]"), "exclusive", "names a run twice, and differently"),
        }
    }
    needs
}

/// A number, or an object with `run` and `when`.
fn need(fields: &mut Fields, at: &str, item: Value) -> Option<Need> {
    let given = match item {
        Value::Object(given) => given,
        Value::Null => {
            fields.wrong(at, "type", "must be the number of a run");
            return None;
        }
        item => {
            let run = fields.integer_of(at, &item, 1, i64::MAX)?;
            return Some(Need { run: RunId(run), when: When::Succeeded });
        }
    };
    let mut given = fields.object_of(at, given);
    if !given.gives("run") {
        given.wrong("run", "required", "give the number of a run");
    }
    let run = given.integer("run", 1, i64::MAX);
    let when = given.word("when", When::ALL, When::as_str).unwrap_or(When::Succeeded);
    fields.take_back(given);
    run.map(|run| Need { run: RunId(run), when })
}

/// `key` with `on_conflict`, `debounce_s` and `debounce_max_s`.
pub fn key(fields: &mut Fields, check: impl Fn(&str) -> Result<(), String>) -> (Option<String>, Conflict) {
    let (has_key, has_time) = (fields.gives("key"), fields.gives("delay_s") || fields.gives("not_before"));
    let has_needs = fields.given.get("after").and_then(Value::as_array).is_some_and(|after| !after.is_empty());
    let key = fields.text("key", check);
    let on_conflict = fields.word("on_conflict", OnConflict::ALL, OnConflict::as_str);
    let (has_s, has_max) = (fields.gives("debounce_s"), fields.gives("debounce_max_s"));
    let debounce_s = fields.integer("debounce_s", 1, SECONDS_MAX);
    let debounce_max_s = fields.integer("debounce_max_s", 1, SECONDS_MAX);
    if on_conflict.is_some() && !has_key {
        fields.wrong("key", "required", "give the key that on_conflict is about");
    }
    if on_conflict == Some(OnConflict::Debounce) {
        if !has_s {
            fields.wrong("debounce_s", "required", "say for how many seconds nothing may come before it starts");
        }
        if has_time {
            fields.wrong("on_conflict", "exclusive", "a debounced run takes its time from debounce_s alone");
        }
        if has_needs {
            fields.wrong("on_conflict", "exclusive", "a debounced run cannot come after others");
        }
    } else if has_s || has_max {
        let field = if has_s { "debounce_s" } else { "debounce_max_s" };
        fields.wrong(field, "exclusive", "is for on_conflict debounce alone");
    }
    let on_conflict = on_conflict.unwrap_or(OnConflict::Wait);
    (key, Conflict { on_conflict, debounce_s: debounce_s.unwrap_or(0), debounce_max_s })
}
