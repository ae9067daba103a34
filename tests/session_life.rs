//! A session lives from its last use for as long as it was given, wherever that is asked: at the door, in the list, by its
//! streams, over a restart; with any number of others; and a revoked one is over at once.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use serde_json::{Value, json};

use crate::access::{enrollment, redeem};
use crate::common::{Client, DEADLINE, Daemon, Reader, Socket, beside, eventually, number};
use crate::origins::cookie;

/// Lets somebody in for so many seconds; answers the token and the id.
#[track_caller]
fn token_for(daemon: &Daemon, role: &str, ttl_s: i64) -> (String, i64) {
    let token = enrollment(daemon, &json!({"role": role, "session_ttl_s": ttl_s}))["token"].clone();
    let made = redeem(daemon, &token).expect(201).json();
    (made["session_token"].as_str().unwrap().to_owned(), made["session"]["id"].as_i64().unwrap())
}

/// The same; answers a client with the token, and the id.
#[track_caller]
fn let_in(daemon: &Daemon, role: &str, ttl_s: i64) -> (Client, i64) {
    let (token, id) = token_for(daemon, role, ttl_s);
    (daemon.tcp().with_token(&token), id)
}

#[test]
fn with_thousands_of_sessions_each_is_itself_and_the_list_has_them_all() {
    let daemon = Daemon::start();
    let (first, id) = let_in(&daemon, "viewer", 3_600);
    beside(&daemon)
        .execute_batch(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2300)
             INSERT INTO sessions (token_sha256, name, role, ttl_s, created_at, last_used_at, expires_at)
             SELECT randomblob(32), 'one of many', 'viewer', 0, 0, 0, NULL FROM n",
        )
        .unwrap();
    let who = first.get("/v1/session").expect(200).json();
    assert_eq!((&who["id"], &who["name"], &who["current"]), (&id.into(), &"viewer".into(), &true.into()));
    let mut ids: Vec<i64> = Vec::new();
    let mut next = Value::from("/v1/sessions?limit=1000");
    while let Some(path) = next.as_str() {
        let page = daemon.get(path).expect(200).json();
        let sessions = page["sessions"].as_array().unwrap();
        assert!(!sessions.is_empty() && sessions.len() <= 1_000, "{}", sessions.len());
        ids.extend(sessions.iter().map(|session| session["id"].as_i64().unwrap()));
        next = page["next"].clone();
    }
    assert_eq!(ids.len(), 2_301);
    assert!(ids.is_sorted_by(|newer, older| newer > older), "newest first, each once");
    assert_eq!(daemon.get("/v1/sessions").json()["sessions"].as_array().unwrap().len(), 1_000, "a page unless told");
    for query in ["limit=0", "limit=1001", "before=0", "before=x", "after=1"] {
        daemon.get(&format!("/v1/sessions?{query}")).expect_problem(422, "invalid");
    }
    let told: Value =
        serde_json::from_str(&crate::common::cli(&daemon, &["--json", "sessions"]).expect(0).text()).unwrap();
    assert_eq!(told.as_array().unwrap().len(), 2_301);
}

/// The same, not used for an hour, so that it can be seen when it is: answers what waits for that.
fn let_in_before(daemon: &Daemon, role: &str) -> (Client, i64, impl Fn()) {
    let (client, id) = let_in(daemon, role, 0);
    beside(daemon).execute(&format!("UPDATE sessions SET last_used_at = 0 WHERE id = {id}"), []).unwrap();
    let path = format!("/v1/sessions?limit=1&before={}", id + 1);
    let is_used = move || daemon.get(&path).json()["sessions"][0]["last_used_at"] != "1970-01-01T00:00:00.000Z";
    (client, id, move || eventually(DEADLINE, "it was let in", &is_used))
}

/// Sends the head of a request, and the beginning of its body.
fn begun(client: &Client, path: &str, body: &str) -> Socket {
    let mut socket = client.connect();
    let head = client.call("POST", path).body("application/json", body.as_bytes()).head();
    socket.write_all(format!("{head}{}", &body[..body.len() / 2]).as_bytes()).unwrap();
    socket
}

#[track_caller]
fn answer(socket: &mut Socket) -> String {
    let mut answer = String::new();
    // Cut off behind the answer, since the body is not read any more.
    let _ = socket.read_to_string(&mut answer);
    answer
}

#[test]
fn a_session_that_is_revoked_while_a_body_is_on_the_way_does_nothing_any_more() {
    let daemon = Daemon::start();
    let run = daemon.submit(&json!({"script": "true", "delay_s": 3_600}));
    let requests = [
        ("/v1/runs".to_owned(), r#"{"script": "true"}"#),
        (format!("/v1/runs/{run}/cancel"), r#"{"reason": "revoked"}"#),
        (format!("/v1/runs/{run}/events"), r#"{"kind": "message", "data": {}}"#),
    ];
    for (path, body) in &requests {
        let (client, id, wait_let_in) = let_in_before(&daemon, "operator");
        let mut socket = begun(&client, path, body);
        wait_let_in();
        daemon.delete(&format!("/v1/sessions/{id}")).expect(204);
        let _ = socket.write_all(&body.as_bytes()[body.len() / 2..]);
        let answer = answer(&mut socket);
        assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("unauthorized"), "{path}: {answer}");
    }
    assert_eq!(daemon.get("/v1/runs").expect(200).json()["runs"].as_array().unwrap().len(), 1);
    assert_eq!(daemon.kinds(run), ["queued"]);
}

#[test]
fn a_body_that_never_ends_is_not_waited_for_once_its_session_is_revoked() {
    let daemon = Daemon::with_config("[limits]\nbody_s = 3600\n");
    let (client, id, wait_let_in) = let_in_before(&daemon, "operator");
    let mut socket = begun(&client, "/v1/runs", r#"{"script": "true"}"#);
    wait_let_in();
    daemon.delete(&format!("/v1/sessions/{id}")).expect(204);
    let answer = answer(&mut socket);
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[test]
fn what_waits_ends_with_its_session() {
    let daemon = Daemon::start();
    let gate = daemon.gate("gate");
    let run = daemon.sh(&gate.wait());
    daemon.wait_running(run);
    for (role, method, path) in [
        ("viewer", "GET", format!("/v1/runs/{run}?wait_s=300")),
        ("viewer", "GET", format!("/v1/runs/{run}/exit_code?wait_s=300")),
        ("viewer", "GET", "/v1/drain?wait_s=300".to_owned()),
        ("admin", "PUT", "/v1/drain?wait_s=300".to_owned()),
    ] {
        let (client, id, wait_let_in) = let_in_before(&daemon, role);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| client.call(method, &path).within(DEADLINE).send());
            wait_let_in();
            daemon.delete(&format!("/v1/sessions/{id}")).expect(204);
            waiting.join().unwrap().expect_problem(401, "unauthorized");
        });
    }
    // What was done is done, and told.
    assert_eq!(daemon.get("/v1/drain").expect(200).json()["draining"], true);
    assert!(daemon.log().contains("the daemon was drained"), "{}", daemon.log());
    gate.open();
}

#[test]
fn a_revocation_whose_asker_hangs_up_is_one_all_the_same() {
    let daemon = Daemon::start();
    for _ in 0..10 {
        let (client, id) = let_in(&daemon, "viewer", 0);
        client.get("/v1/session").expect(200);
        let mut socket = daemon.connect();
        socket.write_all(daemon.call("DELETE", &format!("/v1/sessions/{id}")).head().as_bytes()).unwrap();
        drop(socket);
        let database = beside(&daemon);
        let is_gone = || number(&database, &format!("SELECT count(*) FROM sessions WHERE id = {id}")) == 0;
        let begun = std::time::Instant::now();
        while !is_gone() && begun.elapsed() < std::time::Duration::from_millis(500) {
            std::thread::yield_now();
        }
        // Nobody may have read the request: then it is asked again.
        if !is_gone() {
            daemon.delete(&format!("/v1/sessions/{id}")).expect(204);
        }
        eventually(DEADLINE, "the token opens nothing", || client.get("/v1/session").status == 401);
    }
}

#[cfg(debug_assertions)]
mod by_a_clock {
    use super::*;
    use crate::common::{Clock, Connection, Random, Via, now_ms};

    /// Steps of the clock, in seconds: the time that the test itself takes must not matter beside one.
    const STEP_S: i64 = 2_000;

    /// What a session is to be: half a step lies between any use and any end.
    struct Expected {
        token: String,
        ttl_s: i64,
        used_at_s: i64,
        streams: Vec<Reader>,
    }

    impl Expected {
        fn is_valid(&self, now_s: i64) -> bool {
            self.ttl_s == 0 || self.used_at_s + self.ttl_s > now_s
        }
    }

    struct Model {
        daemon: Daemon,
        clock: Clock,
        start_ms: i64,
        now_s: i64,
        run: i64,
        live: BTreeMap<i64, Expected>,
        dead: Vec<String>,
    }

    impl Model {
        /// Any that is live, if there is one.
        fn any(&self, chance: &mut Random) -> Option<i64> {
            let ids: Vec<i64> = self.live.keys().copied().collect();
            (!ids.is_empty()).then(|| ids[chance.below(ids.len() as u64) as usize])
        }

        fn enter(&mut self, chance: &mut Random) {
            let ttl_s = [0, STEP_S / 2, STEP_S + STEP_S / 2, 4 * STEP_S + STEP_S / 2][chance.below(4) as usize];
            let (token, id) = token_for(&self.daemon, "viewer", ttl_s);
            self.live.insert(id, Expected { token, ttl_s, used_at_s: self.now_s, streams: Vec::new() });
        }

        fn act(&mut self, chance: &mut Random) -> String {
            let Some(id) = self.any(chance) else {
                self.enter(chance);
                return "enter".to_owned();
            };
            let now_s = self.now_s;
            let session = self.live.get_mut(&id).unwrap();
            let client = self.daemon.tcp().with_token(&session.token);
            match chance.below(9) {
                0 => self.enter(chance),
                1 | 2 => {
                    let who = client.get("/v1/session").expect(200).json();
                    assert_eq!(who["id"], id);
                    session.used_at_s = now_s;
                }
                3 => {
                    session.streams.push(Reader::open(&client, self.run, 0));
                    session.used_at_s = now_s;
                }
                4 => {
                    self.daemon.delete(&format!("/v1/sessions/{id}")).expect(204);
                    self.bury(id);
                    return format!("revoke {id}");
                }
                5 => {
                    client.delete("/v1/session").expect(204);
                    self.bury(id);
                    return format!("log out {id}");
                }
                6 => _ = self.daemon.post("/v1/maintenance", &json!({})).expect(200),
                7 => {
                    self.now_s += STEP_S * (1 + chance.below(2) as i64);
                    self.clock.set(&self.daemon, self.start_ms + self.now_s * 1_000);
                    let over: Vec<i64> =
                        self.live.iter().filter(|(_, s)| !s.is_valid(self.now_s)).map(|(id, _)| *id).collect();
                    over.iter().for_each(|id| self.bury(*id));
                    return format!("now it is {} s", self.now_s);
                }
                _ => {
                    self.live.values_mut().for_each(|session| session.streams.clear());
                    self.daemon.restart();
                    self.clock.set(&self.daemon, self.start_ms + self.now_s * 1_000);
                    return "restart".to_owned();
                }
            }
            format!("with {id}")
        }

        /// It is over, and so is what it had opened.
        fn bury(&mut self, id: i64) {
            let ended = self.live.remove(&id).unwrap();
            for mut stream in ended.streams {
                assert_eq!(stream.until_closed(), Some(4401), "a stream of session {id}");
            }
            self.daemon.tcp().with_token(&ended.token).get("/v1/runs").expect_problem(401, "unauthorized");
            self.dead.push(ended.token);
        }

        /// The list has those that are live, with their ends, and no others.
        fn check(&mut self) {
            let listed = self.daemon.get("/v1/sessions").expect(200).json();
            let ids: Vec<i64> =
                listed["sessions"].as_array().unwrap().iter().map(|one| one["id"].as_i64().unwrap()).collect();
            let expected: Vec<i64> = self.live.keys().rev().copied().collect();
            assert_eq!(ids, expected);
        }
    }

    fn live_by(seed: u64) {
        println!("seed {seed}");
        let start_ms = now_ms();
        let (daemon, clock) = Clock::start(Daemon::builder(), start_ms);
        let run = daemon.submit(&json!({"script": "true", "delay_s": 86_400 * 365}));
        let mut chance = Random::new(seed);
        let mut model = Model { daemon, clock, start_ms, now_s: 0, run, live: BTreeMap::new(), dead: Vec::new() };
        for nth in 0..40 {
            let did = model.act(&mut chance);
            println!("{nth}: {did}");
            model.check();
        }
        // What was used lives, what was not is gone, and nobody who is dead comes back.
        for dead in model.dead.iter().rev().take(5) {
            model.daemon.tcp().with_token(dead).get("/v1/runs").expect(401);
        }
        for session in model.live.values_mut() {
            model.daemon.tcp().with_token(&session.token).get("/v1/runs").expect(200);
            for stream in &mut session.streams {
                stream.until_caught_up();
            }
        }
        model.daemon.post("/v1/maintenance", &json!({})).expect(200);
        assert_eq!(number(&beside(&model.daemon), "SELECT count(*) FROM sessions"), model.live.len() as i64);
    }

    #[test]
    fn sessions_live_and_die_as_a_model_says_in_any_order_of_events() {
        for seed in [20_261_129, 3, 4_711] {
            live_by(seed);
        }
    }

    #[test]
    fn the_cookie_is_sent_again_when_its_session_lives_longer() {
        the_cookie_is_sent_again(6_000);
    }

    #[test]
    fn the_cookie_of_a_session_that_never_expires_is_sent_again_for_as_long() {
        the_cookie_is_sent_again(0);
    }

    fn the_cookie_is_sent_again(ttl_s: i64) {
        let start = now_ms();
        let (daemon, clock) = Clock::start(Daemon::builder(), start);
        let token = enrollment(&daemon, &json!({"role": "viewer", "session_ttl_s": ttl_s}))["token"].clone();
        let enrolled = daemon.tcp().post("/v1/enroll", &json!({"token": token, "cookie": true})).expect(201);
        let (pair, attributes) = cookie(&enrolled);
        let ask = || daemon.tcp().call("GET", "/v1/session").header("Cookie", &pair).send().expect(200);
        assert_eq!(ask().header("set-cookie"), None, "nothing has moved");
        for step in 1..=3 {
            clock.set(&daemon, start + step * 2_500_000);
            assert_eq!(cookie(&ask()), (pair.clone(), attributes.clone()));
            assert_eq!(ask().header("set-cookie"), None, "once is enough");
        }
    }

    #[test]
    fn a_stream_lives_as_long_as_the_session_that_uses_renew() {
        let start = now_ms();
        let (daemon, clock) = Clock::start(Daemon::builder(), start);
        let run = daemon.submit(&json!({"script": "true", "delay_s": 86_400}));
        let (client, id) = let_in(&daemon, "viewer", 6_000);
        let mut streams = [Via::WebSocket, Via::Sse].map(|via| Reader::open_by(via, &client, run, 0));
        streams.iter_mut().for_each(Reader::until_caught_up);
        // Used within its life, but each time before half of it is over: a use that is worth no write of its own.
        for step in 1..=6 {
            clock.set(&daemon, start + step * 2_500_000);
            assert_eq!(client.get("/v1/session").expect(200).json()["id"], id);
        }
        daemon.patch(&format!("/v1/runs/{run}"), &json!({"name": "renamed"})).expect(200);
        for stream in &mut streams {
            stream.until_kind("changed");
        }
        // Not used for as long as it lives: it ends, and the streams with it.
        clock.set(&daemon, start + (6 * 2_500 + 6_001) * 1_000);
        for (mut stream, via) in streams.into_iter().zip([Via::WebSocket, Via::Sse]) {
            assert_eq!(stream.until_closed(), via.closed(4401));
        }
        client.get("/v1/session").expect_problem(401, "unauthorized");
        eventually(DEADLINE, "its row goes", || number(&beside(&daemon), "SELECT count(*) FROM sessions") == 0);
    }

    #[test]
    fn more_sessions_than_are_kept_in_memory_lose_none_of_their_uses() {
        const MADE: i64 = 1_500;
        let start = now_ms();
        let (daemon, clock) = Clock::start(Daemon::builder(), start);
        let token = |nth: i64| format!("rbs_{nth:040}");
        // Of our own making, so that they need not be traded one by one.
        let database = beside(&daemon);
        let transaction = database.unchecked_transaction().unwrap();
        for nth in 0..MADE {
            use sha2::{Digest as _, Sha256};
            let sha256: [u8; 32] = Sha256::digest(token(nth).as_bytes()).into();
            let insert = "INSERT INTO sessions (token_sha256, name, role, ttl_s, created_at, last_used_at, expires_at)
                 VALUES (?1, 'n', 'viewer', 4000, ?2, ?2, ?3)";
            transaction.execute(insert, rusqlite::params![sha256, start, start + 4_000_000]).unwrap();
        }
        transaction.commit().unwrap();
        let mut connection = Connection::open(&daemon.tcp());
        let mut use_all_at = |second: i64| {
            clock.set(&daemon, start + second * 1_000);
            for nth in 0..MADE {
                let call = daemon.tcp().with_token(&token(nth)).call("GET", "/v1/session");
                assert_eq!(connection.send(&call).unwrap().status, 200, "session {nth} after {second} s");
            }
        };
        // Before half of it is over, so that it is no reason to write; then long after what is written says.
        use_all_at(1_500);
        use_all_at(4_500);
    }
}
