//! Runs, their events and the daemon's figures, as a client asks for them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use super::{Client, DEADLINE};

impl Client {
    /// Submits a run; answers its id.
    #[track_caller]
    pub fn submit(&self, run: &Value) -> i64 {
        let id = self.post("/v1/runs", run).expect(201).json()["id"].as_i64().unwrap();
        self.submitted.lock().unwrap().push(id);
        id
    }

    /// Submits a script for `/bin/sh`; answers its id.
    #[track_caller]
    pub fn sh(&self, script: &str) -> i64 {
        self.submit(&json!({"script": script}))
    }

    /// A run as it is now.
    #[track_caller]
    pub fn run(&self, id: i64) -> Value {
        self.get(&format!("/v1/runs/{id}")).expect(200).json()
    }

    /// Waits until a run has ended; answers it.
    #[track_caller]
    pub fn wait_ended(&self, id: i64) -> Value {
        self.wait_ended_within(id, DEADLINE)
    }

    /// Waits until a run has ended; answers it. `within` is whole seconds.
    #[track_caller]
    pub fn wait_ended_within(&self, id: i64, within: Duration) -> Value {
        let path = format!("/v1/runs/{id}?wait_s={}", within.as_secs().max(1));
        let run = self.call("GET", &path).within(within + DEADLINE).send().expect(200).json();
        assert!(run["ended_at"].is_string(), "run {id} has not ended within {within:?}: {run}");
        run
    }

    /// Waits until a run is running and its pid is known; answers the pid.
    #[track_caller]
    pub fn wait_running(&self, id: i64) -> i32 {
        let mut run = Value::Null;
        super::eventually(DEADLINE, &format!("run {id} runs"), || {
            run = self.run(id);
            assert!(run["ended_at"].is_null(), "run {id} has ended: {run}");
            run["status"] == "running" && run["pid"].is_i64()
        });
        run["pid"].as_i64().unwrap() as i32
    }

    /// Every event of a run, by as many pages as it takes; fails where a `seq` is missing.
    #[track_caller]
    pub fn events(&self, id: i64) -> Vec<Value> {
        let mut events: Vec<Value> = Vec::new();
        loop {
            let page = self.get(&format!("/v1/runs/{id}/events?after={}", events.len())).expect(200).json();
            let more = page["events"].as_array().unwrap();
            if more.is_empty() {
                return events;
            }
            for event in more {
                assert_eq!(event["seq"], events.len() + 1, "a hole before {event}");
                events.push(event.clone());
            }
        }
    }

    /// The kinds of a run's events, in order, without `output`.
    #[track_caller]
    pub fn kinds(&self, id: i64) -> Vec<String> {
        let kinds = self.events(id).into_iter().map(|event| event["kind"].as_str().unwrap().to_owned());
        kinds.filter(|kind| kind != "output").collect()
    }

    /// Makes an enrollment token of a role and trades it for a session; answers the session's token.
    #[track_caller]
    pub fn enroll(&self, role: &str) -> String {
        let token = self.post("/v1/enrollment-tokens", &json!({"role": role})).expect(201).json();
        let session = self.post("/v1/enroll", &json!({"token": token["token"]})).expect(201).json();
        session["session_token"].as_str().unwrap().to_owned()
    }

    /// The daemon's figures now.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        Metrics::parse(&self.get("/metrics").expect(200).text())
    }
}

/// What a run printed, from its events: standard output and standard error.
pub fn output_of(events: &[Value]) -> (Vec<u8>, Vec<u8>) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    for event in events.iter().filter(|event| event["kind"] == "output") {
        let bytes = output_bytes(&event["data"]);
        match event["data"]["stream"].as_str() {
            Some("stdout" | "pty") => stdout.extend(bytes),
            Some("stderr") => stderr.extend(bytes),
            _ => panic!("output of no stream: {event}"),
        }
    }
    (stdout, stderr)
}

/// The bytes of one `output` event.
pub(super) fn output_bytes(data: &Value) -> Vec<u8> {
    match (data["text"].as_str(), data["base64"].as_str()) {
        (Some(text), None) => text.as_bytes().to_vec(),
        (None, Some(base64)) => base64::engine::general_purpose::STANDARD.decode(base64).unwrap(),
        _ => panic!("neither text nor base64: {data}"),
    }
}

/// Figures by their name with labels, without the prefix: `store_requests_total{kind="read"}`.
#[derive(Clone, Debug)]
pub struct Metrics(pub BTreeMap<String, f64>);

impl Metrics {
    fn parse(text: &str) -> Metrics {
        let figure = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.strip_prefix("runabout_")?.to_owned(), value.parse().ok()?))
        };
        Metrics(text.lines().filter(|line| !line.starts_with('#')).filter_map(figure).collect())
    }

    /// One figure, by its name with labels.
    #[track_caller]
    pub fn get(&self, name: &str) -> f64 {
        *self.0.get(name).unwrap_or_else(|| panic!("no {name} in {:#?}", self.0))
    }

    /// The sum of a figure over all its labels.
    #[track_caller]
    pub fn sum(&self, name: &str) -> f64 {
        let labelled = format!("{name}{{");
        let of_name = self.0.iter().filter(|(have, _)| have.as_str() == name || have.starts_with(&labelled));
        let values: Vec<f64> = of_name.map(|(_, value)| *value).collect();
        assert!(!values.is_empty(), "no {name} in {:#?}", self.0);
        values.iter().sum()
    }
}

/// A run's fields, in the contract's words.
const FIELDS: &str = "id, name, status, reason, queue, priority, tags, command, script, cwd, env_keys, attempt, \
    exit_code, signal, error, progress, pid, last_seq, output_bytes, created_at, not_before, started_at, ended_at, \
    timeout_s, cancel_requested_at, usage, retry_of, held_by, cause, job, \
    scheduled_for, missed, on_interrupt, keep, key";

/// Fails unless a run has exactly the contract's fields.
#[track_caller]
pub fn assert_fields(run: &Value) {
    let have: BTreeSet<&str> = run.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(have, FIELDS.split(", ").collect(), "{run}");
}

/// Whether it is RFC 3339 in UTC with milliseconds.
pub fn is_time(value: &Value) -> bool {
    let shape = |byte: u8| if byte.is_ascii_digit() { b'0' } else { byte };
    value.as_str().is_some_and(|text| text.bytes().map(shape).eq(*b"0000-00-00T00:00:00.000Z"))
}

/// The ids of a list, by following `next` to its end.
#[track_caller]
pub fn chain(client: &Client, first: &str, page: usize) -> Vec<i64> {
    let (mut ids, mut next) = (Vec::new(), Some(first.to_owned()));
    while let Some(path) = next {
        let list = client.get(&path).expect(200).json();
        let runs = list["runs"].as_array().unwrap();
        runs.iter().for_each(assert_fields);
        ids.extend(runs.iter().map(|run| run["id"].as_i64().unwrap()));
        next = list["next"].as_str().map(str::to_owned);
        assert!(list.get("next").is_some() && list.as_object().unwrap().len() == 3, "{list}");
        assert!(runs.len() == page || next.is_none(), "{path} is cut short: {list}");
        assert!(!runs.is_empty() || ids.is_empty(), "{path} was promised and is empty");
    }
    assert!(ids.is_sorted_by(|a, b| a > b), "newest first, each once: {ids:?}");
    ids
}
