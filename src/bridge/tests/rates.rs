//! How fast it is beside what async-nats publishes by itself, in batches of the same size, into the same kind of stream.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream;
use bytes::Bytes;

use super::common::stream::{block_on, last_id, span, stored};
use super::common::{Daemon, Hub, bridge, eventually, setting, told};

/// As the bridge's own.
const BATCH: usize = 499;

fn urls(hubs: &[Hub]) -> String {
    hubs.iter().map(Hub::url).collect::<Vec<_>>().join(",")
}

fn hubs(replicas: usize) -> Vec<Hub> {
    if replicas == 1 { vec![Hub::start()] } else { Hub::cluster() }
}

fn set_up(hubs: &[Hub], daemon: &Daemon) {
    let replicas = hubs.len().to_string();
    let made = || (told(&urls(hubs), daemon, &["--setup", "--replicas", &replicas]).0 == 0).then_some(());
    eventually("the streams are there", made);
}

/// Events a second, by the hub's own clock: from the first message to the last.
fn rate(hub: &Hub, instance: &str, events: usize) -> f64 {
    events as f64 / span(hub, instance).as_secs_f64()
}

fn of_bridge(daemon: &Daemon, hubs: &[Hub], events: usize) -> f64 {
    let (instance, last) = (daemon.instance(), daemon.events().last().unwrap().0);
    let _sender = bridge(&urls(hubs), daemon, &["--rate", "0", "--rate-bytes", "0", "--no-work"]);
    eventually("the hub has the last event", || (last_id(&hubs[0], &instance) == Some(last)).then_some(()));
    rate(&hubs[0], &instance, events)
}

fn of_async_nats(all: &[(String, Bytes)], hubs: &[Hub], instance: &str) -> f64 {
    block_on(async {
        let client = async_nats::connect(urls(hubs).split(',').collect::<Vec<_>>()).await.unwrap();
        jetstream::new(client.clone()).get_stream("RB_EVENTS").await.unwrap();
        for (nth, batch) in all.chunks(BATCH).enumerate() {
            for (place, (subject, body)) in batch.iter().enumerate() {
                let mut headers = HeaderMap::new();
                headers.insert("Rb-Id", "1");
                headers.insert("Rb-Seq", "1");
                headers.insert("Nats-Batch-Id", &*format!("b{nth}"));
                headers.insert("Nats-Batch-Sequence", &*(place + 1).to_string());
                if place + 1 < batch.len() {
                    client.publish_with_headers(subject.clone(), headers, body.clone()).await.unwrap();
                    continue;
                }
                headers.insert("Nats-Batch-Commit", "1");
                let ack = client.request_with_headers(subject.clone(), headers, body.clone()).await.unwrap();
                let ack: serde_json::Value = serde_json::from_slice(&ack.payload).unwrap();
                assert_eq!(ack["count"], batch.len(), "{ack}");
            }
        }
    });
    rate(&hubs[0], instance, all.len())
}

#[test]
fn it_is_at_least_half_as_fast_as_the_client_by_itself() {
    let events = usize::try_from(setting("RATE_EVENTS", 4_000)).unwrap();
    let daemon = Daemon::start();
    let run = daemon.submit(r#"{"command":["sleep","3600"]}"#).unwrap();
    for _ in 0..events.div_ceil(1000) {
        let line = format!(r#"{{"kind":"progress","data":{{"percent":1,"pad":"{}"}}}}"#, "x".repeat(150));
        let body = format!("[{}]", vec![line; 1000].join(","));
        daemon.ask("POST", &format!("/v1/runs/{run}/events"), &body).unwrap();
    }
    let events = daemon.events().len();
    for replicas in [1, 3] {
        let mut rounds = Vec::new();
        for _ in 0..setting("RATE_ROUNDS", 1) {
            let through = hubs(replicas);
            set_up(&through, &daemon);
            let ours = of_bridge(&daemon, &through, events);
            let all = stored(&through[0], &daemon.instance());
            assert_eq!(all.len(), events);
            let all: Vec<(String, Bytes)> =
                all.into_iter().map(|one| (one.subject, one.body.to_string().into())).collect();
            drop(through);
            let bare = hubs(replicas);
            set_up(&bare, &daemon);
            std::thread::sleep(Duration::from_millis(500));
            rounds.push((ours, of_async_nats(&all, &bare, &daemon.instance())));
        }
        rounds.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
        let (ours, bare) = rounds[rounds.len() / 2];
        println!("R{replicas}, {events} events: {ours:.0}/s through the bridge, {bare:.0}/s by async-nats alone");
        for (ours, bare) in &rounds {
            println!("  {ours:.0} {bare:.0} {:.2}", ours / bare);
        }
        assert!(ours >= 0.5 * bare, "R{replicas}: {ours:.0} of {bare:.0}");
    }
}
