//! `runabout hook` against the real daemon and a real receiver: what each command does, and that a secret is printed once.

use serde_json::{Value, json};

use crate::common::{DEADLINE, Daemon, Ended, Running, cli, eventually};
use crate::hooks::receiver::{Answer, Receiver};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[track_caller]
fn json_of(daemon: &Daemon, arguments: &[&str]) -> Value {
    cli(daemon, &[arguments, &["--json"]].concat()).expect(0).json()
}

/// With a text on standard input.
#[track_caller]
fn told(daemon: &Daemon, arguments: &[&str], text: &str) -> Ended {
    let input = daemon.dir().join("input");
    std::fs::write(&input, text).unwrap();
    let mut command = daemon.cli();
    command.args(arguments).stdin(std::fs::File::open(&input).unwrap());
    Running::start(command).ended()
}

#[test]
fn a_hook_is_made_tested_followed_and_deleted_by_commands() {
    let daemon = Daemon::start();
    let receiver = Receiver::start(Answer::Status(204, ""));
    let url = receiver.url();
    let set = ["hook", "set", "pager", "--to", &url, "--on", "failed,succeeded", "--tag", "nightly", "-q", "default"];
    let secret = cli(&daemon, &set).expect(0).text().trim_end().to_owned();
    assert!(secret.starts_with("whsec_") && !secret.contains('\n'), "the secret alone: {secret:?}");
    let hook = json_of(&daemon, &["hook", "show", "pager"]);
    assert_eq!((&hook["tag"], &hook["queue"], &hook["job"]), (&json!("nightly"), &json!("default"), &Value::Null));
    assert_eq!((&hook["on"], &hook["enabled"]), (&json!(["succeeded", "failed"]), &json!(true)));

    let tested = cli(&daemon, &["hook", "test", "pager"]).expect(0).text();
    assert!(tested.contains("delivered") && tested.contains("204"), "{tested}");
    daemon.wait_ended(daemon.submit(&json!({"script": "exit 3", "tags": ["nightly"]})));
    let run = receiver.wait(2)[1].run();
    let newest = || json_of(&daemon, &["hook", "deliveries", "pager", "-n", "1"])[0].clone();
    eventually(DEADLINE, "it is delivered", || newest()["status"] == "delivered");
    let (id, number) = (newest()["id"].to_string(), run.to_string());
    let table = cli(&daemon, &["hook", "deliveries", "pager"]).expect(0).text();
    let line = table.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(line[..5], [&id, &number, "delivered", "1", "204"], "{table}");
    assert_eq!(json_of(&daemon, &["hook", "deliveries", "pager", "--status", "dead"]), json!([]));
    cli(&daemon, &["hook", "redeliver", "pager", &id]).expect(0);
    assert_eq!(receiver.wait(3)[2].run(), run);
    assert!(cli(&daemon, &["hook", "redeliver", "pager", "4242"]).expect(1).stderr.contains("4242"));

    cli(&daemon, &["hook", "disable", "pager"]).expect(0);
    let listed = cli(&daemon, &["hook", "ls"]).expect(0).text();
    let line = listed.lines().nth(1).unwrap();
    assert!(line.starts_with("pager") && line.contains("disabled") && line.contains("tag nightly"), "{listed}");
    assert!(!listed.contains("hidden"), "a list shows nothing of a target that may be a secret: {listed}");
    assert!(cli(&daemon, &["hook", "show", "pager"]).expect(0).text().contains(&url));
    cli(&daemon, &["hook", "enable", "pager"]).expect(0);

    // Its making was the only command that shows the secret; a change keeps it, and shows none.
    for arguments in [
        &set[..],
        &["hook", "ls", "--json"],
        &["hook", "show", "pager"],
        &["hook", "show", "pager", "--json"],
        &["hook", "enable", "pager", "--json"],
        &["hook", "deliveries", "pager", "--json"],
        &["hook", "test", "pager", "--json"],
    ] {
        let ended = cli(&daemon, arguments).expect(0);
        assert!(!ended.text().contains("whsec_") && !ended.stderr.contains("whsec_"), "{arguments:?}: {ended:?}");
    }
    cli(&daemon, &["hook", "rm", "pager"]).expect(0);
    assert_eq!(json_of(&daemon, &["hook", "ls"]), json!([]));
    assert!(cli(&daemon, &["hook", "show", "pager"]).expect(1).stderr.contains("pager"));
}

#[test]
fn secrets_come_from_files_or_standard_input_and_what_is_wrong_is_told() {
    let daemon = Daemon::start();
    let receiver = Receiver::start(Answer::Status(500, ""));
    let url = receiver.url();
    let file = daemon.dir().join("secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let file = file.to_str().unwrap();
    let own = cli(&daemon, &["hook", "set", "own", "--to", &url, "--secret-file", file]).expect(0);
    assert!(own.stdout.is_empty(), "who gave it knows it: {own:?}");
    let piped = told(&daemon, &["hook", "set", "own", "--to", &url, "--secret-file", "-", "--json"], SECRET).expect(0);
    assert_eq!((&piped.json()["secret"], &piped.json()["rotating_until"]), (&Value::Null, &Value::Null), "the same");
    // A target that is a secret itself.
    let target = told(&daemon, &["hook", "set", "own", "--to", "-", "--secret-file", file, "--json"], &url).expect(0);
    assert_eq!(target.json()["url"], json!(url));

    let tested = cli(&daemon, &["hook", "test", "own"]).expect(1).text();
    assert!(tested.contains("pending") && tested.contains("it answered 500"), "{tested}");
    let listed = cli(&daemon, &["hook", "ls"]).expect(0).text();
    assert!(listed.contains("failing"), "{listed}");
    for (arguments, code, said) in [
        (&["hook", "set", "x"][..], 2, "--to"),
        (&["hook", "set", "x", "--to", &url, "--secret", SECRET], 2, "--secret-file"),
        (&["hook", "set", "x", "--to", &url, "--on", "running"], 2, "succeeded"),
        (&["hook", "set", "x", "--to", &url, "--body", "yaml"], 2, "home_assistant"),
        (&["hook", "set", "x", "--to", &url, "--secret-file", "/no/such/file"], 2, "/no/such/file"),
        (&["hook", "set", "x", "--to", &url, "--secret-file", "/dev/null"], 2, "nothing in it"),
        (&["hook", "set", "x", "--to", "-", "--secret-file", "-"], 2, "standard input"),
        (&["hook", "set", "x", "--to", "nowhere"], 1, "http"),
        (&["hook", "test", "unknown"], 1, "unknown"),
        (&["webhooks"], 2, "runabout hook ls"),
    ] {
        let ended = cli(&daemon, arguments).expect(code);
        assert!(ended.stdout.is_empty() && ended.stderr.contains(said), "{arguments:?}: {ended:?}");
    }
    assert_eq!(json_of(&daemon, &["hook", "ls"]).as_array().unwrap().len(), 1, "nothing was made of what is wrong");
}
