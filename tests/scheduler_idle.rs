//! The scheduler starts what is due at once and in order, within the slots; and does nothing while nothing is due.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

#[cfg(debug_assertions)]
use crate::common::{Clock, now_ms};
use crate::common::{DEADLINE, Daemon, Traced, eventually, resident_file_bytes, strace_is_there, voluntary_switches};

/// When a run's attempt was started among all events of the daemon, and when it ended.
fn started_and_ended(daemon: &Daemon, run: i64) -> (i64, i64) {
    let events = daemon.events(run);
    let id = |kind: &str| events.iter().find(|event| event["kind"] == kind).map(|event| event["id"].as_i64().unwrap());
    (id("started").unwrap(), id("finished").unwrap())
}

/// The runs in the order in which they were started.
fn in_order_of_start(daemon: &Daemon, runs: &[i64]) -> Vec<i64> {
    let mut started: Vec<(i64, i64)> = runs.iter().map(|&run| (started_and_ended(daemon, run).0, run)).collect();
    started.sort_unstable();
    started.into_iter().map(|(_, run)| run).collect()
}

/// How many of the runs ran at once, at most.
fn most_at_once(daemon: &Daemon, runs: &[i64]) -> usize {
    let spans: Vec<(i64, i64)> = runs.iter().map(|&run| started_and_ended(daemon, run)).collect();
    let at = |id: i64| spans.iter().filter(|(started, ended)| *started <= id && id < *ended).count();
    spans.iter().map(|(started, _)| at(*started)).max().unwrap()
}

fn time_ms(run: &Value, field: &str) -> i64 {
    let text = run[field].as_str().unwrap_or_else(|| panic!("no {field} in {run}"));
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// What must not move while nothing happens.
fn figures(daemon: &Daemon) -> [f64; 3] {
    let metrics = daemon.metrics();
    ["scheduler_wakeups_total", "store_requests_total", "commits_total"].map(|name| metrics.sum(name))
}

#[test]
fn an_idle_daemon_does_not_wake() {
    let mut daemon = Daemon::start();
    // Everything that could be looked at by and by: a history, a session, a paused queue, a run far in the future.
    let tcp = daemon.tcp_as("viewer");
    daemon.wait_ended(daemon.sh("echo done"));
    daemon.put("/v1/queues/paused", &json!({"paused": true})).expect(201);
    daemon.submit(&json!({"script": "true", "queue": "paused"}));
    daemon.submit(&json!({"script": "true", "delay_s": 3600}));
    daemon.put("/v1/cursors/reader", &json!({"id": 1})).expect(201);
    tcp.get("/v1/runs").expect(200);
    for start in ["after some work", "after a start"] {
        let mut before = figures(&daemon);
        let mut since = Instant::now();
        eventually(DEADLINE, "it comes to rest", || {
            let now = figures(&daemon);
            if now != before {
                (before, since) = (now, Instant::now());
            }
            since.elapsed() > Duration::from_millis(500)
        });
        // The time is what is measured.
        let window = Duration::from_secs(3);
        if strace_is_there() {
            let traced = Traced::attach(daemon.pid(), daemon.dir().join("calls"));
            let attached = traced.calls().len();
            std::thread::sleep(window);
            let calls = traced.calls();
            assert!(calls.len() <= attached + 3, "{start}: {:#?}", &calls[attached..]);
        } else {
            let switches = voluntary_switches(daemon.pid());
            std::thread::sleep(window);
            let switches = voluntary_switches(daemon.pid()) - switches;
            assert!(switches <= 3, "{start}: {switches} wakeups in {window:?}");
        }
        assert_eq!(figures(&daemon), before, "{start}");
        daemon.restart();
    }
}

#[test]
fn an_idle_daemon_gives_back_the_pages_that_its_start_needed() {
    let daemon = Daemon::start();
    // A build for tests has thirteen megabytes of them mapped when it has started, and needs four when nothing happens.
    let is_small = || resident_file_bytes(daemon.pid()) < 8 << 20;
    eventually(DEADLINE, "the pages are unmapped", is_small);
    assert_eq!(daemon.wait_ended(daemon.sh("echo still here"))["status"], "succeeded");
}

#[test]
fn due_runs_start_by_priority_and_then_by_id() {
    let daemon = Daemon::start();
    let gate = daemon.gate("first");
    let first = daemon.sh(&gate.wait());
    daemon.wait_running(first);
    let priorities = [0, 5, -1000, 5, 0, 1000, -1, 0];
    let runs: Vec<i64> =
        priorities.iter().map(|priority| daemon.submit(&json!({"script": "true", "priority": priority}))).collect();
    // Changed while it is queued: the order is that of the moment.
    daemon.patch(&format!("/v1/runs/{}", runs[7]), &json!({"priority": 999})).expect(200);
    gate.open();
    runs.iter().for_each(|&run| assert_eq!(daemon.wait_ended(run)["status"], "succeeded"));
    let expected = [5, 7, 1, 3, 0, 4, 6, 2].map(|index: usize| runs[index]);
    assert_eq!(in_order_of_start(&daemon, &runs), expected);
    assert_eq!(most_at_once(&daemon, &runs), 1, "the default queue has one slot");
}

#[test]
fn a_queue_fills_its_slots_and_never_more() {
    let daemon = Daemon::start();
    daemon.put("/v1/queues/wide", &json!({"slots": 3})).expect(201);
    let runs: Vec<i64> = (0..12).map(|_| daemon.submit(&json!({"script": "sleep 0.05", "queue": "wide"}))).collect();
    for &run in &runs {
        daemon.wait_ended(run);
    }
    assert_eq!(most_at_once(&daemon, &runs), 3);
    assert_eq!(in_order_of_start(&daemon, &runs), runs);
    // More slots start what waits at once; fewer let what runs go on.
    let gates: Vec<_> = (0..4).map(|number| daemon.gate(&format!("g{number}"))).collect();
    daemon.put("/v1/queues/wide", &json!({"slots": 1})).expect(200);
    let runs: Vec<i64> =
        gates.iter().map(|gate| daemon.submit(&json!({"script": gate.wait(), "queue": "wide"}))).collect();
    daemon.wait_running(runs[0]);
    let queue = |daemon: &Daemon| {
        let queue = daemon.get("/v1/queues/wide").expect(200).json();
        ["slots", "queued", "running"].map(|field| queue[field].as_i64().unwrap())
    };
    assert_eq!(queue(&daemon), [1, 3, 1]);
    daemon.put("/v1/queues/wide", &json!({"slots": 4})).expect(200);
    for &run in &runs {
        daemon.wait_running(run);
    }
    daemon.put("/v1/queues/wide", &json!({"slots": 1})).expect(200);
    assert_eq!(queue(&daemon), [1, 0, 4]);
    let late = daemon.submit(&json!({"script": "true", "queue": "wide"}));
    for (gate, &run) in gates.iter().zip(&runs) {
        assert_eq!(daemon.run(late)["status"], "queued");
        gate.open();
        daemon.wait_ended(run);
    }
    daemon.wait_ended(late);
    assert!(runs.iter().all(|&run| started_and_ended(&daemon, run).1 < started_and_ended(&daemon, late).0));
}

#[test]
fn a_paused_queue_starts_nothing_until_it_goes_on() {
    let daemon = Daemon::start();
    daemon.put("/v1/queues/night", &json!({"slots": 2, "paused": true})).expect(201);
    let held: Vec<i64> = (0..3).map(|_| daemon.submit(&json!({"script": "true", "queue": "night"}))).collect();
    // Whatever else is submitted goes past it.
    for _ in 0..3 {
        daemon.wait_ended(daemon.sh("true"));
    }
    for &run in &held {
        assert_eq!(daemon.kinds(run), ["queued"]);
    }
    daemon.put("/v1/queues/night", &json!({"paused": false})).expect(200);
    held.iter().for_each(|&run| assert_eq!(daemon.wait_ended(run)["status"], "succeeded"));
    assert_eq!(daemon.get("/v1/queues/night").json()["slots"], 2);
}

#[test]
fn a_pause_survives_a_restart() {
    let mut daemon = Daemon::start();
    daemon.put("/v1/queues/night", &json!({"paused": true})).expect(201);
    let held = daemon.submit(&json!({"script": "true", "queue": "night"}));
    daemon.restart();
    daemon.wait_ended(daemon.sh("true"));
    assert_eq!(daemon.run(held)["status"], "queued");
    daemon.put("/v1/queues/night", &json!({"paused": false})).expect(200);
    daemon.wait_ended(held);
}

#[test]
fn a_delayed_run_stands_in_front_of_nobody() {
    let daemon = Daemon::start();
    let delayed: Vec<i64> =
        (0..20).map(|_| daemon.submit(&json!({"script": "true", "priority": 1000, "delay_s": 3600}))).collect();
    let far = daemon.submit(&json!({"script": "true", "priority": 1000, "not_before": "2999-01-01T00:00:00Z"}));
    let run = daemon.submit(&json!({"script": "true", "priority": -1000}));
    assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
    assert_eq!(daemon.kinds(delayed[0]), ["queued"]);
    assert_eq!(daemon.run(far)["not_before"], "2999-01-01T00:00:00.000Z");
    // Brought forward, it goes.
    daemon.patch(&format!("/v1/runs/{far}"), &json!({"not_before": null})).expect(200);
    assert_eq!(daemon.wait_ended(far)["status"], "succeeded");
    daemon.patch(&format!("/v1/runs/{}", delayed[7]), &json!({"not_before": "2020-01-01T00:00:00Z"})).expect(200);
    assert_eq!(daemon.wait_ended(delayed[7])["status"], "succeeded");
    assert_eq!(daemon.get("/v1/queues/default").json()["queued"], 19);
}

#[test]
fn a_delayed_run_starts_on_time_and_nobody_looked_for_it_meanwhile() {
    let daemon = Daemon::start();
    let run = daemon.submit(&json!({"script": "true", "delay_s": 2}));
    let before = figures(&daemon);
    let due = daemon.metrics().get("scheduler_wakeups_total{cause=\"due\"}");
    // No request is under way in this time: a `wait_s` would be one that the store is asked for.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(figures(&daemon), before, "looked at before its time");
    let ended = daemon.wait_ended(run);
    let late_ms = time_ms(&ended, "started_at") - time_ms(&ended, "not_before");
    println!("started {late_ms} ms after its time");
    assert!((0..1000).contains(&late_ms), "{ended}");
    // The delay counts from the request, which comes a moment before its commit.
    let delay_ms = time_ms(&ended, "not_before") - time_ms(&ended, "created_at");
    assert!((1500..=2000).contains(&delay_ms), "{delay_ms}");
    assert_eq!(daemon.metrics().get("scheduler_wakeups_total{cause=\"due\"}"), due + 1.0);
}

// The clock is in the test's hand only where the daemon is a debug build.
#[cfg(debug_assertions)]
#[test]
fn a_run_that_waited_until_its_start_before_is_started_no_more() {
    let now = now_ms();
    let time = |after_s: i64| jiff::Timestamp::from_millisecond(now + after_s * 1_000).unwrap().to_string();
    let (mut daemon, clock) = Clock::start(Daemon::builder(), now);
    daemon.put("/v1/queues/paused", &json!({"paused": true})).expect(201);
    let late = json!({"script": "true", "queue": "paused", "start_before": time(600)});
    let late = daemon.submit(&late);
    let in_time = daemon.submit(&json!({"script": "true", "start_before": time(600)}));
    let held = daemon.submit(&json!({"script": "true", "delay_s": 3600, "start_before": time(600)}));
    assert_eq!(daemon.wait_ended(in_time)["status"], "succeeded");
    // One that started in time and is queued again by the daemon's end is to start again, which is too late then.
    let again = daemon.submit(&json!({"script": "sleep 3600", "on_interrupt": "requeue", "start_before": time(600)}));
    daemon.wait_running(again);
    let shown = daemon.run(late);
    assert_eq!(time_ms(&shown, "start_before"), now + 600_000, "{shown}");
    clock.set(&daemon, now + 599_000);
    assert_eq!(daemon.run(late)["status"], "queued");
    clock.set(&daemon, now + 601_000);
    let is_expired = |daemon: &Daemon, run: i64| {
        let run = daemon.wait_ended(run);
        assert_eq!((&run["status"], &run["reason"]), (&json!("canceled"), &json!("expired")), "{run}");
    };
    is_expired(&daemon, late);
    is_expired(&daemon, held);
    assert_eq!(daemon.kinds(late), ["queued", "finished"]);
    // What comes too late is written down, and not started for a moment.
    let past = daemon.submit(&json!({"script": "true", "start_before": time(600)}));
    assert_eq!(daemon.kinds(past), ["queued", "finished"]);
    is_expired(&daemon, past);
    clock.write_for_next_start(now + 700_000);
    daemon.restart();
    is_expired(&daemon, again);
    assert_eq!(daemon.kinds(again).iter().filter(|kind| *kind == "started").count(), 1);
    // A person who repeats it wants it now.
    let repeated = daemon.post(&format!("/v1/runs/{past}/retry"), &json!({})).expect(201).json();
    assert_eq!(daemon.wait_ended(repeated["id"].as_i64().unwrap())["status"], "succeeded");
}

#[test]
fn a_run_that_became_due_while_the_daemon_was_down_starts_with_it() {
    let mut daemon = Daemon::start();
    let soon = daemon.submit(&json!({"script": "true", "delay_s": 1}));
    let later = daemon.submit(&json!({"script": "true", "delay_s": 3600}));
    daemon.stop();
    // Its time passes while nobody is there to see it.
    std::thread::sleep(Duration::from_millis(1100));
    daemon.start_again();
    assert_eq!(daemon.wait_ended(soon)["status"], "succeeded");
    assert_eq!(daemon.run(later)["status"], "queued");
}

#[test]
fn a_submit_starts_at_once() {
    let daemon = Daemon::start();
    let mut waited_ms: Vec<i64> = (0..10)
        .map(|_| {
            let run = daemon.wait_ended(daemon.sh("true"));
            time_ms(&run, "started_at") - time_ms(&run, "created_at")
        })
        .collect();
    waited_ms.sort_unstable();
    println!("from submit to start: {waited_ms:?} ms");
    assert!(waited_ms[5] < 250, "{waited_ms:?}");
}

#[test]
fn a_full_house_of_queues_runs_side_by_side() {
    let daemon = Daemon::start();
    let queues: Vec<String> = (0..5).map(|number| format!("q{number}")).collect();
    let gates: Vec<_> = queues.iter().map(|queue| daemon.gate(queue)).collect();
    let mut runs = Vec::new();
    for (queue, gate) in queues.iter().zip(&gates) {
        daemon.put(&format!("/v1/queues/{queue}"), &json!({})).expect(201);
        runs.push(daemon.submit(&json!({"script": gate.wait(), "queue": queue})));
    }
    for &run in &runs {
        daemon.wait_running(run);
    }
    gates.iter().for_each(|gate| gate.open());
    for &run in &runs {
        daemon.wait_ended(run);
    }
    assert_eq!(most_at_once(&daemon, &runs), 5);
}
