//! Part `faults`: each read, write, flush, cut, renaming, opening and mapping of the files of the state directory fails,
//! once or for ever. The daemon ends by itself or answers with a clear error, and nothing acknowledged is lost after the
//! next start.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use super::load::Load;
use super::told::Told;
use super::traced::wrapper;
use super::trial::{Part, Trial};
use crate::common::{Client, DEADLINE, Daemon, Random, TempDir, eventually, proc_exists, signal, strace_is_there};

pub const PART: Part = Part {
    name: "faults",
    what: "an error at the n-th read, write, flush, cut, renaming, opening, mapping",
    share: 2,
    run,
};

/// Calls that fail together, how, and how many of them a thread makes in the scenario at the most.
const FAULTS: [(&str, &str, u64); 11] = [
    ("write", "pwrite64,write,pwritev:error=EIO", 130),
    ("write", "pwrite64,write,pwritev:error=ENOSPC", 130),
    ("flush", "fsync,fdatasync:error=EIO", 40),
    ("flush", "fsync,fdatasync:error=ENOSPC", 40),
    ("read", "pread64,read:error=EIO", 60),
    ("cut", "ftruncate:error=EIO", 8),
    ("cut", "ftruncate,fallocate:error=ENOSPC", 8),
    ("rename", "renameat,renameat2,unlinkat,mkdirat:error=EIO", 8),
    ("open", "openat,openat2:error=EIO", 30),
    ("open", "openat,openat2:error=EMFILE", 30),
    ("map", "mmap:error=ENOMEM", 4),
];
/// Each of them once and for ever.
const PLACES: usize = 2 * FAULTS.len();
/// Rounds of a kind whose call the scenario did not come to, after which there are no further ones.
const MISSED_MAX: u64 = 3;
/// Requests of the scenario.
const REQUESTS: u64 = 24;

/// One fault.
#[derive(Clone, Copy, Debug)]
struct Fault {
    kind: &'static str,
    calls: &'static str,
    nth: u64,
    for_ever: bool,
}

impl Fault {
    /// That of a round: each kind in turn, at the first call, the second and so on; where there is no time for all, at any.
    fn of(round: u64, random: &mut Random, is_long: bool) -> Fault {
        let kinds = PLACES as u64;
        let (kind, calls, most) = FAULTS[(round % kinds / 2) as usize];
        let nth = if is_long { 1 + round / kinds } else { 1 + random.below(most) };
        Fault { kind, calls, nth, for_ever: round % 2 == 1 }
    }

    fn inject(self) -> String {
        let Fault { calls, nth, for_ever, .. } = self;
        format!("inject={calls}:when={nth}{}", if for_ever { "+" } else { "" })
    }
}

fn run(at: &mut Trial) {
    if !strace_is_there() {
        return println!("faults: skipped: strace is not there, or ptrace is not allowed");
    }
    let is_long = at.is_long();
    // How often the scenario had no such call, by kind: it has fewer in one round than in another.
    let missed = Mutex::new([0; PLACES]);
    let is_over = |place: usize| is_long && missed.lock().unwrap()[place] >= MISSED_MAX;
    let work = |round: u64, random: &mut Random| {
        let place = (round % PLACES as u64) as usize;
        (!is_over(place)).then(|| (place, try_fault(Fault::of(round, random, is_long), random)))
    };
    at.rounds("an error of the file system", work, |at, (place, (fault, outcome))| {
        missed.lock().unwrap()[place] += u64::from(outcome == Outcome::NotReached);
        at.count(&format!("{} {}", fault.kind, outcome.told()), 1);
        if (0..PLACES).all(is_over) {
            at.end();
        }
    });
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    NotReached,
    /// It did not begin to serve, and said why.
    DidNotStart,
    /// It ended by itself.
    Ended,
    /// It went on.
    WentOn,
}

impl Outcome {
    fn told(self) -> &'static str {
        match self {
            Outcome::NotReached => "faults that were not reached",
            Outcome::DidNotStart => "faults that kept it from starting",
            Outcome::Ended => "faults that ended it",
            Outcome::WentOn => "faults that it went on after",
        }
    }
}

fn try_fault(fault: Fault, random: &mut Random) -> (Fault, Outcome) {
    let dir = TempDir::new();
    let log = dir.path().join("strace");
    let state = dir.path().join("state");
    let calls = fault.calls.split(':').next().unwrap();
    let mut words = wrapper(&format!("trace={calls}"), &fault.inject(), &log);
    let file = |name: &str| ["-P".to_owned(), state.join(name).display().to_string()];
    let files = ["", "runabout.db", "runabout.db-wal", "runabout.db-shm", "runabout.db-journal", "runabout.lock"];
    words.splice(1..1, files.into_iter().flat_map(file));
    let told = Told::new(dir.path().join("side"));
    let mut daemon = Daemon::builder().config("[runs]\nkill_grace_s = 1\n").prepared_in(dir);
    // What is there before it: a log that has to be recovered.
    daemon.start_again();
    work(&daemon, &told, random, 8);
    daemon.kill9();
    daemon.rebuild(|builder| builder.wrapper(&words.iter().map(String::as_str).collect::<Vec<_>>()));
    let outcome = under_fault(&mut daemon, &told, random);
    let is_reached = std::fs::read_to_string(&log).unwrap_or_default().contains("INJECTED");
    daemon.rebuild(|builder| builder.wrapper(&[]));
    daemon.start_again();
    let answers = AtomicU64::new(0);
    let load = Load { client: &daemon, told: &told, who: 0, faults: false, answers: &answers };
    assert!(load.settle().is_ok(), "the daemon is gone");
    told.check(&daemon, 0);
    told.settle(&mut daemon, 0, None);
    assert!(!daemon.log().contains("panicked"), "{fault:?}: {}", daemon.log());
    (fault, if is_reached { outcome } else { Outcome::NotReached })
}

/// Starts it, gives it work, and stops it, whatever comes of that.
fn under_fault(daemon: &mut Daemon, told: &Told, random: &mut Random) -> Outcome {
    let before = daemon.log().len();
    if let Err(status) = daemon.try_start_again() {
        let said = daemon.log().split_off(before);
        assert!(status.code().is_some_and(|code| code > 0 && code < 100), "it ends by {status}: {said}");
        assert!(!said.trim().is_empty(), "it does not say why it ends");
        return Outcome::DidNotStart;
    }
    let pid = daemon.pid();
    work(daemon, told, random, REQUESTS);
    // Where no answer came it is about to end, or it answers the next.
    let alive = || daemon.call("GET", "/healthz").try_send().is_ok();
    eventually(DEADLINE, "it ends or it answers", || !proc_exists(pid) || alive());
    let ended_itself = !proc_exists(pid);
    if !ended_itself {
        signal(pid, rustix::process::Signal::TERM);
    }
    let status = daemon.wait_exit(DEADLINE);
    assert!(matches!(status.code(), Some(0 | 1)), "it ends by {status}: {}", daemon.log());
    if ended_itself {
        assert_eq!(status.code(), Some(1));
        let said = daemon.log().split_off(before);
        assert!(
            said.lines().any(|line| line.contains("ERROR") || line.contains("error")),
            "it does not say why: {said}"
        );
        return Outcome::Ended;
    }
    Outcome::WentOn
}

/// So many requests, or fewer where the daemon ends.
fn work(daemon: &Daemon, told: &Told, random: &mut Random, requests: u64) {
    let client = Client::clone(daemon);
    let answers = AtomicU64::new(0);
    let load = Load { client: &client, told, who: 0, faults: true, answers: &answers };
    let mut lost = 0;
    for _ in 0..requests {
        let is_over = load.act(random).is_err();
        lost += u64::from(is_over);
        if is_over && !proc_exists(daemon.pid()) || lost > 5 {
            return;
        }
    }
}
