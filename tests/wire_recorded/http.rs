//! How HTTP itself is answered: bodies that are wrong as such, heads that are, and one request behind the other.

use serde_json::json;

use crate::common::{Daemon, Tape};

#[test]
fn bodies() {
    let daemon = Daemon::with_config("[limits]\nbody_bytes = 16384\nbody_s = 1\n");
    let mut tape = Tape::new("bodies", &daemon);
    let post = |path: &str| daemon.call("POST", path);
    for path in ["/v1/runs", "/v1/enrollment-tokens", "/v1/runs/1/cancel"] {
        tape.ask("of another type", post(path).body("text/csv", b"a,b"));
        tape.ask("of no type", post(path).body("", b"{}"));
        tape.ask("no JSON", post(path).body("application/json; charset=utf-8", b"{\"a\":"));
        tape.ask("two", post(path).body("application/json", b"{} {}"));
        tape.ask("encoded", post(path).body("application/json", b"{}").header("Content-Encoding", "gzip"));
        tape.short("too long", post(path).body("application/json", &[b' '; 16_385]));
    }
    let slow = post("/v1/runs").header("Content-Type", "application/json").header("Content-Length", "2");
    tape.ask("too slow", slow);
    let chunked = post("/v1/runs").header("Content-Type", "application/json").header("Transfer-Encoding", "chunked");
    let head = chunked.header("Connection", "close").head();
    tape.raw("in chunks", &daemon, format!("{head}2\r\n{{}}\r\n0\r\n\r\n").as_bytes());
    tape.raw("in what are no chunks", &daemon, format!("{head}x\r\n").as_bytes());
    tape.check();
}

#[test]
fn heads() {
    let daemon = Daemon::with_config("[limits]\nhead_s = 1\nhead_bytes = 8192\nheaders = 20\n");
    let mut tape = Tape::new("heads", &daemon);
    for (what, sent) in [
        ("no HTTP", "nonsense\r\n\r\n"),
        ("another version", "GET / HTTP/2.0\r\nHost: localhost\r\n\r\n"),
        ("the version before", "GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n"),
        (
            "a path that is none",
            "GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        ),
        ("a path with dots", "GET /page/../healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        ("a fragment", "GET /healthz#x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        ("a method that nobody has", "BREW /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        ("not ASCII", "GET /v1/runs HTTP/1.1\r\nHost: localhost\r\nAccept: é\r\nConnection: close\r\n\r\n"),
        (
            "one behind the other",
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nHEAD /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        ),
        ("half a head", "GET /healthz HTTP/1.1\r\nHost:"),
    ] {
        tape.raw(what, &daemon, sent.as_bytes());
    }
    let many: String = (0..21).map(|nth| format!("X-{nth}: 1\r\n")).collect();
    tape.raw("too many headers", &daemon, format!("GET /healthz HTTP/1.1\r\n{many}\r\n").as_bytes());
    let expects = daemon.call("POST", "/v1/runs").json(&json!({"script": "true"})).header("Expect", "100-continue");
    tape.ask("whether to send it", expects);
    tape.check();
}
