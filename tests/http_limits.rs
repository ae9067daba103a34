//! What is refused before it is understood: too long, too deep, twice, or not HTTP at all; and what is gone.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use serde_json::json;

use crate::common::{DEADLINE, Daemon, Opening};
use crate::http_errors::{problem, submit};

#[test]
fn a_body_beyond_the_limit_is_refused_by_its_declared_length_and_by_its_bytes() {
    let daemon = Daemon::with_config("[limits]\nbody_bytes = 2000\n");
    // Declared: the answer comes before any byte of it was sent, and the connection is closed.
    let declared = daemon.call("POST", "/v1/runs").header("Content-Type", "application/json");
    let (declared, _, _connection) = declared.header("Content-Length", "2001").open().unwrap();
    problem("declared", &declared, "body_too_large");
    assert_eq!(declared.header("connection"), Some("close"));
    // In chunks: without a length it is counted.
    let chunked = daemon.call("POST", "/v1/runs").header("Content-Type", "application/json");
    let head = chunked.header("Transfer-Encoding", "chunked").header("Connection", "close").head();
    let mut request = head.into_bytes();
    for _ in 0..21 {
        write!(request, "64\r\n{}\r\n", " ".repeat(100)).unwrap();
    }
    let answer = String::from_utf8(daemon.raw(&request, DEADLINE)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains(r#""code":"body_too_large""#), "{answer}");
    // Right up to the limit it is read.
    let mut body = br#"{"command":["true"]}"#.to_vec();
    body.resize(2_000, b' ');
    daemon.call("POST", "/v1/runs").body("application/json", &body).send().expect(201);
    body.push(b' ');
    let above = daemon.call("POST", "/v1/runs").body("application/json", &body).send();
    problem("one byte above", &above, "body_too_large");
}

#[test]
fn json_that_is_nested_deep_is_refused_and_harms_nobody() {
    let daemon = Daemon::start();
    for depth in [200, 100_000] {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            let body = format!(r#"{{"command":{}1{}}}"#, open.repeat(depth), close.repeat(depth));
            problem("deep", &submit(&daemon, &body).send(), "bad_json");
        }
    }
    let run = daemon.sh("true");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let events = daemon.call("POST", &format!("/v1/runs/{run}/events")).body("application/json", deep.as_bytes());
    problem("deep events", &events.send(), "bad_json");
    assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
}

#[test]
fn a_header_that_is_needed_comes_once_and_in_visible_ascii() {
    let daemon = Daemon::start();
    let queued = daemon.submit(&json!({"script": "true", "delay_s": 3_600}));
    let submit = || submit(&daemon, r#"{"script":"true","delay_s":3600}"#);
    let long = "k".repeat(256);
    for key in ["", " ", "a b", "schl\u{fc}ssel", "a\tb", long.as_str()] {
        problem(key, &submit().header("Idempotency-Key", key).send(), "bad_request");
    }
    for name in ["Idempotency-Key", "Accept", "Content-Type"] {
        let twice = submit().header(name, "application/json").header(name, "application/json");
        problem(name, &twice.send(), "bad_request");
        let foreign = daemon.call("POST", "/v1/runs").body("", b"{}").header("Content-Type", "application/json");
        let foreign = foreign.header(name, "\u{e9}").send();
        problem(name, &foreign, "bad_request");
    }
    let open = || Opening::new(&daemon, format!("/v1/runs/{queued}/events"));
    for (name, value) in
        [("Sec-WebSocket-Key", "short"), ("Sec-WebSocket-Key", ""), ("Sec-WebSocket-Protocol", "\u{e9}")]
    {
        problem(name, &open().header(name, value).refused(), "bad_request");
    }
    problem("no key", &open().without("Sec-WebSocket-Key").refused(), "bad_request");
    let old = open().header("Sec-WebSocket-Version", "8").refused();
    problem("an old version", &old, "upgrade_required");
    assert_eq!(old.header("sec-websocket-version"), Some("13"));
    // As through a proxy that passes on neither, by HTTP/1.0 or by itself.
    for name in ["Upgrade", "Connection"] {
        let bare = open().without(name).refused();
        problem(name, &bare, "upgrade_required");
        assert!(bare.text().contains("docs/proxies.md"), "{}", bare.text());
    }
    // What nobody needs may be anything.
    daemon.call("GET", "/v1/runs").header("X-Whatever", "\u{e9}").header("X-Whatever", "2").send().expect(200);
}

#[test]
fn head_is_get_without_the_body() {
    let daemon = Daemon::start();
    let run = daemon.sh("true");
    daemon.wait_ended(run);
    for path in ["/healthz", "/v1/runs", "/v1/queues", "/nowhere", "/v1/runs/4242", &format!("/v1/runs/{run}")] {
        let get = daemon.get(path);
        let raw = daemon.call("HEAD", path).header("Connection", "close").head();
        let head = String::from_utf8(daemon.raw(raw.as_bytes(), DEADLINE)).unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {} ", get.status)), "{path}: {head}");
        assert!(head.ends_with("\r\n\r\n") && head.matches("\r\n\r\n").count() == 1, "{path} has a body: {head}");
        let response = daemon.call("HEAD", path).send();
        assert_eq!(response.header("content-type"), get.header("content-type"), "{path}");
        assert_eq!(response.header("content-length"), get.header("content-length"), "{path}");
    }
}

#[test]
fn what_is_not_http_gets_a_bare_refusal_and_the_daemon_lives() {
    let daemon = Daemon::start();
    let many = format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-A: b\r\n".repeat(200));
    let long = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: {}\r\n\r\n", "b".repeat(80_000));
    for (what, bytes, statuses) in [
        ("words", "hello there\r\n\r\n".to_owned(), &["400"][..]),
        ("a space in the path", "GET /a b HTTP/1.1\r\n\r\n".to_owned(), &["400"][..]),
        ("many headers", many, &["431"][..]),
        ("a long header", long, &["431"][..]),
        ("a long path", format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(80_000)), &["414", "431"][..]),
        (
            "two lengths",
            "POST /v1/runs HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_owned(),
            &["400"][..],
        ),
    ] {
        let answer = String::from_utf8(daemon.raw(bytes.as_bytes(), Duration::from_secs(5))).unwrap();
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(statuses.contains(&status), "{what}: {answer:?}");
    }
    daemon.get("/healthz").expect(200);
}

#[test]
fn every_deleted_run_stays_known_as_gone() {
    let mut daemon = Daemon::start();
    let runs: Vec<i64> = (0..3).map(|_| daemon.sh("true")).collect();
    for run in &runs {
        daemon.wait_ended(*run);
        daemon.delete(&format!("/v1/runs/{run}")).expect(204);
    }
    daemon.restart();
    let message = json!({"kind": "message", "data": {}});
    for run in &runs {
        let path = format!("/v1/runs/{run}");
        for (method, rest, body) in [
            ("GET", "", None),
            ("GET", "?wait_s=1", None),
            ("GET", "/exit_code", None),
            ("GET", "/events", None),
            ("PATCH", "", Some(json!({"keep": true}))),
            ("POST", "/cancel", None),
            ("POST", "/retry", None),
            ("POST", "/events", Some(message.clone())),
            ("DELETE", "", None),
        ] {
            let call = daemon.call(method, &format!("{path}{rest}"));
            let call = if let Some(body) = &body { call.json(body) } else { call };
            problem(&format!("{method} {path}{rest}"), &call.send(), "run_pruned");
        }
        problem("a stream", &Opening::new(&daemon, format!("{path}/events")).refused(), "run_pruned");
    }
    let next = daemon.sh("true");
    assert!(next > *runs.last().unwrap(), "no id is given out twice");
    problem("one not given out yet", &daemon.get(&format!("/v1/runs/{}", next + 1)), "run_not_found");
}

#[test]
fn who_asks_whether_to_send_a_body_is_told_to_only_where_it_would_be_read() {
    let daemon = Daemon::with_config("[limits]\nbody_bytes = 2000\n");
    let viewer = daemon.tcp_as("viewer");
    let ask = |client: &crate::common::Client, method: &str, path: &str, headers: &[(&str, &str)]| {
        let call = client.call(method, path).header("Expect", "100-continue");
        let call = headers.iter().fold(call, |call, (name, value)| call.header(name, value));
        let mut socket = client.connect();
        socket.write_all(call.head().as_bytes()).unwrap();
        let mut answer = [0; 4_096];
        let count = socket.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..count]).into_owned()
    };
    let (json, length) = (("Content-Type", "application/json"), ("Content-Length", "20"));
    for (method, path, headers, status) in [
        ("POST", "/v1/runs", vec![json, length], 100),
        ("POST", "/v1/runs", vec![json, length, ("Content-Encoding", "identity")], 100),
        ("POST", "/v1/runs", vec![length], 415),
        ("POST", "/v1/runs", vec![("Content-Type", "text/plain"), length], 415),
        ("POST", "/v1/runs", vec![("Content-Type", "text/plain"), ("Transfer-Encoding", "chunked")], 415),
        ("POST", "/v1/runs", vec![json, length, ("Content-Encoding", "gzip")], 415),
        ("POST", "/v1/runs", vec![json, ("Content-Length", "2001")], 413),
        ("POST", "/v1/runs", vec![json, length, ("Idempotency-Key", "a b")], 400),
        ("PUT", "/v1/queues/x", vec![("Content-Type", "text/plain"), length], 415),
        ("POST", "/v1/runs/1/events", vec![("Content-Type", "text/plain"), length], 415),
        ("POST", "/v1/enroll", vec![length], 415),
        ("POST", "/v1/nowhere", vec![json, length], 404),
        ("PUT", "/v1/runs", vec![json, length], 405),
    ] {
        let answer = ask(&daemon, method, path, &headers);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {path} {headers:?}: {answer}");
    }
    let answer = ask(&viewer, "POST", "/v1/runs", &[json, length]);
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    let answer = ask(&daemon.tcp(), "POST", "/v1/runs", &[json, length]);
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[test]
fn a_body_that_is_encoded_is_not_read() {
    let daemon = Daemon::start();
    for coding in ["gzip", "br", "identity, gzip", "x", "\u{e9}"] {
        let call = submit(&daemon, r#"{"script":"true"}"#).header("Content-Encoding", coding).send();
        problem(coding, &call, "unsupported_media_type");
        assert_eq!(call.header("accept-encoding"), Some("identity"), "{coding}");
    }
    for coding in ["identity", "Identity", ""] {
        submit(&daemon, r#"{"script":"true"}"#).header("Content-Encoding", coding).send().expect(201);
    }
    let script = daemon.call("POST", "/v1/runs").body("text/x-shellscript", b"true").header("Content-Encoding", "gzip");
    problem("a script", &script.send(), "unsupported_media_type");
    // Without a body there is nothing to be decoded.
    daemon.call("GET", "/v1/runs").header("Content-Encoding", "gzip").send().expect(200);
}
