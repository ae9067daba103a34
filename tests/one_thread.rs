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
