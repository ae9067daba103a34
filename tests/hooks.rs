//! Hooks against the real daemon and real receivers: each end is told once, in order, whatever a receiver does, and what one
//! does holds no other up.

pub mod receiver;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use self::receiver::{Answer, Heard, Receiver};
use crate::common::{Address, DEADLINE, Daemon, beside, eventually};
use crate::tls::Authority;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn deliveries(daemon: &Daemon, hook: &str) -> Vec<Value> {
    let listed = daemon.get(&format!("/v1/hooks/{hook}/deliveries?limit=500")).expect(200).json();
    listed["deliveries"].as_array().unwrap().clone()
}

/// The newest delivery, once it is not as `status` and has been tried.
#[track_caller]
fn wait_delivery(daemon: &Daemon, hook: &str, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    let newest = || deliveries(daemon, hook).into_iter().next().unwrap_or_default();
    eventually(DEADLINE, what, || is_it(&newest()));
    newest()
}

fn fail(daemon: &Daemon, name: &str) -> i64 {
    daemon.submit(&json!({"script": "exit 3", "name": name, "tags": [name]}))
}

fn put(daemon: &Daemon, name: &str, receiver: &Receiver, more: Value) -> Value {
    let mut hook = json!({"url": receiver.url()});
    hook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    daemon.put(&format!("/v1/hooks/{name}"), &hook).expect(201).json()
}

fn signature(secret: &str, heard: &Heard) -> String {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{}.{}.", heard.header("webhook-id"), heard.header("webhook-timestamp")).as_bytes());
    mac.update(&heard.body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[test]
fn an_end_is_told_once_and_signed_and_the_secret_is_shown_to_nobody() {
    let daemon = Daemon::start();
    let receiver = Receiver::start(Answer::Status(204, ""));
    let made = put(&daemon, "all", &receiver, json!({"on": ["succeeded", "failed"]}));
    let secret = made["secret"].as_str().unwrap().to_owned();
    put(&daemon, "tagged", &receiver, json!({"tag": "other"}));
    let (bad, good) = (fail(&daemon, "backup"), daemon.sh("true"));
    daemon.wait_ended(bad);
    daemon.wait_ended(good);
    let heard = receiver.wait(2);
    let body: Value = serde_json::from_slice(&heard[0].body).unwrap();
    let (event, data) = (daemon.events(bad).last().unwrap()["id"].clone(), &body["data"]);
    assert_eq!((&body["type"], &data["id"], &data["exit_code"]), (&json!("run.finished"), &json!(bad), &json!(3)));
    let instance = daemon.get("/v1/system").json()["instance"].as_str().unwrap().to_owned();
    assert_eq!(heard[0].header("webhook-id"), format!("{instance}-{event}"));
    assert_eq!(heard[0].header("content-type"), "application/json");
    assert_eq!(heard[0].header("webhook-signature"), signature(&secret, &heard[0]));
    let delivery = wait_delivery(&daemon, "all", "it is delivered", |newest| newest["status"] == "delivered");
    assert_eq!(
        (&delivery["run"], &delivery["response_status"], &delivery["attempts"]),
        (&json!(good), &json!(204), &json!(1))
    );
    assert_eq!(deliveries(&daemon, "tagged"), Vec::<Value>::new());
    assert_eq!(daemon.metrics().get("hook_deliveries_total{outcome=\"delivered\"}"), 2.0);
    // The same once more, and a test, under a new secret and the earlier one.
    daemon.put("/v1/hooks/all", &json!({"url": receiver.url(), "secret": SECRET})).expect(200);
    let first = deliveries(&daemon, "all").last().unwrap()["id"].clone();
    daemon.post(&format!("/v1/hooks/all/deliveries/{first}/redeliver"), &json!({})).expect(202);
    let again = receiver.wait(3).pop().unwrap();
    assert_eq!((again.header("webhook-id"), &again.body), (heard[0].header("webhook-id"), &heard[0].body));
    let both = format!("{} {}", signature(SECRET, &again), signature(&secret, &again));
    assert_eq!(again.header("webhook-signature"), both);
    daemon.post("/v1/hooks/all/test", &json!({})).expect(202);
    let test: Value = serde_json::from_slice(&receiver.wait(4).pop().unwrap().body).unwrap();
    assert_eq!(test["type"], "hook.test");
    let shown = [
        daemon.get("/v1/hooks/all").text(),
        daemon.get("/v1/hooks").text(),
        daemon.get("/v1/hooks/all/deliveries").text(),
        daemon.get("/v1/events?after=0&limit=500").text(),
        daemon.log(),
    ];
    for text in shown {
        assert!(!text.contains(&secret[6..]) && !text.contains(&SECRET[6..]), "{text}");
    }
    assert!(!daemon.log().contains("/in?token="), "nor what the URL may hide: {}", daemon.log());
}

#[test]
fn each_form_comes_as_its_receivers_take_it() {
    let daemon = Daemon::start();
    for (form, content_type) in
        [("ntfy", "text/plain; charset=utf-8"), ("slack", "application/json"), ("home_assistant", "application/json")]
    {
        let receiver = Receiver::start(Answer::Status(200, ""));
        put(&daemon, form, &receiver, json!({"body": form, "tag": form}));
        daemon.wait_ended(fail(&daemon, form));
        let heard = receiver.wait(1).remove(0);
        let text = String::from_utf8(heard.body.clone()).unwrap();
        assert_eq!(heard.header("content-type"), content_type, "{text}");
        match form {
            "ntfy" => {
                assert_eq!((heard.header("title"), heard.header("priority")), ("ntfy failed", "4"));
                assert!(text.starts_with("exit code 3, after "), "{text}");
            }
            "slack" => {
                let json: Value = serde_json::from_str(&text).unwrap();
                assert!(json["text"].as_str().unwrap().starts_with("*slack failed*\nexit code 3"), "{text}");
            }
            _ => {
                let json: Value = serde_json::from_str(&text).unwrap();
                assert_eq!((&json["title"], &json["status"]), (&json!("home_assistant failed"), &json!("failed")));
            }
        }
    }
}

// The clock is in the test's hand only where the daemon is a debug build.
#[cfg(debug_assertions)]
#[test]
fn a_receiver_that_was_away_for_an_hour_is_told_all_of_it_in_order() {
    use crate::common::{Clock, now_ms};
    let now = now_ms();
    let (mut daemon, clock) = Clock::start(Daemon::builder(), now);
    let receiver = Receiver::start(Answer::Status(200, ""));
    let address = receiver.stop();
    put(&daemon, "away", &receiver, json!({}));
    let runs: Vec<i64> = (0..5).map(|_| fail(&daemon, "away")).collect();
    runs.iter().for_each(|run| drop(daemon.wait_ended(*run)));
    let failures = |daemon: &Daemon| daemon.get("/v1/hooks/away").expect(200).json()["failures"].as_i64().unwrap();
    // The waits of the plan, with what chance adds at most.
    let mut at = now;
    eventually(DEADLINE, "the first failure", || failures(&daemon) == 1);
    for (nth, wait_s) in [5, 30, 300, 1_800].into_iter().enumerate() {
        at += wait_s * 1_200 + 10_000;
        clock.set(&daemon, at);
        eventually(DEADLINE, &format!("failure {}", nth + 2), || failures(&daemon) as usize == nth + 2);
    }
    let waiting = deliveries(&daemon, "away");
    assert_eq!(waiting.iter().map(|row| row["attempts"].as_i64().unwrap()).collect::<Vec<_>>(), [0, 0, 0, 0, 5]);
    assert_eq!(daemon.metrics().get("hook_queue"), 5.0);
    // A restart forgets nothing, and a clock that was a year ahead holds nothing up for a year.
    daemon.stop();
    clock.write_for_next_start(at - 366 * 86_400_000);
    let receiver = Receiver::start_at(address, Answer::Status(200, ""));
    daemon.start_again();
    let told: Vec<i64> = receiver.wait(5).iter().map(Heard::run).collect();
    assert_eq!(told, runs);
    wait_delivery(&daemon, "away", "all are delivered", |newest| newest["status"] == "delivered");
    assert_eq!(receiver.count(), 5, "each once");
}

#[test]
fn what_is_no_success_is_tried_again_and_holds_nobody_up() {
    let daemon = Daemon::start();
    let elsewhere = Receiver::start(Answer::Status(200, ""));
    let redirect = format!("Location: {}\r\n", elsewhere.url());
    let cases = [
        ("error", Answer::Status(500, ""), Some(500), "it answered 500 Internal Server Error: said"),
        ("redirect", Answer::Status(307, redirect.leak()), Some(307), "none is followed"),
        ("busy", Answer::Status(503, "Retry-After: 3600\r\n"), Some(503), "it answered 503"),
        ("half", Answer::Half, None, "closed the connection"),
        ("nothing", Answer::Close, None, "closed the connection"),
        ("noise", Answer::Noise, None, "not HTTP"),
    ];
    let hanging = Receiver::start(Answer::Hang);
    put(&daemon, "hanging", &hanging, json!({}));
    let receivers: Vec<Receiver> = cases.iter().map(|(_, answer, ..)| Receiver::start(*answer)).collect();
    for ((name, ..), receiver) in cases.iter().zip(&receivers) {
        put(&daemon, name, receiver, json!({}));
    }
    let well = Receiver::start(Answer::Status(200, ""));
    put(&daemon, "well", &well, json!({}));
    for _ in 0..3 {
        daemon.wait_ended(fail(&daemon, "bad"));
    }
    assert_eq!(well.wait(3).len(), 3);
    for (name, _, status, why) in cases {
        let first = || deliveries(&daemon, name).pop().unwrap();
        eventually(DEADLINE, &format!("{name} fails"), || first()["error"].is_string());
        let first = first();
        assert_eq!((&first["status"], &first["response_status"]), (&json!("pending"), &json!(status)), "{name}");
        assert!(first["error"].as_str().unwrap().contains(why), "{name}: {first}");
        // What is behind it waits for it.
        assert_eq!(deliveries(&daemon, name)[0]["attempts"], 0, "{name}");
        if name == "busy" {
            let times = ["created_at", "next_at"].map(|field| first[field].as_str().unwrap()[11..13].to_owned());
            assert_ne!(times[0], times[1], "it is not asked again within the hour");
        }
    }
    assert_eq!(elsewhere.count(), 0, "no redirect is followed");
    assert_eq!(hanging.wait(1).len(), 1);
    let doctor = daemon.cli().args(["doctor", "--json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let hooks = report["checks"].as_array().unwrap().iter().find(|check| check["check"] == "hooks").unwrap();
    assert_eq!(hooks["level"], "warn", "{hooks}");
    assert!(hooks["found"].as_str().unwrap().contains("error"), "{hooks}");
}

#[test]
fn a_receiver_that_wants_no_more_is_left_alone() {
    let daemon = Daemon::start();
    let receiver = Receiver::start(Answer::Status(410, ""));
    put(&daemon, "gone", &receiver, json!({}));
    daemon.wait_ended(fail(&daemon, "first"));
    let dead = wait_delivery(&daemon, "gone", "it is dead", |newest| newest["status"] == "dead");
    let hook = daemon.get("/v1/hooks/gone").expect(200).json();
    assert_eq!((&hook["enabled"], &hook["dead"]), (&json!(false), &json!(1)));
    assert!(hook["disabled_why"].as_str().unwrap().contains("410"), "{hook}");
    daemon.wait_ended(fail(&daemon, "second"));
    assert_eq!(deliveries(&daemon, "gone").len(), 1, "a disabled hook tells of nothing");
    let path = format!("/v1/hooks/gone/deliveries/{}/redeliver", dead["id"]);
    daemon.post(&path, &json!({})).expect_problem(409, "hook_disabled");
    // Somebody has seen to it.
    receiver.answer(Answer::Status(200, ""));
    let hook = daemon.patch("/v1/hooks/gone", &json!({"enabled": true})).expect(200).json();
    assert_eq!(hook["disabled_why"], Value::Null);
    daemon.post(&path, &json!({})).expect(202);
    wait_delivery(&daemon, "gone", "it is delivered", |newest| newest["status"] == "delivered");
    daemon.delete("/v1/hooks/gone").expect(204);
    daemon.get("/v1/hooks/gone/deliveries").expect_problem(404, "hook_not_found");
}

#[test]
fn a_daemon_that_dies_before_it_has_written_the_answer_down_tells_it_again_under_the_same_id() {
    let mut daemon = Daemon::start();
    let receiver = Receiver::start(Answer::Hang);
    put(&daemon, "twice", &receiver, json!({}));
    let runs = [fail(&daemon, "a"), fail(&daemon, "b")];
    runs.iter().for_each(|run| drop(daemon.wait_ended(*run)));
    receiver.wait(1);
    daemon.kill9();
    receiver.answer(Answer::Status(200, ""));
    daemon.start_again();
    let heard = receiver.wait(3);
    assert_eq!(heard.iter().map(Heard::run).collect::<Vec<_>>(), [runs[0], runs[0], runs[1]]);
    assert_eq!(heard[0].header("webhook-id"), heard[1].header("webhook-id"));
    assert_eq!(heard[0].body, heard[1].body);
}

#[test]
fn no_hook_leads_to_the_daemon_itself_unless_it_says_so() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut daemon = Daemon::start();
    let Address::Tcp(own) = daemon.tcp().address().clone() else { panic!("it has no TLS") };
    for url in [format!("http://localhost:{}/", own.port()), format!("http://0x7f.1:{}/", own.port())] {
        daemon.put("/v1/hooks/own", &json!({"url": url})).expect_problem(422, "invalid");
        daemon.put("/v1/hooks/allowed", &json!({"url": url, "allow_self": true}));
    }
    // One that was somebody else's when it was made.
    daemon.put("/v1/hooks/own", &json!({"url": format!("http://127.0.0.1:{port}/healthz")})).expect(201);
    let allowed = json!({"url": format!("http://127.0.0.1:{port}/healthz"), "allow_self": true});
    daemon.put("/v1/hooks/allowed", &allowed).expect(200);
    daemon.rebuild(|builder| builder.listen(&format!("127.0.0.1:{port}")));
    daemon.restart();
    daemon.wait_ended(fail(&daemon, "x"));
    let refused = wait_delivery(&daemon, "own", "it is refused", |newest| newest["error"].is_string());
    assert!(refused["error"].as_str().unwrap().contains("this daemon itself"), "{refused}");
    assert_eq!(refused["response_status"], Value::Null);
    // `/healthz` takes no POST.
    let asked = wait_delivery(&daemon, "allowed", "it is asked", |newest| newest["error"].is_string());
    assert_eq!(asked["response_status"], 401, "{asked}");
}

#[test]
fn a_receiver_by_https_is_believed_by_the_systems_authorities_alone() {
    let authority = Authority::new();
    let (cert, key) = authority.sign(&["localhost", "127.0.0.1"], |_| {});
    let tls = format!("[tls]\ncert = \"{}\"\nkey = \"{}\"\n", cert.display(), key.display());
    let receiver = Daemon::builder().config(&tls).authority(&authority.file()).start();
    let Address::Tls(address, _) = receiver.tcp().address().clone() else { panic!("it has TLS") };
    let mut daemon = Daemon::start();
    daemon.put("/v1/hooks/tls", &json!({"url": format!("https://localhost:{}/", address.port())})).expect(201);
    daemon.wait_ended(fail(&daemon, "x"));
    let refused = wait_delivery(&daemon, "tls", "it is refused", |newest| newest["error"].is_string());
    assert!(refused["error"].as_str().unwrap().contains("not known here"), "{refused}");
    daemon.rebuild(|builder| builder.env("SSL_CERT_FILE", authority.file().to_str().unwrap()));
    daemon.restart();
    daemon.post(&format!("/v1/hooks/tls/deliveries/{}/redeliver", refused["id"]), &json!({})).expect(202);
    let asked = wait_delivery(&daemon, "tls", "it is asked", |newest| newest["response_status"].is_number());
    assert_eq!(asked["response_status"], 401, "{asked}");
}

#[test]
fn there_are_never_more_deliveries_than_may_be_and_a_long_line_costs_no_other() {
    let mut daemon = Daemon::with_config("[retention]\nruns_days = 0\n");
    let receiver = Receiver::start(Answer::Status(200, ""));
    receiver.stop();
    put(&daemon, "away", &receiver, json!({"tag": "away"}));
    let well = Receiver::start(Answer::Status(200, ""));
    put(&daemon, "well", &well, json!({"tag": "well"}));
    daemon.stop();
    let fill = |status: &str, first: i64, last: i64| {
        let (next_at, ended_at) = if status == "pending" { ("9e15", "NULL") } else { ("NULL", "n") };
        format!(
            "WITH RECURSIVE numbers (n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})
             INSERT INTO hook_deliveries (id, hook, webhook_id, status, message, created_at, next_at, ended_at)
             SELECT n, 'away', 'x-' || n, '{status}', '{{\"content_type\":\"a/b\",\"headers\":[],\"body\":\"b\"}}', n,
                    CAST({next_at} AS INTEGER), {ended_at} FROM numbers"
        )
    };
    let count = |daemon: &Daemon, what: &str| -> i64 {
        let count = format!("SELECT count(*) FROM hook_deliveries WHERE {what}");
        beside(daemon).query_row(&count, [], |row| row.get(0)).unwrap()
    };
    beside(&daemon).execute(&fill("dead", 1, 200), []).unwrap();
    beside(&daemon).execute(&fill("pending", 201, 10_000), []).unwrap();
    daemon.start_again();
    daemon.wait_ended(fail(&daemon, "well"));
    well.wait(1);
    assert_eq!((count(&daemon, "id <= 100"), count(&daemon, "id > 100")), (0, 9_901), "the oldest that are over go");
    for name in ["well", "away"] {
        daemon.stop();
        let missing = 10_000 - count(&daemon, "1");
        let next: i64 = beside(&daemon).query_row("SELECT max(id) FROM hook_deliveries", [], |row| row.get(0)).unwrap();
        beside(&daemon).execute("DELETE FROM hook_deliveries WHERE ended_at IS NOT NULL", []).unwrap();
        let missing = missing.max(10_000 - count(&daemon, "1"));
        beside(&daemon).execute(&fill("pending", next + 1, next + missing), []).unwrap();
        daemon.start_again();
        let first: i64 =
            beside(&daemon).query_row("SELECT min(id) FROM hook_deliveries", [], |row| row.get(0)).unwrap();
        daemon.wait_ended(fail(&daemon, name));
        assert_eq!((count(&daemon, &format!("id = {first}")), count(&daemon, "1")), (0, 10_000), "{name}");
        assert_eq!(daemon.metrics().get("hook_deliveries_total{outcome=\"dropped\"}"), 1.0);
    }
    well.wait(2);
    // Pieces of 500 each.
    daemon.delete("/v1/hooks/away").expect(204);
    assert_eq!(count(&daemon, "hook = 'away'"), 0);
}
