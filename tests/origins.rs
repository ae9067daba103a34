//! Which names the daemon answers to, and which web pages may use it.

use serde_json::json;

use crate::access::enrollment;
use crate::common::{Call, DEADLINE, Daemon, Opening, Response};

/// The name and the value of the cookie that an answer sets, and its attributes.
#[track_caller]
pub fn cookie(response: &Response) -> (String, Vec<String>) {
    let line = response.header("set-cookie").unwrap_or_else(|| panic!("no cookie in {:?}", response.headers));
    let mut parts = line.split(';').map(|part| part.trim().to_owned());
    (parts.next().unwrap(), parts.collect())
}

#[test]
fn only_known_hosts_are_answered_to_in_whatever_spelling() {
    let config = "[access]\nallowed_hosts = [\"nas.example\"]\n";
    let daemon = Daemon::with_config(config);
    let tcp = daemon.tcp();
    let ask = |host: &str| tcp.call("GET", "/healthz").header("Host", host).send();
    let own = rustix::system::uname().nodename().to_string_lossy().into_owned();
    for host in [
        "localhost",
        "LOCALHOST:1",
        "127.0.0.1",
        "127.0.0.1:99",
        "192.0.2.7",
        "[::1]",
        "[2001:db8::1]:80",
        "nas.example",
        "NAS.Example:8080",
        &own,
        &format!("{own}:7867"),
        &format!("{}.local", own.to_uppercase()),
    ] {
        assert_eq!(ask(host).status, 200, "{host:?}");
    }
    for host in [
        "evil.example",
        "evil.example:7867",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "xlocalhost",
        "x.nas.example",
        "nas.example.evil",
        "127.1",
        "0x7f000001",
        "2130706433",
        "local",
        &format!("{own}.lan"),
    ] {
        let problem = ask(host).expect_problem(421, "host_not_allowed");
        assert!(problem["detail"].as_str().unwrap().contains("allowed_hosts"), "{problem}");
    }
    for host in [
        "",
        " ",
        "a@localhost",
        "localhost/x",
        "localhost:x",
        "localhost:99999",
        "::1",
        "[::1",
        "localhost, localhost",
        "\u{e9}",
    ] {
        ask(host).expect_problem(400, "bad_request");
    }
    tcp.call("GET", "/healthz").without("Host").send().expect(400);
    let two = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = String::from_utf8(tcp.raw(two.as_bytes(), DEADLINE)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let upgrade = Opening::new(&tcp, "/v1/runs/1/events".into()).header("Host", "evil.example").refused();
    upgrade.expect_problem(421, "host_not_allowed");
}

#[test]
fn a_cookie_lets_its_own_page_in_and_no_other() {
    let daemon = Daemon::start();
    let tcp = daemon.tcp();
    let crate::common::Address::Tcp(address) = tcp.address() else { unreachable!() };
    let own_origin = format!("http://{address}");
    let token = enrollment(&daemon, &json!({"role": "operator"}))["token"].clone();
    let wish = json!({"token": token, "cookie": true, "name": "browser"});
    let foreign = tcp.call("POST", "/v1/enroll").header("Origin", "http://evil.example").json(&wish).send();
    foreign.expect_problem(403, "origin_not_allowed");
    let response = tcp.call("POST", "/v1/enroll").header("Origin", &own_origin).json(&wish).send().expect(201);
    let keys = response.json();
    assert_eq!(keys.as_object().unwrap().keys().collect::<Vec<_>>(), ["session"], "the token is in the cookie alone");
    let (pair, attributes) = cookie(&response);
    let instance = daemon.get("/v1/system").json()["instance"].clone();
    assert!(pair.starts_with(&format!("runabout_{}=rbs_", instance.as_str().unwrap())), "{pair}");
    assert_eq!(attributes, ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=2592000"], "no Secure over http");

    let with = |method: &str, path: &str| tcp.call(method, path).header("Cookie", &format!("other=1; {pair}; \u{e9}"));
    assert_eq!(with("GET", "/v1/session").send().expect(200).json()["name"], "browser");
    let submit = || with("POST", "/v1/runs").json(&json!({"script": "true"}));
    let run = submit().header("Origin", &own_origin).send().expect(201).json()["id"].as_i64().unwrap();
    daemon.wait_ended(run);
    // A page of another origin can send the cookie, but not this header; nothing without one can be told from it.
    submit().send().expect_problem(403, "origin_not_allowed");
    let port = address.port();
    for origin in [
        "http://evil.example".to_owned(),
        "null".into(),
        "http://127.0.0.1".into(),
        format!("https://127.0.0.1:{port}"),
        format!("http://localhost:{port}"),
        format!("http://127.0.0.1:{port}.evil.example"),
        format!("http://127.0.0.1:{port}/"),
        String::new(),
    ] {
        submit().header("Origin", &origin).send().expect_problem(403, "origin_not_allowed");
        let call = with("GET", "/v1/runs").header("Origin", &origin).send().expect(200);
        assert!(call.headers.iter().all(|(name, _)| !name.starts_with("access-control")), "{:?}", call.headers);
        let upgrade = Opening::new(&tcp, format!("/v1/runs/{run}/events")).header("Cookie", &pair);
        upgrade.header("Origin", &origin).refused().expect_problem(403, "origin_not_allowed");
    }
    let upgrade = || Opening::new(&tcp, format!("/v1/runs/{run}/events")).header("Cookie", &pair);
    upgrade().refused().expect_problem(403, "origin_not_allowed");
    assert_eq!(upgrade().header("Origin", &own_origin).ask().unwrap().0.status, 101);
    // A bearer token needs no Origin, but a foreign one is refused with it, too.
    let bearer = daemon.tcp_as("operator");
    bearer.post("/v1/runs", &json!({"script": "true"})).expect(201);
    let foreign = bearer.call("POST", "/v1/runs").header("Origin", "null").json(&json!({"script": "true"})).send();
    foreign.expect_problem(403, "origin_not_allowed");
    let preflight = tcp.call("OPTIONS", "/v1/runs").header("Origin", "http://evil.example").send();
    preflight.expect_problem(401, "unauthorized");

    // Log out: the cookie is taken away and worth nothing.
    let out = with("DELETE", "/v1/session").header("Origin", &own_origin).send().expect(204);
    let (empty, attributes) = cookie(&out);
    assert!(empty.ends_with('=') && attributes.contains(&"Max-Age=0".to_owned()), "{empty} {attributes:?}");
    with("GET", "/v1/session").send().expect_problem(401, "unauthorized");
}

#[test]
fn an_allowed_origin_may_read_and_write_with_a_token() {
    let daemon = Daemon::with_config("[access]\nallowed_origins = [\"https://panel.example\"]\n");
    let (tcp, operator) = (daemon.tcp(), daemon.tcp_as("operator"));
    let from = |call: Call| call.header("Origin", "https://panel.example");
    let preflight =
        from(tcp.call("OPTIONS", "/v1/runs")).header("Access-Control-Request-Method", "POST").send().expect(204);
    for (name, value) in [
        ("access-control-allow-origin", "https://panel.example"),
        ("vary", "Origin"),
        ("access-control-allow-headers", "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"),
        ("access-control-expose-headers", "Location, Retry-After"),
    ] {
        assert_eq!(preflight.header(name), Some(value), "{name}");
    }
    assert!(preflight.header("access-control-allow-methods").unwrap().contains("DELETE"));
    assert_eq!(preflight.header("access-control-allow-credentials"), None);
    let made = from(operator.call("POST", "/v1/runs")).json(&json!({"script": "true"})).send().expect(201);
    assert_eq!(made.header("access-control-allow-origin"), Some("https://panel.example"));
    // The page can read why it was refused, too.
    let refused = from(tcp.call("GET", "/v1/runs")).send().expect(401);
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://panel.example"));
    let other = operator.call("GET", "/v1/runs").header("Origin", "https://panel.example.evil").send().expect(200);
    assert_eq!(other.header("access-control-allow-origin"), None);
}

#[test]
fn a_trusted_proxy_is_believed_and_nobody_else() {
    let config = "[access]\ntrusted_proxies = [\"127.0.0.1\"]\nallowed_hosts = [\"runs.example\"]\n";
    let trusted = Daemon::with_config(config);
    let token = enrollment(&trusted, &json!({"role": "viewer"}))["token"].clone();
    let call = trusted.tcp().call("POST", "/v1/enroll").header("X-Forwarded-For", "6.6.6.6, 198.51.100.9");
    let call = call.header("X-Forwarded-Proto", "https").header("X-Forwarded-Host", "runs.example");
    let response = call.header("Origin", "https://runs.example").json(&json!({"token": token, "cookie": true})).send();
    let response = response.expect(201);
    assert_eq!(response.json()["session"]["address"], "198.51.100.9");
    assert!(cookie(&response).1.contains(&"Secure".to_owned()));

    let plain = Daemon::start();
    let token = enrollment(&plain, &json!({"role": "viewer"}))["token"].clone();
    let call = plain.tcp().call("POST", "/v1/enroll").header("X-Forwarded-For", "198.51.100.9");
    let response = call.header("X-Forwarded-Proto", "https").json(&json!({"token": token, "cookie": true})).send();
    let response = response.expect(201);
    assert_eq!(response.json()["session"]["address"], "127.0.0.1");
    assert!(!cookie(&response).1.contains(&"Secure".to_owned()));
}
