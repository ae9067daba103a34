//! All boxes at once: who is there, what ran, what happened to a run, and work for any of them.

use std::process::{Command, Output};

use serde_json::Value;

use super::common::{Daemon, Hub, bridge, eventually, setup};

fn fleet(hub: &Hub, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runabout-bridge"));
    command.args(["hub", "--server", &hub.url()]).args(words).output().unwrap()
}

fn done(hub: &Hub, words: &[&str]) -> String {
    let output = fleet(hub, words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn two_boxes_are_seen_and_given_work_and_a_run_is_read_on_with_the_boxs_own_cursor() {
    let hub = Hub::start();
    let (one, two) = (Daemon::start(), Daemon::start());
    setup(&hub, &one);
    let _bridges = [
        bridge(&hub.url(), &one, &["--name", "one", "--tags", "t", "--output"]),
        bridge(&hub.url(), &two, &["--name", "two", "--output"]),
    ];
    eventually("both are there", || {
        let boxes: Value = serde_json::from_str(&done(&hub, &["boxes", "--json"])).unwrap();
        (boxes.as_array().unwrap().len() == 2).then_some(())
    });
    let tagged = done(&hub, &["add", "--tag", "t", "-n", "tagged", "--", "echo", "from one"]);
    let boxed = done(&hub, &["add", "--box", "two", "-n", "boxed", "-s", "echo from two; echo again"]);
    let runs = eventually("both ran", || {
        let runs: Value = serde_json::from_str(&done(&hub, &["ls", "--json"])).unwrap();
        let ended = runs.as_array().unwrap().iter().filter(|run| run["status"] == "succeeded").count();
        (ended == 2).then_some(runs)
    });
    let run = |id: &str| {
        let tag = format!("fleet:{id}");
        let found = runs.as_array().unwrap().iter().find(|run| run["tags"].to_string().contains(&tag)).unwrap();
        (found["box"].as_str().unwrap().to_owned(), found["run"].as_i64().unwrap())
    };
    assert_eq!((run(&tagged).0, run(&boxed).0), ("one".to_owned(), "two".to_owned()));
    let named = format!("two/{}", run(&boxed).1);
    assert_eq!(done(&hub, &["logs", "-f", &named]), "from two\nagain");
    // Half is read at the box, the rest at the hub, with the same numbers.
    let page = two.ask("GET", &format!("/v1/runs/{}/events", run(&boxed).1), "").unwrap();
    let events: Vec<i64> =
        page["events"].as_array().unwrap().iter().map(|event| event["seq"].as_i64().unwrap()).collect();
    let cursor = format!("{}-{}", two.instance(), events[1]);
    let rest = done(&hub, &["logs", "--json", "--after", &cursor, &named]);
    let rest: Vec<i64> =
        rest.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_i64().unwrap()).collect();
    assert_eq!(rest, events[2..]);
    assert!(done(&hub, &["show", &named]).contains("\"kind\":\"finished\""));
}

#[test]
fn work_is_taken_back_where_it_waits_and_canceled_where_it_runs() {
    let (hub, daemon) = (Hub::start(), Daemon::start());
    setup(&hub, &daemon);
    let waits = done(&hub, &["add", "--tag", "nobody", "--", "true"]);
    done(&hub, &["cancel", &waits]);
    let again = fleet(&hub, &["cancel", &waits]);
    assert_eq!(again.status.code(), Some(1), "{}", String::from_utf8_lossy(&again.stderr));
    let _bridge = bridge(&hub.url(), &daemon, &["--name", "one"]);
    eventually("it is there", || done(&hub, &["boxes"]).contains("one").then_some(()));
    let runs = done(&hub, &["add", "--box", "one", "--", "sleep", "3600"]);
    let canceled = eventually("it runs and is canceled", || {
        let output = fleet(&hub, &["cancel", &runs]);
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap()).filter(|text| !text.is_empty())
    });
    assert!(canceled.starts_with(&daemon.instance()), "{canceled}");
    let unknown = fleet(&hub, &["logs", "nobody/1"]);
    assert_eq!(unknown.status.code(), Some(1));
}

#[test]
fn the_command_line_hands_over() {
    let hub = Hub::start();
    let daemon = Daemon::start();
    setup(&hub, &daemon);
    let runabout = super::common::program("RUNABOUT", "target/debug/runabout");
    let beside = std::path::Path::new(env!("CARGO_BIN_EXE_runabout-bridge")).parent().unwrap();
    let asked = |path: &std::path::Path| {
        Command::new(&runabout).args(["--hub", &hub.url(), "boxes", "--json"]).env("PATH", path).output().unwrap()
    };
    let output = asked(beside);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "[]", "{}", String::from_utf8_lossy(&output.stderr));
    let output = asked(std::path::Path::new("/nowhere"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && text.contains("runabout-bridge"), "{text}");
}
