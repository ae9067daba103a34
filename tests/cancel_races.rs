//! A cancel acts right whenever it comes: before the claim, between claim and process, while the command runs, after its
//! end. A run is started at most once, ends once, and leaves nothing.

use std::time::Duration;

use serde_json::json;

use crate::common::{Client, DEADLINE, Daemon, eventually};

const RUNS: usize = 60;

#[test]
fn a_cancel_at_any_moment_acts_once_and_leaves_nothing() {
    let daemon = Daemon::start();
    daemon.put("/v1/queues/default", &json!({"slots": 4})).expect(200);
    let marks = daemon.dir().join("started");
    let script = format!("echo $RUNABOUT_RUN_ID >> {}; exec sleep 0.02", marks.display());
    let client: Client = (*daemon).clone();
    let runs: Vec<i64> = std::thread::scope(|scope| {
        let submitted: Vec<_> = (0..4)
            .map(|worker| {
                let (client, script) = (client.clone(), &script);
                scope.spawn(move || {
                    let one = |number: usize| {
                        let run = client.submit(&json!({"script": script}));
                        // From none to beyond its end, in steps that are no multiple of anything here.
                        std::thread::sleep(Duration::from_micros(((number * 4 + worker) * 733 % 45_000) as u64));
                        let answer = client.post(&format!("/v1/runs/{run}/cancel"), &json!({}));
                        assert!(matches!(answer.status, 200 | 202), "{answer:?}");
                        run
                    };
                    (0..RUNS / 4).map(one).collect::<Vec<_>>()
                })
            })
            .collect();
        submitted.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    for &run in &runs {
        let ended = daemon.wait_ended(run);
        let kinds = daemon.kinds(run);
        let count = |kind: &str| kinds.iter().filter(|have| *have == kind).count();
        assert!(count("started") <= 1 && count("finished") == 1 && count("cancel_requested") <= 1, "{kinds:?}");
        assert_eq!(kinds.last().map(String::as_str), Some("finished"), "{ended}");
        let was_canceled = ended["status"] == "canceled";
        assert!(was_canceled || ended["status"] == "succeeded", "{ended}");
        // What it was asked before its end decides, unless the end was seen first.
        assert!(!was_canceled || count("cancel_requested") == 1, "{kinds:?}");
        if count("started") == 0 {
            assert!(was_canceled, "{ended}");
        }
    }
    let mut started: Vec<String> = std::fs::read_to_string(&marks).unwrap().lines().map(str::to_owned).collect();
    started.sort();
    let total = started.len();
    started.dedup();
    assert_eq!(started.len(), total, "a command was started twice");
    eventually(DEADLINE, "nothing is left", || daemon.descendants().is_empty());
}
