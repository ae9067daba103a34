//! Who is let in, and how those are told who are not: tokens, sessions, cookies, hosts, origins, roles.

use std::collections::BTreeSet;

use runabout::access::Role;
use runabout::http::routes::{Needs, ROUTES};
use serde_json::json;

use crate::common::{Client, DEADLINE, Daemon, Tape, eventually, page_file};

#[test]
fn tokens_and_sessions() {
    let daemon = Daemon::start();
    let mut tape = Tape::new("tokens_and_sessions", &daemon);
    let tokens = "/v1/enrollment-tokens";
    let make = |body: &serde_json::Value| daemon.call("POST", tokens).json(body);
    let short = tape.json("make", make(&json!({"role": "viewer"})));
    let full = json!({"role": "operator", "ttl_s": 60, "max_uses": 2, "label": "l ü", "session_ttl_s": 0});
    let full = tape.json("with everything", make(&full));
    let wrong = json!({"role": "root", "ttl_s": 0, "max_uses": 1_001, "label": "", "session_ttl_s": -1, "x": 1});
    tape.ask("wrong", make(&wrong));
    tape.ask("without a role", make(&json!({})));
    tape.ask("all", daemon.call("GET", tokens));
    tape.ask("a query", daemon.call("GET", &format!("{tokens}?x=1")));
    for id in [short["id"].to_string(), short["id"].to_string(), "x".to_owned(), "1?x=1".to_owned()] {
        tape.ask("withdraw", daemon.call("DELETE", &format!("{tokens}/{id}")));
    }

    let tcp = daemon.tcp();
    let enroll = |body: &serde_json::Value| tcp.call("POST", "/v1/enroll").json(body);
    let session = tape.json("enroll", enroll(&json!({"token": full["token"], "name": "n"})));
    let cookie = tape.json("enroll a browser", enroll(&json!({"token": full["token"], "cookie": true})));
    tape.ask("used up", enroll(&json!({"token": full["token"]})));
    tape.ask("nonsense", enroll(&json!({"token": "x"})));
    tape.ask("wrong", enroll(&json!({"token": 1, "name": "", "cookie": "yes", "x": 1})));
    tape.ask("nothing", enroll(&json!({})));
    tape.ask("a query", tcp.call("POST", "/v1/enroll?x=1").json(&json!({})));
    tape.ask("of another page", enroll(&json!({"token": "x"})).header("Origin", "https://evil.example"));

    let client = tcp.with_token(session["session_token"].as_str().unwrap());
    tape.ask("who am I", client.call("GET", "/v1/session"));
    tape.ask("who am I, at the socket", daemon.call("GET", "/v1/session"));
    tape.ask("a query", client.call("GET", "/v1/session?x=1"));
    tape.ask("the sessions", daemon.call("GET", "/v1/sessions"));
    tape.ask("a page of them", daemon.call("GET", "/v1/sessions?limit=1"));
    tape.ask("the next", daemon.call("GET", "/v1/sessions?limit=1&before=2"));
    tape.ask("wrong", daemon.call("GET", "/v1/sessions?limit=0&before=x&y=1"));
    tape.ask("log out", client.call("DELETE", "/v1/session"));
    tape.ask("and then", client.call("GET", "/v1/session"));
    tape.ask("log out, at the socket", daemon.call("DELETE", "/v1/session"));
    for id in [cookie["session"]["id"].to_string(), cookie["session"]["id"].to_string(), "x".to_owned()] {
        tape.ask("revoke", daemon.call("DELETE", &format!("/v1/sessions/{id}")));
    }
    tape.check();
}

#[test]
fn cookies() {
    let daemon = Daemon::start();
    let mut tape = Tape::new("cookies", &daemon);
    let tcp = daemon.tcp();
    let let_in = || {
        let token = daemon.post("/v1/enrollment-tokens", &json!({"role": "operator"})).expect(201).json();
        let answer = tcp.post("/v1/enroll", &json!({"token": token["token"], "cookie": true})).expect(201);
        answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
    };
    let (cookie, other) = (let_in(), let_in());
    let address = tcp.call("GET", "/").head();
    let address = address.lines().find_map(|line| line.strip_prefix("Host: ")).unwrap().to_owned();
    let own = format!("http://{address}");
    let of = |method: &str, path: &str| tcp.call(method, path).header("Cookie", &cookie);
    let submit = || of("POST", "/v1/runs").json(&json!({"script": "true"}));
    tape.ask("read", of("GET", "/v1/session"));
    tape.ask("write, from its own page", submit().header("Origin", &own));
    tape.ask("write, from nowhere", submit());
    tape.ask("write, from another page", submit().header("Origin", "https://evil.example"));
    tape.ask("write, from no page", submit().header("Origin", "null"));
    tape.ask("one that is unknown", tcp.call("GET", "/v1/session").header("Cookie", "runabout_x=y; a=b"));
    tape.ask("two sessions", tcp.call("GET", "/v1/session").header("Cookie", &format!("{cookie}; {other}")));
    tape.ask("log out", of("DELETE", "/v1/session").header("Origin", &own));
    tape.ask("and then", of("GET", "/v1/session"));
    tape.check();
}

#[test]
fn hosts_and_origins() {
    let config = "[access]\nallowed_hosts = [\"nas.example\"]\nallowed_origins = [\"https://panel.example\"]\n\
                  trusted_proxies = [\"127.0.0.1\"]\n";
    let daemon = Daemon::with_config(config);
    let mut tape = Tape::new("hosts_and_origins", &daemon);
    let client = daemon.tcp_as("operator");
    let get = |path: &str| client.call("GET", path);
    for host in ["localhost", "nas.example:80", "evil.example", "", "a b", "[::1]:1"] {
        tape.ask("a host", get("/v1/queues").header("Host", host));
    }
    tape.ask("no host", get("/v1/queues").without("Host"));
    let submit = |origin: &str| client.call("POST", "/v1/runs").json(&json!({})).header("Origin", origin);
    for origin in ["https://panel.example", "https://evil.example", "null", "https://panel.example:444"] {
        tape.ask("a write of a page", submit(origin));
        tape.ask("a read of a page", get("/v1/queues").header("Origin", origin));
        tape.ask("may it?", daemon.tcp().call("OPTIONS", "/v1/runs").header("Origin", origin));
    }
    tape.ask("two origins", submit("https://panel.example").header("Origin", "null"));
    let proxied = |name: &str, value: &str| get("/v1/session").header(name, value);
    for (name, value) in [
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Forwarded-For", "nonsense"),
        ("X-Forwarded-Proto", "gopher"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Host", "nas.example"),
    ] {
        tape.ask("behind a proxy", proxied(name, value));
    }
    let token = daemon.post("/v1/enrollment-tokens", &json!({"role": "viewer"})).expect(201).json();
    let enroll = daemon.tcp().call("POST", "/v1/enroll").json(&json!({"token": token["token"], "cookie": true}));
    let enroll = enroll.header("X-Forwarded-For", "192.0.2.1").header("X-Forwarded-Proto", "https");
    tape.ask("let in behind a proxy", enroll.header("X-Forwarded-Host", "nas.example"));
    let page = daemon.tcp().call("GET", "/v1/events?after=0").header("Origin", "https://panel.example");
    let page =
        page.header("Connection", "Upgrade").header("Upgrade", "websocket").header("Sec-WebSocket-Version", "13");
    let page = page.header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let token = daemon.enroll("viewer");
    let mut open = tape.open(
        "a page brings its token as a subprotocol",
        page.header("Sec-WebSocket-Protocol", &format!("runabout.v1, bearer.{token}")),
    );
    open.until("\"caught_up\"");
    tape.close(open);
    tape.check();
}

#[test]
fn bad_tokens() {
    let daemon = Daemon::start();
    let mut tape = Tape::new("bad_tokens", &daemon);
    let tcp = daemon.tcp();
    tape.ask("none", tcp.call("GET", "/v1/runs"));
    tape.ask("none, where there is nothing", tcp.call("GET", "/nowhere"));
    tape.ask("of another kind", tcp.call("GET", "/v1/runs").header("Authorization", "Basic eDp5"));
    tape.ask("of no attempt", tcp.with_token(&format!("rbr_{}", "0".repeat(40))).call("GET", "/v1/runs"));
    for nth in 2..=9 {
        tcp.with_token(&format!("rbs_{nth}")).get("/v1/runs").expect(401);
    }
    tape.ask("the tenth", tcp.with_token("rbs_10").call("GET", "/v1/runs"));
    tape.ask("one more", tcp.with_token("rbs_11").call("GET", "/v1/runs"));
    tape.ask("enroll, then", tcp.call("POST", "/v1/enroll").json(&json!({"token": "x"})));
    tape.check();
}

/// What a table of routes says of each: a new route is missed here, and by its name.
#[test]
fn roles() {
    let daemon = Daemon::start();
    let mut tape = Tape::new("roles", &daemon);
    let gate = daemon.gate("token");
    let run = daemon.sh(&format!("printf %s \"$RUNABOUT_RUN_TOKEN\"; {}", gate.wait()));
    let mut token = String::new();
    eventually(DEADLINE, "the run's token is told", || {
        let events = daemon.events(run);
        let told = events.iter().find(|event| event["kind"] == "output");
        token = told.map(|event| event["data"]["text"].as_str().unwrap().to_owned()).unwrap_or_default();
        !token.is_empty()
    });
    let askers = [
        ("nobody", daemon.tcp(), None),
        ("a viewer", daemon.tcp_as("viewer"), Some(Role::Viewer)),
        ("an operator", daemon.tcp_as("operator"), Some(Role::Operator)),
        ("a run", daemon.tcp().with_token(&token), None),
    ];
    let mut routes: Vec<_> = ROUTES.iter().collect();
    routes.sort_by_key(|route| (route.path, route.method.to_string()));
    let concrete = |path: &str| path.replace(":id", "4242").replace(":name", "default").replace('*', "none");
    for route in routes {
        let (Needs::Role(needed) | Needs::RoleOrRun(needed)) = route.needs else { continue };
        for (who, client, role) in &askers {
            if role.is_none_or(|role| !role.may(needed)) {
                let call = client.call(route.method.as_ref(), &concrete(route.path));
                tape.ask(&format!("{} {}, asked by {who}", route.method, route.path), call);
            }
        }
    }
    let paths: BTreeSet<&str> = ROUTES.iter().map(|route| route.path).collect();
    tape.learn(page_file("app.js"), "/page/<file>");
    for path in paths {
        let call = Client::clone(&daemon).call("OPTIONS", &concrete(path).replace("/page/none", page_file("app.js")));
        tape.ask(&format!("what may be done at {path}"), call);
    }
    gate.open();
    tape.check();
}
