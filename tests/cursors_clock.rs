//! Durable cursors and time: retention by age waits for them; one that nobody has put for `retention.cursor_days` holds nothing
//! any more; meanwhile nobody wakes; and a clock that was wrong makes none old.

// The clock is in the test's hand only where the daemon is a debug build.
#![cfg(debug_assertions)]

use serde_json::{Value, json};

use crate::common::{Clock, DEADLINE, Daemon, cli, eventually, now_ms};

const DAY_MS: i64 = 86_400_000;

fn is_there(daemon: &Daemon, run: i64) -> bool {
    daemon.get(&format!("/v1/runs/{run}")).status == 200
}

fn put(daemon: &Daemon, name: &str, id: i64) -> Value {
    daemon.put(&format!("/v1/cursors/{name}"), &json!({"id": id})).json()
}

fn doctor(daemon: &Daemon) -> Value {
    let report = cli(daemon, &["--json", "doctor"]).json();
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["check"] == "cursors").cloned().unwrap_or_default()
}

#[test]
fn a_cursor_holds_what_is_too_old_until_it_is_too_old_itself() {
    let begun = now_ms();
    let (daemon, clock) =
        Clock::start(Daemon::builder().config("[retention]\nruns_days = 1\ncursor_days = 5\n"), begun);
    assert_eq!(doctor(&daemon), Value::Null, "where there are none there is nothing to say");
    let read = daemon.sh("true");
    daemon.wait_ended(read);
    let last = daemon.get("/v1/events").json()["last_id"].as_i64().unwrap();
    put(&daemon, "late", last);
    put(&daemon, "gone", 0);
    let unread = daemon.sh("true");
    daemon.wait_ended(unread);
    assert_eq!(doctor(&daemon)["level"], "ok");
    let told = doctor(&daemon)["found"].to_string();
    assert!(told.contains("gone is 6 ids behind, put ") && told.contains("late is 3 ids behind"), "{told}");

    clock.set(&daemon, begun + 3 * DAY_MS);
    daemon.post("/v1/maintenance", &json!({})).expect(200);
    assert!(is_there(&daemon, read) && is_there(&daemon, unread), "both are held");
    // The clock of the doctor is the machine's: by that none is late yet. The one that is put again lives on.
    put(&daemon, "late", last);
    let until = daemon.get("/v1/cursors/late").json()["holds_until"].as_str().unwrap().to_owned();
    let until = until.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    assert!((until - (begun + 8 * DAY_MS)).abs() < 60_000, "{until}");

    // Nobody asks: what holds no more lets go by itself.
    clock.set(&daemon, begun + 5 * DAY_MS + 1_000);
    eventually(DEADLINE, "what the late one has read goes", || !is_there(&daemon, read));
    assert!(is_there(&daemon, unread));
    assert_eq!(daemon.get("/v1/cursors/gone").json()["holds"], false);
    clock.set(&daemon, begun + 8 * DAY_MS + 1_000);
    eventually(DEADLINE, "all is let go", || !is_there(&daemon, unread));
    assert!(daemon.get("/v1/cursors").json()["cursors"].as_array().unwrap().iter().all(|one| one["holds"] == false));
    // It is none of the unread that had to go for lack of room.
    assert_eq!(daemon.metrics().get("unread_pruned_total"), 0.0);
}

#[test]
fn with_no_days_a_cursor_holds_for_ever() {
    let begun = now_ms();
    let (daemon, clock) =
        Clock::start(Daemon::builder().config("[retention]\nruns_days = 1\ncursor_days = 0\n"), begun);
    put(&daemon, "slow", 0);
    let run = daemon.sh("true");
    daemon.wait_ended(run);
    assert_eq!(daemon.get("/v1/cursors/slow").json()["holds_until"], Value::Null);
    clock.set(&daemon, begun + 4_000 * DAY_MS);
    daemon.post("/v1/maintenance", &json!({})).expect(200);
    assert!(is_there(&daemon, run));
    // Held is not due: nothing is looked at again and again.
    let figures = || ["commits_total", "store_requests_total"].map(|name| daemon.metrics().sum(name));
    let mut before = figures();
    eventually(DEADLINE, "it comes to rest", || {
        // The time is what is measured.
        std::thread::sleep(std::time::Duration::from_millis(300));
        let now = figures();
        std::mem::replace(&mut before, now) == now
    });
    put(&daemon, "slow", daemon.get("/v1/events").json()["last_id"].as_i64().unwrap());
    eventually(DEADLINE, "it goes", || !is_there(&daemon, run));
}

#[test]
fn a_cursor_that_was_put_by_a_wrong_clock_is_not_old_when_that_is_set() {
    let (daemon, clock) =
        Clock::start(Daemon::builder().config("[retention]\nruns_count = 1\ncursor_days = 1\n"), DAY_MS);
    put(&daemon, "slow", 0);
    let runs: Vec<i64> = (0..3).map(|_| daemon.sh("true")).collect();
    daemon.wait_ended(runs[2]);
    // It lives as long as intended from then on.
    let now = now_ms() + 10 * DAY_MS;
    clock.set(&daemon, now);
    daemon.post("/v1/maintenance", &json!({})).expect(200);
    assert!(runs.iter().all(|run| is_there(&daemon, *run)));
    let moved_at = daemon.get("/v1/cursors/slow").json()["moved_at"].as_str().unwrap().to_owned();
    let moved_at = moved_at.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    assert!((moved_at - now).abs() < 300_000, "{moved_at}");
    clock.set(&daemon, now + DAY_MS + 60_000);
    eventually(DEADLINE, "it is old then", || !is_there(&daemon, runs[1]));
}
