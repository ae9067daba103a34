//! What is sent to each operation that takes a body.

use serde_json::{Value, json};

/// Bodies, each of which is sent and judged by the reference. Of those that are right only the schema is asked: what they
/// lead to is another question.
pub fn bodies() -> Vec<(&'static str, &'static str, Vec<Value>)> {
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
        ("stdin", vec![json!(""), json!("\u{0}"), json!(1), json!({}), json!("open"), json!({"text": "open"})]),
        ("stdin", vec![json!({"text": 1}), json!({"text": null}), json!({"text": "", "x": 1}), json!([])]),
        ("pty", vec![json!({}), json!({"columns": 132}), json!({"columns": null, "rows": 1000}), json!(true)]),
        ("pty", vec![json!({"columns": 0}), json!({"rows": 1001}), json!({"x": 1}), json!([80, 24]), json!(null)]),
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
    let survive = wrap("survive", vec![json!(true), json!(null), json!(0), json!("x"), json!(false)], json!({}));
    let queues = [slots, paused, survive, vec![json!({}), json!([]), json!({"name": "default"})]].concat();
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
    let resizes = vec![
        json!({}),
        json!({"columns": 80}),
        json!({"columns": 80, "rows": 24}),
        json!({"columns": 1, "rows": 1000}),
        json!({"columns": 0, "rows": 1001}),
        json!({"columns": 80, "rows": null}),
        json!({"columns": "80", "rows": 24}),
        json!({"columns": 80, "rows": 24, "x": 1}),
    ];
    let hook = |key: &str, value: Value| {
        let mut body = json!({"url": "http://127.0.0.1:9/"});
        body[key] = value;
        body
    };
    let hooks = vec![
        json!({}),
        json!([]),
        json!({"url": "https://user:pw@a.example:8443/x?y=z"}),
        json!({"url": "ftp://a/"}),
        json!({"url": 1}),
        json!({"url": null}),
        hook("secret", json!("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")),
        hook("secret", json!("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")),
        hook("secret", json!("hunter2")),
        hook("secret", json!(null)),
        hook("on", json!(["succeeded", "failed", "canceled", "timed_out", "interrupted"])),
        hook("on", json!(["queued"])),
        hook("on", json!([])),
        hook("on", json!("failed")),
        hook("job", json!("nightly")),
        hook("job", json!("Nightly")),
        hook("queue", json!("default")),
        hook("queue", json!(1)),
        hook("tag", json!("media")),
        hook("tag", json!("")),
        hook("enabled", json!(false)),
        hook("enabled", json!("no")),
        hook("body", json!("ntfy")),
        hook("body", json!("xml")),
        hook("allow_self", json!(true)),
        hook("allow_self", json!(1)),
        hook("pending", json!(3)),
        hook("x", json!(1)),
    ];
    let cursors = vec![
        json!({}),
        json!([]),
        json!({"id": 0}),
        json!({"id": 0.0}),
        json!({"id": -1}),
        json!({"id": 0.5}),
        json!({"id": 1_i64 << 54}),
        json!({"id": "0"}),
        json!({"id": null}),
        json!({"id": 0, "instance": null}),
        json!({"id": 0, "instance": "K3V9X2M7Q0TZ"}),
        json!({"id": 0, "instance": "k3v9"}),
        json!({"id": 0, "instance": 1}),
        json!({"id": 0, "behind": 7, "holds": "read only"}),
        json!({"id": 0, "x": 1}),
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
        ("POST", "/v1/runs/{id}/resize", resizes),
        ("POST", "/v1/jobs/preview", previews),
        ("PUT", "/v1/jobs/{name}", jobs),
        ("PATCH", "/v1/jobs/{name}", vec![json!({}), json!({"enabled": null}), json!({"enabled": true}), json!([])]),
        (
            "POST",
            "/v1/jobs/{name}/runs",
            vec![json!({}), json!({"params": null}), json!({"params": {}}), json!({"x": 1})],
        ),
        ("PUT", "/v1/hooks/{name}", hooks),
        ("PATCH", "/v1/hooks/{name}", vec![json!({}), json!({"enabled": null}), json!({"enabled": true}), json!([])]),
        ("POST", "/v1/hooks/{name}/test", vec![json!({}), json!({"x": null}), json!([])]),
        ("POST", "/v1/hooks/{name}/deliveries/{id}/redeliver", vec![json!({}), json!({"x": null}), json!([])]),
        ("PUT", "/v1/cursors/{name}", cursors),
        ("PUT", "/v1/queues/{name}", queues),
        ("POST", "/v1/enrollment-tokens", tokens.concat()),
        ("POST", "/v1/enroll", enrolls),
        ("POST", "/v1/maintenance", vec![json!({}), json!({"x": 1}), json!(null)]),
        ("PUT", "/v1/drain", vec![json!({}), json!({"x": 1}), json!(null)]),
    ]
}
