//! Runs are found by a part of their name, tags or command, by when they were submitted, and by their exit code; what that
//! costs is bounded, and how far it looked is said.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::common::{Daemon, chain, cli};

#[test]
fn runs_are_found_by_text_time_and_exit_code() {
    let daemon = Daemon::start();
    daemon.put("/v1/queues/default", &json!({"slots": 4})).expect(200);
    let mut runs = Vec::new();
    for body in [
        json!({"command": ["printf", "%s", "In The\u{e4} Middle"], "name": "Nightly Backup"}),
        json!({"script": "exit 3", "tags": ["M\u{dc}LL", "other"]}),
        json!({"script": "exit 4 # backup"}),
        json!({"command": ["true", "a", "b"]}),
    ] {
        let run = daemon.submit(&body);
        daemon.wait_ended(run);
        runs.push(run);
    }
    let found = |query: &str| chain(&daemon, &format!("/v1/runs?{query}"), 50);
    for (query, wanted) in [
        ("q=backup", vec![2, 0]),
        ("q=BACKUP&exit=4", vec![2]),
        ("q=the%C3%A4%20mid", vec![0]),
        ("q=m%C3%BCll", vec![1]),
        // Arguments have blanks between them; the marks of the JSON that they are stored in are not there.
        ("q=true%20a%20b", vec![3]),
        ("q=%22", vec![]),
        ("exit=3,4", vec![2, 1]),
        ("exit=3&exit=4&status=failed", vec![2, 1]),
        ("status=failed&q=backup", vec![2]),
        ("tag=other&q=exit", vec![1]),
    ] {
        let wanted: Vec<i64> = wanted.into_iter().map(|nth: usize| runs[nth]).collect();
        assert_eq!(found(query), wanted, "{query}");
    }
    let submitted = |nth: usize| daemon.run(runs[nth])["created_at"].as_str().unwrap().to_owned();
    let (second, last) = (submitted(1), submitted(3));
    assert_eq!(found(&format!("since={second}&until={last}")), [runs[2], runs[1]]);
    assert_eq!(found(&format!("since={last}")), [runs[3]]);
    assert_eq!(found(&format!("until={second}&status=succeeded")), [runs[0]]);
    assert_eq!(found("until=1999-01-01T00:00:00Z"), Vec::<i64>::new());
    for (query, field) in
        [("q=", "q"), ("since=yesterday", "since"), ("exit=256", "exit"), ("exit=+1", "exit"), ("tag=%ff", "tag")]
    {
        let problem = daemon.get(&format!("/v1/runs?{query}")).expect_problem(422, "invalid");
        assert_eq!(problem["details"]["violations"][0]["field"], field, "{query}");
    }
    let listed = |arguments: &[&str]| {
        let told = cli(&daemon, &[&["ls", "--json"], arguments].concat()).expect(0).json();
        told.as_array().unwrap().iter().map(|run| run["id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(listed(&["--find", "backup", "--since", "1h"]), [runs[2], runs[0]]);
    assert_eq!(listed(&["--exit", "3,4", "--until", &last]), [runs[2], runs[1]]);
    assert_eq!(listed(&["--until", "1h"]), Vec::<i64>::new());
    cli(&daemon, &["ls", "--since", "yesterday"]).expect(2);
}

/// Runs of the past, written beside the daemon: one a second, until now; each tenth failed.
const PAST: i64 = 60_000;

fn with_a_past() -> Daemon {
    let mut daemon = Daemon::with_config("[retention]\nruns_count = 0\nruns_days = 0\n");
    daemon.stop();
    let database = Connection::open(daemon.state_dir().join("runabout.db")).unwrap();
    let many = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {PAST})
         INSERT INTO runs (id, status, reason, name, queue, priority, held_by, tags, script, env, on_interrupt, keep, attempt,
                           exit_code, output_bytes, created_at, started_at, ended_at)
         SELECT i, iif(i % 10, 'succeeded', 'failed'), 'exited', iif(i = 7, 'needle', NULL), 'default', 0, 0, '[]', 'true',
                '{{}}', 'fail', 0, 1, i % 10 = 0, 0, (unixepoch() - {PAST} + i) * 1000, 1, 1 FROM n"
    );
    assert_eq!(database.execute(&many, []).unwrap() as i64, PAST);
    drop(database);
    daemon.start_again();
    daemon
}

/// The runs of a list, of as many pages as it takes: on a busy machine the time of one may end before its rows do.
fn all_pages(daemon: &Daemon, path: &str) -> Vec<i64> {
    let (mut path, mut ids) = (path.to_owned(), Vec::new());
    loop {
        let page = daemon.get(&path).expect(200).json();
        ids.extend(page["runs"].as_array().unwrap().iter().map(|run| run["id"].as_i64().unwrap()));
        let Some(next) = page["next"].as_str() else {
            assert_eq!(page["looked_back_to"], Value::Null);
            return ids;
        };
        path = next.to_owned();
    }
}

#[test]
fn a_search_says_how_far_it_looked_and_goes_on() {
    let daemon = with_a_past();
    let (mut path, mut pages, mut found, mut last) = ("/v1/runs?q=Needle".to_owned(), 0, Vec::new(), String::from("9"));
    loop {
        let page = daemon.get(&path).expect(200).json();
        pages += 1;
        found.extend(page["runs"].as_array().unwrap().iter().map(|run| run["id"].as_i64().unwrap()));
        let Some(next) = page["next"].as_str() else {
            assert_eq!(page["looked_back_to"], Value::Null);
            break;
        };
        let looked_back_to = page["looked_back_to"].as_str().unwrap().to_owned();
        assert!(looked_back_to < last, "{looked_back_to} after {last}");
        (path, last) = (next.to_owned(), looked_back_to);
    }
    assert_eq!(found, [7]);
    assert!(pages >= 3, "{pages} pages of {PAST} runs");
    // The command line goes on by itself.
    assert_eq!(cli(&daemon, &["ls", "--json", "--find", "needle"]).expect(0).json()[0]["id"], 7);
    // A span of time is gone to, not looked for, and what lies before it is not looked at.
    let at = |run: i64| daemon.run(run)["created_at"].as_str().unwrap().to_owned();
    let span = format!("since={}&until={}&limit=500", at(1_000), at(1_200));
    assert_eq!(all_pages(&daemon, &format!("/v1/runs?{span}")), (1_000..1_200).rev().collect::<Vec<_>>());
    assert_eq!(all_pages(&daemon, &format!("/v1/runs?status=failed&{span}")).len(), 20);
}
