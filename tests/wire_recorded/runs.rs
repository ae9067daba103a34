//! `/v1/runs` and what stands below a run, and the queues that they wait in.

use serde_json::json;

use crate::common::{Call, Client, DEADLINE, Daemon, Tape, eventually, newest};

fn json(client: &Client, method: &str, path: &str, body: &serde_json::Value) -> Call {
    client.call(method, path).json(body)
}

#[test]
fn submits() {
    let daemon = Daemon::start();
    let mut tape = Tape::new("submits", &daemon);
    daemon.put("/v1/queues/held", &json!({"paused": true})).expect(201);
    let submit = |body: &serde_json::Value| json(&daemon, "POST", "/v1/runs", body);
    let script =
        |query: &str, body: &[u8]| daemon.call("POST", &format!("/v1/runs{query}")).body("text/x-shellscript", body);
    let held = json!({"script": "true", "queue": "held"});
    tape.ask("a script", submit(&held));
    let full = json!({
        "command": ["printf", "%s", "a \"b\" ü\u{7f}\u{2028}"], "name": "all of it", "queue": "held", "priority": -7,
        "tags": ["a", "b", "a"], "cwd": "/", "env": {"K": "V", "A": ""}, "stdin": "text\n", "timeout_s": 60,
        "not_before": "2100-01-01T00:00:00+01:00", "on_interrupt": "requeue", "keep": true,
    });
    tape.ask("with every field", submit(&full));
    tape.ask("a delay", submit(&json!({"script": "true", "queue": "held", "delay_s": 3600.0, "name": null})));
    tape.ask("the number alone", submit(&held).header("Accept", "text/plain"));
    tape.ask("the script as the body", script("?queue=held&tag=x&tag=y&priority=3&cwd=/tmp&name=n", b"exit 3"));
    let keyed = |body: &serde_json::Value| submit(body).header("Idempotency-Key", "k-1");
    tape.ask("under a key", keyed(&held));
    tape.ask("under a key again", keyed(&held));
    tape.ask("another body under the key", keyed(&json!({"script": "false"})));
    for (what, call) in [
        ("nothing in it", submit(&json!({}))),
        ("no object", submit(&json!([1]))),
        (
            "everything wrong at once",
            submit(&json!({
                "command": [], "script": " ", "queue": "None", "priority": 1001, "tags": [1, ""], "cwd": "x", "stdin": 1,
                "env": {"A=": "x", "B": 1}, "timeout_s": 0, "delay_s": 1, "not_before": "soon", "on_interrupt": "x",
                "keep": "yes", "other": {},
            })),
        ),
        ("a queue that is none", submit(&json!({"script": "true", "queue": "none"}))),
        ("a queue that is none, and more", submit(&json!({"script": "true", "queue": "none", "keep": 1}))),
        ("not UTF-8", script("", b"\xff")),
        ("an unknown parameter", script("?nonsense=1&priority=x", b"true")),
        ("a key of blanks", submit(&held).header("Idempotency-Key", "a b")),
        ("two keys", keyed(&held).header("Idempotency-Key", "other")),
    ] {
        tape.ask(what, call);
    }
    tape.check();
}

#[test]
fn reads_of_runs() {
    let daemon = Daemon::start();
    let mut tape = Tape::new("reads_of_runs", &daemon);
    daemon.put("/v1/queues/held", &json!({"paused": true})).expect(201);
    tape.ask("no run yet", daemon.call("GET", "/v1/runs"));
    for script in ["echo out; exit 3", "kill -9 $$", "true"] {
        let run = daemon.submit(&json!({"script": script, "name": "done", "tags": ["t"]}));
        daemon.wait_ended(run);
    }
    let missing = daemon.submit(&json!({"command": ["/nonexistent", "x"], "cwd": "/"}));
    daemon.wait_ended(missing);
    let late = daemon.submit(&json!({"script": "sleep 60", "timeout_s": 1, "stdin": "x", "env": {"K": "V"}}));
    daemon.wait_ended(late);
    let gate = daemon.gate("gate");
    let running = daemon.submit(&json!({"script": gate.wait(), "keep": true}));
    daemon.wait_running(running);
    let path = format!("/v1/runs/{running}/events");
    daemon.post(&path, &json!({"kind": "progress", "data": {"percent": 1.50, "z": null, "a": "ü"}})).expect(201);
    let held =
        daemon.submit(&json!({"command": ["x".repeat(5_000)], "queue": "held", "not_before": "2100-01-01T00:00:00Z"}));
    for run in 1..=held {
        tape.ask("a run", daemon.call("GET", &format!("/v1/runs/{run}")));
        tape.ask("its exit code", daemon.call("GET", &format!("/v1/runs/{run}/exit_code")));
    }
    tape.ask("one that has ended is not waited for", daemon.call("GET", "/v1/runs/1?wait_s=300"));
    tape.ask("one that does not end", daemon.call("GET", &format!("/v1/runs/{held}?wait_s=1")));
    tape.ask("all", daemon.call("GET", "/v1/runs"));
    tape.ask("some", daemon.call("GET", "/v1/runs?status=failed,succeeded&tag=t&name=done&limit=2&queue=default"));
    tape.ask("the next", daemon.call("GET", "/v1/runs?status=failed&status=succeeded&limit=2&before=2"));
    tape.ask("the head alone", daemon.call("HEAD", "/v1/runs?limit=1"));
    tape.ask("found", daemon.call("GET", "/v1/runs?q=DONE&exit=3,4&since=2000-01-01T00:00:00Z&limit=1"));
    tape.ask("lines of output", daemon.call("GET", "/v1/search?text=OUT&name=done"));
    daemon.delete("/v1/runs/1").expect(204);
    for path in [
        "/v1/runs?status=none&limit=0&before=x&tag=&queue=A&name=%07&x=1",
        "/v1/runs?limit=501",
        "/v1/runs?q=&since=yesterday&until=1&exit=256&name=%ff",
        "/v1/search",
        "/v1/search?text=%01&run=0&before=1.x&limit=501&x=1",
        "/v1/runs/1",
        "/v1/runs/1/exit_code",
        "/v1/runs/1/log",
        "/v1/runs/1/artifacts",
        "/v1/runs/2/artifacts/none",
        "/v1/runs/4242",
        "/v1/runs/4242/exit_code",
        "/v1/runs/0",
        "/v1/runs/x",
        "/v1/runs/2?wait_s=301",
        "/v1/runs/2/exit_code?x=1",
    ] {
        tape.ask("refused", daemon.call("GET", path));
    }
    gate.open();
    daemon.wait_ended(running);
    let left = daemon.submit(&json!({"script": "echo 1 > $RUNABOUT_ARTIFACTS/n"}));
    daemon.wait_ended(left);
    tape.ask("what it left", daemon.call("GET", &format!("/v1/runs/{left}/artifacts")));
    tape.ask("a file of it", daemon.call("GET", &format!("/v1/runs/{left}/artifacts/n")));
    tape.ask("none", daemon.call("GET", &format!("/v1/runs/{left}/artifacts/none")));
    tape.check();
}

#[test]
fn changes_of_runs() {
    let daemon = Daemon::start();
    let mut tape = Tape::new("changes_of_runs", &daemon);
    daemon.put("/v1/queues/held", &json!({"paused": true})).expect(201);
    let held = |body: serde_json::Value| {
        let mut run = json!({"script": "true", "queue": "held"});
        run.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        format!("/v1/runs/{}", daemon.submit(&run))
    };
    let queued = held(json!({"name": "n"}));
    let whole = json!({
        "name": null, "tags": ["x"], "keep": true, "queue": "held", "priority": 1, "timeout_s": null,
        "not_before": "2100-01-01T00:00:00Z",
    });
    tape.ask("everything", json(&daemon, "PATCH", &queued, &whole));
    tape.ask("nothing", json(&daemon, "PATCH", &queued, &json!({})));
    tape.ask("what is no field", json(&daemon, "PATCH", &queued, &json!({"tags": null, "x": 1, "priority": "1"})));
    tape.ask("no such queue", json(&daemon, "PATCH", &queued, &json!({"queue": "none"})));
    tape.ask("a query", json(&daemon, "PATCH", &format!("{queued}?x=1"), &json!({})));
    tape.ask("what happened to it", daemon.call("GET", &format!("{queued}/events")));

    tape.ask("cancel, queued", json(&daemon, "POST", &format!("{queued}/cancel"), &json!({"reason": "why not"})));
    tape.ask("cancel again", daemon.call("POST", &format!("{queued}/cancel")));
    tape.ask("its events", daemon.call("GET", &format!("{queued}/events")));
    let running = daemon.sh("trap 'exit 4' TERM; echo ready; sleep 60 >&- 2>&- & wait");
    let of = |rest: &str| format!("/v1/runs/{running}{rest}");
    eventually(DEADLINE, "its trap is set", || daemon.run(running)["last_seq"] == 3);
    daemon.wait_running(running);
    for (method, rest) in [("GET", ""), ("GET", "/exit_code"), ("POST", "/retry"), ("DELETE", "")] {
        tape.ask("while it runs", daemon.call(method, &of(rest)));
    }
    tape.ask("only while it is queued", json(&daemon, "PATCH", &of(""), &json!({"priority": 1})));
    tape.ask("a name while it runs", json(&daemon, "PATCH", &of(""), &json!({"name": "other", "keep": true})));
    tape.ask("cancel, running", json(&daemon, "POST", &of("/cancel"), &json!({"reason": "ü"})));
    daemon.wait_ended(running);
    tape.ask("cancel, ended", json(&daemon, "POST", &of("/cancel"), &json!({})));
    tape.ask("its events", daemon.call("GET", &of("/events")));
    tape.ask("a reason that is too long", json(&daemon, "POST", &of("/cancel"), &json!({"reason": "x".repeat(1_001)})));
    tape.ask("a name when it has ended", json(&daemon, "PATCH", &of(""), &json!({"name": null})));
    tape.ask("a priority when it has ended", json(&daemon, "PATCH", &of(""), &json!({"priority": 1})));

    tape.ask("retry", daemon.call("POST", &of("/retry")));
    tape.ask("retry with something", json(&daemon, "POST", &of("/retry"), &json!({"x": 1})));
    (0..2).for_each(|_| _ = held(json!({})));
    for query in ["queue=held&dry_run=true", "queue=held", "status=failed&x=1", "", "all=false"] {
        tape.ask(
            "cancel all of them",
            json(&daemon, "POST", &format!("/v1/runs/cancel?{query}"), &json!({"reason": "r"})),
        );
    }
    for query in ["status=canceled&queue=held", "status=canceled&queue=held", "status=queued", ""] {
        tape.ask("retry all of them", daemon.call("POST", &format!("/v1/runs/retry?{query}")));
    }
    tape.ask("delete", daemon.call("DELETE", &of("")));
    tape.ask("delete with a query", daemon.call("DELETE", &of("?x=1")));
    for gone in [running, 4_242] {
        let of = |rest: &str| format!("/v1/runs/{gone}{rest}");
        for (method, rest) in [("DELETE", ""), ("POST", "/cancel"), ("POST", "/retry"), ("GET", "/events")] {
            tape.ask("gone", daemon.call(method, &of(rest)));
        }
        tape.ask("gone", json(&daemon, "PATCH", &of(""), &json!({"keep": true})));
        tape.ask("gone", json(&daemon, "POST", &of("/events"), &json!({"kind": "message"})));
    }
    tape.check();
}

#[test]
fn input() {
    let daemon = Daemon::start();
    let mut tape = Tape::new("input", &daemon);
    let submit =
        json!({"script": "stty -echo; echo up; read line; echo $line", "stdin": "open", "pty": {"columns": 132}});
    tape.ask("a terminal", json(&daemon, "POST", "/v1/runs", &submit));
    let run = newest(&daemon)["id"].as_i64().unwrap();
    eventually(DEADLINE, "it is up", || daemon.run(run)["last_seq"] == 3);
    let of = |rest: &str| format!("/v1/runs/{run}{rest}");
    tape.ask("another size", json(&daemon, "POST", &of("/resize"), &json!({"columns": 100, "rows": 30})));
    tape.ask("no size", json(&daemon, "POST", &of("/resize"), &json!({"columns": 0})));
    let send = |query: &str, bytes: &[u8]| {
        daemon.call("POST", &of(&format!("/stdin{query}"))).body("application/octet-stream", bytes)
    };
    tape.ask("somebody writes", send("?writer=a&nth=1", b"wo"));
    tape.ask("somebody else does not", send("?writer=b&nth=1", b"x"));
    tape.ask("what is no writer", send("?writer=&nth=0&take=perhaps&end=1&x=1", b""));
    tape.ask("anybody", send("", b"rd\n"));
    daemon.wait_ended(run);
    tape.ask("too late", send("", b"x"));
    tape.ask("its events", daemon.call("GET", &of("/events")));
    tape.check();
}

#[test]
fn queues() {
    let daemon = Daemon::start();
    let mut tape = Tape::new("queues", &daemon);
    let put = |name: &str, body: serde_json::Value| json(&daemon, "PUT", &format!("/v1/queues/{name}"), &body);
    tape.ask("the first", daemon.call("GET", "/v1/queues"));
    tape.ask("make", put("a", json!({})));
    tape.ask("make with everything", put("b-2_x", json!({"slots": 1_024, "paused": true})));
    tape.ask("change", put("b-2_x", json!({"slots": 3})));
    for (at, body) in [("a", json!({"slots": 0, "paused": "no", "x": 1})), ("None", json!({})), ("a?x=1", json!({}))] {
        tape.ask("refused", put(at, body));
    }
    daemon.submit(&json!({"script": "true", "queue": "b-2_x"}));
    daemon.submit(&json!({"script": "true", "queue": "b-2_x", "delay_s": 3_600}));
    tape.ask("one", daemon.call("GET", "/v1/queues/b-2_x"));
    tape.ask("all", daemon.call("GET", "/v1/queues"));
    tape.ask("none", daemon.call("GET", "/v1/queues/none"));
    for name in ["b-2_x", "default", "none", "a?x=1", "a"] {
        tape.ask("delete", daemon.call("DELETE", &format!("/v1/queues/{name}")));
    }
    tape.check();
}
