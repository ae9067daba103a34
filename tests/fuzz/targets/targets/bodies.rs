//! Bodies in JSON: a submit, a change of a run, events, a job, a hook, a queue, what starts a job. Each is read as all of them.
//!
//! What is taken can be printed and is then read as the same; no field that is not known is passed over; a refusal is no longer
//! than it needs to be; memory is in proportion to the body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runabout::clock::UnixMs;
use runabout::http::error::{Problem, VIOLATIONS_MAX};
use runabout::http::fuzzed;
use runabout::job::Job;
use runabout::run::Spec;
use runabout::wire::{HookBody, JobBody, Submit};
use runabout_fuzz::bounded;
use serde_json::{Value, json};

/// Some time in 2026.
const NOW: UnixMs = UnixMs(1_790_000_000_000);

const SUBMIT: &[&str] = &[
    "command",
    "script",
    "name",
    "queue",
    "priority",
    "tags",
    "cwd",
    "env",
    "stdin",
    "timeout_s",
    "delay_s",
    "not_before",
    "on_interrupt",
    "keep",
    "key",
    "on_conflict",
    "debounce_s",
    "debounce_max_s",
    "retry",
    "after",
    "limits",
    "stop_signal",
    "left",
    "pty",
    "survive",
];
const CHANGE: &[&str] = &["name", "timeout_s", "not_before", "keep", "tags", "queue", "priority"];
const JOB: &[&str] = &[
    "run",
    "schedule",
    "zone",
    "params",
    "after_job",
    "enabled",
    "catch_up",
    "overlap",
    "jitter_s",
    "start_deadline_s",
    "name",
    "next_at",
    "last",
    "broken",
    "version",
    "created_at",
    "changed_at",
];
const HOOK: &[&str] = &[
    "url",
    "secret",
    "on",
    "job",
    "queue",
    "tag",
    "enabled",
    "body",
    "allow_self",
    "name",
    "disabled_why",
    "rotating_until",
    "pending",
    "dead",
    "next_at",
    "failures",
    "error",
    "created_at",
    "changed_at",
];
const QUEUE: &[&str] = &["slots", "paused", "limits", "survive"];
const START: &[&str] = &["params"];

fuzz_target!(|body: &[u8]| {
    // A value of JSON takes 72 bytes and its place in a list or an object, where `0,` is two.
    let (fixed, times) = (256 * 1_024, 400);
    let given: Option<Value> = serde_json::from_slice(body).ok();
    let is_known = |known: &[&str]| match &given {
        Some(Value::Object(fields)) => fields.keys().all(|field| known.contains(&&**field)),
        _ => true,
    };
    let submit = bounded(body, fixed, times, || fuzzed::submit(body, NOW));
    if let Some(spec) = judged(body, submit, is_known(SUBMIT)) {
        let again =
            fuzzed::submit(&printed(serde_json::to_vec(&Submit::of(&spec))), NOW).expect("what was printed is read");
        // The one field that is another time when it is read again.
        assert_eq!(Spec { not_before: None, ..spec }, again);
    }
    let job = bounded(body, fixed, times, || fuzzed::job(body, NOW));
    if let Some(spec) = judged(body, job, is_known(JOB)) {
        let job =
            Job { name: "x".into(), spec, version: 1, created_at: NOW, changed_at: NOW, next_at: None, last: None };
        let again = fuzzed::job(&printed(serde_json::to_vec(&JobBody::new(&job, None, true))), NOW)
            .expect("what was printed is read");
        assert_eq!(job.spec, again);
        let stored = serde_json::to_string(&job.spec).expect("JSON");
        assert_eq!(job.spec, serde_json::from_str(&stored).expect("what is stored is read"));
    }
    let hook = bounded(body, fixed, times, || fuzzed::hook(body));
    if let Some((spec, _)) = judged(body, hook, is_known(HOOK)) {
        let mut shown = serde_json::to_value(&spec).expect("JSON");
        shown["pending"] = json!(0);
        let again = fuzzed::hook(&printed(serde_json::to_vec(&shown))).expect("what was printed is read").0;
        assert_eq!(spec, again);
        let _: HookBody = serde_json::from_value(shown).expect("what is shown is read by a client");
    }
    judged(body, bounded(body, fixed, times, || fuzzed::change(body)), is_known(CHANGE));
    judged(body, bounded(body, fixed, times, || fuzzed::queue(body)), is_known(QUEUE));
    judged(body, bounded(body, fixed, times, || fuzzed::start(body)), is_known(START));
    if let Some(events) = judged(body, bounded(body, fixed, times, || fuzzed::events(body)), true) {
        for (_, data) in events {
            let again: Value = serde_json::from_str(&data).expect("data is JSON");
            assert!(again.is_object() && !data.contains(['\n', '\u{2028}', '\u{7f}']), "{data}");
        }
    }
});

fn printed(json: serde_json::Result<Vec<u8>>) -> Vec<u8> {
    json.expect("what was read is printed")
}

/// What was taken, after a look at what was refused.
fn judged<T>(body: &[u8], read: Result<T, Problem>, is_known: bool) -> Option<T> {
    match read {
        Ok(taken) => {
            assert!(is_known, "an unknown field was passed over");
            Some(taken)
        }
        Err(problem) => {
            assert!(matches!(problem.status, 400 | 422), "{problem:?}");
            let violations = problem.details["violations"].as_array().map_or(0, Vec::len);
            assert!(violations <= VIOLATIONS_MAX && (problem.status == 422) == (violations > 0), "{problem:?}");
            let told = problem.to_json().len();
            assert!(told <= 64 * 1_024 + 16 * body.len(), "{} bytes are refused in {told}", body.len());
            None
        }
    }
}
