//! The daemon itself: health, figures, drain, maintenance, the page's files and the reference; what it says when it has no
//! room, and how HTTP itself is answered.

use std::path::Path;

use serde_json::json;

use crate::common::{Call, Daemon, Tape, page_file};

#[test]
fn system() {
    let daemon = Daemon::start();
    let mut tape = Tape::new("system", &daemon);
    for path in ["/healthz", "/readyz", "/v1/system", "/v1/drain", "/v1/drain?wait_s=1"] {
        tape.ask("a look", daemon.call("GET", path));
        tape.ask("its head alone", daemon.call("HEAD", path));
        tape.ask("a query", daemon.call("GET", &format!("{}?x=1", path.split('?').next().unwrap())));
    }
    tape.ask("drain", daemon.call("PUT", "/v1/drain"));
    tape.ask("drain again, and wait", daemon.call("PUT", "/v1/drain?wait_s=1").json(&json!({})));
    tape.ask("a body", daemon.call("PUT", "/v1/drain").json(&json!({"x": 1})));
    tape.ask("a wait", daemon.call("PUT", "/v1/drain?wait_s=0"));
    tape.ask("drained", daemon.call("GET", "/v1/drain"));
    tape.ask("take it back", daemon.call("DELETE", "/v1/drain"));
    tape.ask("take it back again", daemon.call("DELETE", "/v1/drain"));
    tape.ask("a query", daemon.call("DELETE", "/v1/drain?x=1"));
    let run = daemon.sh("true");
    daemon.wait_ended(run);
    tape.ask("maintenance", daemon.call("POST", "/v1/maintenance"));
    tape.ask("maintenance of something", daemon.call("POST", "/v1/maintenance").json(&json!({"x": 1})));
    tape.ask("with a run", daemon.call("GET", "/v1/system"));
    for path in ["/nowhere", "/v1", "/v1/runs/", "/page/none.js"] {
        tape.ask("nothing there", daemon.call("GET", path));
    }
    tape.check();
}

#[test]
fn figures() {
    let daemon = Daemon::start();
    let mut tape = Tape::new("figures", &daemon);
    tape.ask("figures", daemon.call("GET", "/metrics"));
    tape.ask("as text", daemon.call("GET", "/metrics").header("Accept", "text/plain"));
    tape.ask("a query", daemon.call("GET", "/metrics?x=1"));
    tape.check();
}

#[test]
fn files() {
    let daemon = Daemon::start();
    let mut tape = Tape::new("files", &daemon);
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
    // What is made of the sources is held against them by `tests/page.rs`.
    let of = |path: &str| daemon.get(path).expect(200).body;
    let [script, styles, icon] = ["app.js", "style.css", "icon.svg"].map(page_file);
    for path in [script, styles, icon] {
        let (_, hash) = path.split_once('.').unwrap().0.rsplit_once('-').unwrap();
        tape.learn(hash, "<hash>");
    }
    let version = format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    let reference = std::fs::read_to_string(src.join("openapi.json")).unwrap();
    let reference = reference.replacen("\"version\": \"0.0.0\"", &version, 1).into_bytes();
    for (path, file) in [
        ("/openapi.json", reference),
        ("/", of("/")),
        (script, of(script)),
        (styles, of(styles)),
        (icon, of(icon)),
        ("/page/vendor/lit-html/LICENSE", of("/page/vendor/lit-html/LICENSE")),
    ] {
        tape.file("a file", daemon.call("GET", path), &file);
        tape.file("its head alone", daemon.call("HEAD", path), b"");
        tape.file("one that is known", daemon.call("GET", path).header("If-None-Match", "*"), b"");
        tape.file("one that is known otherwise", daemon.call("GET", path).header("If-None-Match", "\"x\""), &file);
    }
    let packed = |call: Call| call.header("Accept-Encoding", "gzip, deflate");
    let bytes = packed(daemon.call("GET", script)).send().expect(200).body;
    tape.file("a compressed file", packed(daemon.call("GET", script)), &bytes);
    tape.file("its head alone", packed(daemon.call("HEAD", script)), b"");
    tape.file("one that is known", packed(daemon.call("GET", script)).header("If-None-Match", "*"), b"");
    tape.ask("a query", daemon.call("GET", "/openapi.json?x=1"));
    tape.ask("from another host", daemon.tcp().call("GET", "/").header("Host", "evil.example"));
    tape.ask("health, from another host", daemon.tcp().call("GET", "/healthz").header("Host", "evil.example"));
    tape.check();
}

#[test]
fn no_room() {
    let daemon = Daemon::with_config("[limits]\nqueued_runs = 1\nconnections = 1\n");
    let mut tape = Tape::new("no_room", &daemon);
    let ended = daemon.sh("true");
    daemon.wait_ended(ended);
    daemon.put("/v1/queues/default", &json!({"paused": true})).expect(200);
    daemon.sh("true");
    tape.ask("a queue that is full", daemon.call("POST", "/v1/runs").json(&json!({"script": "true"})));
    tape.ask("the same of a retry", daemon.call("POST", &format!("/v1/runs/{ended}/retry")));
    let only = daemon.tcp().connect();
    tape.ask("too many connections", daemon.tcp().call("GET", "/healthz"));
    drop(only);
    tape.check();

    let daemon = Daemon::with_config("[retention]\ndb_bytes = 1\n");
    let mut tape = Tape::new("no_room_in_the_quota", &daemon);
    daemon.put("/v1/queues/default", &json!({"paused": true})).expect(200);
    let large = json!({"script": "true", "stdin": "x".repeat(1_040_000)});
    (0..2).for_each(|_| _ = daemon.submit(&large));
    tape.short("a database that is full", daemon.call("POST", "/v1/runs").json(&large));
    tape.check();
}
