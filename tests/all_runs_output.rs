//! Output of all runs by `id`, though it lies with its run: every piece once and in order, whatever of it is gone, and no
//! id is given out twice.

use rusqlite::Connection;
use serde_json::json;

use crate::common::{DEADLINE, Daemon, beside, eventually, number};

/// So many bytes of lines: events of 16 KiB.
fn chatter(bytes: usize) -> String {
    format!("yes 'a line of a command that has much to say' | head -c {bytes}")
}

fn column(database: &Connection, sql: &str) -> Vec<i64> {
    let mut statement = database.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

fn ids(events: &[serde_json::Value]) -> Vec<i64> {
    events.iter().map(|event| event["id"].as_i64().unwrap()).collect()
}

/// Each block names the runs that have output in it, and each of them by a piece at or before its first there.
#[track_caller]
fn assert_blocks(database: &Connection) {
    let wrong = "SELECT count(*) FROM (SELECT id >> 6 AS block, run, min(key) AS first FROM output GROUP BY id >> 6, run) AS there
                 FULL JOIN output_blocks AS known ON known.block = there.block AND known.run = there.run
                 WHERE there.run IS NULL OR known.run IS NULL OR known.key > there.first";
    assert_eq!(number(database, wrong), 0);
}

#[test]
fn output_of_runs_that_print_by_turns_is_read_in_the_order_of_ids() {
    // Two of them print more than is kept of one.
    let mut daemon = Daemon::with_config("[limits]\noutput_bytes_per_run = 1000000");
    daemon.put("/v1/queues/wide", &json!({"slots": 4})).expect(201);
    let runs = [4_000_000, 900_000, 3_000_000, 100]
        .map(|bytes| daemon.submit(&json!({"script": chatter(bytes), "queue": "wide"})));
    runs.iter().for_each(|run| drop(daemon.wait_ended(*run)));
    let database = beside(&daemon);
    assert_blocks(&database);
    assert!(number(&database, "SELECT count(*) FROM trimmed_runs") > 0);
    let stored = column(&database, "SELECT id FROM output ORDER BY id");
    assert_eq!(ids(&daemon.all_events("kinds=output", 0)), stored);
    let all = column(&database, "SELECT id FROM run_events ORDER BY id");
    let kinds = "queued,started,output,progress,message,cancel_requested,changed,attempt_ended,finished";
    assert_eq!(ids(&daemon.all_events(&format!("kinds={kinds}"), 0)), all);
    let middle = stored[stored.len() / 2];
    let after: Vec<i64> = stored.iter().copied().filter(|id| *id > middle).collect();
    assert_eq!(ids(&daemon.all_events("kinds=output", middle)), after);
    for newest in [1, 30] {
        let page = daemon.get(&format!("/v1/events?kinds=output&after=-{newest}&limit=1000")).expect(200).json();
        assert_eq!(ids(page["events"].as_array().unwrap()), stored[stored.len() - newest..], "the newest {newest}");
    }
    // Where the newest event of all is gone, its id stays gone; also where it was output, and after a crash.
    let gate = daemon.gate("last");
    let last = daemon.sh(&format!("echo last; {}", gate.wait()));
    eventually(DEADLINE, "it printed", || number(&database, "SELECT max(id) FROM run_events") > all[all.len() - 1] + 2);
    let highest = number(&database, "SELECT max(id) FROM output");
    assert_eq!(number(&database, "SELECT max(id) FROM run_events"), highest, "what it printed is the newest");
    daemon.kill9();
    // Before there is a daemon again, which ends what the dead one left.
    gate.open();
    daemon.start_again();
    daemon.wait_ended(last);
    let next = daemon.events(last).iter().map(|event| event["id"].as_i64().unwrap()).find(|id| *id > highest);
    assert!(next.is_some());
    assert_eq!(number(&database, &format!("SELECT count(*) FROM run_events WHERE id = {highest}")), 1);
    for run in runs.iter().chain([&last]) {
        daemon.delete(&format!("/v1/runs/{run}")).expect(204);
    }
    daemon.call("POST", "/v1/maintenance").send().expect(200);
    assert_eq!(number(&database, "SELECT count(*) FROM output_blocks"), 0, "blocks go with what was in them");
}
