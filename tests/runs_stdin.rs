//! A standard input that stays open: bytes arrive in order and exactly, are refused whole where there is no room, and end.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{Call, DEADLINE, Daemon, Random, Response, eventually, output_of};

fn open(daemon: &Daemon, script: &str) -> i64 {
    daemon.submit(&json!({"script": script, "stdin": "open"}))
}

fn call(daemon: &Daemon, run: i64, query: &str, bytes: &[u8]) -> Call {
    daemon.call("POST", &format!("/v1/runs/{run}/stdin{query}")).body("application/octet-stream", bytes)
}

fn send(daemon: &Daemon, run: i64, query: &str, bytes: &[u8]) -> Response {
    call(daemon, run, query, bytes).send()
}

#[test]
fn any_bytes_arrive_in_order_and_none_is_lost_to_a_refusal() {
    let daemon = Daemon::start();
    let gate = daemon.gate("gate");
    // It reads nothing at first.
    let run = open(&daemon, &format!("echo up; read go <{}; exec sha256sum", daemon.dir().join("gate").display()));
    eventually(DEADLINE, "it runs", || !output_of(&daemon.events(run)).0.is_empty());
    let mut random = Random::new(7);
    let bytes: Vec<u8> = (0..700_000).map(|_| random.below(256) as u8).collect();
    let (mut rest, mut refused) = (&bytes[..], 0);
    while !rest.is_empty() {
        let piece = &rest[..rest.len().min(1 + random.below(40_000) as usize)];
        let answer = send(&daemon, run, "", piece);
        if answer.status == 204 {
            rest = &rest[piece.len()..];
            continue;
        }
        answer.expect_problem(429, "stdin_full");
        if refused == 0 {
            gate.open();
        }
        refused += 1;
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(refused > 0, "all of it went in while nobody read it");
    send(&daemon, run, "?end=true", b"").expect(204);
    assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
    let printed = String::from_utf8(output_of(&daemon.events(run)).0).unwrap();
    let sum: String = hash(&bytes);
    assert!(printed.contains(&sum), "{printed} is not {sum}");
}

fn hash(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn who_takes_nothing_says_so() {
    let daemon = Daemon::start();
    let code = |run: i64| {
        let answer = send(&daemon, run, "", b"x");
        if answer.status == 204 { Value::Null } else { answer.json()["code"].clone() }
    };
    let plain = daemon.sh("sleep 3000");
    daemon.wait_running(plain);
    assert_eq!(code(plain), "no_stdin");
    let behind = open(&daemon, "cat");
    assert_eq!(code(behind), "run_not_running", "it is queued behind the other");
    daemon.post(&format!("/v1/runs/{plain}/cancel"), &json!({"now": true}));
    daemon.wait_running(behind);
    send(&daemon, behind, "?end=true", b"last").expect(204);
    assert_eq!(daemon.wait_ended(behind)["status"], "succeeded");
    assert_eq!(output_of(&daemon.events(behind)).0, b"last");
    assert_eq!(code(behind), "run_finished");
    let deaf = open(&daemon, "exec <&-; echo closed; sleep 3000");
    daemon.wait_running(deaf);
    eventually(DEADLINE, "the pipe is found to be closed", || code(deaf) == "no_stdin");
    send(&daemon, 4242, "", b"x").expect_problem(404, "run_not_found");
    call(&daemon, deaf, "", &[b'x'; 65_537]).send().expect_problem(413, "body_too_large");
    let wrong = send(&daemon, deaf, "?nth=1&end=perhaps&by=me", b"").expect_problem(422, "invalid");
    assert!(wrong["details"]["violations"].as_array().unwrap().len() >= 2, "{wrong}");
    let viewer = daemon.tcp_as("viewer").call("POST", &format!("/v1/runs/{deaf}/stdin"));
    viewer.body("text/plain", b"x").send().expect_problem(403, "forbidden");
}

#[test]
fn one_of_several_writes_until_another_takes_over() {
    let daemon = Daemon::start();
    let run = open(&daemon, "cat");
    daemon.wait_running(run);
    send(&daemon, run, "?writer=ann&nth=1", b"a").expect(204);
    send(&daemon, run, "?writer=ann&nth=1", b"a").expect(204);
    let problem = send(&daemon, run, "?writer=bob&nth=1", b"x").expect_problem(409, "stdin_busy");
    assert!(problem["details"]["writer"].is_string() && problem["details"]["idle_in_s"].is_number(), "{problem}");
    send(&daemon, run, "?writer=bob&nth=1&take=true", b"b").expect(204);
    send(&daemon, run, "?writer=ann&nth=2", b"x").expect_problem(409, "stdin_busy");
    send(&daemon, run, "?end=true", b"c").expect(204);
    daemon.wait_ended(run);
    assert_eq!(output_of(&daemon.events(run)).0, b"abc");
}

#[test]
fn the_word_open_can_be_a_text_too() {
    let daemon = Daemon::start();
    let run = daemon.submit(&json!({"script": "cat", "stdin": {"text": "open"}}));
    let ended = daemon.wait_ended(run);
    assert_eq!((output_of(&daemon.events(run)).0, &ended["stdin"]), (b"open".to_vec(), &Value::Null));
    let run = open(&daemon, "cat");
    assert_eq!(daemon.run(run)["stdin"], "open");
    daemon.wait_running(run);
    send(&daemon, run, "?end=true", b"").expect(204);
    daemon.wait_ended(run);
}
