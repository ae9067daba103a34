//! What users copy works: each example does what its first lines say, also across a restart of the daemon.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::common::{Client, DEADLINE, Daemon, Running, binary, cli, eventually, output_of};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

/// An example in Rust. `cargo test` has built it with the tests; `cargo test --test suite` builds none, so that what is
/// missing is built here, beside the binary.
fn built(name: &str) -> PathBuf {
    let dir = Path::new(binary()).parent().unwrap();
    let path = dir.join("examples").join(name);
    if !path.exists() {
        let profile = dir.file_name().unwrap().to_str().unwrap();
        let profile = if profile == "debug" { "dev" } else { profile };
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let done = Command::new(cargo)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["build", "--quiet", "--locked", "--example", name, "--profile", profile, "--target-dir"])
            .arg(dir.parent().unwrap())
            .output()
            .unwrap_or_else(|error| panic!("cargo, to build the example {name}: {error}"));
        assert!(done.status.success(), "the example {name}: {}", String::from_utf8_lossy(&done.stderr));
    }
    path
}

/// A command that finds the daemon by its socket, and `runabout` by its name.
fn of(daemon: &Daemon, program: &Path) -> Command {
    let mut command = Command::new(program);
    let dir = Path::new(binary()).parent().unwrap();
    command
        .current_dir(daemon.dir())
        .env("PATH", format!("{}:{}", dir.display(), std::env::var("PATH").unwrap()))
        .env("RUNABOUT_STATE_DIR", daemon.state_dir())
        .env("RUNABOUT_URL", format!("unix:{}", daemon.state_dir().join("runabout.sock").display()));
    command
}

fn text_of(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Says two lines, and the second only when it is let.
const REQUEUED: &str = "echo attempt $RUNABOUT_ATTEMPT; echo done >&2; [ $RUNABOUT_ATTEMPT = 2 ] || exec sleep 600";

#[test]
fn submit_and_wait_exits_as_its_script_does() {
    let daemon = Daemon::start();
    let job = daemon.script("job.sh", "#!/bin/sh\nexit 7\n");
    let mut command = of(&daemon, &example("submit-and-wait.sh"));
    command.arg(job).arg("name=nightly");
    Running::start(command).ended().expect(7);
    assert_eq!(daemon.run(1)["name"], "nightly");
}

#[test]
fn follow_prints_the_bytes_of_both_streams() {
    let daemon = Daemon::start();
    let run = daemon.sh(r"printf 'a\000\377'; printf 'b\n' >&2");
    let mut command = of(&daemon, &example("follow.sh"));
    command.arg(run.to_string());
    let ended = Running::start(command).ended().expect(0);
    assert_eq!(ended.stdout, b"a\x00\xff");
    assert!(ended.stderr.contains("b\n"), "{ended:?}");
}

#[test]
fn watch_prints_every_event_once_across_a_restart() {
    let mut daemon = Daemon::start();
    let run = daemon.submit(&json!({"script": REQUEUED, "on_interrupt": "requeue"}));
    let mut command = of(&daemon, &example("watch.sh"));
    command.arg(run.to_string());
    let watching = Running::start(command);
    watching.until_said("attempt 1");
    daemon.restart();
    let ended = watching.ended().expect(0);
    let objects: Vec<Value> = ended.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<Value> = objects.into_iter().filter(|object| object["type"] == "event").collect();
    assert_eq!(events, daemon.events(run));
    assert_eq!(output_of(&events).0, b"attempt 1\nattempt 2\n");
}

#[test]
fn watch_through_jq_gives_the_bytes_that_were_printed() {
    let head = std::fs::read_to_string(example("watch.sh")).unwrap();
    let filter = head.lines().find_map(|line| line.split_once("watch.sh 42 ")).expect("the head shows it").1;
    if Command::new("jq").arg("--version").output().is_err() {
        return println!("skipped: there is no jq");
    }
    let daemon = Daemon::start();
    let run = daemon.sh("echo one; printf two; sleep 0.1; echo; echo three");
    daemon.wait_ended(run);
    let mut command = of(&daemon, Path::new("/bin/sh"));
    command.args(["-c", &format!("{} {run} {filter}", example("watch.sh").display())]);
    let ended = Running::start(command).ended().expect(0);
    assert_eq!(ended.text(), "one\ntwo\nthree\n");
}

#[test]
fn watch_says_why_it_cannot() {
    let daemon = Daemon::start();
    let mut command = of(&daemon, &example("watch.sh"));
    command.arg("7");
    let ended = Running::start(command).ended().expect(1);
    assert!(ended.stderr.contains("run_not_found"), "{ended:?}");
}

#[test]
fn the_client_in_rust_follows_what_it_submitted_across_a_restart() {
    let mut daemon = Daemon::start();
    let gate = daemon.gate("go");
    let mut command = of(&daemon, &built("client"));
    command.args(["sh", "-c", &format!("echo one; {}; echo two >&2; exit 3", gate.wait())]);
    let client = Running::start(command);
    client.until_said("one\n");
    gate.open();
    let ended = client.ended().expect(3);
    assert_eq!(ended.stdout, b"one\n");
    assert!(ended.stderr.contains("two\n"), "{ended:?}");

    let mut command = of(&daemon, &built("client"));
    command.args(["sleep", "600"]);
    let client = Running::start(command);
    eventually(DEADLINE, "the second run is there", || daemon.get("/v1/runs/2").status == 200);
    daemon.wait_running(2);
    daemon.restart();
    client.ended().expect(125);
    assert_eq!(daemon.get("/v1/runs").json()["runs"].as_array().unwrap().len(), 2, "nothing was submitted twice");
}

#[test]
fn the_websocket_reader_in_rust_prints_what_the_run_printed() {
    let daemon = Daemon::start();
    let run = daemon.sh("echo here; exit 1");
    let mut command = of(&daemon, &built("ws_reader"));
    command.arg(run.to_string());
    assert_eq!(Running::start(command).ended().expect(1).stdout, b"here\n");
}

#[test]
fn the_nightly_job_is_applied_from_its_file() {
    let daemon = Daemon::start();
    let dir = daemon.dir().join("jobs");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("nightly.toml"), text_of(&example("nightly.toml"))).unwrap();
    let dir = dir.to_str().unwrap();
    for (arguments, said) in [
        (&["job", "apply", dir, "--dry-run"][..], "+ nightly\n"),
        (&["job", "apply", dir], "+ nightly\n"),
        (&["job", "apply", dir], ""),
    ] {
        assert_eq!(cli(&daemon, arguments).expect(0).text(), said, "{arguments:?}");
    }
    let job = daemon.get("/v1/jobs/nightly").expect(200).json();
    assert_eq!(
        (&job["run"]["timeout_s"], &job["catch_up"], &job["broken"]),
        (&json!(7_200), &json!("latest"), &json!(null))
    );
}

#[test]
fn what_home_assistant_asks_for_is_there() {
    let daemon = Daemon::start();
    let run = daemon.submit(&json!({"command": ["true"], "name": "nightly"}));
    daemon.wait_ended(run);
    let client: Client = daemon.tcp_as("operator");
    let yaml = text_of(&example("home-assistant.yaml"));
    let asked: Vec<&str> = yaml
        .lines()
        .filter_map(|line| line.trim_start().trim_start_matches("- ").strip_prefix("resource: http://127.0.0.1:7867"))
        .collect();
    assert_eq!(asked.len(), 2);
    let answers: Vec<Value> = asked.iter().map(|path| client.get(path).expect(200).json()).collect();
    for status in ["running", "queued", "failed", "timed_out", "interrupted"] {
        assert!(yaml.contains(&format!("value_json.runs.{status}")), "{status}");
        assert!(answers[0]["runs"][status].is_i64(), "{status}");
    }
    let attributes = yaml.lines().find_map(|line| line.trim().strip_prefix("json_attributes: [")).unwrap();
    for attribute in attributes.trim_end_matches(']').split(", ") {
        assert!(answers[1]["runs"][0].get(attribute).is_some(), "{attribute}");
    }
    let payload = yaml.lines().find_map(|line| line.trim().strip_prefix("payload: ")).unwrap();
    client.post("/v1/runs", &serde_json::from_str(payload.trim_matches('\'')).unwrap()).expect(201);
}

#[test]
fn bridge_tells_each_end_once_also_of_what_ended_while_it_was_away() {
    let daemon = Daemon::start();
    let place = daemon.dir().join("place");
    std::fs::write(&place, "0").unwrap();
    let bridge = || {
        let mut command = of(&daemon, &built("bridge"));
        command.arg(&place);
        Running::start(command)
    };
    let ended = |run: i64| format!("run {run} ended at ");
    let first = daemon.sh("true");
    let running = bridge();
    running.until_said(&ended(first));
    eventually(DEADLINE, "it has kept its place", || text_of(&place) != "0");
    drop(running);
    let second = daemon.sh("true");
    daemon.wait_ended(second);
    let running = bridge();
    running.until_said(&ended(second));
    assert!(!running.said().contains(&ended(first)), "told twice");
}
