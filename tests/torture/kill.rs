//! Part `kill`: `kill -9` of daemon and keeper, at random and before and after each write, flush, rename, spawn, signal and
//! answer, at work, at the start and at the stop, during a backup, a restore and a migration.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use super::load::{CLIENTS, Load, readers};
use super::told::Told;
use super::traced::{ANY, FLUSH, Kind, Moment, Point, RENAME, SEND, SIGNAL, SPAWN, Traced, WRITE};
use super::trial::{Part, Trial};
use crate::common::{Client, DEADLINE, Daemon, Random, Running, eventually, kill, strace_is_there};
use crate::receiver::{Answer, Receiver};
use crate::schemas;

pub const PART: Part =
    Part { name: "kill", what: "kill -9 before and after each call of the system that matters", share: 3, run };

const KINDS: [Kind; 7] = [WRITE, FLUSH, RENAME, SPAWN, SIGNAL, SEND, ANY];
/// Kills in the life of one directory.
const KILLS: u64 = 6;
/// How long a point is waited for, before the daemon is killed anyhow.
const PATIENCE: Duration = Duration::from_secs(2);
/// Requests that are answered between two kills, at most.
const ANSWERS: u64 = 250;
/// Runs that are kept, in a life with pruning.
const KEPT: i64 = 15;

/// What was done, in the order of the names.
type Counts = Vec<(String, u64)>;

fn run(at: &mut Trial) {
    if !strace_is_there() {
        return println!("kill: skipped: strace is not there, or ptrace is not allowed");
    }
    let work = |_, random: &mut Random| {
        let mut counts = Counts::new();
        match random.below(8) {
            0 => migration(random, &mut counts),
            1 => copies(random, &mut counts),
            _ => life(random, &mut counts),
        }
        Some(counts)
    };
    at.rounds("a life of kills", work, |at, counts| {
        counts.into_iter().for_each(|(what, count)| at.count(&what, count));
    });
}

/// One directory, at whose daemon clients work over several kills.
fn life(random: &mut Random, counts: &mut Counts) {
    let kept = if random.below(2) == 0 { KEPT } else { 0 };
    let receiver = Receiver::start(Answer::Status(204, ""));
    let config = format!("[runs]\nkill_grace_s = 1\n[retention]\nruns_count = {kept}\nruns_days = 0\n");
    let mut daemon = Daemon::builder().config(&config).start();
    prepare(&daemon, &receiver);
    let told = Told::new(daemon.dir().join("side"));
    *told.readers() = readers();
    for _ in 0..KILLS {
        die_at_work(&mut daemon, &told, random, counts);
        start_again(&mut daemon, random, counts);
        let asked = settle_open(&daemon, &told);
        counts.push(("unanswered requests asked again".into(), asked));
        told.check(&daemon, kept);
    }
    told.settle(&mut daemon, kept, Some(&receiver));
    tell(&told, counts);
}

fn prepare(daemon: &Daemon, receiver: &Receiver) {
    daemon.put("/v1/queues/default", &json!({"slots": 4})).expect(200);
    daemon.put("/v1/queues/long", &json!({"slots": 4})).expect(201);
    let on = ["succeeded", "failed", "canceled", "timed_out", "interrupted"];
    daemon.put("/v1/hooks/all", &json!({"url": receiver.url(), "on": on})).expect(201);
    let tick = json!({"run": {"script": "true", "name": "tick"}, "schedule": "* * * * * *", "overlap": "allow"});
    daemon.put("/v1/jobs/tick", &tick).expect(201);
}

fn tell(told: &Told, counts: &mut Counts) {
    let book = told.book();
    let figures = [
        ("runs acknowledged", book.runs.len()),
        ("cancels acknowledged", book.canceled.len()),
        ("deletes acknowledged", book.gone.len()),
        ("appends acknowledged", book.appended.len()),
        ("sessions", book.sessions.len()),
        ("events shown", book.seen.len()),
        ("attempts started", told.started().len()),
    ];
    counts.extend(figures.map(|(what, count)| (what.to_owned(), count as u64)));
}

fn settle_open(daemon: &Daemon, told: &Told) -> u64 {
    let answers = AtomicU64::new(0);
    let load = Load { client: daemon, told, who: 0, faults: false, answers: &answers };
    load.settle().unwrap_or_else(|_| panic!("the daemon is gone"))
}

/// The daemon works, and is killed at a point, or at a time, or while it stops.
fn die_at_work(daemon: &mut Daemon, told: &Told, random: &mut Random, counts: &mut Counts) {
    let client = Client::clone(daemon);
    let answers = AtomicU64::new(0);
    let cut = std::mem::take(&mut *told.readers());
    let how = random.below(10);
    // While it stops it may say that it cannot any more.
    let faults = how == 3;
    std::thread::scope(|scope| {
        let _killed = KilledOnFailure(daemon.pid());
        for reader in cut {
            let load = Load { client: &client, told, who: 0, faults: false, answers: &answers };
            scope.spawn(move || load.read(reader));
        }
        for who in 0..CLIENTS {
            let load = Load { client: &client, told, who, faults, answers: &answers };
            let mut own = Random::new(random.below(1 << 32));
            scope.spawn(move || load.work(&mut own, ANSWERS));
        }
        // Something is going on by then.
        let some = random.below(20);
        eventually(DEADLINE, "it answers", || answers.load(Ordering::Relaxed) >= some);
        let how = match how {
            0 | 1 => {
                std::thread::sleep(Duration::from_micros(random.below(150_000)));
                daemon.kill9();
                return counts.push(("kills at random".into(), 1));
            }
            2 => kill_keepers(daemon, random, counts),
            3 => "at the stop",
            _ => "at work",
        };
        let point = Point::any(random, &KINDS);
        let traced = Traced::to_kill(daemon.pid(), daemon.dir().join("strace"), point);
        if how == "at the stop" {
            daemon.signal(Signal::TERM);
        }
        let is_there = traced.wait_dead(PATIENCE);
        kill(daemon.pid());
        drop(traced);
        // Else it had stopped before it came to the point.
        let is_killed = daemon.wait_exit(DEADLINE).code().is_none();
        counts.push((told_point(point, how, is_there && is_killed), 1));
    });
}

/// Its readers would wait for ever for a daemon that nobody kills.
pub struct KilledOnFailure(pub i32);

impl Drop for KilledOnFailure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            kill(self.0);
        }
    }
}

fn told_point(point: Point, how: &str, is_there: bool) -> String {
    match (is_there, point.moment) {
        (false, _) => "kills at random".to_owned(),
        (true, Moment::Before) => format!("kills before {} {how}", point.kind.name),
        (true, Moment::After) => format!("kills after {} {how}", point.kind.name),
    }
}

/// Kills some of the keepers, each at a point.
fn kill_keepers(daemon: &Daemon, random: &mut Random, counts: &mut Counts) -> &'static str {
    let is_keeper = |pid: &i32| crate::common::command_line(*pid).split(' ').nth(1) == Some("keep");
    for pid in daemon.descendants().into_iter().filter(is_keeper).take(2) {
        let point = Point::any(random, &[WRITE, SEND, SPAWN, SIGNAL, RENAME, ANY]);
        let traced = Traced::to_kill(pid, daemon.dir().join("strace-keeper"), point);
        traced.wait_dead(Duration::from_millis(300));
        let what = if kill(pid) { "kills of a keeper at random" } else { "kills of a keeper at a point" };
        counts.push((what.into(), 1));
    }
    "at work"
}

/// Starts it, which is killed at some points of that too.
fn start_again(daemon: &mut Daemon, random: &mut Random, counts: &mut Counts) {
    for _ in 0..random.below(3) {
        let point = Point { moment: Moment::Before, ..Point::any(random, &KINDS) };
        let words = point.wrapper(&daemon.dir().join("strace-start"));
        daemon.rebuild(|builder| builder.wrapper(&words.iter().map(String::as_str).collect::<Vec<_>>()));
        let serves = daemon.try_start_again().is_ok();
        if serves {
            daemon.kill9();
        }
        let is_there = !serves;
        counts.push((told_point(point, "at the start", is_there), 1));
    }
    daemon.rebuild(|builder| builder.wrapper(&[]));
    daemon.start_again();
}

/// A database of an earlier version, whose migration is killed again and again.
fn migration(random: &mut Random, counts: &mut Counts) {
    let newest = schemas::migrations().len();
    let version = 1 + random.below(newest as u64 - 1) as usize;
    let written_at = if random.below(2) == 0 { 1 } else { version };
    let mut daemon = Daemon::builder().prepared_in(schemas::database(version, written_at));
    for _ in 0..KILLS {
        let point = Point { moment: Moment::Before, ..Point::any(random, &[WRITE, FLUSH, RENAME, ANY]) };
        let words = point.wrapper(&daemon.dir().join("strace-start"));
        daemon.rebuild(|builder| builder.wrapper(&words.iter().map(String::as_str).collect::<Vec<_>>()));
        let serves = daemon.try_start_again().is_ok();
        if serves {
            daemon.kill9();
        }
        counts.push((told_point(point, "at a migration", !serves), 1));
    }
    daemon.rebuild(|builder| builder.wrapper(&[]));
    daemon.start_again();
    schemas::assert_everything_is_there(&daemon, &format!("schema {version}, rows written at {written_at}"));
    assert_eq!(daemon.sh("echo on"), 6, "no id is given out twice");
    daemon.wait_ended(6);
    daemon.stop();
    super::check::check_database(&daemon.state_dir().join("runabout.db"), "integrity_check");
}

/// Backups and restores that are killed: a copy is whole or has no name, and the database is the old one or the copy.
fn copies(random: &mut Random, counts: &mut Counts) {
    let mut daemon = Daemon::with_config("[runs]\nkill_grace_s = 1\n");
    let receiver = Receiver::start(Answer::Status(204, ""));
    prepare(&daemon, &receiver);
    let told = Told::new(daemon.dir().join("side"));
    let answers = AtomicU64::new(0);
    let act = |client: &Client, random: &mut Random| {
        let load = Load { client, told: &told, who: 0, faults: false, answers: &answers };
        for _ in 0..25 {
            assert!(load.act(random).is_ok(), "the daemon is gone");
        }
    };
    act(&daemon, random);
    let copy = daemon.dir().join("copy.db");
    for _ in 0..3 {
        let point = copied(&daemon, &["backup", "--force"], &copy, random);
        counts.push((point, 1));
        if copy.exists() {
            super::check::check_database(&copy, "integrity_check");
        }
    }
    let whole = crate::common::cli(&daemon, &["backup", "--force", copy.to_str().unwrap()]).expect(0);
    let in_copy: Vec<i64> = told.book().runs.keys().copied().collect();
    drop(whole);
    act(&daemon, random);
    daemon.post("/v1/runs", &json!({"script": "true", "queue": "default"})).expect(201);
    let instance = |daemon: &Daemon| daemon.get("/v1/system").expect(200).json()["instance"].clone();
    let old = instance(&daemon);
    if random.below(2) == 0 {
        daemon.kill9();
    } else {
        daemon.stop();
    }
    let most = told.book().runs.keys().max().copied().unwrap_or_default();
    for _ in 0..3 {
        let point = copied(&daemon, &["restore"], &copy, random);
        counts.push((point, 1));
        daemon.start_again();
        if instance(&daemon) == old {
            told.check(&daemon, 0);
        } else {
            // What the copy has is there; what it has not is gone, and its number is nobody else's.
            for run in &in_copy {
                let status = daemon.get(&format!("/v1/runs/{run}")).status;
                assert!(status == 200 || told.book().going.contains(run), "run {run} of the copy: {status}");
            }
            assert!(daemon.sh("true") > most, "an id was given out twice");
        }
        daemon.stop();
    }
    crate::common::cli(&daemon, &["restore", copy.to_str().unwrap()]).expect(0);
    daemon.start_again();
    assert_ne!(instance(&daemon), old, "a restore is not kept from working by one that was killed");
    daemon.stop();
}

/// Runs a command that works on the database's files, to be killed at a point; answers what that was.
fn copied(daemon: &Daemon, words: &[&str], copy: &Path, random: &mut Random) -> String {
    let point = Point { moment: Moment::Before, ..Point::any(random, &[WRITE, FLUSH, RENAME, ANY]) };
    let plain = daemon.cli();
    let wrapper = point.wrapper(&daemon.dir().join("strace-copy"));
    let mut command = std::process::Command::new(&wrapper[0]);
    command.args(&wrapper[1..]).arg(plain.get_program()).args(words).arg(copy);
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let ended = Running::start(command).ended();
    told_point(point, &format!("at a {}", words[0]), ended.status.code().is_none())
}
