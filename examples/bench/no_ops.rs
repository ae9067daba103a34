//! Runs that do nothing, from the first claim to the last settled end, beside starting the same program without anything
//! else; and beside queues that keep nothing, or a file, on the disk.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::bench::{Bench, Build, Contender};
use crate::closed_loop::Until;
use crate::daemon::Daemon;
use crate::machine::spawns;
use crate::peers::{PUEUE, SPOOLER};
use crate::process::{Process, done, log};
use crate::submits::submit;

/// The program alone, one at a time, and as many at once as there are slots.
pub const SPAWN: &str = "posix_spawn";
const SPAWN_8: &str = "posix_spawn, 8 at once";

const RUNS: usize = 1_500;
const SPOOLED: usize = 300;
const PUEUE_RUNS: usize = 20;
const SLOTS: [(usize, &str); 2] = [(1, "no_ops_1"), (8, "no_ops_8")];

pub fn measure(bench: &mut Bench) {
    for round in bench.rounds() {
        for (slots, key) in SLOTS {
            let alone = spawns(bench.span() / 2);
            bench.add(key, SPAWN, alone);
            if slots > 1 {
                bench.add(key, SPAWN_8, spawns_at_once(slots, bench.span() / 2));
            }
            for contender in bench.contenders(&[SPOOLER, PUEUE], round) {
                let dir = bench.directory(contender.name());
                let rate = match &contender {
                    Contender::Build(build) => daemon(build, &dir, slots, bench.count(RUNS)),
                    Contender::Peer(SPOOLER, program) => spooler(program, &dir, slots, bench.count(SPOOLED)),
                    Contender::Peer(_, program) => pueue(program, &dir, slots, bench.count(PUEUE_RUNS)),
                };
                bench.add(key, contender.name(), rate);
            }
        }
    }
}

fn spawns_at_once(count: usize, span: Duration) -> f64 {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(|| spawns(span))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

fn daemon(build: &Build, dir: &Path, slots: usize, count: usize) -> f64 {
    let daemon = Daemon::start(build, dir, &[]);
    daemon.request("PUT", "/v1/queues/load", &format!(r#"{{"slots":{slots},"paused":true}}"#));
    submit(&daemon, "load", 8, Until::Answered(count), || ());
    daemon.process.settled_bytes();
    count as f64 / run_all(&daemon, "load").as_secs_f64()
}

/// Lets a paused queue go, and waits for its last run.
pub fn run_all(daemon: &Daemon, queue: &str) -> Duration {
    let last = format!(r#"{{"command":["true"],"queue":"{queue}","priority":-1}}"#);
    let last = daemon.ask("POST", "/v1/runs", &last);
    let begun = Instant::now();
    daemon.request("PUT", &format!("/v1/queues/{queue}"), r#"{"paused":false}"#);
    while daemon.ask("GET", &format!("/v1/runs/{}?wait_s=300", last["id"]), "")["status"] != "succeeded" {
        assert!(begun.elapsed() < Duration::from_secs(900), "the last run does not end");
    }
    begun.elapsed()
}

/// task-spooler: the first job holds the others back until all are queued. It keeps nothing on the disk.
fn spooler(program: &Path, dir: &Path, slots: usize, count: usize) -> f64 {
    let tsp = |args: &[&str]| {
        let mut command = Command::new(program);
        command.args(args).env("TS_SOCKET", dir.join("ts")).env("TMPDIR", dir).env("TS_MAXFINISHED", "10");
        command
    };
    let go = dir.join("go");
    let hold = format!("until [ -e '{}' ]; do sleep 0.005; done", go.display());
    done(&mut tsp(&["-n", "sh", "-c", &hold]));
    (0..count).for_each(|_| drop(done(&mut tsp(&["-n", "/bin/true"]))));
    let begun = Instant::now();
    std::fs::write(&go, "").unwrap();
    done(&mut tsp(&["-S", &slots.to_string()]));
    // For the last one that was queued.
    done(&mut tsp(&["-w"]));
    let took = begun.elapsed();
    done(&mut tsp(&["-K"]));
    count as f64 / took.as_secs_f64()
}

fn pueue(program: &Path, dir: &Path, slots: usize, count: usize) -> f64 {
    let (_daemon, pueue) = start_pueue(program, dir);
    done(pueue().args(["parallel", &slots.to_string()]));
    done(pueue().arg("pause"));
    (0..count).for_each(|_| drop(done(pueue().args(["add", "--", "true"]))));
    let begun = Instant::now();
    done(pueue().arg("start"));
    wait_pueue(&pueue, count);
    count as f64 / begun.elapsed().as_secs_f64()
}

/// Waits until so many of its tasks have ended; its own `wait` looks every two seconds.
pub fn wait_pueue(pueue: &impl Fn() -> Command, count: usize) {
    while done(pueue().args(["status", "--json"])).matches(r#""Done""#).count() < count {
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// pueue's daemon, and its client.
pub fn start_pueue(program: &Path, dir: &Path) -> (Process, impl Fn() -> Command + use<>) {
    let config = dir.join("pueue.yml");
    let at = dir.display();
    let text = format!("shared: {{pueue_directory: '{at}', runtime_directory: '{at}', use_unix_socket: true}}\n");
    std::fs::write(&config, format!("{text}client: {{}}\ndaemon: {{}}\n")).unwrap();
    let mut daemon = Command::new(program.with_file_name("pueued"));
    daemon.arg("-c").arg(&config).stdout(log(dir)).stderr(log(dir));
    let program = program.to_owned();
    let pueue = move || {
        let mut command = Command::new(&program);
        command.arg("-c").arg(&config).stdin(Stdio::null());
        command
    };
    let (process, ()) =
        Process::start(&mut daemon).until(|| pueue().arg("status").output().ok()?.status.success().then_some(()));
    (process, pueue)
}
