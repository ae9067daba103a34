//! Whatever dies, in whatever order: at the end the hub's stream is the box's events, in order, each once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use super::common::link::Link;
use super::common::stream::{last_id, stored};
use super::common::{Daemon, Draw, Hub, bridge, eventually, setting, setup};

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let _ = std::fs::remove_dir_all(to);
    let copied = std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(copied.success());
}

#[test]
fn whatever_dies_in_whatever_order_the_stream_is_the_boxs() {
    let rounds = setting("CHAOS_ROUNDS", 10);
    let seed = setting("CHAOS_SEED", 20_261_130);
    println!("CHAOS_SEED={seed} CHAOS_ROUNDS={rounds}");
    let mut draw = Draw(seed);
    let mut hub = Hub::start();
    let daemon = Arc::new(RwLock::new(Daemon::start()));
    let instance = daemon.read().unwrap().instance();
    setup(&hub, &daemon.read().unwrap());
    let link = Link::to(hub.port);
    let run = daemon.read().unwrap().submit(r#"{"command":["sleep","3600"],"on_interrupt":"requeue"}"#).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let load = std::thread::spawn({
        let (daemon, done) = (daemon.clone(), done.clone());
        move || {
            // About 200 events a second.
            let body = format!("[{}]", [r#"{"kind":"progress","data":{"percent":1}}"#; 20].join(","));
            let mut next = Instant::now();
            while !done.load(Ordering::Relaxed) {
                next += Duration::from_millis(100);
                let _ = daemon.read().unwrap().ask("POST", &format!("/v1/runs/{run}/events"), &body);
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        }
    });
    let start = || bridge(&link.url(), &daemon.read().unwrap(), &["--rate", "0", "--rate-bytes", "0"]);
    let mut sender = start();
    let older = hub.scratch.0.join("older");
    hub.kill();
    copy(&hub.store(), &older);
    hub.up();
    let mut restores = 0;
    for round in 0..rounds {
        let event = draw.below(10);
        draw.pause(700);
        let began = Instant::now();
        let what = match event {
            0 => {
                hub.kill();
                draw.pause(500);
                hub.up();
                "hub killed"
            }
            1 => {
                sender.kill();
                draw.pause(300);
                sender = start();
                "bridge killed"
            }
            2 => {
                let mut daemon = daemon.write().unwrap();
                daemon.kill();
                daemon.up();
                "daemon killed"
            }
            3 => {
                link.cut();
                draw.pause(800);
                "link cut"
            }
            4 => {
                link.silence();
                // One time in four longer than the bridge waits for an answer.
                let longest_ms = if draw.below(4) == 0 { 8_000 } else { 1_500 };
                draw.pause(longest_ms);
                "link half-open"
            }
            5 => {
                hub.kill();
                copy(&hub.store(), &older);
                hub.up();
                "hub copied"
            }
            6 => {
                hub.kill();
                copy(&older, &hub.store());
                hub.up();
                restores += 1;
                "hub restored from an older copy"
            }
            7 => {
                link.double(1 + draw.below(1_000));
                "connection lost at one end, and late at the other"
            }
            8 => {
                link.drop_after(1 + draw.below(200_000));
                draw.pause(1_500);
                "connections dropped in the middle"
            }
            _ => {
                link.delay(1 + draw.below(150));
                draw.pause(1_500);
                "link slow"
            }
        };
        link.heal();
        println!("round {round}: {what}, {:?}", began.elapsed());
    }
    done.store(true, Ordering::Relaxed);
    load.join().unwrap();
    let load_s = began.elapsed().as_secs_f64();
    let daemon = daemon.read().unwrap();
    let events = daemon.whole_events();
    let last = events.last().unwrap()["id"].as_i64();
    eventually("the hub has the last event", || (last_id(&hub, &instance) == last).then_some(()));
    let there = stored(&hub, &instance);
    let rate = events.len() as f64 / load_s;
    println!("{rounds} rounds, {restores} restores, {} events, {rate:.0}/s", events.len());
    assert_eq!(there.len(), events.len());
    for (stored, event) in there.iter().zip(&events) {
        stored.event();
        assert_eq!(&stored.body, event, "another one, or in another order");
    }
}
