//! The reference is exact about what is taken: what its schemas allow the daemon takes, what they do not it refuses, to
//! the last parameter and the ends of every range.

use std::collections::BTreeSet;

use runabout::run::{Need, OnConflict, OnInterrupt, Options, Retry, RunId, When};
use runabout::wire::Submit;
use serde_json::{Value, json};

use crate::common::{Daemon, Reference};
use crate::openapi::reference;

/// A percent-encoded query of one parameter.
fn query(name: &str, value: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::from("?"));
    query.append_pair(name, value);
    query.finish()
}

/// Values of a parameter that are right and values that are wrong, as its schema says.
fn values(reference: &Reference, pointer: &str, parameter: &Value) -> (Vec<String>, Vec<String>) {
    let (schema_at, schema) = reference.at(&format!("{pointer}/schema")).unwrap();
    let number = |key: &str| schema[key].as_i64();
    if let (Some(min), Some(max)) = (number("minimum"), number("maximum")) {
        let right = [min, max].map(|number| number.to_string()).to_vec();
        return (right, vec![(min - 1).to_string(), (max + 1).to_string(), "1.5".into(), "x".into(), String::new()]);
    }
    if schema["type"] == "integer" {
        return (vec![number("minimum").unwrap().to_string(), i64::MAX.to_string()], vec!["0".into(), "x".into()]);
    }
    if schema["type"] == "boolean" {
        return (vec!["true".into(), "false".into()], vec!["1".into(), "yes".into(), String::new()]);
    }
    if schema["type"] == "array" {
        let (_, items) = reference.at(&format!("{schema_at}/items")).unwrap();
        let words = items["enum"].as_array().or(items["examples"].as_array()).unwrap();
        return (
            words.iter().map(|word| word.as_str().unwrap().to_owned()).collect(),
            vec!["\u{1}".into(), String::new()],
        );
    }
    let given = schema["examples"].as_array().or(schema["enum"].as_array()).cloned().unwrap_or_default();
    let right: Vec<String> = given.iter().map(|example| example.as_str().unwrap().to_owned()).collect();
    assert!(!right.is_empty(), "no example of {parameter}");
    (right, vec!["\u{1}".into(), String::new()])
}

#[test]
fn every_query_parameter_is_taken_in_its_range_and_no_other() {
    let daemon = Daemon::start();
    let reference = reference(&daemon);
    let run = daemon.sh("true");
    daemon.wait_ended(run);
    let mut count = 0;
    for (method, template, pointer) in reference.operations() {
        let path = template.replace("{id}", &run.to_string()).replace("{name}", "default");
        let ask = |query: &str| {
            // What a submit takes in its query belongs to a script as the body; no page can be followed; and what is
            // followed need not end.
            let is_stream = query.contains("follow=");
            let verb = if method == "GET" && query.ends_with("follow=true") { "HEAD" } else { &method };
            let call = daemon.call(verb, &format!("{path}{query}"));
            let call = if is_stream { call.header("Accept", "application/x-ndjson") } else { call };
            if method == "POST" { call.body("text/x-shellscript", b"true").send() } else { call.send() }
        };
        // What has to be there beside it: those that are about all runs want a filter, and a search something to find.
        let needed = match &*template {
            "/v1/runs/cancel" | "/v1/runs/retry" => "tag",
            "/v1/search" => "text",
            _ => "",
        };
        let ask = |query: &str| {
            let is_there = needed.is_empty() || query.contains(&format!("{needed}="));
            ask(&if is_there { query.to_owned() } else { format!("{query}&{needed}=none") })
        };
        for (at, parameter) in reference.parameters(&pointer).into_iter().filter(|(_, one)| one["in"] == "query") {
            let name = parameter["name"].as_str().unwrap();
            let (right, wrong) = values(&reference, &at, parameter);
            count += right.len() + wrong.len();
            for value in right {
                let answer = ask(&query(name, &value));
                assert_ne!(answer.status, 422, "{method} {path} {name}={value:?}: {}", answer.text());
            }
            for value in wrong {
                let answer = ask(&query(name, &value));
                assert_eq!(answer.status, 422, "{method} {path} {name}={value:?}: {}", answer.text());
                assert_eq!(answer.json()["details"]["violations"][0]["field"], name);
            }
            let twice = format!("{}&{}", query(name, "1"), &query(name, "1")[1..]);
            // A list is taken with commas and repeated.
            let is_list = parameter["schema"]["type"] == "array" || parameter["explode"] == true;
            assert!(is_list || ask(&twice).status == 422, "{method} {path} {twice}");
        }
    }
    assert!(count > 60, "{count} values");
}

/// Bodies, each of which is sent and judged by the reference. Of those that are right only the schema is asked: what they
/// lead to is another question.
fn bodies() -> Vec<(&'static str, &'static str, Vec<Value>)> {
    let submit = |key: &str, value: Value| {
        let mut body = json!({"command": ["true"]});
        body[key] = value;
        body
    };
    let mut submits = vec![
        json!({}),
        json!([]),
        json!("true"),
        json!({"command": null, "script": null}),
        json!({"command": ["true"], "script": null}),
        json!({"command": null, "script": "true"}),
        json!({"command": ["true"], "script": "true"}),
        json!({"command": ["true"], "delay_s": 0, "not_before": "2026-11-23T06:32:01Z"}),
        json!({"command": ["true"], "delay_s": null, "not_before": "2026-11-23T06:32:01Z"}),
        json!({"command": ["true"], "delay_s": 1, "not_before": null}),
        json!({"script": "true", "key": "k", "on_conflict": "replace"}),
        json!({"script": "true", "key": null, "on_conflict": "replace"}),
        json!({"script": "true", "key": "d", "on_conflict": "debounce"}),
        json!({"script": "true", "key": "d", "on_conflict": "debounce", "debounce_s": 1, "debounce_max_s": 1}),
        json!({"script": "true", "key": "d", "on_conflict": "debounce", "debounce_s": 0}),
        json!({"script": "true", "key": "d", "on_conflict": "debounce", "debounce_s": 1, "delay_s": 1}),
        json!({"script": "true", "key": "d", "on_conflict": "debounce", "debounce_s": 1, "after": [1]}),
        json!({"script": "true", "key": "d", "on_conflict": "wait", "debounce_max_s": 1}),
        json!({"script": " \n"}),
        json!({"script": ""}),
        json!({"script": "a\u{0}"}),
        json!({"script": "x".repeat(131_071)}),
        json!({"script": "x".repeat(131_072)}),
    ];
    let argument = |length: usize| "x".repeat(length);
    let values: &[(&str, Vec<Value>)] = &[
        ("command", vec![json!([]), json!([""]), json!(["a", ""]), json!(["a", 1]), json!("a"), json!(["a", "\u{0}"])]),
        ("command", vec![json!(["a", argument(131_071)]), json!(["a", argument(131_072)]), json!([argument(131_072)])]),
        (
            "name",
            vec![json!(""), json!("é".repeat(255)), json!("x".repeat(256)), json!("a\nb"), json!("\u{85}"), json!(1)],
        ),
        ("queue", vec![json!("default"), json!("Default"), json!(""), json!("é"), json!("x".repeat(65)), json!(7)]),
        ("priority", vec![json!(-1000), json!(1000), json!(-1001), json!(1001), json!(1.5), json!("1"), json!(true)]),
        ("priority", vec![json!(1.0), json!(1e3), json!(1e4)]),
        ("tags", vec![json!([]), json!(["a", "a"]), json!([""]), json!("a"), json!([1]), json!(["x".repeat(101)])]),
        ("tags", vec![json!(vec!["a"; 50]), json!(vec!["a"; 51]), json!(["é".repeat(100)])]),
        ("cwd", vec![json!("/"), json!("srv"), json!(""), json!("/a\u{0}"), json!("/a\nb"), json!(["/"])]),
        ("env", vec![json!({}), json!({"A": ""}), json!({"": "x"}), json!({"A=": "x"}), json!({"A": 1}), json!([])]),
        ("env", vec![json!({"A\u{0}": "x"}), json!({"A": "\u{0}"}), json!({"A": null}), json!({"A B": "x\n"})]),
        (
            "retry",
            vec![json!({}), json!({"attempts": 100, "factor": 1.5, "jitter": 0}), json!({"attempts": 101}), json!([])],
        ),
        ("retry", vec![json!({"on": []}), json!({"on": ["timed_out"]}), json!({"on": ["canceled"]}), json!({"x": 1})]),
        ("retry", vec![json!({"unless_exit": [0, 255]}), json!({"unless_exit": [256]}), json!({"factor": 0.5})]),
        ("retry", vec![json!({"jitter": 1.1}), json!({"delay_s": 0, "max_delay_s": 0}), json!({"delay_s": -1})]),
        ("after", vec![json!([]), json!([1]), json!([{"run": 1, "when": "ended"}]), json!([{"run": 1, "when": null}])]),
        ("after", vec![json!([0]), json!(1), json!([{"when": "ended"}]), json!([{"run": 1, "x": 1}]), json!([null])]),
        ("after", vec![json!([{"run": 1, "when": "never"}]), json!(vec![1; 64]), json!(vec![1; 65])]),
        ("key", vec![json!("k"), json!(""), json!("a\nb"), json!("é".repeat(255)), json!("x".repeat(256)), json!(1)]),
        ("on_conflict", vec![json!("wait"), json!("never")]),
        ("debounce_s", vec![json!(1)]),
        ("stdin", vec![json!(""), json!("\u{0}"), json!(1), json!({})]),
        ("timeout_s", vec![json!(0), json!(1), json!(315_360_000), json!(315_360_001), json!("1"), json!(60.0)]),
        ("delay_s", vec![json!(-1), json!(0), json!(315_360_000), json!(315_360_001), json!(1e300)]),
        ("not_before", vec![json!("2026-11-23T06:32:01Z"), json!("2026-11-23T06:32:01.5+01:00"), json!(""), json!(1)]),
        (
            "not_before",
            vec![json!("tomorrow"), json!("2026-11-23"), json!("2026-11-23T06:32:01"), json!("2026-13-01T00:00:00Z")],
        ),
        (
            "not_before",
            vec![
                json!("2026-11-23 06:32:01Z"),
                json!("20261123T063201Z"),
                json!("2026-11-23T06:32:01+01:00[Europe/Berlin]"),
            ],
        ),
        (
            "not_before",
            vec![json!("2026-11-23T06:32Z"), json!("-002026-11-23T06:32:01Z"), json!("2026-11-23T06:32:01+01")],
        ),
        (
            "not_before",
            vec![json!("2026-11-23t06:32:01z"), json!("2026-11-23T06:32:01,5Z"), json!("2026-11-23T24:00:00Z")],
        ),
        ("on_interrupt", vec![json!("fail"), json!("requeue"), json!("cry"), json!(""), json!(true)]),
        ("keep", vec![json!(true), json!(false), json!("true"), json!(1), json!(0)]),
        ("unknown", vec![json!(1), json!(null)]),
    ];
    for (key, values) in values {
        submits.extend(values.iter().map(|value| submit(key, value.clone())));
        submits.push(submit(key, Value::Null));
    }
    let changes = ["keep", "name", "tags", "queue", "priority", "timeout_s", "not_before", "status"];
    let change = |key: &str, value: Value| {
        let mut body = json!({});
        body[key] = value;
        body
    };
    let words = [
        json!(null),
        json!("default"),
        json!(1),
        json!(true),
        json!([]),
        json!(["a"]),
        json!("2026-11-23T06:32:01Z"),
        json!({}),
        json!(0),
    ];
    let changes = changes.iter().flat_map(|key| words.iter().map(|word| change(key, word.clone()))).collect();
    let wrap = |key: &str, values: Vec<Value>, base: Value| -> Vec<Value> {
        let with = |value: Value| {
            let mut body = base.clone();
            body[key] = value;
            body
        };
        values.into_iter().map(with).collect()
    };
    let slots = wrap("slots", vec![json!(0), json!(1), json!(1024), json!(1025), json!(2.0), json!(null)], json!({}));
    let paused = wrap("paused", vec![json!(true), json!(null), json!(0), json!("x")], json!({}));
    let queues = [slots, paused, vec![json!({}), json!([]), json!({"name": "default"})]].concat();
    let viewer = || json!({"role": "viewer"});
    let tokens = [
        wrap("role", vec![json!("viewer"), json!("root"), json!(null), json!(1)], json!({})),
        wrap("ttl_s", vec![json!(0), json!(1), json!(604_800), json!(604_801), json!(null)], viewer()),
        wrap("max_uses", vec![json!(0), json!(1), json!(1000), json!(1001), json!(null)], viewer()),
        wrap("label", vec![json!(""), json!("x"), json!(null), json!(1)], viewer()),
        wrap("session_ttl_s", vec![json!(-1), json!(0), json!(315_360_000), json!(315_360_001), json!(null)], viewer()),
        vec![json!({}), json!({"role": "viewer", "x": 1})],
    ];
    let enrolls = vec![
        json!({}),
        json!({"token": null}),
        json!({"token": 1}),
        json!({"token": ""}),
        json!({"token": "x", "name": ""}),
        json!({"token": "x", "name": null, "cookie": null}),
        json!({"token": "x", "cookie": 1}),
        json!({"token": "x", "y": 1}),
    ];
    let cancels = vec![
        json!({}),
        json!({"reason": null}),
        json!({"reason": "é".repeat(1_000)}),
        json!({"reason": "x".repeat(1_001)}),
        json!({"reason": 1}),
        json!({"now": true}),
        json!({"now": null}),
        json!({"now": "yes"}),
        json!({"x": 1}),
        json!([]),
    ];
    let cancels_of_many = cancels.clone();
    let event = |data: Value| json!({"kind": "progress", "data": data});
    let appends = vec![
        json!({}),
        json!([]),
        json!({"kind": "progress"}),
        json!({"kind": "output", "data": {}}),
        json!({"kind": null}),
        event(json!({})),
        event(json!(null)),
        event(json!([])),
        event(json!({"percent": "1"})),
        event(json!({"percent": null})),
        event(json!({"anything": [1]})),
        json!([event(json!({})), 1]),
        json!([[event(json!({}))]]),
        json!({"kind": "message", "x": 1}),
        json!(vec![event(json!({})); 1_000]),
        json!(vec![event(json!({})); 1_001]),
        json!("x"),
    ];
    let job = |key: &str, value: Value| {
        let mut body = json!({"run": {"script": "true"}});
        body[key] = value;
        body
    };
    let jobs = vec![
        json!({}),
        json!([]),
        job("run", json!("true")),
        job("schedule", json!("30 2 * * *")),
        job("schedule", json!(["@daily", "0 12 * * 1-5"])),
        job("schedule", json!(1)),
        job("schedule", json!([1])),
        job("schedule", json!(null)),
        job("zone", json!("Europe/Berlin")),
        job("zone", json!(1)),
        job("enabled", json!(false)),
        job("enabled", json!("no")),
        job("catch_up", json!("all")),
        job("catch_up", json!("some")),
        job("overlap", json!("cancel")),
        job("overlap", json!("two")),
        job("jitter_s", json!(86_400)),
        job("jitter_s", json!(86_401)),
        job("start_deadline_s", json!(1)),
        job("start_deadline_s", json!(0)),
        job("params", json!({"room": {"type": "choice", "of": ["a", "b"]}, "n": {"type": "integer", "min": 0}})),
        job("params", json!({"note": {"type": "text", "max": 200}, "dry": {"type": "boolean", "default": true}})),
        job("params", json!({"room": {"type": "choice", "of": []}})),
        job("params", json!({"room": {"type": "colour"}})),
        job("params", json!({"Room": {"type": "boolean"}})),
        job("params", json!({"n": {"type": "integer", "of": [1]}})),
        job("after_job", json!(1)),
        job("after_job", json!({"job": "x", "when": "never"})),
    ];
    let previews = vec![
        json!({}),
        json!({"schedule": "@hourly"}),
        json!({"schedule": "@hourly", "count": 1_000, "from": "2026-11-23T06:32:01Z", "zone": "UTC"}),
        json!({"schedule": "@hourly", "count": 1_001}),
        json!({"schedule": "@hourly", "count": 0}),
        json!({"schedule": "@hourly", "from": "now"}),
        json!({"schedule": "@hourly", "x": 1}),
    ];
    vec![
        ("POST", "/v1/runs", submits),
        ("PATCH", "/v1/runs/{id}", changes),
        ("POST", "/v1/runs/{id}/cancel", cancels),
        ("POST", "/v1/runs/cancel", cancels_of_many),
        ("POST", "/v1/runs/retry", vec![json!({}), json!({"x": null}), json!([])]),
        ("POST", "/v1/runs/{id}/retry", vec![json!({}), json!({"x": null}), json!([])]),
        ("POST", "/v1/runs/{id}/events", appends),
        ("POST", "/v1/jobs/preview", previews),
        ("PUT", "/v1/jobs/{name}", jobs),
        ("PATCH", "/v1/jobs/{name}", vec![json!({}), json!({"enabled": null}), json!({"enabled": true}), json!([])]),
        (
            "POST",
            "/v1/jobs/{name}/runs",
            vec![json!({}), json!({"params": null}), json!({"params": {}}), json!({"x": 1})],
        ),
        ("PUT", "/v1/queues/{name}", queues),
        ("POST", "/v1/enrollment-tokens", tokens.concat()),
        ("POST", "/v1/enroll", enrolls),
        ("POST", "/v1/maintenance", vec![json!({}), json!({"x": 1}), json!(null)]),
        ("PUT", "/v1/drain", vec![json!({}), json!({"x": 1}), json!(null)]),
    ]
}

#[test]
fn a_body_is_refused_exactly_where_its_schema_refuses_it() {
    let daemon = Daemon::start();
    let reference = reference(&daemon);
    daemon.put("/v1/queues/default", &json!({"paused": true, "slots": 1})).expect(200);
    daemon.put("/v1/queues/other", &json!({})).expect(201);
    let run = daemon.sh("true");
    daemon.post(&format!("/v1/runs/{run}/cancel"), &json!({})).expect(200);
    let bodies = bodies();
    let mut wrong = Vec::new();
    for (method, template, pointer) in reference.operations() {
        let given = bodies.iter().find(|(own, path, _)| (*own, *path) == (&method, &template));
        let body = reference.at(&format!("{pointer}/requestBody"));
        assert_eq!(body.is_some(), given.is_some(), "{method} {template}: no bodies are tried here");
        let (Some((body, _)), Some((_, _, given))) = (body, given) else { continue };
        let path = template.replace("{id}", &run.to_string()).replace("{name}", "other");
        let is_of_many = matches!(&*template, "/v1/runs/cancel" | "/v1/runs/retry");
        let path = if is_of_many { path + "?tag=none" } else { path };
        if template == "/v1/jobs/{name}" && method == "PATCH" {
            daemon.put(&path, &json!({"run": {"script": "true"}})).expect(200);
        }
        for value in given {
            let judged = reference.allows(&format!("{body}/content/application~1json/schema"), value);
            let answer = daemon.call(&method, &path).json(value).send();
            let taken = answer.status != 422;
            assert!(answer.status < 500, "{}", answer.text());
            if taken != judged.is_ok() {
                let shown = value.to_string().chars().take(200).collect::<String>();
                let judged = judged.err().unwrap_or_default();
                wrong.push(format!("{method} {path} {shown}: {} {}; {judged:.600}", answer.status, answer.text()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Every option of a submit, each given: a new one is missing here until it is given, too.
fn all_options() -> Options {
    Options { retry: Some(Retry::default()), after: vec![Need { run: RunId(1), when: When::Ended }] }
}

#[test]
fn every_field_of_a_submit_is_in_the_reference_and_on_the_page() {
    let submit = Submit {
        script: Some("true".into()),
        command: Some(vec!["true".into()]),
        name: Some("a".into()),
        queue: Some("default".into()),
        priority: Some(1),
        tags: vec!["a".into()],
        cwd: Some("/".into()),
        env: [("A".to_owned(), "b".to_owned())].into(),
        stdin: Some("a".into()),
        timeout_s: Some(1),
        delay_s: Some(1),
        on_interrupt: Some(OnInterrupt::Fail),
        keep: true,
        key: Some("a".into()),
        on_conflict: Some(OnConflict::Debounce),
        debounce_s: Some(1),
        debounce_max_s: Some(1),
        options: all_options(),
    };
    let keys = |value: Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
    let daemon = Daemon::start();
    let reference = reference(&daemon);
    let known = |schema: &str| {
        let (_, properties) = reference.at(&format!("/components/schemas/{schema}/properties")).unwrap();
        keys(properties.clone())
    };
    let mut sent = keys(serde_json::to_value(&submit).unwrap());
    let page = include_str!("../src/http/page/views/submit.js");
    let fields = page.lines().find(|line| line.starts_with("const FIELDS")).expect("the page names its fields");
    assert!(sent.iter().all(|field| fields.contains(&format!("'{field}'"))), "{sent:?} on the page: {fields}");
    sent.insert("not_before".to_owned());
    assert_eq!(sent, known("Submit"));
    let shown = keys(serde_json::to_value(all_options()).unwrap());
    assert!(shown.is_subset(&known("Run")), "{shown:?} in a run");
}
