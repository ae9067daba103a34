//! Streams: WebSocket, SSE, NDJSON and the raw log, of one run and of all, live and stored, to each of their ends.

use rusqlite::Connection;
use serde_json::json;

use crate::common::{Call, Client, DEADLINE, Daemon, Tape, eventually};

/// The ways to stream, each as it is asked for.
const FORMS: [&str; 3] = ["websocket", "text/event-stream", "application/x-ndjson"];

fn stream(client: &Client, form: &str, path: &str) -> Call {
    if form != "websocket" {
        return client.call("GET", path).header("Accept", form);
    }
    let call = client.call("GET", path).header("Connection", "Upgrade").header("Upgrade", "websocket");
    call.header("Sec-WebSocket-Version", "13").header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
}

/// The same, so that it stays when it has caught up.
fn live(client: &Client, form: &str, path: &str) -> Call {
    let follow = if form == "application/x-ndjson" { "follow=true&" } else { "" };
    stream(client, form, &path.replace('?', &format!("?{follow}")))
}

/// Waits until an event of a run is there.
#[track_caller]
fn until(daemon: &Daemon, run: i64, seq: i64) {
    eventually(DEADLINE, "the event is there", || daemon.run(run)["last_seq"] == seq);
}

#[test]
fn streams_of_a_run() {
    let daemon = Daemon::start();
    let mut tape = Tape::new("streams_of_a_run", &daemon);
    let (first, second) = (daemon.gate("first"), daemon.gate("second"));
    let script = format!("echo out; {}; printf '\\377 err\\n' >&2; {}; exit 3", first.wait(), second.wait());
    let run = daemon.submit(&json!({"script": script, "name": "n", "tags": ["t"]}));
    daemon.wait_running(run);
    until(&daemon, run, 3);
    let path = format!("/v1/runs/{run}/events?after=");
    let log = format!("/v1/runs/{run}/log");

    let mut open = Vec::new();
    for form in FORMS {
        for after in ["0", "2", "latest", "-1"] {
            let mut stream = tape.open(&format!("live, {form}"), live(&daemon, form, &format!("{path}{after}")));
            stream.until("\"caught_up\"");
            open.push(stream);
        }
    }
    for query in ["?follow=true", "?follow=true&stream=stderr", "?follow=true&tail=1"] {
        let mut stream = tape.open("live, the log", daemon.call("GET", &format!("{log}{query}")));
        stream.until("\r\n\r\n");
        open.push(stream);
    }
    tape.ask("lines that do not stay", stream(&daemon, "application/x-ndjson", &format!("{path}0")));
    tape.ask("the log so far", daemon.call("GET", &log));
    first.open();
    until(&daemon, run, 4);
    daemon.post(&format!("/v1/runs/{run}/events"), &json!({"kind": "message", "data": {"b": 1, "a": 2}})).expect(201);
    daemon.patch(&format!("/v1/runs/{run}"), &json!({"tags": []})).expect(200);
    second.open();
    for mut stream in open {
        stream.until_closed();
        tape.close(stream);
    }
    stored(&mut tape, &daemon, run);
    tape.check();
}

/// The streams of a run that has ended.
fn stored(tape: &mut Tape, daemon: &Daemon, run: i64) {
    let instance = daemon.get("/v1/system").json()["instance"].as_str().unwrap().to_owned();
    let path = format!("/v1/runs/{run}/events");
    for form in FORMS {
        for after in ["0", "latest", "-2", &format!("{instance}-4")] {
            tape.ask(&format!("stored, {form}"), live(daemon, form, &format!("{path}?after={after}")));
        }
        for after in ["99", "aaaaaaaaaaaa-1", "x"] {
            tape.ask(&format!("refused, {form}"), live(daemon, form, &format!("{path}?after={after}")));
        }
        for path in ["/v1/runs/4242/events?", "/v1/runs/1/events?limit=1&"] {
            tape.ask(&format!("refused, {form}"), live(daemon, form, path));
        }
    }
    let sse = |last: &str| stream(daemon, "text/event-stream", &path).header("Last-Event-ID", last);
    tape.ask("a browser that comes back", sse(&format!("{instance}-5")));
    tape.ask("a browser that comes back behind the end", sse(&format!("{instance}-7")));
    tape.ask("a browser that comes back from elsewhere", sse("aaaaaaaaaaaa-1"));
    tape.ask("a browser that says nonsense", sse("nonsense"));
    tape.ask("live, or not?", stream(daemon, "text/event-stream", &format!("{path}?follow=false")));
    tape.ask("the head of a stream", daemon.call("HEAD", &path).header("Accept", "text/event-stream"));
    tape.ask("the end alone", stream(daemon, "application/x-ndjson", &format!("{path}?after=latest&follow=false")));

    let websocket = || stream(daemon, "websocket", &path);
    tape.ask("with its subprotocol", websocket().header("Sec-WebSocket-Protocol", "x, runabout.v1"));
    tape.ask("with another subprotocol", websocket().header("Sec-WebSocket-Protocol", "x"));
    tape.ask("without a key", websocket().without("Sec-WebSocket-Key"));
    tape.ask("with a key that is none", websocket().without("Sec-WebSocket-Key").header("Sec-WebSocket-Key", "x"));
    let old = websocket().without("Sec-WebSocket-Version");
    tape.ask("of another version", old.header("Sec-WebSocket-Version", "12"));
    tape.ask("not live", stream(daemon, "websocket", &format!("{path}?follow=false")));
    tape.ask("of another page", websocket().header("Origin", "https://evil.example"));

    let log = format!("/v1/runs/{run}/log");
    for query in ["", "?stream=stdout", "?stream=stderr&follow=true", "?tail=1", "?tail=0", "?tail=9&stream=stdout"] {
        tape.ask("the log", daemon.call("GET", &format!("{log}{query}")));
    }
    tape.ask("the head of the log", daemon.call("HEAD", &log));
    for query in ["?stream=x&tail=-1&follow=2&x=1", "?tail=1&tail=2"] {
        tape.ask("the log, refused", daemon.call("GET", &format!("{log}{query}")));
    }
    for form in ["text/event-stream", "application/x-ndjson"] {
        let queue = form.split('/').next().unwrap();
        daemon.put(&format!("/v1/queues/{queue}"), &json!({"paused": true})).expect(201);
        let run = json!({"script": "echo x", "queue": queue});
        let submit = || daemon.call("POST", "/v1/runs?follow=true").json(&run).header("Accept", form);
        let mut open = tape.open("followed from its submit", submit().header("Idempotency-Key", queue));
        open.until("\"caught_up\"");
        daemon.put(&format!("/v1/queues/{queue}"), &json!({"paused": false})).expect(200);
        open.until_closed();
        tape.close(open);
        tape.ask("and once more", submit().header("Idempotency-Key", queue));
    }
}

#[test]
fn streams_of_all_runs() {
    let daemon = Daemon::start();
    let mut tape = Tape::new("streams_of_all_runs", &daemon);
    let gone = daemon.sh("true");
    daemon.wait_ended(gone);
    daemon.delete(&format!("/v1/runs/{gone}")).expect(204);
    let gate = daemon.gate("gate");
    let run = daemon.submit(&json!({"script": format!("echo out; {}; echo more", gate.wait()), "name": "n"}));
    daemon.wait_running(run);
    until(&daemon, run, 3);
    let mut open = Vec::new();
    for form in FORMS {
        for query in ["after=0", "after=3", "after=latest", "after=0&kinds=output,finished", "after=-1&runs=2"] {
            let mut stream = tape.open(&format!("live, {form}"), live(&daemon, form, &format!("/v1/events?{query}")));
            stream.until("\"caught_up\"");
            open.push(stream);
        }
        for query in ["after=0&queue=none", "after=0&runs=4242", "after=99", "after=aaaaaaaaaaaa-1", "limit=1&kinds=x"]
        {
            let call = live(&daemon, form, &format!("/v1/events?{query}"));
            if query.contains("queue=none") {
                let mut stream = tape.open(&format!("nothing, {form}"), call);
                stream.until("\"caught_up\"");
                tape.close(stream);
            } else {
                tape.ask(&format!("refused, {form}"), call);
            }
        }
    }
    tape.ask("lines that do not stay", stream(&daemon, "application/x-ndjson", "/v1/events?after=0"));
    let instance = daemon.get("/v1/system").json()["instance"].as_str().unwrap().to_owned();
    let back = stream(&daemon, "text/event-stream", "/v1/events").header("Last-Event-ID", &format!("{instance}-5"));
    let mut back = tape.open("a browser that comes back", back);
    back.until("\"caught_up\"");
    open.push(back);
    tape.ask("the head of a stream", daemon.call("HEAD", "/v1/events").header("Accept", "application/x-ndjson"));
    gate.open();
    for mut stream in open {
        stream.until("\"finished\"");
        tape.close(stream);
    }
    tape.check();
}

#[test]
fn events_that_are_gone() {
    let mut daemon = Daemon::start();
    let run = daemon.submit(&json!({"script": "echo out", "queue": "default"}));
    daemon.wait_ended(run);
    let other = daemon.sh("echo 1; echo 2 >&2; exit 1");
    daemon.wait_ended(other);
    daemon.stop();
    let database = Connection::open(daemon.state_dir().join("runabout.db")).unwrap();
    for table in ["events", "output"] {
        let gone = format!("DELETE FROM {table} WHERE run = ?1 AND seq IN (1, 3)");
        assert_eq!(database.execute(&gone, [run]).unwrap(), 1);
    }
    drop(database);
    daemon.start_again();
    let mut tape = Tape::new("events_that_are_gone", &daemon);
    let path = format!("/v1/runs/{run}/events?after=");
    for after in [0, 1, 2, 3] {
        for form in FORMS {
            tape.ask(&format!("a gap, {form}"), live(&daemon, form, &format!("{path}{after}")));
        }
        tape.ask("a gap in a page", daemon.call("GET", &format!("{path}{after}")));
    }
    tape.ask("a gap in the log", daemon.call("GET", &format!("/v1/runs/{run}/log")));
    tape.ask("a gap in the log's end", daemon.call("GET", &format!("/v1/runs/{run}/log?tail=1")));
    tape.check();
}

#[test]
fn output_beyond_its_quota() {
    let daemon = Daemon::with_config("[limits]\noutput_bytes_per_run = 65536\n");
    let mut tape = Tape::new("output_beyond_its_quota", &daemon);
    let mut feed = daemon.feed("feed");
    let run = daemon.sh(&format!("while read -r _; do printf '%016383d\\n' 0; done < {}", feed.path()));
    daemon.wait_running(run);
    // A piece an event: each is waited for, so that none joins another.
    for nth in 1..=8 {
        feed.say("go\n");
        until(&daemon, run, 2 + nth);
    }
    drop(feed);
    daemon.wait_ended(run);
    let shortened = |body: &str| body.replace(&"0".repeat(16_383), "<zeros>");
    for form in FORMS {
        let mut open =
            tape.open(&format!("a quota, {form}"), live(&daemon, form, &format!("/v1/runs/{run}/events?after=0")));
        open.until_closed();
        tape.close_as(open, shortened);
    }
    for rest in ["/events", "/log", "/log?tail=1"] {
        let mut open = tape.open("a quota", daemon.call("GET", &format!("/v1/runs/{run}{rest}")));
        open.until_closed();
        tape.close_as(open, shortened);
    }
    tape.check();
}

#[test]
fn streams_that_are_closed() {
    let mut daemon = Daemon::start();
    let mut tape = Tape::new("streams_that_are_closed", &daemon);
    daemon.put("/v1/queues/held", &json!({"paused": true})).expect(201);
    let held = || daemon.submit(&json!({"script": "true", "queue": "held"}));
    let (revoked, left) = (held(), held());
    let session = daemon.tcp_as("viewer");
    let paths = |run: i64| [format!("/v1/runs/{run}/events?after=0"), "/v1/events?after=0".to_owned()];
    let of = |what: &str, client: &Client, path: &str, tape: &mut Tape| {
        let open = FORMS.map(|form| {
            let mut stream = tape.open(&format!("{what}, {form}"), live(client, form, path));
            stream.until("\"caught_up\"");
            stream
        });
        open.into_iter().collect::<Vec<_>>()
    };
    let mut open: Vec<_> = paths(revoked).iter().flat_map(|path| of("revoked", &session, path, &mut tape)).collect();
    let mut log = tape.open("revoked, the log", session.call("GET", &format!("/v1/runs/{revoked}/log?follow=true")));
    log.until("\r\n\r\n");
    open.push(log);
    let id = session.get("/v1/session").json()["id"].clone();
    daemon.delete(&format!("/v1/sessions/{id}")).expect(204);
    for mut stream in open {
        stream.until_closed();
        tape.close(stream);
    }

    let client = Client::clone(&daemon);
    let open: Vec<_> = paths(left).iter().flat_map(|path| of("stopped", &client, path, &mut tape)).collect();
    let mut log = tape.open("stopped, the log", client.call("GET", &format!("/v1/runs/{left}/log?follow=true")));
    log.until("\r\n\r\n");
    let gate = daemon.gate("gate");
    let runs = daemon.sh(&gate.wait());
    daemon.wait_running(runs);
    let running = of("interrupted", &client, &paths(runs)[0], &mut tape);
    daemon.stop();
    for mut stream in open.into_iter().chain([log]).chain(running) {
        stream.until_closed();
        tape.close(stream);
    }
    tape.check();
}

#[test]
fn streams_with_nothing_to_say() {
    let daemon = Daemon::start();
    let mut tape = Tape::new("streams_with_nothing_to_say", &daemon);
    daemon.put("/v1/queues/held", &json!({"paused": true})).expect(201);
    let run = daemon.submit(&json!({"script": "true", "queue": "held"}));
    let mut open = Vec::new();
    for form in FORMS {
        for path in [format!("/v1/runs/{run}/events?after=0"), "/v1/events?after=0&queue=held".to_owned()] {
            let mut stream = tape.open(&format!("a heartbeat, {form}"), live(&daemon, form, &path));
            stream.until("\"caught_up\"");
            open.push((stream, "\"heartbeat\""));
        }
        let mut stream = tape.open(&format!("a cursor, {form}"), live(&daemon, form, "/v1/events?after=0&queue=none"));
        stream.until("\"caught_up\"");
        open.push((stream, "\"cursor\""));
    }
    daemon.submit(&json!({"script": "true", "queue": "held"}));
    for (mut stream, what) in open {
        stream.until(what);
        tape.close(stream);
    }
    tape.check();
}
