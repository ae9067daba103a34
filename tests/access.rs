//! Who is let in, as what, and from where; and that a token is nowhere but with the one who holds it.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{set_thread_gid, set_thread_groups, set_thread_uid};
use serde_json::{Value, json};

use crate::common::{Client, DEADLINE, Daemon, Reader, Response, TempDir, beside, eventually};
use crate::origins::cookie;

/// Makes an enrollment token.
#[track_caller]
pub fn enrollment(daemon: &Client, wish: &Value) -> Value {
    daemon.post("/v1/enrollment-tokens", wish).expect(201).json()
}

/// Trades a token.
pub fn redeem(client: &Client, token: &Value) -> Response {
    client.post("/v1/enroll", &json!({"token": token}))
}

#[test]
fn the_unix_socket_makes_the_daemons_own_user_an_admin_without_a_token() {
    let daemon = Daemon::start();
    let who = daemon.get("/v1/session").expect(200).json();
    assert_eq!((&who["role"], &who["id"], &who["expires_at"]), (&"admin".into(), &Value::Null, &Value::Null));
    assert!(who["name"].as_str().unwrap().starts_with("local:"), "{who}");
    // Whatever token comes along over it does not matter, and its Host is nobody's business.
    assert_eq!(daemon.with_token("rbs_bad").get("/v1/session").expect(200).json()["role"], "admin");
    daemon.call("GET", "/v1/runs").header("Host", "anything.example").send().expect(200);
    daemon.delete("/v1/session").expect_problem(404, "not_found");
}

/// Asks as another user of the machine; the thread that does is one for good, and ends.
fn ask_as(client: &Client, uid: u32, gid: u32, path: &str) -> std::io::Result<Response> {
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            set_thread_groups(&[]).unwrap();
            set_thread_gid(Gid::from_raw(gid)).unwrap();
            set_thread_uid(Uid::from_raw(uid)).unwrap();
            client.call("GET", path).try_send()
        });
        asking.join().unwrap()
    })
}

#[test]
fn the_sockets_group_has_its_role_and_everybody_else_none() {
    if !geteuid().is_root() {
        eprintln!("skipped: only root can ask as somebody else");
        return;
    }
    const GROUP: u32 = 54_321;
    let dir = TempDir::new();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let socket = dir.path().join("open.sock");
    let config = format!(
        "[access]\nsocket = {:?}\nsocket_group = \"{GROUP}\"\nsocket_role = \"viewer\"\n",
        socket.display().to_string()
    );
    let daemon = Daemon::builder().config(&config).socket(&socket).start_in(dir);
    let member = ask_as(&daemon, 4_001, GROUP, "/v1/session").unwrap().expect(200).json();
    assert_eq!((&member["role"], &member["name"]), (&"viewer".into(), &"local:4001".into()));
    // The file's mode keeps a stranger out already …
    assert!(ask_as(&daemon, 4_002, 4_002, "/v1/session").is_err(), "the socket's file is open to everybody");
    // … and where somebody has opened it, the kernel's word does.
    std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o666)).unwrap();
    ask_as(&daemon, 4_002, 4_002, "/v1/runs").unwrap().expect_problem(403, "forbidden");
    ask_as(&daemon, 4_002, 4_002, "/nowhere").unwrap().expect_problem(403, "forbidden");
    ask_as(&daemon, 4_002, 4_002, "/healthz").unwrap().expect(200);
    assert_eq!(daemon.get("/v1/session").expect(200).json()["role"], "admin");
}

#[test]
fn a_client_of_another_pid_namespace_is_judged_by_its_user_and_groups() {
    let can = |flags: &&&str| {
        let tried = std::process::Command::new("unshare").args([flags, "true"]).output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    let Some(flags) = ["-pf", "-Urpf"].iter().find(can) else {
        eprintln!("skipped: this user may not make a PID namespace");
        return;
    };
    let dir = TempDir::new();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let socket = dir.path().join("open.sock");
    let config = format!("[access]\nsocket = {socket:?}\nsocket_group = \"0\"\nsocket_role = \"viewer\"\n");
    let daemon = Daemon::builder().config(&config).socket(&socket).wrapper(&["unshare", flags, "--kill-child"]);
    let daemon = daemon.start_in(dir);
    assert_eq!(daemon.get("/v1/session").expect(200).json()["role"], "admin");
    if geteuid().is_root() {
        let member = ask_as(&daemon, 4_001, 0, "/v1/session").unwrap().expect(200).json();
        assert_eq!(member["role"], "viewer");
        std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o666)).unwrap();
        ask_as(&daemon, 4_002, 4_002, "/v1/runs").unwrap().expect_problem(403, "forbidden");
        ask_as(&daemon, 4_002, 4_002, "/v1/runs").unwrap().expect_problem(403, "forbidden");
        let log = daemon.log();
        let refusals: Vec<&str> = log.lines().filter(|line| line.contains("refused at the Unix socket")).collect();
        assert_eq!(refusals.len(), 1, "{log}");
        assert!(refusals[0].contains("uid 4002, gid 4002, in another PID namespace"), "{log}");
    }
}

#[test]
fn without_a_token_tcp_says_how_to_get_one() {
    let daemon = Daemon::start();
    let tcp = daemon.tcp();
    let crate::common::Address::Tcp(address) = tcp.address() else { unreachable!() };
    for call in [
        tcp.call("GET", "/v1/runs"),
        tcp.call("GET", "/v1").header("Authorization", "Basic YTpi"),
        tcp.call("GET", "/v1/enroll"),
        tcp.call("POST", "/healthz"),
        tcp.call("GET", "/healthz/"),
        tcp.call("GET", "/v1").header("Authorization", "Bearer"),
        tcp.call("GET", "/v1").header("Authorization", "Bearer rbs_0000000000000000000000000000000000000000"),
    ] {
        let response = call.send();
        assert_eq!(response.header("www-authenticate"), Some("Bearer"));
        let problem = response.expect_problem(401, "unauthorized");
        let detail = problem["detail"].as_str().unwrap();
        for part in ["runabout enroll", "curl", &format!("http://{address}/v1/enroll"), "Authorization: Bearer"] {
            assert!(detail.contains(part), "{part:?} in {detail}");
        }
    }
    for path in ["/healthz", "/readyz"] {
        tcp.get(path).expect(200);
        tcp.with_token("rbs_bad").get(path).expect(200);
    }
    tcp.call("GET", "/v1/runs").header("Authorization", "Bearer a").header("X", "y").send().expect(401);
}

#[test]
fn an_enrollment_token_is_made_listed_traded_once_and_withdrawn() {
    let daemon = Daemon::start();
    let made =
        enrollment(&daemon, &json!({"role": "operator", "ttl_s": 600, "label": "phone", "session_ttl_s": 3_600}));
    let token = made["token"].as_str().unwrap();
    assert!(token.starts_with("rbe_") && token.len() >= 4 + 27, "160 bits or more: {token}");
    assert_eq!((&made["role"], &made["label"], &made["max_uses"]), (&"operator".into(), &"phone".into(), &1.into()));
    let mut listed = made.clone();
    listed.as_object_mut().unwrap().remove("token");
    assert_eq!(daemon.get("/v1/enrollment-tokens").expect(200).json(), json!({"enrollment_tokens": [listed]}));

    let traded = redeem(&daemon.tcp(), &made["token"]).expect(201);
    assert_eq!(traded.header("set-cookie"), None);
    let traded = traded.json();
    let session_token = traded["session_token"].as_str().unwrap();
    assert!(session_token.starts_with("rbs_") && session_token.len() >= 4 + 27);
    let session = &traded["session"];
    let keys: Vec<&String> = session.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        ["id", "name", "role", "jobs", "created_at", "last_used_at", "expires_at", "address", "agent", "current"]
    );
    let told = ["name", "role", "address", "current"].map(|field| session[field].clone());
    assert_eq!(json!(told), json!(["phone", "operator", "127.0.0.1", true]));
    let own = daemon.tcp().with_token(session_token).get("/v1/session").expect(200).json();
    assert_eq!(&own, session);

    // Used up it is as good as unknown, but listed until it expires.
    redeem(&daemon, &made["token"]).expect_problem(401, "enrollment_invalid");
    let tokens = daemon.get("/v1/enrollment-tokens").json()["enrollment_tokens"].clone();
    assert_eq!((&tokens[0]["uses"], tokens[0].get("token")), (&1.into(), None));
    let other = enrollment(&daemon, &json!({"role": "viewer"}));
    daemon.delete(&format!("/v1/enrollment-tokens/{}", other["id"])).expect(204);
    redeem(&daemon, &other["token"]).expect_problem(401, "enrollment_invalid");
    // A session's token is no enrollment token, and the other way round.
    redeem(&daemon, &session_token.into()).expect_problem(401, "enrollment_invalid");
    let fresh = enrollment(&daemon, &json!({"role": "viewer"}));
    daemon.tcp().with_token(fresh["token"].as_str().unwrap()).get("/v1/runs").expect_problem(401, "unauthorized");
    redeem(&daemon, &fresh["token"]).expect(201);
}

#[test]
fn no_id_of_a_session_or_a_token_is_given_out_twice() {
    let mut daemon = Daemon::start();
    let (mut tokens, mut sessions) = (Vec::new(), Vec::new());
    let mut make = |daemon: &Daemon, wish: Value| {
        let token = enrollment(daemon, &wish);
        tokens.push(token["id"].as_i64().unwrap());
        sessions.push(redeem(daemon, &token["token"]).expect(201).json()["session"]["id"].as_i64().unwrap());
        (*tokens.last().unwrap(), *sessions.last().unwrap())
    };
    for _ in 0..2 {
        let (token, session) = make(&daemon, json!({"role": "viewer"}));
        daemon.delete(&format!("/v1/enrollment-tokens/{token}")).expect(204);
        daemon.delete(&format!("/v1/sessions/{session}")).expect(204);
    }
    // What expires is gone for good as well, and nothing of this is forgotten over a restart.
    make(&daemon, json!({"role": "viewer", "ttl_s": 1, "session_ttl_s": 1}));
    eventually(DEADLINE, "both have expired and are removed", || {
        daemon.post("/v1/maintenance", &json!({})).expect(200);
        let count = |table| beside(&daemon).query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0));
        (count("sessions"), count("enrollment_tokens")) == (Ok(0), Ok(0))
    });
    daemon.stop();
    daemon.start_again();
    make(&daemon, json!({"role": "viewer"}));
    assert_eq!((&tokens[..], &sessions[..]), (&[1, 2, 3, 4][..], &[1, 2, 3, 4][..]));
}

#[test]
fn unknown_used_up_and_expired_tokens_are_told_alike() {
    let daemon = Daemon::start();
    let used = enrollment(&daemon, &json!({"role": "viewer"}));
    redeem(&daemon, &used["token"]).expect(201);
    let expired = enrollment(&daemon, &json!({"role": "viewer", "ttl_s": 1}));
    eventually(DEADLINE, "it has expired", || {
        daemon.get("/v1/enrollment-tokens").json()["enrollment_tokens"].as_array().unwrap().len() == 1
    });
    let unknown = format!("rbe_{}", "0".repeat(40));
    let answers: Vec<Value> = [&used["token"], &expired["token"], &unknown.into(), &"rbe_short".into(), &"".into()]
        .map(|token| redeem(&daemon, token).expect_problem(401, "enrollment_invalid"))
        .to_vec();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    let header = redeem(&daemon, &used["token"]);
    assert_eq!(header.header("www-authenticate"), Some("Bearer"));
}

#[test]
fn of_concurrent_redeems_exactly_max_uses_succeed() {
    let daemon = Daemon::start();
    let client: &Client = &daemon;
    for max_uses in [1, 5] {
        let token = enrollment(&daemon, &json!({"role": "viewer", "max_uses": max_uses}))["token"].clone();
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..24).map(|_| scope.spawn(|| redeem(client, &token).status)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), max_uses, "{statuses:?}");
        assert!(statuses.iter().all(|status| [201, 401].contains(status)), "{statuses:?}");
    }
    assert_eq!(daemon.get("/v1/sessions").json()["sessions"].as_array().unwrap().len(), 6);
}

#[test]
fn each_role_may_what_the_table_says_and_nothing_more() {
    let daemon = Daemon::start();
    let run = daemon.sh("true");
    daemon.wait_ended(run);
    let roles = ["viewer", "operator", "admin"];
    let clients = roles.map(|role| daemon.tcp_as(role));
    let routes: Vec<(&str, String, &str)> = vec![
        ("viewer", "GET /v1/runs".into(), ""),
        ("viewer", format!("GET /v1/runs/{run}"), ""),
        ("viewer", format!("GET /v1/runs/{run}/exit_code"), ""),
        ("viewer", format!("GET /v1/runs/{run}/events"), ""),
        ("viewer", "GET /v1/queues".into(), ""),
        ("viewer", "GET /v1/queues/default".into(), ""),
        ("viewer", "GET /v1/system".into(), ""),
        ("viewer", "GET /metrics".into(), ""),
        ("viewer", "GET /v1/session".into(), ""),
        ("operator", "POST /v1/runs".into(), r#"{"script":"true"}"#),
        ("operator", format!("PATCH /v1/runs/{run}"), r#"{"keep":true}"#),
        ("operator", format!("POST /v1/runs/{run}/cancel"), ""),
        ("operator", format!("POST /v1/runs/{run}/retry"), ""),
        ("operator", format!("POST /v1/runs/{run}/events"), r#"{"kind":"message"}"#),
        ("operator", "DELETE /v1/runs/4242".into(), ""),
        ("admin", "PUT /v1/queues/default".into(), "{}"),
        ("admin", "DELETE /v1/queues/none".into(), ""),
        ("admin", "GET /v1/enrollment-tokens".into(), ""),
        ("admin", "POST /v1/enrollment-tokens".into(), r#"{"role":"viewer"}"#),
        ("admin", "DELETE /v1/enrollment-tokens/4242".into(), ""),
        ("admin", "GET /v1/sessions".into(), ""),
        ("admin", "DELETE /v1/sessions/4242".into(), ""),
        ("admin", "POST /v1/maintenance".into(), ""),
        ("viewer", "DELETE /v1/session".into(), ""),
    ];
    for (needed, route, body) in &routes {
        let (method, path) = route.split_once(' ').unwrap();
        let needed = roles.iter().position(|role| role == needed).unwrap();
        for (index, client) in clients.iter().enumerate() {
            let call = client.call(method, path);
            let response = if body.is_empty() { call } else { call.body("application/json", body.as_bytes()) }.send();
            if index >= needed {
                assert!(![401, 403].contains(&response.status), "{route} as {}: {}", roles[index], response.text());
            } else {
                let problem = response.expect_problem(403, "forbidden");
                let detail = problem["detail"].as_str().unwrap();
                assert!(detail.contains(roles[needed]) && detail.contains(roles[index]), "{route}: {detail}");
            }
        }
    }
    for client in &clients {
        client.get("/v1/session").expect_problem(401, "unauthorized");
    }
    let mut reader = Reader::open(&daemon.tcp_as("viewer"), run, 0);
    reader.until_end();
}

#[test]
fn ten_bad_tokens_close_the_door_for_tokens_but_not_for_sessions() {
    let daemon = Daemon::start();
    let (tcp, viewer) = (daemon.tcp(), daemon.tcp_as("viewer"));
    let good = enrollment(&daemon, &json!({"role": "viewer"}))["token"].clone();
    // What does not count: no token at all, and a cookie of another daemon's time.
    for _ in 0..12 {
        tcp.get("/v1/runs").expect_problem(401, "unauthorized");
        let instance = daemon.get("/v1/system").json()["instance"].as_str().unwrap().to_owned();
        let cookie = format!("runabout_{instance}=rbs_{}", "0".repeat(40));
        tcp.call("GET", "/v1/runs").header("Cookie", &cookie).send().expect_problem(401, "unauthorized");
    }
    for nth in 0..10 {
        if nth % 2 == 0 {
            tcp.with_token(&format!("rbs_{nth:040}")).get("/v1/runs").expect_problem(401, "unauthorized");
        } else {
            redeem(&tcp, &format!("rbe_{nth:040}").into()).expect_problem(401, "enrollment_invalid");
        }
    }
    let limited = tcp.with_token("rbs_x").get("/v1/runs");
    let retry_s: u64 = limited.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&retry_s), "{retry_s}");
    limited.expect_problem(429, "rate_limited");
    redeem(&tcp, &good).expect_problem(429, "rate_limited");
    tcp.get("/v1/runs").expect_problem(401, "unauthorized");
    viewer.get("/v1/runs").expect(200);
    // The Unix socket is exempt.
    redeem(&daemon, &"rbe_bad".into()).expect_problem(401, "enrollment_invalid");
    redeem(&daemon, &good).expect(201);
}

#[test]
fn a_reader_that_was_revoked_and_tries_for_ever_keeps_nobody_else_out() {
    let daemon = Daemon::start();
    let tcp = daemon.tcp();
    let revoked = tcp.with_token(&daemon.enroll("viewer"));
    let id = revoked.get("/v1/session").expect(200).json()["id"].clone();
    daemon.delete(&format!("/v1/sessions/{id}")).expect(204);
    let used_up = enrollment(&daemon, &json!({"role": "viewer"}))["token"].clone();
    redeem(&tcp, &used_up).expect(201);
    for _ in 0..15 {
        revoked.get("/v1/runs").expect_problem(401, "unauthorized");
        redeem(&tcp, &used_up).expect_problem(401, "enrollment_invalid");
    }
    let token = enrollment(&daemon, &json!({"role": "viewer"}))["token"].clone();
    redeem(&tcp, &token).expect(201);
    // Eight others beside these two are ten.
    for nth in 0..8 {
        tcp.with_token(&format!("rbs_{nth}")).get("/v1/runs").expect_problem(401, "unauthorized");
    }
    revoked.get("/v1/runs").expect_problem(429, "rate_limited");
}

#[test]
fn a_revoked_session_ends_at_once_with_its_streams() {
    let daemon = Daemon::start();
    let gate = daemon.gate("gate");
    let run = daemon.sh(&gate.wait());
    daemon.wait_running(run);
    let (revoked, stays, admin) = (daemon.tcp_as("viewer"), daemon.tcp_as("viewer"), daemon.tcp_as("admin"));
    let id = revoked.get("/v1/session").json()["id"].as_i64().unwrap();
    let (mut ended, mut goes_on) = (Reader::open(&revoked, run, 0), Reader::open(&stays, run, 0));
    ended.until_caught_up();
    let listed = admin.get("/v1/sessions").expect(200).json();
    let sessions = listed["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 3);
    let current: Vec<&Value> = sessions.iter().filter(|session| session["current"] == true).collect();
    assert_eq!((current.len(), &current[0]["role"]), (1, &"admin".into()));
    let begun = Instant::now();
    admin.delete(&format!("/v1/sessions/{id}")).expect(204);
    assert_eq!(ended.until_closed(), Some(4401));
    assert!(
        begun.elapsed() < Duration::from_secs(1) * 3,
        "within a second, on a machine that is not loaded: {:?}",
        begun.elapsed()
    );
    revoked.get("/v1/runs").expect_problem(401, "unauthorized");
    admin.delete(&format!("/v1/sessions/{id}")).expect_problem(404, "not_found");
    gate.open();
    assert_eq!(goes_on.until_end()["status"], "succeeded");
}

#[test]
fn a_session_expires_with_its_streams() {
    let mut daemon = Daemon::start();
    let gate = daemon.gate("gate");
    let run = daemon.sh(&gate.wait());
    daemon.wait_running(run);
    let token = enrollment(&daemon, &json!({"role": "viewer", "session_ttl_s": 2}))["token"].clone();
    let session = redeem(&daemon, &token).expect(201).json()["session_token"].as_str().unwrap().to_owned();
    let client = daemon.tcp().with_token(&session);
    assert_eq!(Reader::open(&client, run, 0).until_closed(), Some(4401));
    client.get("/v1/runs").expect_problem(401, "unauthorized");
    gate.open();
    daemon.wait_ended(run);
    // One that never expires outlives the daemon.
    let token = enrollment(&daemon, &json!({"role": "viewer", "session_ttl_s": 0}))["token"].clone();
    let made = redeem(&daemon, &token).expect(201).json();
    assert_eq!(made["session"]["expires_at"], Value::Null);
    daemon.restart();
    daemon.tcp().with_token(made["session_token"].as_str().unwrap()).get("/v1/runs").expect(200);
}

#[test]
fn a_token_in_clear_is_in_no_file_and_in_no_list() {
    let mut daemon = Daemon::builder().arg("--log").arg("trace").start();
    let mut secrets: Vec<String> = Vec::new();
    for (role, cookie_wanted) in [("viewer", false), ("admin", false), ("operator", true)] {
        let token = enrollment(&daemon, &json!({"role": role, "label": "l"}))["token"].as_str().unwrap().to_owned();
        let wish = json!({"token": token, "cookie": cookie_wanted});
        let response = daemon.tcp().post("/v1/enroll", &wish).expect(201);
        let session = if cookie_wanted {
            cookie(&response).0.split_once('=').unwrap().1.to_owned()
        } else {
            response.json()["session_token"].as_str().unwrap().to_owned()
        };
        if cookie_wanted {
            let pair = cookie(&response).0;
            daemon.tcp().call("GET", "/v1/runs").header("Cookie", &pair).send().expect(200);
        } else {
            daemon.tcp().with_token(&session).get("/v1/runs").expect(200);
        }
        redeem(&daemon.tcp(), &token.clone().into()).expect(401);
        secrets.extend([token, session]);
    }
    // One that is not used, one that is revoked, and one that was never ours.
    let unused = enrollment(&daemon, &json!({"role": "viewer"}))["token"].as_str().unwrap().to_owned();
    let bad = format!("rbs_{}", "5".repeat(40));
    daemon.tcp().with_token(&bad).get("/v1/runs").expect(401);
    daemon.delete("/v1/sessions/1").expect(204);
    daemon.tcp().with_token(&secrets[1]).get("/v1/runs").expect(401);
    let operator = daemon.tcp_as("operator");
    let run = operator.submit(&json!({"script": "env; cat /proc/$PPID/environ"}));
    daemon.wait_ended(run);
    secrets.extend([unused, bad]);
    let paths = [
        "/v1/sessions",
        "/v1/enrollment-tokens",
        "/v1/system",
        "/metrics",
        "/v1/runs",
        &format!("/v1/runs/{run}/events?limit=10000"),
    ];
    let mut told: Vec<(String, Vec<u8>)> =
        paths.map(|path| (path.to_owned(), daemon.get(path).expect(200).body)).to_vec();
    let read = |daemon: &Daemon| -> Vec<(String, Vec<u8>)> {
        let files = ["state", "."].map(|dir| std::fs::read_dir(daemon.dir().join(dir)).unwrap());
        let files = files.into_iter().flatten().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
        files.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap())).collect()
    };
    told.extend(read(&daemon));
    assert!(
        told.iter().any(|(name, bytes)| name.ends_with("-wal") && !bytes.is_empty()),
        "the log of the database is read, too"
    );
    daemon.stop();
    told.extend(read(&daemon));
    for secret in &secrets {
        let digits = secret.split_once('_').unwrap().1;
        let bytes: Vec<u8> =
            (0..20).map(|nth| u8::from_str_radix(&digits[2 * nth..2 * nth + 2], 16).unwrap()).collect();
        for (name, text) in &told {
            let holds = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
            assert!(!holds(digits.as_bytes()) && !holds(&bytes), "{name} holds a token");
        }
    }
}
