//! Names that somebody else chose: a `Host` that was pointed here, a forwarded address, an origin, a cookie's name and its
//! value. None of them is believed for being sent.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{Call, Client, DEADLINE, Daemon, Opening};

/// Tokens that are borne from one address within a minute.
const BAD_TOKENS_MAX: usize = 10;
/// A token that was never given out.
const NOBODY: &str = "rbs_0000000000000000000000000000000000000000";

/// Sends a head as it stands; answers the status.
#[track_caller]
fn status_of(client: &Client, head: &str) -> u16 {
    let answer = String::from_utf8_lossy(&client.raw(head.as_bytes(), DEADLINE)).into_owned();
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{head:?}: {answer:?}"))
}

fn own_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[test]
fn a_name_that_was_pointed_here_is_not_answered_to_however_it_is_spelt() {
    let daemon = Daemon::with_config("[access]\nallowed_hosts = [\"nas.example\"]\n");
    let token = daemon.enroll("admin");
    let tcp = daemon.tcp();
    let status = |request: &str, hosts: &[&str]| {
        let hosts: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
        let body = "Content-Type: application/json\r\nContent-Length: 20\r\n";
        let body = if request.starts_with("POST") { (body, "{\"command\":[\"true\"]}") } else { ("", "") };
        let authorization = format!("Authorization: Bearer {token}\r\nConnection: close\r\n");
        status_of(&tcp, &format!("{request} HTTP/1.1\r\n{hosts}{authorization}{}\r\n{}", body.0, body.1))
    };
    let port = match tcp.address() {
        crate::common::Address::Tcp(address) => address.port(),
        address => unreachable!("{address:?}"),
    };
    let (own, local) = (own_name(), format!("{}.LOCAL", own_name().to_uppercase()));
    for host in [
        "localhost",
        "LOCALHOST",
        "LocalHost:1",
        "localhost.",
        "localhost.:80",
        "localhost:",
        "127.0.0.1",
        "127.0.0.1:9",
        "0.0.0.0",
        "192.168.1.2",
        "[::1]",
        "[::1]:7867",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "nas.example",
        "NAS.Example.:1",
        own.as_str(),
        local.as_str(),
    ] {
        assert_eq!(status("GET /v1/runs", &[host]), 200, "{host}");
    }
    let with_port = format!("evil.example:{port}");
    for host in [
        "evil.example",
        "EVIL.example",
        "evil.example.",
        with_port.as_str(),
        "localhost.evil.example",
        "evil.localhost",
        "localhost.local",
        "localhost.localdomain",
        "127.0.0.1.evil.example",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "256.0.0.1",
        "1.2.3.4.5",
        "x.nas.example",
        "nas.example.evil",
        "nas_example",
        "local",
        "xn--localhost-9",
    ] {
        for request in [
            "GET /v1/runs",
            "GET /healthz",
            "GET /nowhere",
            "OPTIONS /v1/runs",
            "POST /v1/runs",
            "POST /v1/enroll",
            "BREW /",
        ] {
            assert_eq!(status(request, &[host]), 421, "{request} to {host}");
        }
        let upgrade =
            Opening::new(&tcp.with_token(&token), "/v1/runs/1/events".to_owned()).header("Host", host).refused();
        upgrade.expect_problem(421, "host_not_allowed");
    }
    for host in [
        "",
        " ",
        ".",
        "..",
        "localhost..",
        ".localhost",
        "a@localhost",
        "localhost@evil.example",
        "user:pw@localhost",
        "localhost/",
        "localhost/evil",
        "evil.example/localhost",
        "localhost?",
        "localhost#",
        "localhost\\",
        "http://localhost",
        "localhost:x",
        "localhost:-1",
        "localhost:+1",
        "localhost:65536",
        "localhost:1:2",
        "::1",
        "::1:80",
        "[::1",
        "::1]",
        "[::1]x",
        "[::1]:x",
        "[]",
        "[127.0.0.1]",
        "[localhost]",
        "[fe80::1%25eth0]",
        "[fe80::1%eth0]",
        "localhost, evil.example",
        "localhost evil.example",
        "*",
        "loc\u{e4}lhost",
        "localhost\u{0}",
        "local\thost",
        "%6cocalhost",
        "localhost;x",
        "'localhost'",
    ] {
        for request in ["GET /v1/runs", "GET /healthz", "POST /v1/runs"] {
            assert_eq!(status(request, &[host]), 400, "{request} to {host:?}");
        }
    }
    for hosts in [&[][..], &["localhost", "localhost"], &["localhost", "evil.example"], &["evil.example", "localhost"]]
    {
        assert_eq!(status("GET /v1/runs", hosts), 400, "{hosts:?}");
    }
    assert_eq!(daemon.get("/v1/runs").expect(200).json()["runs"], json!([]), "nothing was submitted");
}

/// The same request again and again, each time with another bad token; how many were told that theirs is bad before the
/// rest were limited.
#[track_caller]
fn tries(mut call: impl FnMut(usize) -> Call) -> usize {
    let mut with_another = |nth| call(nth).header("Authorization", &format!("Bearer rbs_{nth:040x}"));
    let statuses: Vec<u16> = (0..2 * BAD_TOKENS_MAX).map(|nth| with_another(nth).send().status).collect();
    let borne = statuses.iter().take_while(|status| **status == 401).count();
    assert!(statuses[borne..].iter().all(|status| *status == 429), "{statuses:?}");
    borne
}

fn bad_token(client: &Client, forwarded_for: &str) -> Call {
    let call = client.with_token(NOBODY).call("GET", "/v1/runs");
    if forwarded_for.is_empty() { call } else { call.header("X-Forwarded-For", forwarded_for) }
}

#[test]
fn nobody_without_a_trusted_proxy_chooses_the_address_that_is_throttled() {
    let daemon = Daemon::start();
    let tcp = daemon.tcp();
    assert_eq!(tries(|nth| bad_token(&tcp, &format!("10.0.0.{nth}"))), BAD_TOKENS_MAX);
    // Nor the one that is remembered, nor which origin is its own, nor which scheme its cookie is for.
    let page = |client: &Client| {
        client.call("POST", "/v1/runs").header("X-Forwarded-Host", "evil.example").header("X-Forwarded-Proto", "https")
    };
    let foreign =
        page(&daemon.tcp_as("operator")).header("Origin", "https://evil.example").json(&json!({"script": "true"}));
    foreign.send().expect_problem(403, "origin_not_allowed");
    for name in ["X-Real-IP", "Forwarded", "X-Client-IP", "CF-Connecting-IP"] {
        bad_token(&tcp, "").header(name, "for=10.1.1.1").send().expect_problem(429, "rate_limited");
    }
    // A session that is valid is never refused.
    daemon.tcp_as("viewer").get("/v1/runs").expect(200);
}

#[test]
fn behind_a_trusted_proxy_the_hop_that_it_saw_is_throttled_and_none_that_was_made_up() {
    let config = "[access]\ntrusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]\n";
    let daemon = Daemon::with_config(config);
    let tcp = daemon.tcp();
    assert_eq!(
        tries(|nth| bad_token(&tcp, &format!("1.2.3.{nth}, 9.9.9.1"))),
        BAD_TOKENS_MAX,
        "the left-most is made up"
    );
    assert_eq!(
        tries(|nth| bad_token(&tcp, &format!("10.9.9.{nth}, 9.9.9.2"))),
        BAD_TOKENS_MAX,
        "also where it is trusted"
    );
    assert_eq!(
        tries(|nth| bad_token(&tcp, &format!("9.9.9.3, 10.0.0.{nth}"))),
        BAD_TOKENS_MAX,
        "trusted hops are walked"
    );
    assert_eq!(
        tries(|nth| bad_token(&tcp, &format!("::ffff:9.9.9.4, 10.0.0.{nth}"))),
        BAD_TOKENS_MAX,
        "a mapped address"
    );
    assert_eq!(tries(|nth| bad_token(&tcp, &format!("9.9.9.5:{}", 1 + nth))), BAD_TOKENS_MAX, "with its port");
    assert_eq!(tries(|nth| bad_token(&tcp, &format!("2001:db8::{nth:x}"))), BAD_TOKENS_MAX, "the whole network");
    assert_eq!(
        tries(|nth| bad_token(&tcp, &format!("1.2.4.{nth}")).header("X-Forwarded-For", "9.9.9.6")),
        BAD_TOKENS_MAX,
        "over two lines"
    );
    // What is behind junk is a stranger's word; the proxy's own address is what is left.
    assert_eq!(tries(|nth| bad_token(&tcp, &format!("1.2.5.{nth}, junk"))), BAD_TOKENS_MAX, "junk");
    // Each of these addresses is closed, and only these.
    for (forwarded_for, status) in [
        ("9.9.9.1", 429),
        ("9.9.9.4", 429),
        ("9.9.9.7", 401),
        ("1.2.3.1", 401),
        ("2001:db8::ffff", 429),
        ("2001:db8:0:1::1", 401),
    ] {
        assert_eq!(bad_token(&tcp, forwarded_for).send().status, status, "{forwarded_for}");
    }
    // What is remembered of a session is the same hop.
    let token = daemon.post("/v1/enrollment-tokens", &json!({"role": "viewer"})).expect(201).json()["token"].clone();
    let enroll =
        tcp.call("POST", "/v1/enroll").header("X-Forwarded-For", "6.6.6.6, 9.9.9.8").json(&json!({"token": token}));
    assert_eq!(enroll.send().expect(201).json()["session"]["address"], "9.9.9.8");
}

#[test]
fn a_page_of_no_origin_or_of_another_changes_nothing_whatever_it_brings() {
    let daemon = Daemon::start();
    let (tcp, bearer) = (daemon.tcp(), daemon.tcp_as("operator"));
    let cookie = cookie_of(&daemon, None);
    let own = format!("http://{}", host_of(&tcp));
    let port = own.rsplit(':').next().unwrap().to_owned();
    let run = daemon.submit(&json!({"script": "true", "delay_s": 3_600}));
    let foreign = [
        "null",
        "",
        "http://evil.example",
        &own.replace("http:", "https:"),
        &own.replace(&port, "1"),
        "http://127.0.0.1",
        &format!("http://localhost:{port}"),
        &format!("{own}.evil.example"),
        &format!("http://evil@127.0.0.1:{port}"),
        &format!("{own}/"),
        &format!("{own} http://evil.example"),
        "file://",
        "chrome-extension://abc",
    ];
    for origin in foreign {
        for (who, client, cookie) in
            [("cookie", &tcp, Some(&cookie)), ("bearer", &bearer, None), ("socket", &*daemon, None)]
        {
            let with = |call: Call| {
                let call = call.header("Origin", origin);
                if let Some(cookie) = cookie { call.header("Cookie", cookie) } else { call }
            };
            let submit = with(client.call("POST", "/v1/runs")).json(&json!({"script": "true"}));
            let cancel = with(client.call("POST", &format!("/v1/runs/{run}/cancel")));
            let delete = with(client.call("DELETE", "/v1/session"));
            for call in [submit, cancel, delete] {
                let response = call.send();
                assert_eq!(response.status, 403, "{who} from {origin:?}: {}", response.text());
                assert!(
                    response.headers.iter().all(|(name, _)| !name.starts_with("access-control-")),
                    "{:?}",
                    response.headers
                );
            }
            let mut upgrade = Opening::new(client, format!("/v1/runs/{run}/events")).header("Origin", origin);
            if let Some(cookie) = cookie {
                upgrade = upgrade.header("Cookie", cookie);
            }
            upgrade.refused().expect_problem(403, "origin_not_allowed");
        }
    }
    // A cookie without any origin is no better; with its own it is.
    let submit =
        || tcp.call("POST", "/v1/runs").header("Cookie", &cookie).json(&json!({"script": "true", "delay_s": 3_600}));
    submit().send().expect_problem(403, "origin_not_allowed");
    assert_eq!(daemon.get("/v1/runs").expect(200).json()["runs"].as_array().unwrap().len(), 1);
    submit().header("Origin", &own).send().expect(201);
    let upgrade = || Opening::new(&tcp, format!("/v1/runs/{run}/events")).header("Cookie", &cookie);
    upgrade().refused().expect_problem(403, "origin_not_allowed");
    assert_eq!(upgrade().header("Origin", &own).ask().unwrap().0.status, 101);
    assert_eq!(daemon.run(run)["status"], "queued");
}

fn host_of(client: &Client) -> String {
    let head = client.call("GET", "/").head();
    head.lines().find_map(|line| line.strip_prefix("Host: ")).unwrap().to_owned()
}

/// Enrolls with a cookie, from the daemon's own page; answers `NAME=VALUE`.
#[track_caller]
fn cookie_of(daemon: &Daemon, sent: Option<&str>) -> String {
    let token = daemon.post("/v1/enrollment-tokens", &json!({"role": "operator"})).expect(201).json()["token"].clone();
    let enroll = daemon.tcp().call("POST", "/v1/enroll").json(&json!({"token": token, "cookie": true}));
    let enroll = if let Some(sent) = sent { enroll.header("Cookie", sent) } else { enroll };
    let response = enroll.send().expect(201);
    assert_eq!(response.json().get("session_token"), None::<&Value>, "the cookie alone");
    let cookie = response.header("set-cookie").unwrap();
    for attribute in ["; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age="] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
}

#[test]
fn a_session_is_never_one_that_the_client_chose() {
    let daemon = Daemon::start();
    let tcp = daemon.tcp();
    let who = |cookie: &str| tcp.call("GET", "/v1/session").header("Cookie", cookie).send().status;
    let instance = daemon.get("/v1/system").expect(200).json()["instance"].as_str().unwrap().to_owned();
    let planted = format!("runabout_{instance}={NOBODY}");
    assert_eq!(who(&planted), 401);
    let given = cookie_of(&daemon, Some(&planted));
    assert_ne!(given, planted);
    assert_eq!((who(&given), who(&planted)), (200, 401), "the planted one was not adopted");
    // Nor is that of somebody who is logged in: a second login is a second session.
    let second = cookie_of(&daemon, Some(&given));
    assert_ne!(second, given);
    let own = format!("http://{}", host_of(&tcp));
    tcp.call("DELETE", "/v1/session").header("Cookie", &given).header("Origin", &own).send().expect(204);
    assert_eq!((who(&given), who(&second)), (401, 200), "logged out is logged out, and nobody else is");
}

#[test]
fn the_secret_of_a_cookie_is_no_bearer_token_and_a_bearer_token_no_cookie() {
    let daemon = Daemon::start();
    let tcp = daemon.tcp();
    let cookie = cookie_of(&daemon, None);
    let (name, secret) = cookie.split_once('=').unwrap();
    let run = daemon.submit(&json!({"script": "true", "delay_s": 3_600}));
    // What a server on another port of this host was sent by the browser.
    tcp.with_token(secret).get("/v1/runs").expect_problem(401, "unauthorized");
    tcp.with_token(secret).post("/v1/runs", &json!({"script": "true"})).expect_problem(401, "unauthorized");
    let upgrade = Opening::new(&tcp, format!("/v1/runs/{run}/events"));
    let upgrade = upgrade.header("Sec-WebSocket-Protocol", &format!("runabout.v1, bearer.{secret}"));
    upgrade.refused().expect_problem(401, "unauthorized");
    tcp.call("GET", "/v1/runs").header("Cookie", &cookie).send().expect(200);
    let bearer = format!("{name}={}", daemon.enroll("operator"));
    tcp.call("GET", "/v1/runs").header("Cookie", &bearer).send().expect_problem(401, "unauthorized");
}

#[test]
fn of_several_cookies_of_the_name_the_valid_one_counts_and_two_valid_ones_do_not() {
    let daemon = Daemon::start();
    let tcp = daemon.tcp();
    let (one, other) = (cookie_of(&daemon, None), cookie_of(&daemon, None));
    let name = one.split_once('=').unwrap().0;
    let planted = format!("{name}={NOBODY}");
    let ask = |cookies: &str| tcp.call("GET", "/v1/session").header("Cookie", cookies).send();
    let id = ask(&one).expect(200).json()["id"].clone();
    for cookies in
        [format!("{planted}; {one}"), format!("{one}; {planted}"), format!("{name}=; {name}=x; {one}; {one}")]
    {
        assert_eq!(ask(&cookies).expect(200).json()["id"], id, "{cookies}");
    }
    let two = format!("{one}; {other}");
    let problem = ask(&two).expect_problem(400, "bad_request");
    assert!(problem["detail"].as_str().unwrap().contains("two different sessions"), "{problem}");
    let own = format!("http://{}", host_of(&tcp));
    let submit = tcp.call("POST", "/v1/runs").header("Cookie", &two).header("Origin", &own);
    submit.json(&json!({"script": "true"})).send().expect_problem(400, "bad_request");
    assert_eq!(daemon.get("/v1/runs").expect(200).json()["runs"], json!([]));
    // Once one of them is over, the other counts again.
    daemon.delete(&format!("/v1/sessions/{id}")).expect(204);
    ask(&two).expect(200);
    // As many as anybody likes are not looked up.
    let many: Vec<String> = (0..9).map(|nth| format!("{name}=rbs_{nth:040}")).collect();
    ask(&many.join("; ")).expect_problem(400, "bad_request");
}

#[test]
fn the_cookie_of_another_daemon_is_not_this_ones() {
    let (one, other) = (Daemon::start(), Daemon::start());
    let (of_one, of_other) = (cookie_of(&one, None), cookie_of(&other, None));
    let who =
        |daemon: &Daemon, cookie: &str| daemon.tcp().call("GET", "/v1/session").header("Cookie", cookie).send().status;
    // A browser sends both to both: ports do not count.
    for both in [format!("{of_one}; {of_other}"), format!("{of_other}; a=b; {of_one}")] {
        assert_eq!((who(&one, &both), who(&other, &both)), (200, 200), "{both}");
    }
    assert_eq!((who(&one, &of_other), who(&other, &of_one)), (401, 401));
    let (name, token) = of_one.split_once('=').unwrap();
    let (other_name, _) = of_other.split_once('=').unwrap();
    for cookie in [
        format!("{other_name}={token}"),
        format!("{name}x={token}"),
        format!("x{name}={token}"),
        format!("{}={token}", name.to_uppercase()),
        format!("runabout={token}"),
        format!("session={token}"),
        format!("{name}={}", token.to_uppercase()),
        format!("{name}={token}x"),
        format!("{name}=\"{token}\""),
        format!("a=\"; {name}={token}x\""),
        name.to_owned(),
        format!("{name}="),
    ] {
        assert_eq!(who(&one, &cookie), 401, "{cookie}");
    }
    // Unknown cookies are no tries.
    assert_eq!(tries(|_| bad_token(&one.tcp(), "")), BAD_TOKENS_MAX);
    assert_eq!(who(&one, &of_one), 200);
    // No session was made for anybody who did not bring an enrollment token.
    assert_eq!(one.get("/v1/sessions").expect(200).json()["sessions"].as_array().unwrap().len(), 1);
    let nobody =
        one.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", Duration::from_secs(5));
    assert!(!String::from_utf8_lossy(&nobody).to_lowercase().contains("set-cookie"));
}
