//! A hub of three servers, of which one is away now and then, and one is killed at a time.

use std::time::{Duration, Instant};

use super::common::stream::{last_id, stored};
use super::common::{Daemon, Hub, bridge, eventually, setting, told};

fn urls(hubs: &[Hub]) -> String {
    hubs.iter().map(Hub::url).collect::<Vec<_>>().join(",")
}

#[test]
fn with_one_of_three_servers_killed_at_a_time_nothing_is_missing_or_double() {
    let rounds = setting("CLUSTER_ROUNDS", 3);
    let (mut hubs, daemon) = (Hub::cluster(), Daemon::start());
    let (all, instance) = (urls(&hubs), daemon.instance());
    let ready = || (told(&all, &daemon, &["--setup", "--replicas", "3"]).0 == 0).then_some(());
    eventually("the streams are there", ready);
    let run = daemon.submit(r#"{"command":["sleep","3600"]}"#).unwrap();
    let some = format!("[{}]", [r#"{"kind":"progress","data":{"percent":1}}"#; 20].join(","));
    let _sender = bridge(&all, &daemon, &["--rate", "0", "--rate-bytes", "0"]);
    for round in 0..rounds {
        let nth = usize::try_from(round).unwrap() % hubs.len();
        // About 200 events a second, before, without and after it.
        let load = |for_ms: u64| {
            let (began, mut sent) = (Instant::now(), 0);
            while began.elapsed() < Duration::from_millis(for_ms) {
                daemon.ask("POST", &format!("/v1/runs/{run}/events"), &some).unwrap();
                sent += 1;
                std::thread::sleep(Duration::from_millis(100 * sent).saturating_sub(began.elapsed()));
            }
        };
        load(500);
        hubs[nth].kill();
        load(1_500);
        // With two of three it goes on.
        let last = daemon.events().last().unwrap().0;
        let other = &hubs[(nth + 1) % 3];
        eventually("two servers have the last event", || (last_id(other, &instance) == Some(last)).then_some(()));
        hubs[nth].up();
        load(500);
    }
    let events = daemon.whole_events();
    let last = events.last().unwrap()["id"].as_i64();
    for hub in &hubs {
        eventually("the hub has the last event", || (last_id(hub, &instance) == last).then_some(()));
    }
    let there: Vec<_> = stored(&hubs[0], &instance).into_iter().map(|stored| stored.body).collect();
    println!("{rounds} rounds, {} events", events.len());
    assert!(there == events, "{} stored, {} events", there.len(), events.len());
}
