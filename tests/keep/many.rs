//! Many that survive at once, with the daemon away while all of them print: none is blocked before its megabyte is full, none
//! loses a byte, and the next daemon serves at once.
//!
//! `RUNABOUT_KEEP_MANY=50 RUNABOUT_KEEP_AWAY_S=60` is the long form, in which the figures have limits; the suite has a few
//! for a moment.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::sizes::private_bytes;
use super::{assert_nothing_is_left, keeper_pid, wait_printed};
use crate::common::{DEADLINE, Daemon, eventually, output_of, threads};

/// Prints numbered lines of 1,024 bytes: the first at once, the others when a file is there, one each so many seconds. Says at
/// its end by another file that it has printed all, and which write took longest.
const PRINTS: &str = r#"
import os, sys, time
count, pause, go, done = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], sys.argv[4]
worst, began = 0.0, time.monotonic()
for number in range(count):
    line = b"%d %s\n" % (number, b"x" * (1022 - len(str(number))))
    before = time.monotonic()
    while line:
        line = line[os.write(1, line):]
    worst = max(worst, time.monotonic() - before)
    if number == 0:
        while not os.path.exists(go):
            time.sleep(0.01)
        began = time.monotonic()
    time.sleep(max(0.0, began + (number + 1) * pause - time.monotonic()))
open(done, "w").close()
while not os.path.exists(go + "-on"):
    time.sleep(0.01)
os.write(2, b"%d" % (worst * 1000))
"#;
/// Lines that one prints while the daemon is away: fewer than a megabyte, which a pipe adds to.
const LINES: u32 = 700;
/// Every fifth prints so many, as fast as it can.
const LINES_OF_FAST: u32 = 3_000;

fn from_environment<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn many_print_while_the_daemon_is_away_and_none_is_blocked_early_or_loses_a_byte() {
    if Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: python3 is not there");
        return;
    }
    let many: u32 = from_environment("RUNABOUT_KEEP_MANY").unwrap_or(6);
    let away: Option<f64> = from_environment("RUNABOUT_KEEP_AWAY_S");
    let (is_long, away) = (away.is_some(), away.unwrap_or(1.5));
    let mut daemon = Daemon::start();
    daemon.put("/v1/queues/default", &json!({"slots": many})).expect(200);
    let daemon_dir = daemon.dir().to_owned();
    let go = daemon_dir.join("go");
    let done = |nth: usize| daemon_dir.join(format!("done-{nth}"));
    // All of it in as long as the daemon is away.
    let pause = away / f64::from(LINES);
    let is_fast = |nth: usize| nth % 5 == 4;
    let submit = |nth: usize| {
        let (lines, pause) = if is_fast(nth) { (LINES_OF_FAST, 0.0) } else { (LINES, pause) };
        let words = json!(["python3", "-c", PRINTS, lines.to_string(), pause.to_string(), go, done(nth)]);
        daemon.submit(&json!({"command": words, "survive": true}))
    };
    let runs: Vec<i64> = (0..many as usize).map(submit).collect();
    let keepers: Vec<i32> = runs.iter().map(|&run| keeper_pid(&daemon, run)).collect();
    for &run in &runs {
        wait_printed(&daemon, run, "0 ");
    }
    let sizes = || {
        let bytes = keepers.iter().map(|&keeper| private_bytes(keeper) / 1_024);
        let (least, most) = bytes.fold((u64::MAX, 0), |(least, most), bytes| (least.min(bytes), most.max(bytes)));
        format!("{least} to {most} KiB")
    };
    let before = sizes();
    daemon.stop();
    std::fs::write(&go, "").unwrap();
    std::thread::sleep(Duration::from_secs_f64(away));
    // Those below a megabyte have room for all of it, whoever is away; the others wait.
    let mut all = 0..runs.len();
    eventually(DEADLINE, "those with room are done", || all.clone().all(|nth| is_fast(nth) || done(nth).exists()));
    assert!(!all.any(|nth| is_fast(nth) && done(nth).exists()), "what is beyond a megabyte waits");
    assert!(keepers.iter().all(|&keeper| threads(keeper).len() == 1));
    let (after, began) = (sizes(), Instant::now());
    daemon.start_again();
    let served = began.elapsed();
    std::fs::write(daemon_dir.join("go-on"), "").unwrap();
    let is_heard = |run: i64| {
        let run = daemon.run(run);
        run["ended_at"].is_string() || run["detached_since"] == Value::Null
    };
    eventually(DEADLINE, "all are heard of", || runs.iter().all(|&run| is_heard(run)));
    let heard = began.elapsed();
    let (mut worst, mut worst_of_fast) = (0, 0);
    for (nth, &run) in runs.iter().enumerate() {
        let ended = daemon.wait_ended_within(run, DEADLINE + Duration::from_secs_f64(away));
        assert_eq!(ended["status"], "succeeded", "{ended}");
        let (printed, longest) = output_of(&daemon.events(run));
        let lines = if is_fast(nth) { LINES_OF_FAST } else { LINES };
        let expected: String = (0..lines).map(|number| format!("{:x<1023}\n", format!("{number} "))).collect();
        assert!(printed == expected.as_bytes(), "run {run}: {} bytes of {}", printed.len(), expected.len());
        let longest: u64 = String::from_utf8(longest).unwrap().parse().unwrap();
        let of = if is_fast(nth) { &mut worst_of_fast } else { &mut worst };
        *of = longest.max(*of);
    }
    eprintln!(
        "{many} survivors, {away} s without a daemon: keepers have {before} of their own before, {after} with what they hold; \
         the next daemon serves after {served:?}, all are heard of after {heard:?}; the longest write of those below a \
         megabyte took {worst} ms, of the others {worst_of_fast} ms"
    );
    if is_long {
        assert!((worst as f64) < away * 100.0, "one waited {worst} ms with room for what it printed");
        assert!(served < Duration::from_millis(200), "{served:?}");
    }
    assert_nothing_is_left(&daemon);
}
