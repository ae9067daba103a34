//! A box whose credentials are stolen harms itself alone: it can neither write, read nor take away what is another's.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, HeaderMap, jetstream};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::common::stream::block_on;
use super::common::{Daemon, Hub, Scratch, bridge, eventually, free_port, told};

/// A hub that is set as the bridge says, and the file with each one's password.
struct Guarded {
    hub: Hub,
    scratch: Scratch,
}

impl Guarded {
    fn start(boxes: &[&Daemon]) -> Guarded {
        let specs = boxes.iter().map(|daemon| format!("{}:t", daemon.instance()));
        let printed = Command::new(env!("CARGO_BIN_EXE_runabout-bridge")).arg("accounts").args(specs).output().unwrap();
        assert!(printed.status.success());
        let config = String::from_utf8(printed.stdout).unwrap();
        let scratch = Scratch::new();
        let file = scratch.0.join("hub.conf");
        let users = boxes.iter().map(|daemon| daemon.instance()).chain(["ADMIN".to_owned()]);
        let with = |config: String, user: String| config.replace(&format!("$RB_{user}"), &format!("\"pw-{user}\""));
        std::fs::write(&file, users.fold(config, with)).unwrap();
        let words = |_: &std::path::Path| vec!["-c".to_owned(), file.display().to_string()];
        let hub = Hub::with(free_port(), words);
        Guarded { hub, scratch }
    }

    fn password(&self, user: &str) -> PathBuf {
        let file = self.scratch.0.join(user);
        let password = if user == "admin" { "pw-ADMIN".to_owned() } else { format!("pw-{user}") };
        std::fs::write(&file, format!("{user}:{password}\n")).unwrap();
        file
    }

    async fn client(&self, user: &str) -> Client {
        let password = if user == "admin" { "pw-ADMIN".to_owned() } else { format!("pw-{user}") };
        let options = ConnectOptions::new().user_and_password(user.to_owned(), password);
        options.connect(self.hub.url()).await.unwrap()
    }
}

/// All that the hub has, in words.
async fn all_there_is(admin: &Client) -> Vec<String> {
    let context = jetstream::new(admin.clone());
    let mut all = Vec::new();
    for name in ["RB_EVENTS", "RB_WORK", "KV_RB_BOXES"] {
        let stream = context.get_stream(name).await.unwrap();
        let state = &stream.cached_info().state;
        for sequence in state.first_sequence..=state.last_sequence {
            if let Ok(message) = stream.get_raw_message(sequence).await {
                all.push(format!("{} {}", message.subject, String::from_utf8_lossy(&message.payload)));
            }
        }
    }
    all
}

#[test]
fn a_stolen_box_harms_itself_alone() {
    let (thief, other) = (Daemon::start(), Daemon::start());
    let hub = Guarded::start(&[&thief, &other]);
    let (i, j) = (thief.instance(), other.instance());
    let url = hub.hub.url();
    let file = |user: &str| hub.password(user).display().to_string();
    let boxes = format!("{i},{j}");
    let (status, text) =
        told(&url, &other, &["--password-file", &file("admin"), "--setup", "--boxes", &boxes, "--tags", "t"]);
    assert_eq!(status, 0, "{text}");
    let options = ["--password-file", &file(&j), "--tags", "t"];
    let (status, text) = told(&url, &other, &[&options[..], &["--check"]].concat());
    assert!(status == 0 && text.contains("may not see how its streams are set"), "{text}");
    // All that a box does works from its account.
    let _sender = bridge(&url, &other, &options);
    other.submit(r#"{"script":"true","name":"secret-of-j"}"#).unwrap();
    let work = json!({ "script": "echo \"$RUNABOUT_FLEET_ID\"; sleep 3600" }).to_string();
    block_on(async {
        let context = jetstream::new(hub.client("admin").await);
        for subject in [format!("rb.work.box.{j}"), "rb.work.tag.t".to_owned()] {
            other.ask("PUT", "/v1/queues/default", r#"{"slots":3}"#).unwrap();
            context.publish(subject, work.clone().into()).await.unwrap().await.unwrap();
        }
    });
    eventually("both run", || {
        let runs = other.ask("GET", "/v1/runs?status=running", "")?;
        (runs["runs"].as_array()?.len() == 2).then_some(())
    });
    let caught_up = || {
        let last = other.events().last().unwrap().0;
        eventually("the hub has the last event", || {
            let there = block_on(async { all_there_is(&hub.client("admin").await).await });
            let wanted = (format!("rb.ev.{j}."), format!("\"id\":{last},"));
            there.iter().any(|one| one.starts_with(&wanted.0) && one.contains(&wanted.1)).then_some(())
        });
    };
    caught_up();
    let of_j = |all: Vec<String>| -> Vec<String> {
        all.into_iter().filter(|one| !one.starts_with(&format!("rb.ev.{i}.")) && !one.contains("$KV.")).collect()
    };
    let (before, after, heard, own) = block_on(async {
        let admin = hub.client("admin").await;
        let stolen = hub.client(&i).await;
        let mut heard = stolen.subscribe(">").await.unwrap();
        let own = stolen.request(format!("rb.ev.{i}.1.queued"), work.clone().into()).await.unwrap();
        let before = of_j(all_there_is(&admin).await);
        attack(&stolen, &i, &j).await;
        let mut all = String::new();
        while let Ok(Some(message)) = tokio::time::timeout(Duration::from_secs(1), heard.next()).await {
            all +=
                &format!("{} {:?} {}\n", message.subject, message.headers, String::from_utf8_lossy(&message.payload));
        }
        (before, of_j(all_there_is(&admin).await), all, own.payload)
    });
    assert!(String::from_utf8_lossy(&own).contains("\"seq\""), "{own:?}");
    // It was heard: what is its own comes back.
    assert!(heard.contains("RUNABOUT_FLEET_ID"), "{heard}");
    assert!(!heard.contains("secret-of-j"), "{heard}");
    let other_than_before: Vec<_> = after.iter().filter(|one| !before.contains(one)).collect();
    assert!(after == before, "{other_than_before:?}");
    let runs = other.ask("GET", "/v1/runs", "").unwrap();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 3, "{runs}");
    assert!(runs["runs"].as_array().unwrap().iter().all(|run| run["status"] != "canceled"), "{runs}");
    // And the other goes on, though the hub has all the unfinished batches that it takes.
    for _ in 0..5 {
        other.submit(r#"{"script":"true"}"#).unwrap();
    }
    caught_up();
    let there = block_on(async { all_there_is(&hub.client("admin").await).await });
    let ids: Vec<i64> = there
        .iter()
        .filter_map(|one| one.strip_prefix(&format!("rb.ev.{j}.")))
        .map(|one| serde_json::from_str::<Value>(one.split_once(' ').unwrap().1).unwrap()["id"].as_i64().unwrap())
        .collect();
    let ids_there: std::collections::BTreeSet<i64> = ids.iter().copied().collect();
    assert_eq!(ids.len(), ids_there.len());
    assert!(other.events().iter().all(|event| ids_there.contains(&event.0)));
    let boxes = block_on(async {
        let bucket = jetstream::new(hub.client("admin").await).get_key_value("RB_BOXES").await.unwrap();
        bucket.get(j.clone()).await.unwrap()
    });
    let boxes = String::from_utf8(boxes.expect("it is there").to_vec()).unwrap();
    assert!(boxes.contains("\"last_id\"") && !boxes.contains("evil"), "{boxes}");
}

/// Everything that may lead to what is another's, with each answer to where it may do harm.
async fn attack(stolen: &Client, i: &str, j: &str) {
    let evil = json!({ "script": "echo evil", "cancel": "w" }).to_string();
    let by = |text: &str| format!("{text}.rb.ev.{j}.>");
    let own_tail = format!("$JS.API.DIRECT.GET.RB_EVENTS.rb.ev.{i}.>");
    let last_of = json!({ "last_by_subj": format!("rb.ev.{j}.>") }).to_string();
    let reader = json!({ "stream_name": "RB_EVENTS", "config": { "deliver_subject": format!("_INBOX.{i}.x"),
        "filter_subject": format!("rb.ev.{j}.>"), "ack_policy": "none" } });
    let asked: Vec<(String, String)> = vec![
        (format!("rb.ev.{j}.1.finished"), evil.clone()),
        (format!("rb.ev.{i}.1.finished"), evil.clone()),
        (format!("rb.work.box.{j}"), evil.clone()),
        (format!("rb.work.ctl.{j}"), evil.clone()),
        ("rb.work.tag.t".to_owned(), evil.clone()),
        (format!("rb.ctl.{j}.cancel"), evil.clone()),
        (format!("$KV.RB_BOXES.{j}"), evil.clone()),
        (by("$JS.API.DIRECT.GET.RB_EVENTS"), String::new()),
        ("$JS.API.DIRECT.GET.RB_EVENTS".to_owned(), last_of.clone()),
        ("$JS.API.STREAM.MSG.GET.RB_EVENTS".to_owned(), last_of.clone()),
        ("$JS.API.STREAM.MSG.GET.RB_EVENTS".to_owned(), json!({ "seq": 1 }).to_string()),
        (own_tail.clone(), String::new()),
        (own_tail.clone(), json!({ "seq": 1 }).to_string()),
        (own_tail.clone(), json!({ "seq": 1, "next_by_subj": format!("rb.ev.{j}.>"), "batch": 9 }).to_string()),
        (own_tail.clone(), json!({ "multi_last": [format!("rb.ev.{j}.>")] }).to_string()),
        ("$JS.API.CONSUMER.CREATE.RB_EVENTS".to_owned(), reader.to_string()),
        (by("$JS.API.CONSUMER.CREATE.RB_EVENTS.x"), reader.to_string()),
        (format!("$JS.API.CONSUMER.MSG.NEXT.RB_WORK.box-{j}"), "9".to_owned()),
        (format!("$JS.ACK.RB_WORK.box-{j}.1.1.1.1.0"), "+TERM".to_owned()),
        (format!("$JS.ACK._.x.RB_WORK.box-{j}.1.1.1.1.0"), "+TERM".to_owned()),
        ("$JS.API.STREAM.NAMES".to_owned(), String::new()),
        ("$JS.API.STREAM.INFO.RB_EVENTS".to_owned(), json!({ "subjects_filter": ">" }).to_string()),
        ("$JS.API.STREAM.PURGE.RB_EVENTS".to_owned(), String::new()),
        ("$JS.API.STREAM.DELETE.RB_EVENTS".to_owned(), String::new()),
        ("$JS.API.STREAM.DELETE.RB_WORK".to_owned(), String::new()),
    ];
    let answers_to = [
        format!("_INBOX.{i}.x"),
        format!("rb.ev.{j}.1.started"),
        format!("rb.work.box.{j}"),
        "rb.work.tag.t".to_owned(),
        format!("rb.ctl.{j}.cancel"),
        format!("$KV.RB_BOXES.{j}"),
        "$JS.API.STREAM.PURGE.RB_EVENTS".to_owned(),
    ];
    for (subject, body) in asked {
        for to in &answers_to {
            stolen.publish_with_reply(subject.clone(), to.clone(), body.clone().into()).await.unwrap();
        }
    }
    for name in ["Nats-Rollup", "Nats-Msg-Id", "Nats-Expected-Last-Subject-Sequence-Subject", "Nats-TTL"] {
        for value in ["all".to_owned(), "sub".to_owned(), format!("{j}-99"), format!("rb.ev.{j}.>"), "1s".to_owned()] {
            let mut headers = HeaderMap::new();
            headers.insert(name, &*value);
            headers.insert("Nats-Expected-Last-Subject-Sequence", "0");
            for subject in [format!("rb.ev.{i}.1.x"), format!("$KV.RB_BOXES.{i}")] {
                let inbox = format!("_INBOX.{i}.x");
                let sent = stolen.publish_with_reply_and_headers(subject, inbox, headers.clone(), evil.clone().into());
                sent.await.unwrap();
            }
        }
    }
    for nth in 0..60 {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Batch-Id", &*format!("held{nth}"));
        headers.insert("Nats-Batch-Sequence", "1");
        headers.insert("Nats-Expected-Last-Subject-Sequence", "0");
        headers.insert("Nats-Expected-Last-Subject-Sequence-Subject", &*format!("rb.ev.{j}.>"));
        stolen.publish_with_headers(format!("rb.ev.{i}.1.x"), headers, evil.clone().into()).await.unwrap();
    }
    stolen.flush().await.unwrap();
}
