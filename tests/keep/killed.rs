//! Each byte comes once, whatever is killed when: daemons and keepers at random, and at each of their system calls.
//!
//! `RUNABOUT_KEEP_ROUNDS=500` makes the rounds of [`each_byte_comes_once_whatever_is_killed_when`] as many, and
//! `RUNABOUT_KEEP_CALLS=200` has daemon and keeper die at each of their first 200 calls of every kind; the suite has a few.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{assert_nothing_is_left, ending, keeper_pid, survivor};
use crate::common::{DEADLINE, Daemon, Random, Traced, eventually, kill, output_of, proc_exists, strace_is_there};

/// Rounds of the suite.
const ROUNDS: u64 = 10;

/// Numbers that a round's command prints to each stream, among bytes that are no text.
const LINES: u64 = 30_000;

/// What a round's command prints: numbers on both streams, and bytes that are no text.
fn expected() -> (Vec<u8>, Vec<u8>) {
    let numbers: String = (1..=LINES).map(|number| format!("{number}\n")).collect();
    let mut stdout = numbers.clone().into_bytes();
    stdout.extend_from_slice(b"\xff\x00\xfe\xe2\x82");
    (stdout, numbers.into_bytes())
}

#[test]
fn each_byte_comes_once_whatever_is_killed_when() {
    let rounds = std::env::var("RUNABOUT_KEEP_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let seed = std::env::var("RUNABOUT_KEEP_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(7);
    let (mut random, mut daemon) = (Random::new(seed), Daemon::start());
    let (mut lost, mut kills) = (0_u64, 0_u64);
    let began = Instant::now();
    for round in 0..rounds {
        let script = noisy(&daemon, "");
        let run = survivor(&daemon, &script);
        // One in eight loses its keeper, once that is there.
        let is_keepers_turn = random.below(8) == 7;
        if is_keepers_turn {
            let keeper = keeper_pid(&daemon, run);
            std::thread::sleep(Duration::from_micros(random.below(60_000)));
            kill(keeper);
        }
        for _ in 0..random.below(4) {
            std::thread::sleep(Duration::from_micros(random.below(120_000)));
            daemon.kill9();
            kills += 1;
            std::thread::sleep(Duration::from_micros(random.below(30_000)));
            daemon.start_again();
        }
        daemon.wait_ended(run);
        lost += u64::from(is_lost(&daemon, run, &format!("round {round}")));
    }
    assert_started_once(&daemon);
    eprintln!("{rounds} rounds, {kills} daemons killed, {lost} runs lost, {:?}", began.elapsed());
}

/// A round's command, which also writes down that it was started.
fn noisy(daemon: &Daemon, first: &str) -> String {
    let starts = daemon.dir().join("starts");
    format!(
        "echo $RUNABOUT_RUN_ID >>{}; {first} seq 1 {LINES} >&2 & seq 1 {LINES}; wait; printf '\\377\\000\\376\\342\\202'; exit 9",
        starts.display()
    )
}

/// Checks a round's run, which has ended. Returns whether it was lost: its keeper was killed, or its daemon before it had told
/// that what to start.
#[track_caller]
fn is_lost(daemon: &Daemon, run: i64, round: &str) -> bool {
    let ended = daemon.run(run);
    let (stdout, stderr) = output_of(&daemon.events(run));
    let is_lost = ended["reason"] == "daemon_lost";
    if is_lost {
        assert!(expected().0.starts_with(&stdout) && expected().1.starts_with(&stderr), "{round}");
    } else {
        assert_eq!(ending(&ended), json!(["failed", "exited", 9, null]), "{round}: {ended}");
        assert!((stdout, stderr) == expected(), "{round}: bytes are missing, twice or in another order");
    }
    assert_nothing_is_left(daemon);
    is_lost
}

#[track_caller]
fn assert_started_once(daemon: &Daemon) {
    let started = std::fs::read_to_string(daemon.dir().join("starts")).unwrap_or_default();
    let (mut runs, mut all) = (started.lines().collect::<Vec<_>>(), 0);
    runs.sort_unstable();
    all += runs.len();
    runs.dedup();
    assert_eq!(runs.len(), all, "none was started twice");
}

/// System calls at which daemon and keeper are killed, by the suite.
const CALLS: &[u64] = &[1, 3, 9];

#[test]
fn the_daemon_may_die_at_any_system_call() {
    if !strace_is_there() {
        println!("skipped: strace is not there");
        return;
    }
    let mut daemon = Daemon::start();
    let (mut killed, mut lost) = (0, 0);
    for nth in calls() {
        let log = daemon.dir().join("strace");
        let traced = Traced::inject(daemon.pid(), log, "all", &format!("signal=KILL:when={nth}"));
        let body = json!({"script": noisy(&daemon, ""), "survive": true});
        let key = format!("call-{nth}");
        let mut run = None;
        eventually(DEADLINE, "it has ended", || {
            if !proc_exists(daemon.pid()) {
                killed += 1;
                daemon.wait_exit(DEADLINE);
                daemon.start_again();
            }
            let Some(run) = run else {
                let submit = daemon.call("POST", "/v1/runs").header("idempotency-key", &key).json(&body);
                run = submit
                    .try_send()
                    .ok()
                    .filter(|answer| answer.status < 300)
                    .and_then(|answer| answer.json()["id"].as_i64());
                return false;
            };
            let shown = daemon.call("GET", &format!("/v1/runs/{run}")).try_send();
            shown.is_ok_and(|answer| answer.status == 200 && answer.json()["ended_at"].is_string())
        });
        drop(traced);
        if !proc_exists(daemon.pid()) {
            daemon.wait_exit(DEADLINE);
            daemon.start_again();
        }
        lost += u64::from(is_lost(&daemon, run.expect("it was submitted"), &format!("call {nth} of the daemon")));
    }
    assert_started_once(&daemon);
    eprintln!("daemon: {killed} killed, {lost} runs lost");
}

#[test]
fn the_keeper_may_die_at_any_system_call() {
    if !strace_is_there() {
        println!("skipped: strace is not there");
        return;
    }
    let daemon = Daemon::start();
    let mut lost = 0;
    for nth in calls() {
        // No gate: whoever opens one waits for a reader, which may be gone.
        let go = daemon.dir().join(format!("go-{nth}"));
        let waits = format!("until [ -e {} ]; do sleep 0.01; done;", go.display());
        let run = survivor(&daemon, &noisy(&daemon, &waits));
        let keeper = keeper_pid(&daemon, run);
        daemon.wait_running(run);
        let log = daemon.dir().join("strace");
        let traced = Traced::inject(keeper, log, "all", &format!("signal=KILL:when={nth}"));
        std::fs::write(&go, "").unwrap();
        daemon.wait_ended(run);
        drop(traced);
        lost += u64::from(is_lost(&daemon, run, &format!("call {nth} of the keeper")));
    }
    assert_started_once(&daemon);
    eprintln!("keeper: {lost} runs lost");
}

fn calls() -> Vec<u64> {
    match std::env::var("RUNABOUT_KEEP_CALLS").ok().and_then(|text| text.parse().ok()) {
        Some(last) => (1..=last).collect(),
        None => CALLS.to_vec(),
    }
}
