//! Work that is sent to a box or a tag becomes a run: once, not late, and not more than there is room for.

use std::time::Duration;

use async_nats::header::HeaderMap;
use async_nats::jetstream;
use serde_json::{Value, json};

use super::common::stream::block_on;
use super::common::{Daemon, Hub, bridge, eventually, setup};

fn send(hub: &Hub, subject: &str, fleet_id: &str, body: &Value) {
    block_on(async {
        let context = jetstream::new(async_nats::connect(hub.url()).await.unwrap());
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", fleet_id);
        let sent = context.publish_with_headers(subject.to_owned(), headers, body.to_string().into()).await;
        sent.unwrap().await.unwrap();
    });
}

fn waiting(hub: &Hub) -> u64 {
    block_on(async {
        let context = jetstream::new(async_nats::connect(hub.url()).await.unwrap());
        context.get_stream("RB_WORK").await.unwrap().cached_info().state.messages
    })
}

fn of_fleet(daemon: &Daemon, id: &str) -> Vec<Value> {
    let found = daemon.ask("GET", &format!("/v1/runs?tag=fleet%3A{id}"), "");
    found.map_or_else(Vec::new, |found| found["runs"].as_array().unwrap().clone())
}

fn ended(daemon: &Daemon, id: &str) -> Value {
    eventually("the end of the work", || {
        let runs = of_fleet(daemon, id);
        assert!(runs.len() < 2, "{runs:?}");
        runs.into_iter().next().filter(|run| !run["ended_at"].is_null())
    })
}

#[test]
fn work_for_a_box_and_for_a_tag_runs_once_and_knows_its_fleet_id() {
    let (hub, mut daemon) = (Hub::start(), Daemon::start());
    setup(&hub, &daemon);
    let instance = daemon.instance();
    let body = json!({ "script": "echo \"$RUNABOUT_FLEET_ID\"" });
    let mut sender = bridge(&hub.url(), &daemon, &["--tags", "gpu,any"]);
    send(&hub, &format!("rb.work.box.{instance}"), "one", &body);
    send(&hub, "rb.work.tag.gpu", "two", &body);
    for id in ["one", "two"] {
        let run = ended(&daemon, id)["id"].as_i64().unwrap();
        let page = daemon.ask("GET", &format!("/v1/runs/{run}/events"), "").unwrap();
        assert!(page.to_string().contains(&format!("\"text\":\"{id}\\n\"")), "{page}");
    }
    eventually("all is acknowledged", || (waiting(&hub) == 0).then_some(()));
    // While nobody is there it waits; a bridge that dies and a daemon that dies in between make no second run.
    sender.kill();
    for nth in 0..10 {
        send(&hub, "rb.work.tag.any", &format!("n{nth}"), &body);
    }
    for _ in 0..3 {
        let mut sender = bridge(&hub.url(), &daemon, &["--tags", "gpu,any"]);
        std::thread::sleep(Duration::from_millis(150));
        sender.kill();
        daemon.kill();
        daemon.up();
    }
    let _sender = bridge(&hub.url(), &daemon, &["--tags", "gpu,any"]);
    eventually("all ran", || {
        let ran = (0..10).filter(|nth| of_fleet(&daemon, &format!("n{nth}")).len() == 1).count();
        (ran == 10).then_some(())
    });
}

#[test]
fn a_box_takes_what_it_can_start_and_leaves_the_rest_to_others() {
    let hub = Hub::start();
    let (busy, free) = (Daemon::start(), Daemon::start());
    setup(&hub, &busy);
    busy.submit(r#"{"command":["sleep","3600"]}"#).unwrap();
    let _busy = bridge(&hub.url(), &busy, &["--tags", "t"]);
    for nth in 0..5 {
        send(&hub, "rb.work.tag.t", &format!("w{nth}"), &json!({ "script": "true" }));
    }
    let _free = bridge(&hub.url(), &free, &["--tags", "t"]);
    for nth in 0..5 {
        ended(&free, &format!("w{nth}"));
        assert!(of_fleet(&busy, &format!("w{nth}")).is_empty());
    }
}

#[test]
fn what_can_never_run_or_is_too_late_is_taken_off_and_told() {
    let (hub, daemon) = (Hub::start(), Daemon::start());
    setup(&hub, &daemon);
    let told = block_on(async {
        let client = async_nats::connect(hub.url()).await.unwrap();
        let mut advisories = client.subscribe("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.RB_WORK.*").await.unwrap();
        client.flush().await.unwrap();
        let subject = format!("rb.work.box.{}", daemon.instance());
        let _sender = bridge(&hub.url(), &daemon, &[]);
        let context = jetstream::new(client.clone());
        let late = json!({ "script": "true", "start_before": "2020-01-01T00:00:00Z" });
        for body in ["no JSON".to_owned(), json!({ "weather": 1 }).to_string(), late.to_string()] {
            context.publish(subject.clone(), body.into()).await.unwrap().await.unwrap();
        }
        let mut told = Vec::new();
        while told.len() < 3 {
            let advisory = futures_util::StreamExt::next(&mut advisories).await.unwrap();
            let advisory: Value = serde_json::from_slice(&advisory.payload).unwrap();
            told.push(advisory["reason"].as_str().unwrap().to_owned());
        }
        told
    });
    assert!(told[0].contains("no JSON object") && told[1].contains("weather"), "{told:?}");
    assert!(told[2].starts_with("expired"), "{told:?}");
    assert_eq!(waiting(&hub), 0);
    let runs = daemon.ask("GET", "/v1/runs", "").unwrap();
    assert!(runs["runs"].as_array().unwrap().is_empty(), "{runs}");
}

#[test]
fn a_cancel_reaches_a_box_that_is_there_and_one_that_comes_back() {
    let (hub, daemon) = (Hub::start(), Daemon::start());
    setup(&hub, &daemon);
    let instance = daemon.instance();
    let subject = format!("rb.work.box.{instance}");
    let mut sender = bridge(&hub.url(), &daemon, &[]);
    let work = json!({ "command": ["sleep", "3600"] });
    let running = |id: &str| {
        eventually("it runs", || of_fleet(&daemon, id).iter().any(|run| run["status"] == "running").then_some(()))
    };
    send(&hub, &subject, "here", &work);
    running("here");
    let answer = block_on(async {
        let client = async_nats::connect(hub.url()).await.unwrap();
        client.request(format!("rb.ctl.{instance}.cancel"), r#"{"cancel":"here"}"#.into()).await.unwrap().payload
    });
    assert!(String::from_utf8_lossy(&answer).contains("\"run\":"), "{answer:?}");
    assert_eq!(ended(&daemon, "here")["status"], "canceled");
    // While it is away, and though what is to be canceled takes the only slot.
    send(&hub, &subject, "away", &work);
    running("away");
    sender.kill();
    send(&hub, &format!("rb.work.ctl.{instance}"), "cancel-away", &json!({ "cancel": "away" }));
    let _sender = bridge(&hub.url(), &daemon, &[]);
    assert_eq!(ended(&daemon, "away")["status"], "canceled");
}

#[test]
fn work_runs_though_a_hub_that_lost_its_newest_gives_the_same_number_again() {
    let (mut hub, daemon) = (Hub::start(), Daemon::start());
    setup(&hub, &daemon);
    let subject = format!("rb.work.box.{}", daemon.instance());
    let mut sender = bridge(&hub.url(), &daemon, &[]);
    hub.kill();
    let older = hub.scratch.0.join("older");
    let copied = |from: &std::path::Path, to: &std::path::Path| {
        let _ = std::fs::remove_dir_all(to);
        assert!(std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
    };
    copied(&hub.store(), &older);
    hub.up();
    send(&hub, &subject, "before", &json!({ "script": "true" }));
    ended(&daemon, "before");
    sender.kill();
    hub.kill();
    copied(&older, &hub.store());
    hub.up();
    send(&hub, &subject, "after", &json!({ "script": "true" }));
    let _sender = bridge(&hub.url(), &daemon, &[]);
    ended(&daemon, "after");
}

#[test]
fn a_box_says_that_it_is_there() {
    let (hub, daemon) = (Hub::start(), Daemon::start());
    setup(&hub, &daemon);
    let _sender = bridge(&hub.url(), &daemon, &["--name", "pi-7", "--site", "barn", "--tags", "a"]);
    let entry = block_on(async {
        let context = jetstream::new(async_nats::connect(hub.url()).await.unwrap());
        let bucket = context.get_key_value("RB_BOXES").await.unwrap();
        loop {
            if let Some(entry) = bucket.get(daemon.instance()).await.unwrap() {
                break entry;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let entry: Value = serde_json::from_slice(&entry).unwrap();
    assert_eq!((&entry["name"], &entry["site"], &entry["tags"]), (&json!("pi-7"), &json!("barn"), &json!(["a"])));
}
