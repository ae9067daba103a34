//! Lists of runs: filtered, page after page, and shortened where a run is long.

use serde_json::{Value, json};

use crate::common::{Daemon, chain};

#[test]
fn lists_filter_and_their_pages_cover_everything_once() {
    let daemon = Daemon::start();
    daemon.put("/v1/queues/q", &json!({"slots": 4})).expect(201);
    let odd_tag = "a&b=\u{fc},/ %";
    let mut runs = Vec::new();
    for nth in 0..23 {
        let script = if nth % 3 == 0 { "false" } else { "true" };
        let (queue, name) = (if nth % 2 == 0 { "q" } else { "default" }, format!("n{}", nth % 4));
        let tags = if nth % 5 == 0 { json!(["t", odd_tag]) } else { json!(["t"]) };
        runs.push(daemon.submit(&json!({"script": script, "queue": queue, "name": name, "tags": tags})));
    }
    runs.iter().for_each(|run| drop(daemon.wait_ended(*run)));
    let waiting = daemon.submit(&json!({"script": "true", "delay_s": 3_600}));
    let newest_first = |wanted: &dyn Fn(usize) -> bool| -> Vec<i64> {
        runs.iter().enumerate().filter(|(nth, _)| wanted(*nth)).map(|(_, run)| *run).rev().collect()
    };
    let encoded = "a%26b%3D%C3%BC%2C%2F%20%25";
    let all = [vec![waiting], newest_first(&|_| true)].concat();
    for (query, wanted) in [
        (String::new(), all),
        ("status=queued&".into(), vec![waiting]),
        ("status=running&".into(), vec![]),
        ("status=failed&".into(), newest_first(&|nth| nth % 3 == 0)),
        ("status=failed,succeeded&".into(), newest_first(&|_| true)),
        ("queue=q&".into(), newest_first(&|nth| nth % 2 == 0)),
        ("queue=unknown&".into(), vec![]),
        ("name=n1&".into(), newest_first(&|nth| nth % 4 == 1)),
        ("tag=t&".into(), newest_first(&|_| true)),
        (format!("tag={encoded}&"), newest_first(&|nth| nth % 5 == 0)),
        (format!("tag={encoded}&queue=q&status=failed,succeeded&name=n0&"), newest_first(&|nth| nth == 0 || nth == 20)),
    ] {
        for limit in [1, 2, 4, 23, 500] {
            let path = format!("/v1/runs?{query}limit={limit}");
            assert_eq!(chain(&daemon, &path, limit), wanted, "{path}");
        }
    }
    let before = format!("/v1/runs?before={}", runs[3]);
    assert_eq!(chain(&daemon, &before, 50), [runs[2], runs[1], runs[0]]);
    // A page that was begun is not moved by what comes or goes meanwhile.
    let first = daemon.get("/v1/runs?limit=5").expect(200).json();
    daemon.sh("true");
    daemon.delete(&format!("/v1/runs/{}", runs[22])).expect(204);
    assert!(first["next"].as_str().unwrap().starts_with("/v1/runs?limit="), "{}", first["next"]);
    let rest = chain(&daemon, first["next"].as_str().unwrap(), 5);
    assert_eq!((rest.len(), rest[0]), (19, runs[18]));
}

#[test]
fn a_list_is_cut_at_a_megabyte_shows_the_beginning_of_what_is_long_and_goes_on() {
    let daemon = Daemon::start();
    let long = "y".repeat(100_000);
    let env: serde_json::Map<String, Value> = (0..400).map(|nth| (format!("KEY_{nth}"), "v".into())).collect();
    let mut runs: Vec<i64> = Vec::new();
    for nth in 0..12 {
        let command = vec![format!("command-{nth}"); 1].into_iter().chain((0..9).map(|_| long.clone()));
        let command: Vec<String> = command.collect();
        runs.push(daemon.submit(&json!({"command": command, "delay_s": 3_600, "env": env})));
    }
    runs.push(daemon.submit(&json!({"script": format!("# é\n{long}"), "delay_s": 3_600})));
    runs.push(daemon.submit(&json!({"script": "true", "delay_s": 3_600})));
    runs.reverse();
    let (mut listed, mut next, mut pages) = (Vec::new(), Some("/v1/runs?limit=500".to_owned()), 0);
    while let Some(path) = next {
        let answer = daemon.get(&path).expect(200);
        assert!(answer.body.len() < 64 * 1_024, "{} bytes for {path}", answer.body.len());
        let page = answer.json();
        listed.extend(page["runs"].as_array().unwrap().iter().cloned());
        next = page["next"].as_str().map(str::to_owned);
        pages += 1;
    }
    // Ten megabytes are not read at once.
    assert!(pages >= 2, "{pages} pages");
    assert_eq!(listed.iter().map(|run| run["id"].as_i64().unwrap()).collect::<Vec<_>>(), runs);
    assert!(listed[0].get("truncated").is_none(), "{}", listed[0]);
    assert_eq!(listed[1]["truncated"], json!(["script"]));
    assert!(listed[1]["script"].as_str().unwrap().starts_with("# é\nyyy"));
    for (listed, id) in listed.iter().zip(&runs).skip(2) {
        assert_eq!(listed["truncated"], json!(["command", "env_keys"]));
        let whole = daemon.run(*id);
        let shown = listed["command"].as_array().unwrap();
        assert_eq!(shown[0], whole["command"][0]);
        assert!(whole["command"][1].as_str().unwrap().starts_with(shown[1].as_str().unwrap()));
        assert!(shown.len() == 2 && listed["env_keys"].as_array().unwrap().len() < 400);
        assert_eq!(
            (whole["command"].as_array().unwrap().len(), whole["env_keys"].as_array().unwrap().len()),
            (10, 400)
        );
        assert!(whole.get("truncated").is_none());
    }
    // A progress has no beginning that is one: here the megabyte cuts.
    daemon.put("/v1/queues/default", &json!({"slots": 1, "paused": true})).expect(200);
    for _ in 0..80 {
        let run = daemon.sh("true");
        let event = json!({"kind": "progress", "data": {"percent": 1, "note": "x".repeat(16_000)}});
        daemon.post(&format!("/v1/runs/{run}/events"), &event).expect(201);
    }
    let page = daemon.get("/v1/runs?limit=500").expect(200);
    assert!(page.body.len() < 1_048_576 + 1_024, "{} bytes", page.body.len());
    let shown = page.json()["runs"].as_array().unwrap().len();
    assert!((50..80).contains(&shown), "{shown} of 80");
    assert!(page.json()["next"].is_string());
    let listed = daemon.cli().args(["ls", "--limit", "94", "--json"]).output().unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    assert_eq!(listed.as_array().unwrap().len(), 94);
}
