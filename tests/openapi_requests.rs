//! The reference is exact about what is taken: what its schemas allow the daemon takes, what they do not it refuses, to
//! the last parameter and the ends of every range.

mod bodies;

use std::collections::BTreeSet;

use runabout::clock::UnixMs;
use runabout::run::{
    Left, Limits, Need, OnConflict, OnInterrupt, Options, Retry, RunId, Stdin, StopSignal, TerminalSize, When,
};
use runabout::wire::Submit;
use serde_json::{Value, json};

use self::bodies::bodies;
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
            "/v1/runs/{id}/stdin" => "writer",
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
        // What is no JSON has no schema to be right or wrong by.
        let body = reference.at(&format!("{pointer}/requestBody"));
        let body = body.filter(|(_, body)| body["content"].get("application/octet-stream").is_none());
        assert_eq!(body.is_some(), given.is_some(), "{method} {template}: no bodies are tried here");
        let (Some((body, described)), Some((_, _, given))) = (body, given) else { continue };
        let path = template.replace("{id}", &run.to_string()).replace("{name}", "other");
        let is_of_many = matches!(&*template, "/v1/runs/cancel" | "/v1/runs/retry");
        let path = if is_of_many { path + "?tag=none" } else { path };
        if template == "/v1/jobs/{name}" && method == "PATCH" {
            daemon.put(&path, &json!({"run": {"script": "true"}})).expect(200);
        }
        let without = daemon.call(&method, &path).send();
        let is_needed = described["required"] == true;
        assert_eq!(
            matches!(without.status, 415 | 422),
            is_needed,
            "{method} {path} without a body: {}",
            without.text()
        );
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
    Options {
        retry: Some(Retry::default()),
        after: vec![Need { run: RunId(1), when: When::Ended }],
        limits: Limits { memory_bytes: Some(1 << 30), cpu_percent: Some(50), tasks: Some(100) },
        stop_signal: StopSignal::Int,
        left: Left::Kill,
        pty: Some(TerminalSize::default()),
        stdin: Some(Stdin::Open),
        survive: Some(true),
        start_before: UnixMs::parse("2999-01-01T00:00:00Z"),
    }
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
