//! A press starts its job once; one that is old, kept or repeated starts nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use super::common::broker::{Box, Broker, Ear, mqtt, pressed_at};
use super::common::{Daemon, eventually};

fn started(daemon: &Daemon) -> Vec<i64> {
    let told = eventually("runs", || daemon.ask("GET", "/v1/runs?limit=500", ""));
    told["runs"].as_array().unwrap().iter().map(|run| run["id"].as_i64().unwrap()).collect()
}

fn refused(ear: &Ear, at: &Box, why: &str) {
    let told = ear.json(&at.topic("event"), |told| {
        told["event_type"] == "not_started" && told["error"].as_str().is_some_and(|told| told.contains(why))
    });
    assert_eq!(told["job"], "pump");
}

fn with_pump() -> (Broker, Daemon, Box, Ear) {
    let (broker, daemon) = (Broker::start(), Daemon::start());
    let body = r#"{"run":{"script":"true"},"params":{"level":{"type":"integer","min":0,"max":9,"default":1}}}"#;
    daemon.ask("PUT", "/v1/jobs/pump", body).unwrap();
    daemon.ask("PUT", "/v1/jobs/gate", r#"{"run":{"script":"true"}}"#).unwrap();
    let (at, ear) = (Box::of(&daemon), broker.ear());
    (broker, daemon, at, ear)
}

fn online(ear: &Ear, at: &Box, times: usize) {
    eventually("online", || {
        let told = ear.all(&at.topic("status"));
        (told.iter().filter(|told| *told == "online").count() >= times).then_some(())
    });
}

#[test]
fn a_press_starts_its_job_once_however_often_it_comes() {
    for protocol in ["5", "3.1.1"] {
        let (broker, daemon, at, ear) = with_pump();
        let _bridge = mqtt(&broker.url(), &daemon, &["--protocol", protocol]);
        online(&ear, &at, 1);
        let press = pressed_at(0.0);
        for _ in 0..3 {
            broker.publish(&at.press("pump"), &press, &[]);
        }
        let second = format!(r#"{{"at":{},"params":{{"level":7}}}}"#, pressed_at(0.0));
        broker.publish(&at.press("pump"), &second, &[]);
        let end = ear.json(&at.topic("event"), |end| end["run"] == 2);
        assert_eq!((&end["job"], &end["event_type"]), (&"pump".into(), &"succeeded".into()));
        assert_eq!(started(&daemon), [2, 1]);
    }
}

#[test]
fn what_is_old_kept_or_says_nothing_starts_nothing() {
    for protocol in ["5", "3.1.1"] {
        let (broker, daemon, at, ear) = with_pump();
        // Kept from before the bridge was there.
        broker.publish(&at.press("pump"), &pressed_at(0.0), &["-r"]);
        let _bridge = mqtt(&broker.url(), &daemon, &["--protocol", protocol, "--jobs", "pump"]);
        online(&ear, &at, 1);
        broker.publish(&at.press("pump"), &pressed_at(-61.0), &[]);
        refused(&ear, &at, "s old");
        broker.publish(&at.press("pump"), &pressed_at(90.0), &[]);
        refused(&ear, &at, "ahead");
        broker.publish(&at.press("pump"), "PRESS", &[]);
        refused(&ear, &at, "date +%s.%N");
        broker.publish(&at.press("pump"), &format!(r#"{{"at":{},"params":{{"level":99}}}}"#, pressed_at(0.0)), &[]);
        refused(&ear, &at, "level");
        broker.publish(&at.press("gate"), &pressed_at(0.0), &[]);
        ear.json(&at.topic("event"), |told| told["job"] == "gate" && told["event_type"] == "not_started");
        broker.publish(&at.press("no-such-job"), &pressed_at(0.0), &[]);
        ear.json(&at.topic("event"), |told| told["job"] == "no-such-job");
        assert_eq!(started(&daemon), [0; 0]);
        // It was all heard: a fresh one is.
        broker.publish(&at.press("pump"), &pressed_at(0.0), &[]);
        ear.json(&at.topic("event"), |end| end["run"] == 1);
        if protocol == "5" {
            // With the flag set it would come again to whoever subscribes next.
            broker.publish(&at.press("pump"), &pressed_at(0.0), &["-r"]);
            broker.publish(&at.press("pump"), "after", &[]);
            ear.json(&at.topic("event"), |told| told["job"] == "pump" && told["event_type"] == "not_started");
            assert_eq!(started(&daemon), [1]);
        }
    }
}

#[test]
fn no_press_waits_for_a_bridge_that_is_away() {
    let (broker, daemon, at, ear) = with_pump();
    let mut bridge = mqtt(&broker.url(), &daemon, &[]);
    online(&ear, &at, 1);
    bridge.kill();
    eventually("offline", || (ear.last(&at.topic("status"))? == "offline").then_some(()));
    for _ in 0..5 {
        broker.publish(&at.press("pump"), &pressed_at(0.0), &["-q", "2"]);
    }
    let _bridge = mqtt(&broker.url(), &daemon, &[]);
    online(&ear, &at, 2);
    broker.publish(&at.press("gate"), &pressed_at(0.0), &[]);
    ear.json(&at.topic("event"), |end| end["run"] == 1 && end["job"] == "gate");
    assert_eq!(started(&daemon), [1]);
}

#[test]
fn whatever_dies_no_press_starts_two_runs() {
    let rounds: u64 = std::env::var("CHAOS_ROUNDS").map_or(8, |text| text.parse().expect("a number"));
    let (mut broker, mut daemon, at, _) = with_pump();
    let mut bridge = mqtt(&broker.url(), &daemon, &[]);
    let mut presses = 0;
    for round in 0..rounds {
        for _ in 0..5 {
            // Each twice, as a broker may deliver it.
            let press = pressed_at(0.0);
            broker.publish(&at.press("pump"), &press, &[]);
            broker.publish(&at.press("pump"), &press, &[]);
            presses += 1;
        }
        match round % 4 {
            0 => {
                broker.kill();
                broker.up();
            }
            1 => {
                bridge.kill();
                bridge = mqtt(&broker.url(), &daemon, &[]);
            }
            2 => {
                daemon.kill();
                daemon.up();
            }
            _ => std::thread::sleep(Duration::from_millis(300)),
        }
    }
    let ear = broker.ear();
    eventually("a press that counts", || {
        broker.publish(&at.press("gate"), &pressed_at(0.0), &[]);
        let told = daemon.ask("GET", "/v1/runs?job=gate", "")?;
        (!told["runs"].as_array()?.is_empty()).then_some(())
    });
    let told = daemon.ask("GET", "/v1/runs?job=pump&limit=500", "").unwrap();
    let runs: BTreeSet<i64> = told["runs"].as_array().unwrap().iter().map(|run| run["id"].as_i64().unwrap()).collect();
    println!("{rounds} rounds, {presses} presses, {} runs", runs.len());
    assert!(runs.len() <= presses, "{} runs of {presses} presses", runs.len());
    // At the end it shows what is.
    eventually("quiet", || (daemon.ask("GET", "/v1/system", "")?["runs"]["queued"] == 0).then_some(()));
    ear.json(&at.topic("runs"), |runs| runs["queued"] == 0 && runs["running"] == 0);
    eventually("online", || (ear.last(&at.topic("status"))? == "online").then_some(()));
}
