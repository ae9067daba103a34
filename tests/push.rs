//! A reader is told by push: nobody polls, a quiet command costs nothing, and each stream says how it ends.

use std::time::{Duration, Instant};

use async_tungstenite::tungstenite::Message;
use serde_json::{Value, json};

use crate::common::{
    DEADLINE, Daemon, Frame, Opening, Reader, Traced, Via, eventually, over_each, strace_is_there, voluntary_switches,
};

over_each!(
    a_line_is_pushed_live_and_nothing_is_read_for_it,
    every_object_of_a_stream_has_the_fields_that_were_promised,
    a_deleted_run_is_gone_for_those_who_come_and_for_those_who_lag,
    a_revoked_session_loses_its_streams_within_a_second,
    a_session_that_expires_loses_its_streams,
    a_revoked_session_loses_also_a_stream_that_takes_nothing,
);

/// A command that is quiet until it is let go.
fn quiet(daemon: &Daemon) -> (i64, crate::common::Gate) {
    let gate = daemon.gate("quiet");
    let run = daemon.sh(&format!("echo ready; {}", gate.wait()));
    (run, gate)
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Waits until the daemon has nothing left to do for what happened before.
fn settled(daemon: &Daemon) {
    let mut before = (f64::NAN, 0);
    let mut since = Instant::now();
    eventually(DEADLINE, "the daemon is at rest", || {
        let now = (daemon.metrics().sum("store_requests_total"), daemon.metrics().sum("commits_total") as u64);
        if now != before {
            (before, since) = (now, Instant::now());
        }
        since.elapsed() > Duration::from_millis(500)
    });
}

#[test]
fn readers_of_a_quiet_command_cost_nothing() {
    let daemon = Daemon::start();
    let (run, gate) = quiet(&daemon);
    let tcp = daemon.tcp_as("viewer");
    let mut readers: Vec<Reader> = Vec::new();
    for reader in 0..20_usize {
        let client = if reader % 2 == 0 { &daemon } else { &tcp };
        readers.push(Reader::open_by(Via::STREAMS[reader % 3], client, run, 0));
    }
    readers.iter_mut().for_each(|reader| reader.until_stdout("ready\n"));
    readers.iter_mut().filter(|reader| reader.told.cursor < 3).for_each(Reader::until_caught_up);
    settled(&daemon);
    // The time is what is measured: longer than any interval that polling would choose, shorter than a heartbeat's.
    let window = Duration::from_secs(4);
    let before = daemon.metrics();
    let (calls, what) = if strace_is_there() {
        let traced = Traced::attach(daemon.pid(), daemon.dir().join("calls"));
        let attached = traced.calls().len();
        std::thread::sleep(window);
        let calls = traced.calls();
        (calls.len() - attached, calls[attached..].join("\n"))
    } else {
        let before = voluntary_switches(daemon.pid());
        std::thread::sleep(window);
        ((voluntary_switches(daemon.pid()) - before) as usize, "context switches".to_owned())
    };
    let after = daemon.metrics();
    assert_eq!(before.sum("store_requests_total"), after.sum("store_requests_total"));
    let transports = ["websocket", "sse", "ndjson"].map(|name| after.get(&format!("readers{{transport=\"{name}\"}}")));
    assert_eq!(transports, [7.0, 7.0, 6.0]);
    assert!(calls as u64 <= 10 * window.as_secs(), "{calls} in {window:?}:\n{what}");
    gate.open();
    for reader in &mut readers {
        assert_eq!(reader.until_end()["status"], "succeeded");
    }
    eventually(DEADLINE, "no reader is left", || daemon.metrics().sum("readers") == 0.0);
}

fn a_line_is_pushed_live_and_nothing_is_read_for_it(via: Via) {
    let daemon = Daemon::start();
    let mut feed = daemon.feed("lines");
    let run = daemon.sh(&format!("while read -r line; do echo \"$line\"; done < {}", feed.path()));
    let mut reader = Reader::open_by(via, &daemon, run, 0);
    feed.say("first\n");
    reader.until_stdout("first\n");
    settled(&daemon);
    let before = daemon.metrics().get("store_requests_total{kind=\"read\"}");
    let mut took: Vec<Duration> = (0..20)
        .map(|number| {
            let begun = Instant::now();
            feed.say(&format!("line {number}\n"));
            reader.until_stdout(&format!("line {number}\n"));
            begun.elapsed()
        })
        .collect();
    assert_eq!(daemon.metrics().get("store_requests_total{kind=\"read\"}"), before, "pushed, not read");
    took.sort();
    println!("from the test's write to its reader: median {:?}, longest {:?}", took[10], took[19]);
    assert!(took[10] < Duration::from_millis(500), "{took:?}");
    drop(feed);
    assert_eq!(reader.until_end()["exit_code"], 0);
}

#[test]
fn every_reader_gets_the_same_bytes() {
    let daemon = Daemon::start();
    let gate = daemon.gate("start");
    let run = daemon.sh(&format!("{}; seq 1 20000; seq 1 20000 >&2; head -c 100000 /dev/urandom", gate.wait()));
    let tcp = daemon.tcp_as("viewer");
    let mut readers = Via::ALL.map(|via| Reader::open_by(via, if via == Via::Sse { &tcp } else { &daemon }, run, 0));
    gate.open();
    let ends = std::thread::scope(|scope| {
        let reading = readers.each_mut().map(|reader| scope.spawn(|| reader.until_end()));
        reading.map(|reader| reader.join().unwrap())
    });
    let [one, others @ ..] = readers.map(Reader::disconnect);
    for other in others {
        assert_eq!(one.events, other.events);
        assert!(one.stdout == other.stdout && one.stderr == other.stderr, "other bytes by {:?}", other.via);
    }
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
    let events = daemon.events(run);
    let (stdout, stderr) = crate::common::output_of(&events);
    assert!(stdout == one.stdout && stderr == one.stderr, "a page has other bytes than a stream");
    let lines: String = (1..=20000).map(|number| format!("{number}\n")).collect();
    assert!(stderr == lines.as_bytes() && stdout.starts_with(lines.as_bytes()));
    assert_eq!(stdout.len(), lines.len() + 100_000);
    assert_eq!(daemon.run(run)["output_bytes"], 2 * lines.len() + 100_000);
}

fn every_object_of_a_stream_has_the_fields_that_were_promised(via: Via) {
    let daemon = Daemon::start();
    let gate = daemon.gate("start");
    let run = daemon.sh(&format!("{}; echo hello; exit 3", gate.wait()));
    let mut reader = Reader::open_by(via, &daemon, run, 0);
    assert_eq!(keys(&reader.hello), ["type", "run", "instance", "after", "first_seq", "last_seq", "status"]);
    let instance = reader.hello["instance"].as_str().unwrap().to_owned();
    assert_eq!(daemon.get("/v1/system").json()["instance"], *instance);
    assert!(instance.len() == 12 && instance.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
    let queued = reader.until_kind("queued");
    assert_eq!(keys(&queued), ["type", "id", "run", "seq", "at", "kind", "data"]);
    assert_eq!((&queued["type"], &queued["data"]["attempt"]), (&"event".into(), &json!(1)));
    reader.until_kind("started");
    gate.open();
    let output = reader.until_kind("output");
    assert_eq!(output["data"], json!({"stream": "stdout", "text": "hello\n"}));
    let finished = reader.until_kind("finished");
    let data = [
        "status",
        "reason",
        "exit_code",
        "signal",
        "error",
        "duration_ms",
        "name",
        "queue",
        "tags",
        "usage",
        "context",
    ];
    assert_eq!(keys(&finished["data"]), data);
    let Frame::End(end) = reader.next() else { panic!("no end") };
    let expected =
        json!({"type": "end", "run": run, "status": "failed", "reason": "exited", "exit_code": 3, "last_seq": 4});
    assert_eq!(end, expected);
    assert_eq!(reader.next(), Frame::Closed(1000));
    assert_eq!(daemon.events(run)[3], finished, "a page shows the same objects");
}

#[test]
fn the_subprotocol_is_answered_where_it_was_asked_for() {
    let daemon = Daemon::start();
    let run = daemon.sh("true");
    let ask = |protocols: Option<&str>| {
        let opening = Opening::new(&daemon, format!("/v1/runs/{run}/events"));
        let opening = match protocols {
            Some(protocols) => opening.header("Sec-WebSocket-Protocol", protocols),
            None => opening,
        };
        let (response, _, _) = opening.ask().unwrap();
        let response = response.expect(101);
        // The example of RFC 6455, section 1.3.
        assert_eq!(response.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        response.header("sec-websocket-protocol").map(str::to_owned)
    };
    assert_eq!(ask(Some("runabout.v1")).as_deref(), Some("runabout.v1"));
    assert_eq!(ask(Some("chat, runabout.v1")).as_deref(), Some("runabout.v1"));
    assert_eq!(ask(Some("chat")), None);
    assert_eq!(ask(None), None);
}

#[test]
fn an_upgrade_that_cannot_be_is_refused_before_it_is_one() {
    let daemon = Daemon::start();
    let run = daemon.sh("true");
    let path = format!("/v1/runs/{run}/events");
    let opening = || Opening::new(&daemon, path.clone());
    opening().without("Sec-WebSocket-Key").refused().expect_problem(400, "bad_request");
    opening().header("Sec-WebSocket-Key", "short").refused().expect_problem(400, "bad_request");
    for version in ["8", "12", "14", ""] {
        let refused = opening().header("Sec-WebSocket-Version", version).refused().expect(426);
        assert_eq!(refused.header("sec-websocket-version"), Some("13"));
    }
    opening().without("Sec-WebSocket-Version").refused().expect(426);
    let nowhere = Opening::new(&daemon, format!("/v1/runs/{}/events", run + 1));
    nowhere.refused().expect_problem(404, "run_not_found");
    let tcp = daemon.tcp();
    let refused = Opening::new(&tcp, path.clone()).refused().expect(401);
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    let foreign = Opening::new(&daemon, path.clone()).header("Origin", "http://evil.example");
    foreign.refused().expect_problem(403, "origin_not_allowed");
    eventually(DEADLINE, "none of them is a reader", || daemon.metrics().sum("readers") == 0.0);
}

#[test]
fn a_quiet_stream_has_a_heartbeat_after_fifteen_seconds_and_a_ping_after_twenty() {
    let daemon = Daemon::start();
    let (run, gate) = quiet(&daemon);
    let mut readers = Via::STREAMS.map(|via| Reader::open_by(via, &daemon, run, 0));
    readers.iter_mut().for_each(|reader| reader.until_stdout("ready\n"));
    let begun = Instant::now();
    for reader in &mut readers {
        let heartbeat = reader.until("a heartbeat", |frame| !matches!(frame, Frame::CaughtUp(_)));
        let waited = begun.elapsed();
        assert_eq!(heartbeat, Frame::Heartbeat(json!({"type": "heartbeat", "last_seq": 3})));
        assert!(waited > Duration::from_secs(14) && waited < Duration::from_secs(18), "{waited:?}");
    }
    // The ping wakes no reader of objects: look for it until it has come.
    while readers[0].pings() == 0 {
        assert_eq!(readers[0].next_within(Duration::from_millis(100)), None);
        assert!(begun.elapsed() < Duration::from_secs(28), "no ping");
    }
    gate.open();
    for reader in &mut readers {
        assert_eq!(reader.until_end()["status"], "succeeded");
    }
}

#[test]
fn what_a_client_says_is_ignored_and_its_pings_are_answered() {
    let daemon = Daemon::start();
    let (run, gate) = quiet(&daemon);
    let mut reader = Reader::open(&daemon, run, 0);
    reader.until_stdout("ready\n");
    reader.say(Message::text("cancel!"));
    reader.say(Message::binary(vec![0; 60_000]));
    reader.say(Message::Ping("are you there".into()));
    while reader.pongs().is_empty() {
        assert!(matches!(reader.next_within(Duration::from_millis(20)), None | Some(Frame::CaughtUp(_))));
    }
    assert_eq!(reader.pongs(), [b"are you there"]);
    gate.open();
    assert_eq!(reader.until_end()["status"], "succeeded");
}

fn a_deleted_run_is_gone_for_those_who_come_and_for_those_who_lag(via: Via) {
    let daemon = Daemon::start();
    // More than the kernel holds for a reader that takes nothing.
    let run = daemon.sh("seq 1 500000");
    let mut stalled = Reader::open_by(via, &daemon, run, 0);
    assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
    daemon.delete(&format!("/v1/runs/{run}")).expect(204);
    let path = format!("/v1/runs/{run}/events");
    Opening::new(&daemon, path.clone()).refused().expect_problem(410, "run_pruned");
    daemon.get(&path).expect_problem(410, "run_pruned");
    assert_eq!(stalled.until_closed(), via.closed(4410));
}

fn a_revoked_session_loses_its_streams_within_a_second(via: Via) {
    let daemon = Daemon::start();
    let (run, _gate) = quiet(&daemon);
    let viewer = daemon.tcp_as("viewer");
    let other = daemon.tcp_as("viewer");
    let session = viewer.get("/v1/session").expect(200).json()["id"].as_i64().unwrap();
    let mut readers = [Reader::open_by(via, &viewer, run, 0), Reader::open_by(via, &viewer, run, 0)];
    let mut untouched = Reader::open_by(via, &other, run, 0);
    readers.iter_mut().chain([&mut untouched]).for_each(|reader| reader.until_stdout("ready\n"));
    let begun = Instant::now();
    daemon.delete(&format!("/v1/sessions/{session}")).expect(204);
    for reader in &mut readers {
        assert_eq!(reader.until_closed(), via.closed(4401));
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    viewer.get("/v1/session").expect(401);
    Opening::new(&viewer, format!("/v1/runs/{run}/events")).refused().expect(401);
    eventually(DEADLINE, "their places are given back", || daemon.metrics().sum("readers") == 1.0);
    other.delete("/v1/session").expect(204);
    assert_eq!(untouched.until_closed(), via.closed(4401), "logged out");
}

fn a_session_that_expires_loses_its_streams(via: Via) {
    let daemon = Daemon::start();
    let (run, _gate) = quiet(&daemon);
    let token = daemon.post("/v1/enrollment-tokens", &json!({"role": "viewer", "session_ttl_s": 2})).expect(201).json();
    let session = daemon.post("/v1/enroll", &json!({"token": token["token"]})).expect(201).json();
    let viewer = daemon.tcp().with_token(session["session_token"].as_str().unwrap());
    let mut reader = Reader::open_by(via, &viewer, run, 0);
    assert_eq!(reader.until_closed(), via.closed(4401));
}

fn a_revoked_session_loses_also_a_stream_that_takes_nothing(via: Via) {
    let daemon = Daemon::start();
    let run = daemon.sh("seq 1 3000000; exec sleep 600");
    let viewer = daemon.tcp_as("viewer");
    let session = viewer.get("/v1/session").expect(200).json()["id"].as_i64().unwrap();
    let mut stalled = Reader::open_by(via, &viewer, run, 0);
    let mut fast = Reader::open_by(via, &daemon, run, 0);
    fast.until_stdout("\n3000000\n");
    assert_eq!(daemon.metrics().sum("readers"), 2.0);
    let begun = Instant::now();
    daemon.delete(&format!("/v1/sessions/{session}")).expect(204);
    eventually(DEADLINE, "the stalled reader is gone", || daemon.metrics().sum("readers") == 1.0);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    // What the kernel held is read, then the connection breaks: no close can be put behind it.
    assert!(matches!(stalled.until_closed(), None | Some(4401)));
    assert!(stalled.told.cursor < fast.told.cursor);
}
