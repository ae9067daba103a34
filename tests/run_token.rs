//! What a run's command is given to report with: it appends to its own run, does nothing else, ends with its attempt, and
//! is written down nowhere.

use serde_json::{Value, json};

use crate::common::{Client, DEADLINE, Daemon, Gate, Opening, binary, eventually, output_of};

/// A run that wrote its token into a file and waits at a gate.
struct Waiting {
    run: i64,
    token: String,
    gate: Gate,
}

fn waiting(daemon: &Daemon, name: &str) -> Waiting {
    let (gate, file) = (daemon.gate(name), daemon.dir().join(format!("{name}.token")));
    let path = file.display();
    let script = format!("printf %s \"$RUNABOUT_RUN_TOKEN\" >{path}.new; mv {path}.new {path}; {}", gate.wait());
    let run = daemon.sh(&script);
    eventually(DEADLINE, "the token is there", || file.exists());
    Waiting { run, token: std::fs::read_to_string(file).unwrap(), gate }
}

fn events_of(run: i64) -> String {
    format!("/v1/runs/{run}/events")
}

fn progress() -> Value {
    json!({"kind": "progress", "data": {"percent": 1}})
}

#[test]
fn it_appends_to_its_own_run_and_nothing_else() {
    let daemon = Daemon::with_config("[runs]\nkill_grace_s = 1\n");
    daemon.put("/v1/queues/default", &json!({"slots": 4})).expect(200);
    let (own, other) = (waiting(&daemon, "own"), waiting(&daemon, "other"));
    assert!(own.token.starts_with("rbr_") && own.token.len() == 44 && own.token != other.token);
    for client in [daemon.tcp().with_token(&own.token), daemon.with_token(&own.token)] {
        client.post(&events_of(own.run), &progress()).expect(201);
        client.post(&events_of(other.run), &progress()).expect_problem(403, "forbidden");
        client.post(&events_of(999), &progress()).expect_problem(403, "forbidden");
        let run = format!("/v1/runs/{}", own.run);
        for (method, path) in [
            ("GET", "/v1/runs"),
            ("POST", "/v1/runs"),
            ("GET", &run),
            ("PATCH", &run),
            ("DELETE", &run),
            ("GET", &events_of(own.run)),
            ("GET", &format!("{run}/exit_code")),
            ("POST", &format!("{run}/cancel")),
            ("POST", &format!("{run}/retry")),
            ("GET", "/v1/queues"),
            ("PUT", "/v1/queues/new"),
            ("GET", "/v1/sessions"),
            ("GET", "/v1/session"),
            ("DELETE", "/v1/session"),
            ("POST", "/v1/enrollment-tokens"),
            ("POST", "/v1/maintenance"),
            ("GET", "/v1/system"),
            ("GET", "/metrics"),
        ] {
            client.call(method, path).json(&json!({})).send().expect_problem(403, "forbidden");
        }
        Opening::new(&client, events_of(own.run)).refused().expect_problem(403, "forbidden");
        // A session's place it does not take: not as a cookie, not for a stranger's run.
        let cookie =
            format!("runabout_{}={}", daemon.get("/v1/system").json()["instance"].as_str().unwrap(), own.token);
        let as_cookie = daemon.tcp().call("POST", &events_of(own.run)).header("Cookie", &cookie);
        as_cookie.json(&progress()).send().expect_problem(401, "unauthorized");
    }
    let kinds = daemon.kinds(own.run);
    assert_eq!(kinds.iter().filter(|kind| *kind == "progress").count(), 2, "{kinds:?}");
    own.gate.open();
    other.gate.open();
}

#[test]
fn it_ends_with_its_attempt_and_with_its_daemon() {
    let mut daemon = Daemon::start();
    let ended = waiting(&daemon, "ended");
    ended.gate.open();
    daemon.wait_ended(ended.run);
    let is_dead = |client: &Client, run: i64| {
        client.post(&events_of(run), &progress()).expect_problem(401, "unauthorized");
    };
    is_dead(&daemon.tcp().with_token(&ended.token), ended.run);
    is_dead(&daemon.with_token(&ended.token), ended.run);
    let left = waiting(&daemon, "left");
    daemon.kill9();
    daemon.start_again();
    is_dead(&daemon.with_token(&left.token), left.run);
    is_dead(&daemon.tcp().with_token(&left.token), left.run);
}

#[test]
fn it_is_written_down_nowhere() {
    let mut daemon = Daemon::builder().arg("--log").arg("trace").start();
    let run = waiting(&daemon, "run");
    daemon.tcp().with_token(&run.token).post(&events_of(run.run), &progress()).expect(201);
    let shown = |path: &str| daemon.get(path).expect(200).text();
    let lists = ["/v1/runs", "/v1/sessions", "/v1/enrollment-tokens", "/metrics", "/v1/system"].map(shown).concat();
    let told = format!("{lists}{:?}{}", daemon.events(run.run), daemon.run(run.run));
    let digits = &run.token[4..];
    assert!(!told.contains(digits));
    run.gate.open();
    daemon.wait_ended(run.run);
    daemon.stop();
    assert!(!daemon.log().contains(digits), "in the log");
    for file in std::fs::read_dir(daemon.state_dir()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        assert!(!bytes.windows(digits.len()).any(|window| window == digits.as_bytes()), "in {}", path.display());
    }
}

#[test]
fn the_line_for_curl_reports_with_tcp_and_without() {
    let page = include_str!("../docs/commands.md");
    let line =
        page.split("Without the binary:\n\n<!-- in a run -->\n```sh\n").nth(1).unwrap().split("```").next().unwrap();
    if std::process::Command::new("curl").arg("--version").output().is_err() {
        return println!("skipped: there is no curl");
    }
    for listen in ["127.0.0.1:0", "none"] {
        let daemon = Daemon::builder().listen(listen).start();
        let run = daemon.submit(&json!({"script": format!("echo $RUNABOUT_SOCKET\n{line}")}));
        let ended = daemon.wait_ended(run);
        assert_eq!(
            (&ended["exit_code"], &ended["progress"]),
            (&json!(0), &json!({"percent": 40})),
            "{listen}: {ended}"
        );
        let said = String::from_utf8(output_of(&daemon.events(run)).0).unwrap();
        assert_eq!(said.lines().next(), daemon.state_dir().join("runabout.sock").to_str(), "{listen}");
    }
}

#[test]
fn a_script_reports_and_queues_more_by_the_command_line() {
    for listen in ["127.0.0.1:0", "none"] {
        let daemon = Daemon::builder().listen(listen).start();
        daemon.put("/v1/queues/default", &json!({"slots": 2})).expect(200);
        let cli = binary();
        let script = format!("{cli} progress 40 half && {cli} progress --message 'nearly there' && echo $RUNABOUT_URL");
        let run = daemon.sh(&script);
        let events = daemon.events({
            daemon.wait_ended(run);
            run
        });
        let said: Vec<&Value> = events.iter().filter(|event| event["kind"] == "progress").map(|e| &e["data"]).collect();
        assert_eq!(
            said,
            [&json!({"percent": 40, "message": "half"}), &json!({"message": "nearly there"})],
            "{events:?}"
        );
        let url = String::from_utf8(output_of(&events).0).unwrap();
        let (scheme, state_dir) = (if listen == "none" { "unix:/" } else { "http://127.0.0.1:" }, daemon.state_dir());
        assert!(url.starts_with(scheme), "{url}");

        // Over the socket a script may what its user may; an address that needs a token says so.
        let more = json!({"script": format!("{cli} add -- true"), "env": {"RUNABOUT_STATE_DIR": state_dir}});
        let run = daemon.submit(&more);
        assert_eq!(daemon.wait_ended(run)["status"], "succeeded", "{:?}", daemon.events(run));
        let by_url = json!({"command": [cli, "--url", url.trim(), "add", "--", "true"]});
        let ended = daemon.wait_ended(daemon.submit(&by_url));
        assert_eq!(ended["exit_code"], if listen == "none" { 0 } else { 1 }, "{ended}");
    }
}

#[test]
fn outside_of_a_run_there_is_nothing_to_report_on() {
    let daemon = Daemon::start();
    let told = daemon.cli().args(["progress", "40"]).output().unwrap();
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.status.code() == Some(2) && said.contains("--run ID"), "{said}");
    let run = waiting(&daemon, "run");
    let told = daemon.cli().args(["progress", "40", "--run", "last"]).output().unwrap();
    assert_eq!(told.status.code(), Some(0), "{told:?}");
    assert_eq!(daemon.run(run.run)["progress"]["percent"], 40);
    run.gate.open();
}
