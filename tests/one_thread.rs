//! However much is going on: one thread for everything asynchronous, two for the store, one for the reactor's helper.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::{Client, Daemon, Reader, threads};

#[test]
fn there_are_four_threads_under_load_with_readers_runs_and_orphans() {
    let mut daemon = Daemon::with_config("[runs]\nkill_grace_s = 1");
    daemon.put("/v1/queues/wide", &json!({"slots": 8})).expect(201);
    let orphans: Vec<i64> = (0..4)
        .map(|_| daemon.submit(&json!({"script": "trap '' TERM; while :; do sleep 0.05; done", "queue": "wide"})))
        .collect();
    for &run in &orphans {
        daemon.wait_running(run);
    }
    daemon.kill9();
    daemon.start_again();
    let script = "seq 1 50000; cat; for i in 1 2 3 4 5; do echo $i; sleep 0.1; done";
    let runs: Vec<i64> = (0..6)
        .map(|_| daemon.submit(&json!({"script": script, "queue": "wide", "stdin": "x".repeat(100_000)})))
        .collect();
    let tcp = daemon.tcp_as("admin");
    let clients: [&Client; 2] = [&daemon, &tcp];
    let mut most = Vec::new();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..18)
            .map(|number| {
                let (client, run) = (clients[number % 2], runs[number % runs.len()]);
                scope.spawn(move || Reader::open(client, run, 0).until_end())
            })
            .collect();
        let until = Instant::now() + Duration::from_secs(30);
        while readers.iter().any(|reader| !reader.is_finished()) && Instant::now() < until {
            for (method, path) in [("GET", "/v1/runs"), ("GET", "/readyz"), ("POST", "/v1/maintenance")] {
                tcp.call(method, path).send().expect(200);
                let now = threads(daemon.pid());
                if now.len() > most.len() {
                    most = now;
                }
            }
        }
        readers.into_iter().for_each(|reader| assert_eq!(reader.join().unwrap()["status"], "succeeded"));
    });
    orphans.iter().for_each(|&run| assert_eq!(daemon.wait_ended(run)["status"], "interrupted"));
    println!("threads: {most:?}");
    assert!((3..=4).contains(&most.len()), "{most:?}");
}

#[test]
fn the_reactors_helper_stays_out_of_runs_that_follow_one_another() {
    const RUNS: u64 = 100;
    let daemon = Daemon::start();
    daemon.put("/v1/queues/load", &json!({"slots": 1, "paused": true})).expect(201);
    let runs: Vec<i64> = (0..RUNS).map(|_| daemon.submit(&json!({"command": ["true"], "queue": "load"}))).collect();
    let (before, begun) = (helper_switches(daemon.pid()), Instant::now());
    daemon.put("/v1/queues/load", &json!({"paused": false})).expect(200);
    daemon.wait_ended(runs[runs.len() - 1]);
    let (switches, ms) = (helper_switches(daemon.pid()) - before, begun.elapsed().as_millis() as u64);
    println!("{switches} switches of the helper for {RUNS} runs in {ms} ms");
    // It looks every ten milliseconds whether anybody has the reactor. Where it took it over, each run would wake it five
    // times.
    assert!(switches < 2 * RUNS + ms / 5, "{switches} for {RUNS} runs in {ms} ms");
}

/// How often the thread that helps the reactor has gone to sleep.
fn helper_switches(pid: i32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let text = |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_default();
    let is_helper = |task: &std::path::PathBuf| text(&task.join("comm")).trim() == "async-io";
    let helper = tasks.map(|task| task.unwrap().path()).find(is_helper).expect("there is one");
    let status = text(&helper.join("status"));
    let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    count.expect("Linux has it").trim().parse().unwrap()
}
