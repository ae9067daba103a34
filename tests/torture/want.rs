//! Part `want`: the wall clock a year off, either way; a process that is stopped for a while; no descriptors, no memory, no
//! processes left. The daemon refuses, waits or ends with a word, and has all that it had promised when there is enough again.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use super::load::{CLIENTS, Load, readers};
use super::told::Told;
use super::traced::Traced;
use super::trial::{Part, Trial};
use crate::common::{
    Builder, Client, Clock, DEADLINE, Daemon, Random, Socket, eventually, now_ms, proc_exists, signal, strace_is_there,
};

pub const PART: Part =
    Part { name: "want", what: "the clock a year off; a stop; no descriptors, memory, processes left", share: 1, run };

const YEAR_MS: i64 = 366 * 86_400_000;
const CONFIG: &str = "[runs]\nkill_grace_s = 1\n[retention]\nruns_days = 0\nruns_count = 0\n[sessions]\nttl_s = 0\n";
/// Requests that are answered in a scene, at most.
const ANSWERS: u64 = 120;
/// Descriptors that a starved daemon has: so few that the clients of a scene take them all.
const DESCRIPTORS: u64 = 72;

fn run(at: &mut Trial) {
    let work = |round: u64, random: &mut Random| {
        let (what, scene): (_, fn(&mut Random)) = match round % 5 {
            0 if cfg!(debug_assertions) => ("clocks set", clock),
            1 => ("descriptors exhausted", descriptors),
            2 => ("memory limits", memory),
            3 if strace_is_there() => ("processes refused", processes),
            4 => ("stops of a process", stopped),
            _ => return None,
        };
        scene(random);
        Some(what)
    };
    at.rounds("want", work, |at, what| at.count(what, 1));
}

fn started(builder: Builder) -> (Daemon, Told) {
    let daemon = builder.config(CONFIG).start();
    daemon.put("/v1/queues/default", &json!({"slots": 4})).expect(200);
    daemon.put("/v1/queues/long", &json!({"slots": 2})).expect(201);
    let told = Told::new(daemon.dir().join("side"));
    (daemon, told)
}

/// Clients and readers at work, while something is done to the daemon.
fn beside_work(daemon: &Daemon, told: &Told, random: &mut Random, faults: bool, what: impl FnOnce(&AtomicU64)) {
    let client = Client::clone(daemon);
    let (answers, over) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for who in 0..CLIENTS {
            let load = Load { client: &client, told, who, faults, answers: &answers };
            let mut own = Random::new(random.below(1 << 32));
            let (pid, over, answers) = (daemon.pid(), &over, &answers);
            scope.spawn(move || {
                // Where it may be refused, the next request may be answered.
                while answers.load(Ordering::Relaxed) < ANSWERS && !over.load(Ordering::Relaxed) {
                    let failed = load.act(&mut own).is_err();
                    assert!(!failed || faults, "it did not answer");
                    if failed && !proc_exists(pid) {
                        return;
                    }
                }
            });
        }
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| what(&answers)));
        over.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

fn wait_answers(answers: &AtomicU64, count: u64) {
    let until = (answers.load(Ordering::Relaxed) + count).min(ANSWERS);
    eventually(DEADLINE, "it answers", || answers.load(Ordering::Relaxed) >= until);
}

/// Whatever it went through, a new daemon has it all.
fn end(daemon: &mut Daemon, told: &Told) {
    let answers = AtomicU64::new(0);
    let load = Load { client: daemon, told, who: 0, faults: false, answers: &answers };
    assert!(load.settle().is_ok(), "the daemon is gone");
    told.check(daemon, 0);
    *told.readers() = readers();
    told.settle(daemon, 0, None);
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
}

/// The clock is set a year on and back and on again, at work and over a restart.
fn clock(random: &mut Random) {
    let (mut daemon, clock) = Clock::start(Daemon::builder().config(CONFIG), now_ms());
    daemon.put("/v1/queues/default", &json!({"slots": 4})).expect(200);
    daemon.put("/v1/queues/long", &json!({"slots": 2})).expect(201);
    let told = Told::new(daemon.dir().join("side"));
    told.clock_is_set.store(true, Ordering::Relaxed);
    for (name, schedule) in [("second", "* * * * * *"), ("hour", "0 * * * *"), ("day", "30 2 * * *")] {
        let job = json!({"run": {"script": "true"}, "schedule": schedule, "overlap": "skip", "zone": "Europe/Berlin"});
        daemon.put(&format!("/v1/jobs/{name}"), &job).expect(201);
    }
    for _ in 0..3 {
        let at_ms = now_ms() + (random.below(3) as i64 - 1) * YEAR_MS;
        if random.below(3) == 0 {
            clock.write_for_next_start(at_ms);
            if random.below(2) == 0 {
                daemon.kill9()
            } else {
                _ = daemon.stop()
            }
            daemon.start_again();
        } else {
            beside_work(&daemon, &told, random, false, |answers| {
                wait_answers(answers, 20);
                clock.set(&daemon, at_ms);
                wait_answers(answers, 20);
            });
        }
        told.check(&daemon, 0);
    }
    clock.write_for_next_start(now_ms());
    daemon.restart();
    end(&mut daemon, &told);
}

/// Connections take all descriptors; whoever has the Unix socket is heard, and all is well once they are gone.
fn descriptors(random: &mut Random) {
    let limit = format!("ulimit -n {DESCRIPTORS}; exec \"$@\"");
    let (mut daemon, told) = started(Daemon::builder().wrapper(&["sh", "-c", &limit, "sh"]));
    let greedy = daemon.tcp();
    beside_work(&daemon, &told, random, true, |answers| {
        wait_answers(answers, 10);
        let held: Vec<Socket> = (0..DESCRIPTORS + 20).filter_map(|_| Socket::connect(greedy.address()).ok()).collect();
        // Local clients are too many for it as well.
        let local: Vec<Socket> = (0..DESCRIPTORS).filter_map(|_| Socket::connect(daemon.address()).ok()).collect();
        std::thread::sleep(Duration::from_millis(random_ms(&held)));
        drop((held, local));
        eventually(DEADLINE, "it answers again", || {
            daemon.call("GET", "/v1/system").try_send().is_ok_and(|answer| answer.status == 200)
        });
    });
    told.check(&daemon, 0);
    daemon.rebuild(|builder| builder.wrapper(&[]));
    daemon.restart();
    end(&mut daemon, &told);
}

/// How long they stay: long enough that each client has asked for something meanwhile.
fn random_ms(held: &[Socket]) -> u64 {
    200 + held.len() as u64
}

/// A limit on its addresses, from far too little to enough. It may not start, or end at any time.
fn memory(random: &mut Random) {
    let (mut daemon, told) = started(Daemon::builder());
    daemon.stop();
    let kilobytes = 30_000 + random.below(400_000);
    let limit = format!("ulimit -v {kilobytes}; exec \"$@\"");
    daemon.rebuild(|builder| builder.wrapper(&["sh", "-c", &limit, "sh"]));
    if daemon.try_start_again().is_ok() {
        let greedy = json!({"script": "true", "stdin": "x".repeat(900_000), "queue": "long"});
        beside_work(&daemon, &told, random, true, |answers| {
            for _ in 0..30 {
                let _ = daemon.call("POST", "/v1/runs").json(&greedy).try_send();
            }
            eventually(DEADLINE, "it answers or ends", || {
                answers.load(Ordering::Relaxed) >= ANSWERS / 2 || !proc_exists(daemon.pid())
            });
        });
        signal(daemon.pid(), Signal::KILL);
        daemon.wait_exit(DEADLINE);
    }
    daemon.rebuild(|builder| builder.wrapper(&[]));
    daemon.start_again();
    end(&mut daemon, &told);
}

/// The system gives it no process, and then no pipe: runs end and say so, or wait.
fn processes(random: &mut Random) {
    let (mut daemon, told) = started(Daemon::builder());
    let calls = ["clone,?clone3,?vfork,?fork", "pipe2,socketpair", "pidfd_open"];
    let calls = calls[random.below(3) as usize];
    let error = ["EAGAIN", "ENOMEM", "EMFILE"][random.below(3) as usize];
    let trace = format!("trace={calls}");
    let inject = format!("inject={calls}:error={error}:when={}+{}", 1 + random.below(4), 1 + random.below(3));
    beside_work(&daemon, &told, random, false, |answers| {
        wait_answers(answers, 10);
        let traced = Traced::attach(daemon.pid(), daemon.dir().join("strace"), &trace, &inject);
        wait_answers(answers, 60);
        drop(traced);
    });
    told.check(&daemon, 0);
    end(&mut daemon, &told);
}

/// As asleep: it is stopped for a while, and goes on.
fn stopped(random: &mut Random) {
    let (mut daemon, told) = started(Daemon::builder());
    beside_work(&daemon, &told, random, false, |answers| {
        for _ in 0..3 {
            wait_answers(answers, 10);
            daemon.signal(Signal::STOP);
            std::thread::sleep(Duration::from_millis(random_stop(answers)));
            daemon.signal(Signal::CONT);
        }
    });
    told.check(&daemon, 0);
    end(&mut daemon, &told);
}

fn random_stop(answers: &AtomicU64) -> u64 {
    50 + answers.load(Ordering::Relaxed) % 7 * 100
}
