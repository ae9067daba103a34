//! A box's events are in the hub: all, in order, each once; or it says which are gone.

use std::time::{Duration, Instant};

use super::common::stream::{block_on, last_id, stored, stream};
use super::common::{Daemon, Hub, Process, bridge, eventually, setup, told};

type Event = (i64, i64, i64, String);

fn caught_up(hub: &Hub, daemon: &Daemon) {
    let instance = daemon.instance();
    let last = daemon.events().last().unwrap().0;
    eventually("the hub has the last event", || (last_id(hub, &instance) == Some(last)).then_some(()));
}

fn same(hub: &Hub, daemon: &Daemon) {
    let there: Vec<_> = stored(hub, &daemon.instance()).iter().map(|stored| stored.event()).collect();
    assert_eq!(there, daemon.events());
}

fn progress(daemon: &Daemon, events: usize) -> i64 {
    let run = daemon.submit(r#"{"command":["sleep","3600"],"queue":"default"}"#).unwrap();
    for chunk in 0..events.div_ceil(1000) {
        let count = (events - chunk * 1000).min(1000);
        let lines: Vec<String> = (0..count)
            .map(|nth| format!(r#"{{"kind":"progress","data":{{"step":{nth},"pad":"{}"}}}}"#, "x".repeat(150)))
            .collect();
        daemon.ask("POST", &format!("/v1/runs/{run}/events"), &format!("[{}]", lines.join(","))).unwrap();
    }
    run
}

fn ended(daemon: &Daemon, run: i64) {
    let ended = || daemon.ask("GET", &format!("/v1/runs/{run}"), "").filter(|run| !run["ended_at"].is_null());
    eventually("its end", ended);
}

fn peak_kib(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.0.id())).unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    peak.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_week_offline_is_caught_up_in_seconds_in_order_each_once() {
    let (hub, daemon) = (Hub::start(), Daemon::start());
    progress(&daemon, 20_000);
    setup(&hub, &daemon);
    let began = Instant::now();
    let mut bridge = bridge(&hub.url(), &daemon, &["--rate-bytes", "0"]);
    caught_up(&hub, &daemon);
    let took = began.elapsed();
    let kib = peak_kib(&bridge);
    println!("20,000 events in {took:?}, peak {kib} KiB");
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert!(kib < 40 << 10, "{kib} KiB");
    same(&hub, &daemon);
    let stopped = bridge.stop();
    assert!(stopped < Duration::from_secs(1), "{stopped:?}");
}

#[test]
fn a_week_offline_that_retention_overtook_is_one_gap_and_then_all_that_is_left() {
    let (hub, daemon) = (Hub::start(), Daemon::configured("[retention]\nruns_count = 5\ninterval_s = 1\n"));
    setup(&hub, &daemon);
    let mut sender = bridge(&hub.url(), &daemon, &[]);
    ended(&daemon, daemon.submit(r#"{"script":"true"}"#).unwrap());
    caught_up(&hub, &daemon);
    sender.kill();
    let before = last_id(&hub, &daemon.instance()).unwrap();
    // As after the days for which a cursor that nobody moves holds anything.
    daemon.ask("DELETE", "/v1/cursors/nats", "");
    // A week of twenty runs, of which the daemon keeps the last few.
    for _ in 0..20 {
        let run = progress(&daemon, 1_000);
        daemon.ask("POST", &format!("/v1/runs/{run}/cancel"), "").unwrap();
        ended(&daemon, run);
    }
    // What is left of what is gone belongs to no run: that runs were removed.
    let first_of_run = |events: &[Event]| events.iter().find(|event| event.1 > 0).cloned().unwrap();
    let left = eventually("the oldest are gone", || {
        let runs = daemon.ask("GET", "/v1/runs?limit=100", "").unwrap();
        let runs = runs["runs"].as_array().unwrap();
        let oldest = runs.iter().map(|run| run["id"].as_i64().unwrap()).min().unwrap();
        let events = daemon.events();
        (runs.len() <= 5 && first_of_run(&events).1 == oldest).then_some(events)
    });
    let removed = first_of_run(&left).0 - 1 - before;
    assert!(removed > 10_000, "{removed}");
    let began = Instant::now();
    let sender = bridge(&hub.url(), &daemon, &["--rate-bytes", "0"]);
    caught_up(&hub, &daemon);
    let (took, kib) = (began.elapsed(), peak_kib(&sender));
    let there = stored(&hub, &daemon.instance());
    let gaps: Vec<_> = there.iter().filter(|stored| stored.is_gap()).map(|gap| &gap.body).collect();
    println!(
        "{removed} of {} events removed, the rest in {took:?}, peak {kib} KiB: {gaps:?}",
        left.len() as i64 + removed
    );
    let [gap] = gaps[..] else { panic!("{gaps:?}") };
    let told = (gap["from"].as_i64().unwrap(), gap["to"].as_i64().unwrap());
    let is_left = |id: &i64| left.iter().any(|event| event.0 == *id);
    let last = (before + 1..first_of_run(&left).0).rev().find(|id| !is_left(id)).unwrap();
    assert_eq!(told, (before + 1, last));
    let after: Vec<_> =
        there.iter().skip_while(|stored| !stored.is_gap()).skip(1).map(|stored| stored.event()).collect();
    assert_eq!(after, left);
    assert!(took < Duration::from_secs(20) && kib < 40 << 10, "{took:?} {kib} KiB");
}

#[test]
fn an_older_hub_takes_the_same_one_by_one() {
    let Some(hub) = Hub::older() else {
        println!("NATS_SERVER_OLDER names no older nats-server");
        return;
    };
    let daemon = Daemon::start();
    let (status, text) = told(&hub.url(), &daemon, &["--setup", "--tags", "t"]);
    assert!(status == 0 && text.contains("older than 2.12"), "{text}");
    progress(&daemon, 500);
    daemon.ask("PUT", "/v1/queues/other", r#"{"slots":1}"#).unwrap();
    // Another box appends at the same time, and a second bridge of the same.
    let other = Daemon::start();
    progress(&other, 500);
    let _other = bridge(&hub.url(), &other, &["--no-work"]);
    let mut senders = [bridge(&hub.url(), &daemon, &["--tags", "t"]), bridge(&hub.url(), &daemon, &["--no-work"])];
    for nth in [0, 1, 0, 1] {
        let run = daemon.submit(r#"{"script":"true","queue":"other"}"#).unwrap();
        ended(&daemon, run);
        senders[nth].kill();
        senders[nth] = bridge(&hub.url(), &daemon, &["--tags", "t"]);
    }
    for daemon in [&daemon, &other] {
        caught_up(&hub, daemon);
        same(&hub, daemon);
    }
    let (status, text) = told(&hub.url(), &daemon, &["--check", "--tags", "t"]);
    assert!(status == 0 && text.contains("one by one"), "{text}");
}

#[test]
fn without_batches_the_promise_is_the_same() {
    let (hub, daemon) = (Hub::start(), Daemon::start());
    setup(&hub, &daemon);
    block_on(async {
        let client = async_nats::connect(hub.url()).await.unwrap();
        let mut config = stream(&hub).await.cached_info().config.clone();
        config.allow_atomic_publish = false;
        async_nats::jetstream::new(client).update_stream(config).await.unwrap();
    });
    progress(&daemon, 700);
    let _bridge = bridge(&hub.url(), &daemon, &[]);
    caught_up(&hub, &daemon);
    same(&hub, &daemon);
    let (status, text) = told(&hub.url(), &daemon, &["--check"]);
    assert!(status == 0 && text.contains("takes no batches"), "{text}");
}

#[test]
fn two_bridges_for_one_box_store_nothing_twice() {
    let (hub, daemon) = (Hub::start(), Daemon::start());
    setup(&hub, &daemon);
    progress(&daemon, 3_000);
    let _bridges = [bridge(&hub.url(), &daemon, &[]), bridge(&hub.url(), &daemon, &[])];
    for _ in 0..20 {
        daemon.submit(r#"{"script":"true"}"#).unwrap();
    }
    caught_up(&hub, &daemon);
    same(&hub, &daemon);
}

#[test]
fn what_retention_removed_before_the_hub_had_it_is_one_gap_that_tells_the_range() {
    let (hub, daemon) = (Hub::start(), Daemon::start());
    setup(&hub, &daemon);
    let first = daemon.submit(r#"{"script":"true"}"#).unwrap();
    ended(&daemon, first);
    let last = daemon.submit(r#"{"script":"true","tags":["kept"]}"#).unwrap();
    ended(&daemon, last);
    let removed: Vec<_> = daemon.events().into_iter().filter(|event| event.1 == first).collect();
    daemon.ask("DELETE", &format!("/v1/runs/{first}"), "").unwrap();
    // Twice: what was told by one bridge is not told again by the next.
    for _ in 0..2 {
        let mut bridge = bridge(&hub.url(), &daemon, &[]);
        caught_up(&hub, &daemon);
        bridge.kill();
    }
    let there = stored(&hub, &daemon.instance());
    let gaps: Vec<_> = there.iter().filter(|stored| stored.is_gap()).collect();
    assert_eq!(gaps.len(), 1, "{there:?}");
    let (from, to) = (gaps[0].body["from"].as_i64().unwrap(), gaps[0].body["to"].as_i64().unwrap());
    assert!(removed.iter().all(|event| (from..=to).contains(&event.0)), "{from} to {to}: {removed:?}");
    let events: Vec<_> = there.iter().filter(|stored| !stored.is_gap()).map(|stored| stored.event()).collect();
    assert_eq!(events, daemon.events());
}

#[test]
fn what_cannot_work_is_told_and_no_secret_is_taken_on_the_command_line() {
    let daemon = Daemon::start();
    let told = |server: &str, options: &[&str]| told(server, &daemon, options);
    let (code, text) = told("nats://127.0.0.1:1", &["--check"]);
    assert!(code == 1 && text.contains("no hub at nats://127.0.0.1:1"), "{code} {text}");
    let (code, text) = told("nats://me:secret@127.0.0.1:1", &[]);
    assert!(code == 2 && text.contains("--password-file") && !text.contains("secret"), "{code} {text}");
    let hub = Hub::start();
    let (code, text) = told(&hub.url(), &["--check"]);
    assert!(code == 1 && text.contains("RB_EVENTS") && text.contains("--setup"), "{code} {text}");
    setup(&hub, &daemon);
    let (code, text) = told(&hub.url(), &["--check"]);
    assert!(code == 0 && text.contains("nothing is wrong"), "{code} {text}");
}
