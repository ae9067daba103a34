//! Whatever dies and whenever: each time at which a job was due has its one run, or says why it has none.

// The clock is in the test's hand only where the daemon is a debug build.
#![cfg(debug_assertions)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use runabout::clock::UnixMs;
use runabout::schedule::{Schedule, Zone};
use serde_json::{Value, json};

use crate::common::{Clock, DEADLINE, Daemon, eventually, now_ms};

const HOUR_MS: i64 = 3_600_000;

/// Numbers that differ, and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

fn ms(text: &Value) -> i64 {
    text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// All firings of a job, page by page.
fn firings(daemon: &Daemon, job: &str) -> Vec<Value> {
    let (mut all, mut next) = (Vec::new(), Some(format!("/v1/jobs/{job}/firings?limit=1000")));
    while let Some(path) = next {
        let page = daemon.get(&path).expect(200).json();
        all.extend(page["firings"].as_array().unwrap().iter().cloned());
        next = page["next"].as_str().map(str::to_owned);
    }
    all
}

/// How many runs each job made, by its times.
fn runs(daemon: &Daemon) -> BTreeMap<(String, i64), usize> {
    let (mut all, mut next) = (BTreeMap::new(), Some("/v1/runs?limit=500".to_owned()));
    while let Some(path) = next {
        let page = daemon.get(&path).expect(200).json();
        for run in page["runs"].as_array().unwrap().iter().filter(|run| run["scheduled_for"].is_string()) {
            let key = (run["job"].as_str().unwrap().to_owned(), ms(&run["scheduled_for"]));
            *all.entry(key).or_default() += 1;
        }
        next = page["next"].as_str().map(str::to_owned);
    }
    all
}

/// Waits until nothing is due, and holds what is written down against what was due since the jobs were made, or enabled
/// later than that.
#[track_caller]
fn check(daemon: &Daemon, jobs: &[(String, String)], zone: &str, enabled: &BTreeMap<String, i64>) {
    eventually(DEADLINE, "nothing is due any more", || {
        let metrics = daemon.metrics();
        let (next, now) = (metrics.get("job_next_seconds"), ms(&daemon.get("/v1/system").json()["started_at"]));
        next == 0.0 || (next * 1_000.0) as i64 > now
    });
    let runs = runs(daemon);
    assert!(runs.values().all(|count| *count == 1), "a time has two runs");
    let mut with_run = 0;
    for (name, expression) in jobs {
        let job = daemon.get(&format!("/v1/jobs/{name}")).expect(200).json();
        let made = UnixMs(ms(&job["created_at"]));
        let schedule = Schedule::parse(std::slice::from_ref(expression), Zone::named(zone).unwrap(), made).unwrap();
        let firings = firings(daemon, name);
        let newest = firings.iter().map(|firing| ms(&firing["scheduled_for"])).max().unwrap();
        let (mut due, mut at) = (0, enabled.get(name).map_or(made, |at| UnixMs(*at)));
        while let Some(next) = schedule.next(at).filter(|next| next.at.0 <= newest) {
            at = next.at;
            due += 1;
        }
        let told: i64 = firings.iter().map(|firing| firing["count"].as_i64().unwrap()).sum();
        assert_eq!(told, due, "{name}: so many times were due, and so many are told of");
        for firing in firings.iter().filter(|firing| !firing["run"].is_null()) {
            assert!(runs.contains_key(&(name.clone(), ms(&firing["scheduled_for"]))), "{name} {firing}");
            with_run += 1;
        }
    }
    assert_eq!(with_run, runs.len(), "every run has its firing");
}

#[test]
fn years_of_crashes_lose_no_time_and_fire_none_twice() {
    let config = "[retention]\nruns_days = 0\nruns_count = 0\n";
    let mut numbers = Numbers(7);
    let mut now = now_ms();
    let (mut daemon, clock) = Clock::start(Daemon::builder().config(config), now);
    daemon.put("/v1/queues/default", &json!({"paused": true})).expect(200);
    let jobs = [("nightly", "30 2 * * *", "all"), ("often", "0 */12 * * *", "latest"), ("seldom", "0 2 1 * *", "none")];
    for (name, schedule, catch_up) in jobs {
        let job = json!({
            "run": {"script": "true"}, "schedule": schedule, "zone": "Europe/Berlin", "catch_up": catch_up, "overlap": "allow",
        });
        daemon.put(&format!("/v1/jobs/{name}"), &job).expect(201);
    }
    for _ in 0..30 {
        daemon.kill9();
        now += HOUR_MS * (1 + numbers.below(24 * 25) as i64);
        clock.write_for_next_start(now);
        daemon.start_again();
        // Where it dies is what is tried; what is counted ends at 1,000.
        std::thread::sleep(Duration::from_millis(numbers.below(60)));
    }
    let jobs = jobs.map(|(name, schedule, _)| (name.to_owned(), schedule.to_owned()));
    check(&daemon, &jobs, "Europe/Berlin", &BTreeMap::new());
}

/// The runs of a job that have ended.
fn ended_of(daemon: &Daemon, job: &str) -> Vec<Value> {
    let page = daemon.get(&format!("/v1/runs?limit=500&job={job}")).expect(200).json();
    assert_eq!(page["next"], Value::Null, "{job} has more");
    page["runs"].as_array().unwrap().iter().map(|run| daemon.wait_ended(run["id"].as_i64().unwrap())).collect()
}

/// Jobs that others follow.
const FOLLOWED: usize = 5;

#[test]
fn fifty_jobs_of_every_second_are_killed_again_and_again() {
    let config = "[retention]\nruns_days = 0\nruns_count = 0\n[limits]\nqueued_runs = 1000000\n";
    let mut numbers = Numbers(11);
    let mut daemon = Daemon::with_config(config);
    daemon.put("/v1/queues/default", &json!({"slots": 8})).expect(200);
    let starts = daemon.dir().join("starts");
    // Each attempt tells of itself; every third run fails, and is tried again.
    let script =
        format!("echo $RUNABOUT_RUN_ID $RUNABOUT_ATTEMPT >>{}; test $((RUNABOUT_RUN_ID % 3)) != 0", starts.display());
    let jobs: Vec<(String, String)> = (0..50).map(|nth| (format!("job-{nth}"), "@every 1s".to_owned())).collect();
    for (name, schedule) in &jobs {
        let job = json!({
            "run": {"script": script, "on_interrupt": "requeue", "retry": {"attempts": 2, "delay_s": 0}},
            "schedule": schedule, "catch_up": "all", "overlap": "allow", "enabled": false,
        });
        daemon.put(&format!("/v1/jobs/{name}"), &job).expect(201);
    }
    for (name, _) in &jobs[..FOLLOWED] {
        let job =
            json!({"run": {"command": ["true"]}, "after_job": {"job": name, "when": "ended"}, "overlap": "allow"});
        daemon.put(&format!("/v1/jobs/after-{name}"), &job).expect(201);
    }
    // What ended before its followers were made would not be followed.
    let mut enabled = BTreeMap::new();
    for (name, _) in &jobs {
        let job = daemon.patch(&format!("/v1/jobs/{name}"), &json!({"enabled": true})).expect(200).json();
        enabled.insert(name.clone(), ms(&job["changed_at"]));
    }
    for _ in 0..6 {
        std::thread::sleep(Duration::from_millis(200 + numbers.below(900)));
        daemon.kill9();
        daemon.start_again();
    }
    for (name, _) in &jobs {
        daemon.patch(&format!("/v1/jobs/{name}"), &json!({"enabled": false})).expect(200);
    }
    check(&daemon, &jobs, "UTC", &enabled);
    for (name, _) in &jobs {
        for run in ended_of(&daemon, name) {
            let is_bad = run["id"].as_i64().unwrap() % 3 == 0;
            assert_eq!(run["status"], if is_bad { "failed" } else { "succeeded" }, "{run}");
            let failures = daemon.events(run["id"].as_i64().unwrap());
            let failures = failures.iter().filter(|event| event["data"]["exit_code"] == 1).count();
            assert_eq!(failures, if is_bad { 2 } else { 0 }, "what died with the daemon counts as no attempt: {run}");
        }
    }
    for (name, _) in &jobs[..FOLLOWED] {
        let followed = ended_of(&daemon, name).len();
        let followers = || ended_of(&daemon, &format!("after-{name}")).len();
        // The last end's follower is made a moment after it.
        eventually(DEADLINE, "each end is followed", || followers() >= followed);
        assert_eq!(followers(), followed, "each end of {name} is followed once");
    }
    let starts = std::fs::read_to_string(starts).unwrap();
    let once: BTreeSet<&str> = starts.lines().collect();
    assert_eq!(once.len(), starts.lines().count(), "an attempt was started twice");
}
