//! What only one way of reading has: the headers of SSE, how NDJSON ends, the run that is followed by its submit, the
//! token of a page's WebSocket, and clients that go without a word.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::{
    Address, Client, DEADLINE, Daemon, Frame, Framing, Opening, Reader, Running, Transcript, Via, eventually,
};

fn events(run: i64) -> String {
    format!("/v1/runs/{run}/events")
}

/// A command that says that it is there, and then nothing until it is let go.
fn quiet(daemon: &Daemon) -> (i64, crate::common::Gate) {
    let gate = daemon.gate("quiet");
    (daemon.sh(&format!("echo ready; {}", gate.wait())), gate)
}

#[test]
fn the_form_is_the_one_that_accept_likes_best() {
    let daemon = Daemon::start();
    let run = daemon.sh("true");
    daemon.wait_ended(run);
    for (accept, expected) in [
        ("*/*", "application/json"),
        ("text/html, */*;q=0.8", "application/json"),
        ("text/event-stream", "text/event-stream"),
        ("application/x-ndjson;q=0.2, TEXT/event-stream;q=0.9, */*;q=0.1", "text/event-stream"),
        ("application/x-ndjson, */*", "application/x-ndjson"),
        ("text/event-stream;q=0.5, application/json", "application/json"),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = daemon.call(method, &events(run)).header("Accept", accept).send().expect(200);
            assert_eq!(answer.header("content-type"), Some(expected), "{method} {accept}");
            assert_eq!(answer.body.is_empty(), method == "HEAD");
            // Nobody on the way may gather, compress or keep what is live.
            let is_stream = expected != "application/json";
            let kept = if is_stream { "no-store, no-transform" } else { "no-store" };
            assert_eq!(answer.header("cache-control"), Some(kept), "{method} {accept}");
            assert_eq!(answer.header("x-accel-buffering"), is_stream.then_some("no"), "{method} {accept}");
        }
    }
    let twice = daemon.call("GET", &events(run)).header("Accept", "a/b").header("Accept", "text/event-stream").send();
    twice.expect_problem(400, "bad_request");
    eventually(DEADLINE, "no reader is left", || daemon.metrics().sum("readers") == 0.0);
}

#[test]
fn last_event_id_beats_after_and_behind_the_end_there_is_nothing() {
    let daemon = Daemon::start();
    let run = daemon.sh("echo one; sleep 0.3; echo two");
    let mut reader = Reader::open_by(Via::Sse, &daemon, run, 0);
    let end = reader.until_end();
    let told = reader.disconnect();
    let (last, instance) = (told.cursor, told.instance.clone());
    let ask = |id: &str, after: &str| {
        let call = daemon.call("GET", &format!("{}{after}", events(run))).header("Accept", "text/event-stream");
        call.header("Last-Event-ID", id)
    };
    let back = ask(&format!("{instance}-{}", last - 1), "?after=0").send().expect(200).text();
    assert!(back.starts_with(&format!("event: hello\nid: {instance}-{}\ndata: {{", last - 1)), "{back}");
    assert!(back.ends_with(&format!("event: end\nid: {instance}-{last}\ndata: {end}\n\n")), "{back}");
    for id in [format!("{instance}-{last}"), last.to_string(), "latest".to_owned()] {
        let nothing = ask(&id, "?after=0").send().expect(204);
        assert!(nothing.body.is_empty());
    }
    // Who asks for it by its address is told how it ended.
    let mut again = Reader::open_by(Via::Sse, &daemon, run, last);
    assert_eq!(again.until_end(), end);
    for id in ["", "x", "1-1", "+1"] {
        let problem = ask(id, "").send().expect_problem(422, "invalid");
        assert_eq!(problem["details"]["violations"][0]["field"], "Last-Event-ID", "{problem}");
    }
    ask("1", "").header("Last-Event-ID", "1").send().expect_problem(400, "bad_request");
    ask("é", "").send().expect_problem(400, "bad_request");
    ask(&format!("{instance}-{}", last + 1), "").send().expect_problem(409, "cursor_ahead");
    let other = if instance.starts_with('a') { "b" } else { "a" }.repeat(12);
    let changed = ask(&format!("{other}-1"), "").send().expect_problem(409, "instance_changed");
    assert_eq!(changed["details"], json!({"last_seq": last, "instance": instance}));
    // It is the browser's header, and nobody else's affair.
    daemon.call("GET", &events(run)).header("Last-Event-ID", "x").send().expect(200);
}

#[test]
fn follow_and_limit_are_refused_where_they_make_no_sense() {
    let daemon = Daemon::start();
    let run = daemon.sh("true");
    daemon.wait_ended(run);
    for (accept, query, field) in [
        ("*/*", "follow=true", "follow"),
        ("*/*", "follow=yes", "follow"),
        ("text/event-stream", "follow=false", "follow"),
        ("text/event-stream", "limit=5", "limit"),
        ("application/x-ndjson", "limit=5", "limit"),
        ("application/x-ndjson", "after=x", "after"),
    ] {
        let answer = daemon.call("GET", &format!("{}?{query}", events(run))).header("Accept", accept).send();
        let problem = answer.expect_problem(422, "invalid");
        assert_eq!(problem["details"]["violations"][0]["field"], field, "{accept} {query}: {problem}");
    }
    Opening::new(&daemon, format!("{}?limit=5", events(run))).refused().expect_problem(422, "invalid");
    Opening::new(&daemon, format!("{}?follow=false", events(run))).refused().expect_problem(422, "invalid");
}

#[test]
fn lines_stop_when_they_have_caught_up_unless_they_are_followed() {
    let daemon = Daemon::start();
    let (run, gate) = quiet(&daemon);
    Reader::open(&daemon, run, 0).until_stdout("ready\n");
    let lines = || {
        let call = daemon.call("GET", &events(run));
        let mut reader = Reader::of(call, Framing::Ndjson, Transcript::of(run));
        let mut frames = vec![];
        loop {
            match reader.next() {
                Frame::Closed(1001) => return frames,
                frame => frames.push(frame),
            }
        }
    };
    assert_eq!(lines().last(), Some(&Frame::CaughtUp(3)));
    gate.open();
    daemon.wait_ended(run);
    assert_eq!(lines().last(), Some(&Frame::CaughtUp(4)), "also where it has ended");
    assert_eq!(Reader::open_by(Via::Ndjson, &daemon, run, 2).until_end()["status"], "succeeded");
}

#[test]
fn a_submit_can_be_followed_in_one_request() {
    let daemon = Daemon::start();
    let json = |run: &serde_json::Value| daemon.call("POST", "/v1/runs?follow=true").json(run);
    for (framing, id) in [(Framing::Ndjson, 1), (Framing::Sse, 2)] {
        let mut reader = Reader::of(json(&json!({"script": "echo hi; exit 3"})), framing, Transcript::of(id));
        assert_eq!(
            (reader.response.status, reader.response.header("location")),
            (201, Some(&*format!("/v1/runs/{id}")))
        );
        assert_eq!(reader.until_end()["exit_code"], 3);
        assert_eq!(reader.told.stdout, b"hi\n");
    }
    let script = |name: &str| {
        let path = format!("/v1/runs?name={name}&follow=true");
        daemon.call("POST", &path).body("text/x-shellscript", b"echo once").header("Idempotency-Key", "key")
    };
    for status in [201, 200] {
        let mut reader = Reader::of(script("a"), Framing::Ndjson, Transcript::of(3));
        assert_eq!((reader.response.status, reader.response.header("location")), (status, Some("/v1/runs/3")));
        reader.until_end();
        assert_eq!(reader.told.stdout, b"once\n");
    }
    script("b").send().expect_problem(422, "idempotency_mismatch");
    json(&json!({"script": "true", "nope": 1})).send().expect_problem(422, "invalid");
    daemon.call("POST", "/v1/runs?follow=maybe").json(&json!({"script": "true"})).send().expect_problem(422, "invalid");
    let plain = daemon.call("POST", "/v1/runs?follow=false").json(&json!({"script": "true"})).send().expect(201);
    assert_eq!(plain.json()["id"], 4);
    // It is made, whether anybody stays to see it or not.
    let (head, _, socket) = json(&json!({"script": "sleep 0.2; echo alone"})).stream().unwrap();
    drop(socket);
    assert_eq!(head.header("location"), Some("/v1/runs/5"));
    assert_eq!(daemon.wait_ended(5)["status"], "succeeded");
}

#[test]
fn a_client_that_has_gone_is_noticed_while_nothing_happens() {
    let daemon = Daemon::start();
    let (run, _gate) = quiet(&daemon);
    let tcp = daemon.tcp_as("viewer");
    let clients: [&Client; 2] = [&daemon, &tcp];
    let mut gone = Vec::new();
    let mut half_closed = Vec::new();
    for client in clients {
        for accept in ["text/event-stream", "application/x-ndjson", "log"] {
            let path = if accept == "log" { format!("/v1/runs/{run}/log") } else { events(run) };
            let query = if accept == "text/event-stream" { "" } else { "?follow=true" };
            for list in [&mut gone, &mut half_closed] {
                let call = client.call("GET", &format!("{path}{query}")).header("Accept", accept);
                let (head, _, socket) = call.stream().unwrap();
                assert_eq!(head.status, 200);
                list.push(socket);
            }
        }
    }
    assert_eq!(daemon.metrics().sum("readers"), 12.0);
    let begun = Instant::now();
    drop(gone);
    for socket in &half_closed {
        socket.close_half();
    }
    eventually(DEADLINE, "no reader is left", || daemon.metrics().sum("readers") == 0.0);
    // Well before a heartbeat would have found out.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn a_page_brings_its_token_as_a_subprotocol() {
    let origin = "https://panel.example";
    let daemon = Daemon::with_config(&format!("[access]\nallowed_origins = [\"{origin}\"]\n"));
    let run = daemon.sh("true");
    daemon.wait_ended(run);
    let token = daemon.enroll("viewer");
    let tcp = daemon.tcp();
    let Address::Tcp(address) = tcp.address().clone() else { unreachable!("it is TCP") };
    let protocols = format!("runabout.v1, bearer.{token}");
    let ask = |protocols: &str, origin: &str| {
        let opening = Opening::new(&tcp, events(run)).header("Sec-WebSocket-Protocol", protocols);
        if origin.is_empty() { opening } else { opening.header("Origin", origin) }
    };
    for origin in [origin, &format!("http://{address}"), ""] {
        let (answer, _, _) = ask(&protocols, origin).ask().unwrap();
        assert_eq!(answer.status, 101, "{origin}: {}", answer.text());
        assert_eq!(answer.header("sec-websocket-protocol"), Some("runabout.v1"), "the token is not given back");
        assert!(!format!("{:?}", answer.headers).contains(&token));
    }
    // In any order; without the other name nothing is answered.
    assert_eq!(ask(&format!("bearer.{token},runabout.v1"), origin).ask().unwrap().0.status, 101);
    let (alone, _, _) = ask(&format!("bearer.{token}"), origin).ask().unwrap();
    assert_eq!((alone.status, alone.header("sec-websocket-protocol")), (101, None));
    ask(&protocols, "https://evil.example").refused().expect_problem(403, "origin_not_allowed");
    ask(&protocols, "null").refused().expect_problem(403, "origin_not_allowed");
    for none in ["runabout.v1", "runabout.v1, bearer.", &format!("runabout.v1, {token}")] {
        ask(none, origin).refused().expect_problem(401, "unauthorized");
    }
    // One token a request: which of two counts is not guessed.
    let header = format!("Bearer {token}");
    ask(&protocols, origin).header("Authorization", &header).refused().expect_problem(400, "bad_request");
    ask(&format!("{protocols}, bearer.x"), origin).refused().expect_problem(400, "bad_request");
    // It is no token of anything but a WebSocket.
    tcp.call("GET", &events(run)).header("Sec-WebSocket-Protocol", &protocols).send().expect(401);
    for nth in 0..10 {
        let wrong = format!("runabout.v1, bearer.rbs_wrong{nth}");
        ask(&wrong, origin).refused().expect_problem(401, "unauthorized");
    }
    let limited = ask("runabout.v1, bearer.rbs_wrong", origin).refused();
    assert!(limited.header("retry-after").is_some());
    limited.expect_problem(429, "rate_limited");
    assert_eq!(ask(&protocols, origin).ask().unwrap().0.status, 101, "a valid one is never refused");
    assert!(!daemon.log().contains(&token) && !daemon.log().contains("rbs_wrong"));
}

#[test]
fn curl_survives_a_restart_of_the_daemon_in_the_middle() {
    let mut daemon = Daemon::start();
    let mut feed = daemon.feed("lines");
    let run = daemon.submit(&json!({
        "script": format!("echo attempt $RUNABOUT_ATTEMPT; [ $RUNABOUT_ATTEMPT = 3 ] || exec cat {}", feed.path()),
        "on_interrupt": "requeue",
    }));
    // What the examples say: the last id is kept, and given back until there is nothing more.
    let script = r#"
        n=0
        while [ -d "$dir" ]; do
            curl -sN --unix-socket "$socket" -D "$dir/head" -H 'Accept: text/event-stream' ${id:+-H "Last-Event-ID: $id"} \
                "http://localhost/v1/runs/$run/events" >"$dir/body.$n"
            grep -q '^HTTP/1.1 204' "$dir/head" && exit 0
            # An event that was cut off has no blank line behind it, and comes again.
            awk '{ event = event $0 "\n" } /^$/ { printf "%s", event; event = "" }' "$dir/body.$n" >>"$dir/all"
            id=$(sed -n 's/^id: //p' "$dir/all" | tail -n 1)
            n=$((n + 1))
            sleep 0.1
        done"#;
    let dir = daemon.dir().join("curl");
    std::fs::create_dir(&dir).unwrap();
    let said = |name: String| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
    let live = || (0..100).map(|nth| said(format!("body.{nth}"))).collect::<String>();
    let mut command = Command::new("sh");
    command.args(["-c", script]).env("dir", &dir).env("run", run.to_string()).stdin(Stdio::null());
    command.env("socket", daemon.state_dir().join("runabout.sock"));
    let looping = Running::start(command);
    let printed = |text: &str| format!("{text}\\n");
    feed.say("one\n");
    eventually(DEADLINE, "the first lines are there", || live().contains(&printed("one")));
    daemon.restart();
    eventually(DEADLINE, "the second attempt says so", || live().contains(&printed("attempt 2")));
    daemon.kill9();
    daemon.start_again();
    looping.ended().expect(0);
    let told = said("all".to_owned());
    let lines = told.lines().filter(|line| line.starts_with("data: {\"type\":\"event\""));
    let seqs: Vec<i64> = lines
        .map(|line| serde_json::from_str::<serde_json::Value>(&line[6..]).unwrap()["seq"].as_i64().unwrap())
        .collect();
    let last = daemon.run(run)["last_seq"].as_i64().unwrap();
    assert_eq!(seqs, (1..=last).collect::<Vec<_>>(), "every event once, in order");
    assert_eq!(told.matches("event: end\n").count(), 1);
}

#[test]
fn a_request_behind_a_stream_waits_for_its_end() {
    let daemon = Daemon::start();
    let (run, gate) = quiet(&daemon);
    let follow = daemon.call("GET", &format!("{}?follow=true", events(run))).header("Accept", "application/x-ndjson");
    let mut socket = daemon.connect();
    socket.write_all(follow.head().as_bytes()).unwrap();
    socket.write_all(daemon.call("GET", "/healthz").header("Connection", "close").head().as_bytes()).unwrap();
    eventually(DEADLINE, "it is read", || daemon.metrics().get("readers{transport=\"ndjson\"}") == 1.0);
    gate.open();
    let mut all = String::new();
    socket.read_to_string(&mut all).unwrap();
    let (stream, rest) = all.split_once("\r\n0\r\n\r\n").unwrap();
    assert!(stream.contains(r#"{"type":"end""#) && rest.starts_with("HTTP/1.1 200 OK"), "{all}");
    assert!(rest.ends_with("ok") || rest.ends_with("ok\n"), "{rest}");
}
