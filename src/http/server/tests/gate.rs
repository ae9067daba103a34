//! Who gets past the gate, and where to.

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::{Daemon, RENEWED, TOKEN, rest, status};
use crate::config::{Access, Limits, Origin};
use crate::wake::Phase;

#[test]
fn the_gate_comes_before_the_route() {
    let daemon = Daemon::plain();
    let raw = |head: &str| daemon.raw(format!("{head}\r\nConnection: close\r\n\r\n"));
    for path in ["/ok", "/no-such", "/x/../ok"] {
        let answer = raw(&format!("GET {path} HTTP/1.1\r\nHost: localhost"));
        assert_eq!(status(&answer), "401", "{path}");
        assert!(
            answer.to_lowercase().contains("www-authenticate: bearer") && answer.contains("runabout enroll"),
            "{answer}"
        );
    }
    assert_eq!(status(&raw("GET /healthz HTTP/1.1\r\nHost: localhost")), "200");
    assert_eq!(status(&raw("HEAD /healthz HTTP/1.1\r\nHost: localhost")), "200");
    assert_eq!(status(&raw("DELETE /healthz HTTP/1.1\r\nHost: localhost")), "401");
    for (host, expected) in [
        ("Host: evil.example", "421"),
        ("Host: good/ok?", "400"),
        ("Host: ", "400"),
        ("Host: localhost\r\nHost: localhost", "400"),
        ("X: y", "400"),
        ("Host: h\u{e9}", "400"),
    ] {
        assert_eq!(status(&raw(&format!("GET /healthz HTTP/1.1\r\n{host}"))), expected, "{host}");
    }
    assert!(raw("GET /healthz HTTP/1.1\r\nHost: evil.example").contains("allowed_hosts"));
}

#[test]
fn a_path_is_routed_as_it_came_or_refused() {
    let daemon = Daemon::plain();
    for (line, expected) in [
        ("GET /ok", "200"),
        ("GET /ok?a=../..", "200"),
        ("GET /x/%2e%2e/ok", "400"),
        ("GET /x/../ok", "400"),
        ("GET //ok", "400"),
        ("GET /\\ok", "400"),
        ("GET http://localhost/ok", "400"),
        ("OPTIONS *", "400"),
        ("CONNECT localhost:1", "400"),
        ("GET /no-such", "404"),
        ("FROB /no-such", "404"),
        ("FROB /ok", "405"),
        ("TRACE /ok", "405"),
        ("POST /ok", "405"),
        ("OPTIONS /ok", "405"),
    ] {
        let answer = daemon.ask(line, "", "");
        assert_eq!(status(&answer), expected, "{line} got {answer}");
        assert!(expected != "405" || answer.contains("allow: GET, HEAD\r\n"), "{answer}");
        assert!(expected == "200" || answer.contains("application/problem+json"), "{answer}");
        assert!(
            answer.contains("cache-control: no-store") && answer.contains("x-content-type-options: nosniff"),
            "{answer}"
        );
    }
    assert!(daemon.ask("GET /no-such", "", "").contains(r#""code":"not_found""#));
}

#[test]
fn header_bytes_that_tide_cannot_hold_do_not_reach_it() {
    let daemon = Daemon::plain();
    assert_eq!(status(&daemon.ask("GET /ok", "x-other: h\u{e9}llo\r\nIdempotency-Key: \u{e9}\r\n", "")), "200");
    assert_eq!(status(&daemon.ask("GET /key", "Idempotency-Key: \u{e9}\r\n", "")), "400");
    assert_eq!(status(&daemon.ask("GET /key", "Idempotency-Key: a\r\nIdempotency-Key: a\r\n", "")), "400");
    assert!(daemon.ask("GET /key", "Idempotency-Key: a b\r\n", "").contains("a b"));
    let trailer = "3\r\nabc\r\n0\r\nx-t: h\u{e9}llo\r\n\r\n";
    assert!(daemon.ask("POST /echo", "Transfer-Encoding: chunked\r\n", trailer).ends_with("abc"));
    assert!(daemon.is_alive());
}

#[test]
fn pages_of_other_origins_are_kept_out() {
    let allowed = Origin::parse("https://panel.example").into_iter().collect();
    let daemon = Daemon::start(Limits::default(), Access { allowed_origins: allowed, ..Access::default() });
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    let cookie = format!("Cookie: runabout_inst={TOKEN}\r\n");
    let own = format!("Origin: http://localhost:{}\r\n", daemon.address.port());
    let ask = |line: &str, headers: &str| {
        daemon.raw(format!(
            "{line} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n{headers}\r\n",
            daemon.address.port()
        ))
    };
    let upgrade = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    for (line, headers, expected) in [
        ("POST /echo", bearer.clone(), "200"),
        ("POST /echo", format!("{bearer}{own}"), "200"),
        ("POST /echo", format!("{bearer}Origin: http://evil\r\n"), "403"),
        ("POST /echo", format!("{bearer}Origin: null\r\n"), "403"),
        ("POST /echo", format!("{bearer}Origin: https://panel.example\r\n"), "200"),
        ("POST /echo", cookie.clone(), "403"),
        ("POST /echo", format!("{cookie}{own}"), "200"),
        ("GET /ok", cookie.clone(), "200"),
        ("GET /ok", format!("{cookie}Origin: http://evil\r\n"), "200"),
        ("GET /ok", format!("{cookie}{upgrade}"), "403"),
        ("GET /ok", format!("{cookie}{upgrade}Origin: http://evil\r\n"), "403"),
        ("GET /ok", format!("{bearer}{upgrade}"), "200"),
        ("OPTIONS /anything", "Origin: https://panel.example\r\n".to_owned(), "204"),
        ("OPTIONS /anything", "Origin: https://evil.example\r\n".to_owned(), "401"),
    ] {
        let answer = ask(line, &headers);
        assert_eq!(status(&answer), expected, "{line} {headers} got {answer}");
        assert_eq!(
            answer.contains("access-control-allow-origin: https://panel.example"),
            headers.contains("panel"),
            "{answer}"
        );
        assert!(!answer.contains("allow-credentials"));
    }
    let renewed = ask("GET /ok", &format!("Cookie: runabout_inst={RENEWED}\r\n"));
    assert!(
        renewed.contains(&format!(
            "set-cookie: runabout_inst={RENEWED}; HttpOnly; SameSite=Strict; Path=/; Max-Age=60\r\n"
        )),
        "{renewed}"
    );
}

#[test]
fn bad_tokens_are_counted_and_valid_ones_never_refused() {
    let daemon = Daemon::plain();
    let with = |line: &str, token: &str| {
        daemon.raw(format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
        ))
    };
    for nth in 0..9 {
        assert_eq!(status(&with("GET /ok", &format!("nonsense{nth}"))), "401");
        assert_eq!(status(&with("GET /ok", "nonsense0")), "401", "the same again is one");
    }
    assert_eq!(status(&with("POST /v1/enroll", "x")), "401");
    let limited = with("GET /ok", "nonsense");
    assert!(status(&limited) == "429" && limited.contains("retry-after: "), "{limited}");
    assert_eq!(status(&with("POST /v1/enroll", TOKEN)), "429");
    assert_eq!(status(&with("GET /ok", TOKEN)), "200");
    assert_eq!(status(&daemon.raw("GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n")), "401");
}

#[test]
fn the_unix_socket_answers_until_the_end() {
    let daemon = Daemon::plain();
    let ask = || {
        let mut stream = UnixStream::connect(&daemon.socket).expect("connected");
        stream.write_all(b"GET /who HTTP/1.1\r\nHost: whatever\r\nConnection: close\r\n\r\n").expect("sent");
        rest(&mut stream)
    };
    assert!(ask().contains("Admin") && ask().contains("local:"));
    let mut idle = daemon.connect();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    std::thread::sleep(Duration::from_millis(50));
    daemon.stop.raise(Phase::Stopping);
    let start = Instant::now();
    assert!(rest(&mut idle).starts_with("HTTP/1.1 200"));
    assert!(start.elapsed() < Duration::from_millis(500), "an idle connection closes at once");
    assert!(TcpStream::connect(daemon.address).is_err(), "TCP is closed");
    assert!(ask().contains("Admin"));
}
