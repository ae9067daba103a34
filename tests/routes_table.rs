//! Who may do what: every route and the event stream, asked by everybody who can ask. And of those who bring the same token
//! at the same time one comes in.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use runabout::http::routes::ROUTES;
use serde_json::{Value, json};

use crate::common::{Call, Client, Connection, DEADLINE, Daemon, eventually, page_file};

/// A route, who needs to be what for it, and the status for those who are.
struct Route {
    method: &'static str,
    path: &'static str,
    body: Option<Value>,
    needs: Needs,
    status: u16,
}

#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Needs {
    Nothing,
    Viewer,
    Operator,
    Admin,
}

fn routes() -> Vec<Route> {
    use Needs::{Admin, Nothing, Operator, Viewer};
    let route = |method, path, needs, status| Route { method, path, body: None, needs, status };
    let with = |method, path, body, needs, status| Route { method, path, body: Some(body), needs, status };
    vec![
        route("GET", "/", Nothing, 200),
        route("GET", page_file("app.js"), Nothing, 200),
        route("HEAD", page_file("style.css"), Nothing, 200),
        route("POST", "/", Viewer, 405),
        route("GET", "/page/nothing", Viewer, 404),
        route("GET", "/healthz", Nothing, 200),
        route("HEAD", "/healthz", Nothing, 200),
        route("GET", "/readyz", Nothing, 200),
        route("GET", "/openapi.json", Nothing, 200),
        with("POST", "/v1/enroll", json!({}), Nothing, 422),
        route("GET", "/metrics", Viewer, 200),
        route("GET", "/v1/system", Viewer, 200),
        route("POST", "/v1/maintenance", Admin, 200),
        route("GET", "/v1/drain", Viewer, 200),
        route("PUT", "/v1/drain", Admin, 200),
        route("DELETE", "/v1/drain", Admin, 204),
        route("GET", "/v1/runs", Viewer, 200),
        route("HEAD", "/v1/runs", Viewer, 200),
        with("POST", "/v1/runs", json!({"command": ["true"]}), Operator, 201),
        route("POST", "/v1/runs/cancel?queue=none", Operator, 200),
        route("POST", "/v1/runs/retry?queue=none", Operator, 200),
        route("GET", "/v1/search?text=x", Viewer, 200),
        route("GET", "/v1/runs/1", Viewer, 200),
        with("PATCH", "/v1/runs/1", json!({"keep": true}), Operator, 200),
        route("DELETE", "/v1/runs/4242", Operator, 404),
        route("GET", "/v1/runs/1/exit_code", Viewer, 200),
        route("POST", "/v1/runs/1/cancel", Operator, 200),
        route("POST", "/v1/runs/1/retry", Operator, 201),
        route("GET", "/v1/runs/1/events", Viewer, 200),
        route("POST", "/v1/runs/1/stdin", Operator, 409),
        with("POST", "/v1/runs/1/resize", json!({"columns": 80, "rows": 24}), Operator, 409),
        route("GET", "/v1/runs/1/log", Viewer, 200),
        route("HEAD", "/v1/runs/1/log", Viewer, 200),
        route("GET", "/v1/runs/1/artifacts", Viewer, 200),
        route("GET", "/v1/runs/1/artifacts/none", Viewer, 404),
        route("STREAM", "/v1/runs/1/events", Viewer, 101),
        with("POST", "/v1/runs/1/events", json!({"kind": "message", "data": {}}), Operator, 409),
        route("GET", "/v1/events", Viewer, 200),
        route("STREAM", "/v1/events", Viewer, 101),
        route("GET", "/v1/cursors", Viewer, 200),
        with("PUT", "/v1/cursors/cursor", json!({"id": 1}), Operator, 200),
        route("GET", "/v1/cursors/cursor", Viewer, 200),
        route("DELETE", "/v1/cursors/none", Operator, 404),
        route("GET", "/v1/jobs", Viewer, 200),
        with("POST", "/v1/jobs/preview", json!({"schedule": "@daily"}), Viewer, 200),
        with("PUT", "/v1/jobs/job", json!({"run": {"script": "true"}}), Operator, 200),
        route("GET", "/v1/jobs/job", Viewer, 200),
        with("PATCH", "/v1/jobs/job", json!({"enabled": false}), Operator, 200),
        route("POST", "/v1/jobs/job/runs", Operator, 201),
        route("GET", "/v1/jobs/job/firings", Viewer, 200),
        route("DELETE", "/v1/jobs/none", Operator, 404),
        route("GET", "/v1/hooks", Admin, 200),
        with("PUT", "/v1/hooks/hook", json!({"url": "http://127.0.0.1:9/"}), Admin, 200),
        route("GET", "/v1/hooks/hook", Admin, 200),
        with("PATCH", "/v1/hooks/hook", json!({"enabled": false}), Admin, 200),
        route("POST", "/v1/hooks/hook/test", Admin, 409),
        route("GET", "/v1/hooks/hook/deliveries", Admin, 200),
        route("POST", "/v1/hooks/hook/deliveries/9/redeliver", Admin, 404),
        route("DELETE", "/v1/hooks/none", Admin, 404),
        route("GET", "/v1/queues", Viewer, 200),
        route("GET", "/v1/queues/default", Viewer, 200),
        with("PUT", "/v1/queues/default", json!({"paused": false}), Admin, 200),
        route("DELETE", "/v1/queues/none", Admin, 404),
        route("GET", "/v1/enrollment-tokens", Admin, 200),
        with("POST", "/v1/enrollment-tokens", json!({"role": "viewer"}), Admin, 201),
        route("DELETE", "/v1/enrollment-tokens/4242", Admin, 404),
        route("GET", "/v1/sessions", Admin, 200),
        route("DELETE", "/v1/sessions/4242", Admin, 404),
        route("GET", "/v1/session", Viewer, 200),
        // No route, no method: known only to somebody who is somebody.
        route("GET", "/nowhere", Viewer, 404),
        route("GET", "/v1", Viewer, 404),
        route("DELETE", "/v1/runs", Viewer, 405),
        route("POST", "/healthz", Viewer, 405),
        route("GET", "/v1/enroll", Viewer, 405),
        route("OPTIONS", "/v1/runs", Viewer, 405),
    ]
}

/// Somebody who asks.
struct Asker {
    who: &'static str,
    client: Client,
    is: Needs,
}

fn askers(daemon: &Daemon) -> Vec<Asker> {
    let tcp = daemon.tcp();
    let asker = |who, client: Client, is| Asker { who, client, is };
    let token = |role: &str, session_ttl_s: i64| {
        let token = daemon.post("/v1/enrollment-tokens", &json!({"role": role, "session_ttl_s": session_ttl_s}));
        let session =
            daemon.post("/v1/enroll", &json!({"token": token.expect(201).json()["token"]})).expect(201).json();
        (session["session_token"].as_str().unwrap().to_owned(), session["session"]["id"].clone())
    };
    let (expired, _) = token("admin", 1);
    let made = SystemTime::now();
    let (revoked, id) = token("admin", 0);
    daemon.delete(&format!("/v1/sessions/{id}")).expect(204);
    let unused = daemon.post("/v1/enrollment-tokens", &json!({"role": "admin"})).expect(201).json();
    let mut wrong = daemon.enroll("admin");
    let last = if wrong.ends_with('0') { '1' } else { '0' };
    wrong.pop();
    wrong.push(last);
    eventually(DEADLINE, "the session has expired", || {
        made.elapsed().is_ok_and(|age| age > Duration::from_millis(1_200))
    });
    vec![
        asker("nobody", tcp.clone(), Needs::Nothing),
        asker("a wrong token", tcp.with_token(&wrong), Needs::Nothing),
        asker("no token at all", tcp.with_token("x"), Needs::Nothing),
        asker("an enrollment token", tcp.with_token(unused["token"].as_str().unwrap()), Needs::Nothing),
        asker("an expired session", tcp.with_token(&expired), Needs::Nothing),
        asker("a revoked session", tcp.with_token(&revoked), Needs::Nothing),
        asker("a viewer", daemon.tcp_as("viewer"), Needs::Viewer),
        asker("an operator", daemon.tcp_as("operator"), Needs::Operator),
        asker("an admin", daemon.tcp_as("admin"), Needs::Admin),
        asker("the socket's peer", Client::clone(daemon), Needs::Admin),
    ]
}

/// A request for a route as this client sends it, from an address of its own: bad tokens are counted by address.
fn ask(client: &Client, route: &Route, address: usize) -> Call {
    let is_stream = route.method == "STREAM";
    let call = client.call(if is_stream { "GET" } else { route.method }, route.path);
    let call = call.header("X-Forwarded-For", &format!("10.0.{}.{}", address / 250, 1 + address % 250));
    let call = if let Some(body) = &route.body { call.json(body) } else { call };
    if !is_stream {
        return call;
    }
    let call = call.header("Upgrade", "websocket").header("Connection", "Upgrade");
    call.header("Sec-WebSocket-Version", "13").header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
}

#[test]
fn every_route_answers_everybody_by_their_role() {
    let daemon = Daemon::with_config("[access]\ntrusted_proxies = [\"127.0.0.1\"]\n");
    assert_eq!(daemon.sh("true"), 1);
    daemon.wait_ended(1);
    daemon.put("/v1/jobs/job", &json!({"run": {"script": "true"}})).expect(201);
    daemon.put("/v1/cursors/cursor", &json!({"id": 1})).expect(201);
    daemon.put("/v1/hooks/hook", &json!({"url": "http://127.0.0.1:9/"})).expect(201);
    let (mut wrong, mut address) = (Vec::new(), 0);
    for asker in askers(&daemon) {
        for route in routes() {
            address += 1;
            let wanted = match route.needs {
                needs if asker.is >= needs => route.status,
                _ if asker.is == Needs::Nothing => 401,
                _ => 403,
            };
            let call = ask(&asker.client, &route, address);
            let response = if route.method == "STREAM" { call.open().unwrap().0 } else { call.send() };
            if response.status != wanted {
                let (method, path, text) = (route.method, route.path, response.text());
                wrong.push(format!(
                    "{} asks {method} {path}: {wanted} is due, it was {} {text}",
                    asker.who, response.status
                ));
            }
            if wanted == 401 {
                assert_eq!(response.header("www-authenticate"), Some("Bearer"), "{} {}", asker.who, route.path);
            }
        }
    }
    // The one that changes who asks.
    for role in ["viewer", "operator", "admin"] {
        let client = daemon.tcp_as(role);
        client.delete("/v1/session").expect(204);
        client.get("/v1/session").expect(401);
    }
    daemon.delete("/v1/session").expect(404);
    daemon.tcp().delete("/v1/session").expect(401);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every method and path of the daemon's own table, with numbers and names for its parameters.
fn known_routes() -> BTreeSet<(String, String)> {
    let asked = |path: &str| path.replace(":id", "N").replace(":name", "N");
    ROUTES.iter().map(|route| (route.method.to_string(), asked(route.path))).collect()
}

#[test]
fn no_route_is_missing_in_the_table() {
    let mut asked = BTreeSet::from([("DELETE".to_owned(), "/v1/session".to_owned())]);
    for route in routes().into_iter().filter(|route| !matches!(route.status, 405)) {
        let path = route.path.split('?').next().unwrap();
        let mut segments: Vec<&str> = path.split('/').collect();
        if segments[1] == "page" {
            segments[2] = "*";
        }
        let parent = segments.get(2).copied().unwrap_or_default();
        let is_of_many = parent == "runs" && segments.len() == 4 && matches!(segments[3], "cancel" | "retry");
        if segments.len() > 3
            && !is_of_many
            && matches!(parent, "runs" | "jobs" | "hooks" | "cursors" | "queues" | "sessions" | "enrollment-tokens")
        {
            segments[3] = if segments[3] == "preview" { "preview" } else { "N" };
        }
        if segments.get(4) == Some(&"deliveries") && segments.len() > 5 {
            segments[5] = "N";
        }
        if segments.get(4) == Some(&"artifacts") && segments.len() > 5 {
            segments[5] = "*";
        }
        asked.insert((route.method.to_owned(), segments.join("/")));
    }
    let missing: Vec<_> = known_routes().into_iter().filter(|route| !asked.contains(route)).collect();
    assert_eq!(missing, Vec::<(String, String)>::new(), "routes that this table does not ask for");
}

#[test]
fn of_concurrent_redeems_of_one_token_one_succeeds() {
    const ROUNDS: usize = 1_000;
    const REDEEMERS: usize = 4;
    let daemon = Daemon::start();
    let begun = Instant::now();
    let tokens: Vec<String> = {
        let mut connection = Connection::open(&daemon);
        let make = daemon.call("POST", "/v1/enrollment-tokens").json(&json!({"role": "viewer"}));
        let token = |_| connection.send(&make).unwrap().expect(201).json()["token"].as_str().unwrap().to_owned();
        (0..ROUNDS).map(token).collect()
    };
    let made = begun.elapsed();
    let (start, wins) = (Barrier::new(REDEEMERS), (0..ROUNDS).map(|_| AtomicUsize::new(0)).collect::<Vec<_>>());
    let client = Client::clone(&daemon);
    std::thread::scope(|scope| {
        for _ in 0..REDEEMERS {
            scope.spawn(|| {
                let mut connection = Connection::open(&client);
                for (token, wins) in tokens.iter().zip(&wins) {
                    let redeem = client.call("POST", "/v1/enroll").json(&json!({"token": token}));
                    start.wait();
                    let status = connection.send(&redeem).map_or(0, |response| response.status);
                    // Any other answer counts as many: a thread that gave up would leave the others waiting.
                    wins.fetch_add(
                        match status {
                            201 => 1,
                            401 => 0,
                            _ => 1_000,
                        },
                        Ordering::Relaxed,
                    );
                }
            });
        }
    });
    println!("{ROUNDS} tokens made in {made:?}, redeemed by {REDEEMERS} each in {:?}", begun.elapsed() - made);
    let wrong: Vec<(usize, usize)> =
        wins.iter().map(|wins| wins.load(Ordering::Relaxed)).enumerate().filter(|(_, wins)| *wins != 1).collect();
    assert_eq!(wrong, [], "rounds, and how many succeeded");
    let sessions = daemon.get("/v1/sessions").expect(200).json();
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), ROUNDS);
}
